// Load: the command that sends a load to anybody's application and says what it measured.
// Owns: what is printed and written, stopping it. Does not own: the load (src/load), the report's
// shape and page (src/report).
import { writeFileSync } from "node:fs";
import { machineClock, systemClock } from "../base/clock.ts";
import { unwrap } from "../base/failure.ts";
import { Histogram } from "../base/histogram.ts";
import { systemTimers } from "../base/timers.ts";
import { expectedArrivals } from "../load/arrival-plan.ts";
import { loadTotals, type LoadResult, type LoadSecond } from "../load/load-result.ts";
import { startLoad } from "../load/load-run.ts";
import type { LoadSpec } from "../load/load-spec.ts";
import { formatRateProfile } from "../load/rate-profile.ts";
import { reportPage } from "../report/report-page.ts";
import { formatReport } from "../report/report.ts";
import { loadReport, loadText } from "./load-report.ts";
import { loadSpecOf, type LoadSettings } from "./load-settings.ts";
import { StatusLine } from "./status-line.ts";
import { onStopSignal } from "./stop-signals.ts";
import { prepareSummary } from "./summary-file.ts";

/** Sends it all, or until a signal asks for the end; then awaits what is in flight. */
export async function load(target: string, settings: LoadSettings): Promise<void> {
  const spec = unwrap(loadSpecOf(target, settings));
  prepareSummary(settings.json);
  prepareSummary(settings.html);
  process.stdout.write(`${announcement(spec)}\n`);
  const line = new StatusLine();
  const stopped = new Promise<void>((resolve) => {
    onStopSignal(systemClock, resolve, "stopped at once; nothing was written");
  });
  const startedAtMs = systemClock.wallMs();
  const running = unwrap(
    await startLoad(spec, {
      clock: machineClock,
      timers: systemTimers,
      log: (text) => {
        line.print(text);
      },
      onSecond: (second) => {
        line.show(secondLine(second));
      },
    }),
  );
  void stopped.then(() => {
    line.print("stopping: what was sent is awaited");
    running.stop();
  });
  const result: LoadResult = unwrap(await running.finished);
  line.end();
  const totals = loadTotals(result.seconds);
  process.stdout.write(`\n${loadText(result, totals)}\n`);
  const report = loadReport({ spec, result, totals, startedAtMs });
  if (settings.json !== undefined) writeFileSync(settings.json, formatReport(report));
  if (settings.html !== undefined) writeFileSync(settings.html, reportPage(report));
  for (const file of [settings.json, settings.html]) {
    if (file !== undefined) process.stdout.write(`written: ${file}\n`);
  }
  for (const problem of totals.problems) process.stdout.write(`INVALID: ${problem}\n`);
  if (totals.problems.length > 0) process.exitCode = 1;
}

/** What is about to be done to whom, before it is done. */
function announcement(spec: LoadSpec): string {
  const requests = Math.round(expectedArrivals(spec.steps)).toLocaleString("en");
  const seconds = spec.steps.reduce((sum, { durationMs }) => sum + durationMs, 0) / 1000;
  const chance = spec.spacing === "poisson" ? `poisson, seed ${String(spec.seed)}` : "fixed";
  return [
    `sending about ${requests} requests in ${String(seconds)} s: ${whatIsSent(spec)}`,
    `${formatRateProfile(spec.steps)}, ${chance}; ${String(spec.connections)} connections, ` +
      `at most ${String(spec.inFlightMax)} requests under way; Ctrl-C ends it`,
  ].join("\n");
}

function secondLine({ endMs, sent, notSent, outcomes, response }: LoadSecond): string {
  const times = new Histogram();
  times.addCounts(response);
  const counts = Object.entries(outcomes).map(([outcome, count]) => `${outcome}: ${String(count)}`);
  return [
    `${(endMs / 1000).toFixed(0)} s`,
    `${String(sent)} sent`,
    ...(notSent === 0 ? [] : [`${String(notSent)} not sent`]),
    ...counts,
    `p50 ${times.percentileMs(50).toFixed(2)} ms`,
    `p99 ${times.percentileMs(99).toFixed(2)} ms`,
  ].join(" · ");
}

function whatIsSent({ url, method, bodies }: LoadSpec): string {
  if (!url.startsWith("ws:")) return `${method} ${url}`;
  return bodies.length > 0 ? `messages to ${url}` : `pages that connect to ${url}`;
}
