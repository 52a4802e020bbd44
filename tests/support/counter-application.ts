// Counter application: the smallest application with state, for tests of the engine.
import { Type } from "typebox";
import type { Value } from "../../src/grid/log-record.ts";
import { command, space, type Application } from "../../src/processing-units/application.ts";

export const counts = space<{ readonly count: number }>({
  name: "counts",
  table: { name: "counts", key: "name", columns: { count: "bigint" } },
});

const promised: unknown = Promise.resolve(1);

/** `add` counts up and answers the count; adding 13 fails. `read` changes nothing. */
export const counterApplication: Application = {
  name: "counter",
  spaces: [counts],
  commands: {
    add: command({
      input: Type.Object(
        { key: Type.String({ minLength: 1, maxLength: 100 }), by: Type.Integer() },
        { additionalProperties: false },
      ),
      routeBy: (input) => input.key,
      handle(tx, input) {
        const count = (tx.get(counts, input.key)?.count ?? 0) + input.by;
        tx.put(counts, input.key, { count });
        if (input.by === 13) throw new Error("unlucky");
        return count;
      },
    }),
    read: command({
      input: Type.Object({ key: Type.String() }, { additionalProperties: false }),
      routeBy: (input) => input.key,
      handle: (tx, input) => tx.get(counts, input.key)?.count ?? 0,
    }),
    later: command({
      input: Type.Object({}),
      routeBy: () => "",
      handle: () => promised as Value, // what an async handler would give
    }),
  },
};

export default (): Application => counterApplication;
