// Demo: the command that shows everything at once: a unit that bids, and an exchange that asks.
// Owns: starting both, the block of text, the status line, the summary, stopping in order.
// Does not own: the unit (bidder.ts), the exchange (a child process: demo-exchange.ts).
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../base/clock.ts";
import { failure, FailureError, unwrap, type Failure } from "../base/failure.ts";
import { delay, systemTimers } from "../base/timers.ts";
import { mergeStatus } from "../bidding-demo/demo-status.ts";
import { replaySource } from "../bidding-demo/exchange/replay.ts";
import type { ExchangeProgress } from "../bidding-demo/exchange/tally.ts";
import type { UnitStatus } from "../processing-units/unit-status.ts";
import type { Unit } from "../processing-units/unit.ts";
import { startBidder } from "./bidder.ts";
import { demoBanner } from "./demo-banner.ts";
import { startExchange } from "./demo-exchange.ts";
import { backlogOf, demoSummary } from "./demo-summary.ts";
import { killLanesOnSignal } from "./kill-lane.ts";
import { rebuiltLines } from "./rebuild.ts";
import type { Settings } from "./settings.ts";
import { dollars, exchangeLine, StatusLine } from "./status-line.ts";
import { onStopSignal } from "./stop-signals.ts";
import { prepareSummary, writeSummary } from "./summary-file.ts";

/** Statuses come once a second; one that was begun after a moment is two seconds away. */
const statusLookMs = 500;
const settleMsMax = 30_000;

/** Runs until Ctrl-C, or for the time given; throws FailureError where it cannot start. */
export async function demo(settings: Settings): Promise<void> {
  const line = new StatusLine();
  line.print("starting lanes, grid and database…");
  mkdirSync(settings.data, { recursive: true });
  prepareSummary(settings.json);
  // The exchange reads it, in its own process, when all else has started: too late to refuse it.
  if (settings.requests !== undefined) unwrap(await replaySource(settings.requests, settings.seed));
  const stop = new AbortController();
  onStopSignal(systemClock, () => {
    line.print("stopping: answers and notices first, then the rest to the database");
    stop.abort();
  });
  let progress: ExchangeProgress | null = null;
  const unit = await startBidder(settings, {
    logFile: join(settings.data, "orrery.log"),
    onStatus: (status) => {
      if (progress !== null) line.show(demoLine(progress, status));
    },
    onRebuilt: (report, spacesLost) => {
      for (const text of rebuiltLines(report, spacesLost)) line.print(text);
    },
  });
  const ended: Failure[] = [];
  void unit.ended.then((reason) => {
    ended.push(reason);
    stop.abort();
  });
  try {
    if (!stop.signal.aborted) {
      await trade(settings, unit, line, stop.signal, (latest) => {
        progress = latest;
      });
    }
  } finally {
    line.end();
    const written = await unit.stop();
    process.stdin.pause();
    const rest = "what is not yet written stays in the grid, and is written after the next start";
    line.print(written ? "stopped; all is written" : `stopped; ${rest}`);
  }
  for (const reason of ended) throw new FailureError(reason);
}

/** The exchange's whole life beside the unit, and the summary of both. */
async function trade(
  settings: Settings,
  unit: Unit,
  line: StatusLine,
  stop: AbortSignal,
  onProgress: (progress: ExchangeProgress) => void,
): Promise<void> {
  const url = `http://${settings.host}:${String(unit.port)}`;
  const killLane = killLanesOnSignal(unit, settings.lanes, (lane) => {
    line.print(`lane ${String(lane)} was killed; it is replaced, and its logs are read again`);
  });
  line.print(demoBanner(settings, unit, url)); // which says how: from here on it may come
  onKey(killLane);
  const exchange = startExchange(settings, url, onProgress);
  stop.addEventListener("abort", () => {
    exchange.stop();
  });
  const books = await exchange.ended;
  const status = await settled(unit);
  if (books === null) {
    if (stop.aborted) return; // asked to stop before it had begun
    throw new FailureError(failure("EXCHANGE_FAILED", "the exchange ended without its books"));
  }
  if (settings.json === undefined) return;
  const summary = await demoSummary(settings, unit, status, books);
  writeSummary(settings.json, summary);
}

/** A status from after the last answer, with nothing left to write; or the newest there is. */
async function settled(unit: Unit): Promise<UnitStatus> {
  const startedMs = systemClock.monotonicMs();
  let { lanes: seen } = unit.refreshStatus();
  let renewed = 0; // the first may have been begun before the last answer
  for (;;) {
    await delay(systemTimers, statusLookMs);
    const status = unit.refreshStatus();
    if (status.lanes.every((lane) => !seen.includes(lane))) {
      renewed++;
      seen = status.lanes;
    }
    const isSettled = renewed >= 2 && backlogOf(status) === 0;
    if (isSettled || systemClock.monotonicMs() - startedMs > settleMsMax) return status;
  }
}

function demoLine(progress: ExchangeProgress, status: UnitStatus): string {
  const { campaigns } = mergeStatus(status.lanes.map((lane) => lane.application));
  const spent = campaigns.reduce((sum, campaign) => sum + campaign.spentMicros, 0);
  const backlog = backlogOf(status);
  const away = status.lanes.some(({ database }) => (database?.problem ?? null) !== null);
  const waiting = `backlog ${String(backlog)}${away ? " (the database is away)" : ""}`;
  return `${exchangeLine(progress)} · spent ${dollars(spent)} · ${waiting}`;
}

/** On a terminal, `k` and Enter kills a lane. */
function onKey(killLane: () => void): void {
  if (!process.stdin.isTTY) return;
  process.stdin.on("data", (data) => {
    if (data.toString().trim().toLowerCase() === "k") killLane();
  });
}
