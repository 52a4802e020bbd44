// Numbering application: what a load can be judged by when it is over. Each command is entered once
// under an id of its own, and is given the next number of its partition.
// Owns: the application. Does not own: which numbers there should be (fault-ledger.ts).
import { Type } from "typebox";
import { command, space, type Application } from "../../../src/processing-units/application.ts";

export const entered = space<{ readonly number: number }>({ name: "entered" });
const numbers = space<{ readonly last: number }>({ name: "numbers" });

/** `enter` answers the number. An id that is entered twice takes two, and keeps the second. */
export const numberingApplication: Application = {
  name: "numbering",
  spaces: [entered, numbers],
  commands: {
    enter: command({
      input: Type.Object({ route: Type.String(), id: Type.String() }),
      routeBy: (input) => input.route,
      handle(tx, { id }) {
        const number = (tx.get(numbers, "")?.last ?? 0) + 1;
        tx.put(numbers, "", { last: number });
        tx.put(entered, id, { number });
        return number;
      },
    }),
  },
};

/** For units in processes of their own. */
export default (): Application => numberingApplication;
