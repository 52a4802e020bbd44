// Exchange: the command that runs the exchange simulator as a process of its own.
// Owns: its progress on a terminal or to a parent process, its summary, stopping it.
// Does not own: the exchange (bidding-demo/exchange).
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../base/clock.ts";
import { unwrap } from "../base/failure.ts";
import { systemRandom } from "../base/random.ts";
import { systemTimers } from "../base/timers.ts";
import { runExchange } from "../bidding-demo/exchange/exchange.ts";
import type { ExchangeProgress, ExchangeSummary } from "../bidding-demo/exchange/tally.ts";
import type { Settings } from "./settings.ts";
import { exchangeLine, StatusLine } from "./status-line.ts";
import { onStopSignal } from "./stop-signals.ts";
import { prepareSummary, writeSummary } from "./summary-file.ts";

const progressIntervalMs = 1000;

/** What an exchange says to the process that started it, over its IPC channel. */
export type ExchangeMessage =
  | { readonly kind: "progress"; readonly progress: ExchangeProgress }
  | { readonly kind: "summary"; readonly summary: ExchangeSummary };

/** Runs until the time is over or a signal asks for the end; the books stay below `data`. */
export async function exchange(settings: Settings): Promise<void> {
  mkdirSync(settings.data, { recursive: true });
  prepareSummary(settings.json);
  const line = new StatusLine();
  const started = await runExchange({
    targets: settings.targets,
    ratePerSecond: settings.rate,
    seed: settings.seed,
    ...(settings.for === undefined ? {} : { forMs: settings.for }),
    ...(settings.requests === undefined ? {} : { requestsFile: settings.requests }),
    ledgerPath: join(settings.data, "exchange-ledger.jsonl"),
    clock: systemClock,
    timers: systemTimers,
    random: systemRandom(),
    log: (text) => {
      line.print(`exchange: ${text}`);
    },
  });
  const running = unwrap(started);
  const isChild = process.send !== undefined;
  const say = (message: ExchangeMessage) => {
    if (process.connected) process.send?.(message); // else whoever started it is gone
  };
  onStopSignal(systemClock, () => {
    line.print("stopping: the last answers and notices are awaited");
    running.stop();
  });
  // A demo that was killed must not leave its exchange behind.
  process.on("disconnect", () => {
    running.stop();
  });
  const ticker = systemTimers.every(progressIntervalMs, () => {
    const progress = running.progress();
    say({ kind: "progress", progress });
    if (!isChild) line.show(exchangeLine(progress));
  });
  const summary = unwrap(await running.finished);
  ticker.cancel();
  line.end();
  say({ kind: "summary", summary });
  writeSummary(settings.json, summary);
  if (!isChild) process.stdout.write(`${JSON.stringify(summary, null, 2)}\n`);
  else if (process.connected) process.disconnect?.();
}
