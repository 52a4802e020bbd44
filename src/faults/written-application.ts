// Written application: what a database can be judged by. Each command is entered once under an id
// of its own and is given the next number of its partition; what the tables hold must be the fold
// of numbers 1 to n, at any moment, whatever failed.
// Owns: the application and its tables. Does not own: the judgement (written-judge.ts).
import { Type } from "typebox";
import type { Table } from "../data-pump/table.ts";
import { command, space, type Application } from "../processing-units/application.ts";

/** One row for each command; nothing in the database would refuse a second one. */
const entriesTable: Table = {
  name: "entries",
  kind: "append",
  key: "id",
  columns: { partition: "integer", number: "bigint", text: "text" },
};
/** One row for each partition: its last number. Its writes coalesce. */
const numbersTable: Table = {
  name: "numbers",
  key: "partition",
  columns: { last: "bigint" },
};
/** The last entries of each partition: a row comes and a row goes with each command. */
const latestTable: Table = {
  name: "latest",
  key: "name",
  columns: { partition: "integer", number: "bigint" },
};
export const latestRows = 10;

const entries = space<{
  readonly partition: number;
  readonly number: number;
  readonly text: string;
}>({ name: "entries", writeOnly: true, table: entriesTable });
const numbers = space<{ readonly last: number }>({ name: "numbers", table: numbersTable });
const latest = space<{ readonly partition: number; readonly number: number }>({
  name: "latest",
  table: latestTable,
});

/** For units in processes of their own. */
export interface WrittenOptions {
  /** Length of an entry's text, by partition: long ones make the log grow, and be trimmed. */
  readonly textBytes: readonly number[];
}

export default (given: unknown): Application => {
  const { textBytes } = given as WrittenOptions;
  return {
    name: "written",
    spaces: [entries, numbers, latest],
    commands: {
      enter: command({
        input: Type.Object({ route: Type.String(), id: Type.String() }),
        routeBy: (input) => input.route,
        handle(tx, { id }) {
          const { partition } = tx;
          const number = (tx.get(numbers, String(partition))?.last ?? 0) + 1;
          tx.put(numbers, String(partition), { last: number });
          tx.put(entries, id, { partition, number, text: "x".repeat(textBytes[partition] ?? 0) });
          tx.put(latest, `${partition}-${number}`, { partition, number });
          if (number > latestRows) tx.delete(latest, `${partition}-${number - latestRows}`);
          return number;
        },
      }),
      /** The last number of the partition; changes nothing. */
      last: command({
        input: Type.Object({ route: Type.String() }),
        routeBy: (input) => input.route,
        handle: (tx) => tx.get(numbers, String(tx.partition))?.last ?? 0,
      }),
    },
  };
};
