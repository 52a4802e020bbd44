// Generator: a load that is sent by a process of its own, so that what it measures is the server
// and not the work that the caller does meanwhile.
// Owns: the process, from the load to its result. Does not own: the load (load-run.ts).
import { fork, type ChildProcess } from "node:child_process";
import { failed, ok, type Outcome } from "../base/failure.ts";
import type { FromGenerator, ToGenerator } from "./generator-protocol.ts";
import type { LoadPorts, RunningLoad } from "./load-run.ts";
import type { LoadResult } from "./load-result.ts";
import type { LoadSpec } from "./load-spec.ts";

const program = new URL("./generator-process.ts", import.meta.url);

/**
 * Begins a load in a new process; otherwise as `startLoad`. Its times are those of the clock that
 * all processes of a machine share.
 */
export function startGenerator(
  spec: LoadSpec,
  { log, onSecond }: Pick<LoadPorts, "log" | "onSecond">,
): Promise<Outcome<RunningLoad>> {
  const child = fork(program, [], { serialization: "advanced" });
  const finished = Promise.withResolvers<Outcome<LoadResult>>();
  return new Promise((resolve) => {
    child.on("message", (message: FromGenerator) => {
      switch (message.kind) {
        case "started":
          resolve(ok({ stop: () => say(child, { kind: "stop" }), finished: finished.promise }));
          break;
        case "refused":
          resolve({ ok: false, failure: message.failure });
          break;
        case "second":
          onSecond(message.second);
          break;
        case "log":
          log(message.line);
          break;
        case "result":
          finished.resolve(ok(message.result));
      }
    });
    // Of both promises the first word counts: after a result, or a refusal, this says nothing.
    const lost = (why: string) => {
      const outcome = failed("GENERATOR_LOST", `the load generator's process ended: ${why}`);
      resolve(outcome);
      finished.resolve(outcome);
    };
    child.on("error", (error) => lost(error.message));
    // Its end may be heard of before its last words are read; the channel's end comes behind them.
    let isSilent = false;
    let end: string | null = null;
    const ended = () => {
      if (isSilent && end !== null) lost(end);
    };
    child.on("disconnect", () => {
      isSilent = true;
      ended();
    });
    child.on("exit", (code, signal) => {
      end = signal ?? `exit code ${code}`;
      ended();
    });
    say(child, { kind: "load", spec });
  });
}

function say(child: ChildProcess, message: ToGenerator): void {
  // A process that has ended says so by `exit`; what it was told last is of no interest then.
  if (child.connected) child.send(message, () => undefined);
}
