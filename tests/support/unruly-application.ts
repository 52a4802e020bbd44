// Unruly application: does to its lane what no application should, for tests of those who watch.
import { Type } from "typebox";
import { FailureError, failure } from "../../src/base/failure.ts";
import { systemTimers } from "../../src/base/timers.ts";
import { command, type Application } from "../../src/processing-units/application.ts";

export interface Unruliness {
  /** Fails to start, and breaks its thread in a timer afterwards. */
  readonly breaksLate: boolean;
  /** One integer: 1 from when a handler spins. */
  readonly spinning: Int32Array;
}

/** `spin` never returns. */
export default (options: Unruliness): Application => {
  if (options.breaksLate) {
    systemTimers.after(0, () => {
      throw new Error("broken late");
    });
    throw new FailureError(failure("CONFIG_INVALID", "unruly"));
  }
  return {
    name: "unruly",
    spaces: [],
    commands: {
      spin: command({
        input: Type.Object({}),
        routeBy: () => "",
        handle: () => {
          Atomics.store(options.spinning, 0, 1);
          Atomics.notify(options.spinning, 0);
          for (;;);
        },
      }),
    },
  };
};
