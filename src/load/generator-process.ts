// Generator process: sends one load in a process of its own, and says what it measured.
// Owns: the channel to who started it; when that one is gone, it ends. Does not own: the load.
import { machineClock } from "../base/clock.ts";
import { systemTimers } from "../base/timers.ts";
import type { FromGenerator, ToGenerator } from "./generator-protocol.ts";
import type { LoadSpec } from "./load-spec.ts";
import { startLoad, type RunningLoad } from "./load-run.ts";

let running: RunningLoad | null = null;

function say(message: FromGenerator): void {
  if (process.connected) process.send?.(message);
}

async function load(spec: LoadSpec): Promise<void> {
  const started = await startLoad(spec, {
    clock: machineClock,
    timers: systemTimers,
    log: (line) => {
      say({ kind: "log", line });
    },
    onSecond: (second) => {
      say({ kind: "second", second });
    },
  });
  if (!started.ok) {
    say({ kind: "refused", failure: started.failure });
  } else {
    running = started.value;
    say({ kind: "started" });
    const result = await running.finished;
    if (result.ok) say({ kind: "result", result: result.value });
  }
  if (process.connected) process.disconnect?.();
}

process.on("message", (message: ToGenerator) => {
  if (message.kind === "load") void load(message.spec);
  else running?.stop();
});
// Whoever wanted to know is gone: nothing more is sent, and nothing is left behind.
process.on("disconnect", () => process.exit());
// Ctrl-C reaches every process of a terminal: who started this one decides what follows.
process.on("SIGINT", () => undefined);
