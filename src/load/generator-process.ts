// Generator process: sends one load in a process of its own, and says what it measured.
// Owns: the channel to who started it; when that one is gone, it ends. Does not own: the load.
import { machineClock } from "../base/clock.ts";
import { systemTimers } from "../base/timers.ts";
import type { FromGenerator, ToGenerator } from "./generator-protocol.ts";
import type { LoadSpec } from "./load-spec.ts";
import { startLoad, type RunningLoad } from "./load-run.ts";

let running: RunningLoad | null = null;

/** `sent` is called when the message has left this process, or never will. */
function say(message: FromGenerator, sent: () => void = () => undefined): void {
  if (process.connected) process.send?.(message, undefined, undefined, sent);
  else sent();
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
  // Not before the last word has left: what a busy reader has not taken yet would be lost.
  const end = () => {
    if (process.connected) process.disconnect?.();
  };
  if (!started.ok) {
    say({ kind: "refused", failure: started.failure }, end);
    return;
  }
  running = started.value;
  say({ kind: "started" });
  const result = await running.finished;
  if (result.ok) say({ kind: "result", result: result.value }, end);
  else end();
}

process.on("message", (message: ToGenerator) => {
  if (message.kind === "load") void load(message.spec);
  else running?.stop();
});
// Whoever wanted to know is gone: nothing more is sent, and nothing is left behind.
process.on("disconnect", () => process.exit());
// Ctrl-C reaches every process of a terminal: who started this one decides what follows.
process.on("SIGINT", () => undefined);
