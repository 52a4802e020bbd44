// Recovery application: one count for each partition, so that what was counted can be compared with
// what was answered. Owns: its one space and its one command.
import { Type } from "typebox";
import { command, space, type Application } from "../src/processing-units/application.ts";

const counts = space<{ readonly count: number }>({ name: "counts" });

const recoveryApplication: Application = {
  name: "recovery",
  spaces: [counts],
  commands: {
    enter: command({
      input: Type.Object({ route: Type.String(), id: Type.String() }),
      routeBy: ({ route }) => route,
      handle(tx) {
        const count = (tx.get(counts, "")?.count ?? 0) + 1;
        tx.put(counts, "", { count });
        return count;
      },
    }),
  },
};

export default (): Application => recoveryApplication;
