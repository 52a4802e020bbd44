// Generator truth: what a load generator should have measured, from the log of the server that it
// loaded and from its plan; and one run of both.
// Owns: the run, the truth, how far off the generator may be. Does not own: the server
// (delay-server-process.ts), the generator (src/load).
import { fork } from "node:child_process";
import { assert } from "../src/base/assert.ts";
import { unwrap } from "../src/base/failure.ts";
import { Histogram, type Percentiles } from "../src/base/histogram.ts";
import { startGenerator } from "../src/load/generator.ts";
import {
  loadTotals,
  type LoadResult,
  type LoadSecond,
  type LoadTotals,
} from "../src/load/load-result.ts";
import { planOf, type LoadSpec } from "../src/load/load-spec.ts";
import type { DelayServerOptions, FromDelayServer } from "./delay-server-process.ts";

type ServerLog = Extract<FromDelayServer, { kind: "log" }>;

export interface AccuracyCase {
  readonly name: string;
  readonly delayMs: number;
  readonly stallMs: number;
  readonly stallEveryMs: number;
  readonly ratePerSecond: number;
  /** The first of it does not count: at 10,000/s a generator is compiled after three seconds. */
  readonly warmUpMs: number;
  readonly durationMs: number;
  readonly connections: number;
  readonly seed: number;
}

export interface AccuracyRun {
  /** Of all seconds, and of those that count. */
  readonly all: LoadTotals;
  readonly totals: LoadTotals;
  readonly truth: Truth;
}

/** Milliseconds, of what was answered in the time that counts. */
export interface Truth {
  /** All that the server received, the warm-up included. */
  readonly requests: number;
  /** Planned → answered, as the server's log says. */
  readonly response: Percentiles;
  /** Received → answered, as it says. */
  readonly service: Percentiles;
  /** What no response can be faster than: planned → end of the stall in which it was due. */
  readonly leastResponse: Percentiles;
}

/** One figure of the generator beside the truth. */
export interface AccuracyRow {
  readonly figure: string;
  readonly measuredMs: number;
  readonly truthMs: number;
  readonly allowedMs: number;
}

const inFlightMax = 8192;
const deadlineMs = 30_000;
const program = new URL("./delay-server-process.ts", import.meta.url);

/** Loads a server of that kind with a generator's process. */
export async function runAccuracyCase(given: AccuracyCase): Promise<AccuracyRun> {
  const { delayMs, stallMs, stallEveryMs, ratePerSecond, warmUpMs, connections, seed } = given;
  const durationMs = warmUpMs + given.durationMs;
  // Of a Poisson plan, which varies by the square root of its size.
  const expected = (ratePerSecond * durationMs) / 1000;
  const requestsMax = Math.ceil(expected + 10 * Math.sqrt(expected) + 10);
  const options: DelayServerOptions = { delayMs, stallMs, stallEveryMs, requestsMax };
  const server = fork(program, [JSON.stringify(options)], { serialization: "advanced" });
  const hear = (): Promise<FromDelayServer> =>
    new Promise((resolve, reject) => {
      server.once("message", resolve);
      server.once("exit", () => {
        reject(new Error("the delay server ended"));
      });
    });
  try {
    const serving = await hear();
    assert(serving.kind === "serving", "it serves first");
    const spec: LoadSpec = {
      url: serving.url,
      method: "POST",
      headers: [],
      bodies: Array.from({ length: requestsMax }, (_, number) => String(number)),
      steps: [{ durationMs, ratePerSecond }],
      spacing: "poisson",
      seed,
      connections,
      inFlightMax,
      deadlineMs,
    };
    const quiet = { log: () => undefined, onSecond: () => undefined };
    const result = unwrap(await unwrap(await startGenerator(spec, quiet)).finished);
    const log = hear();
    server.send("log");
    const heard = await log;
    assert(heard.kind === "log", "its last word is its log");
    const counting = result.seconds.filter((second) => beginOf(second) >= warmUpMs - 100);
    const fromMs = result.startedMs + Math.min(...counting.map(beginOf));
    return {
      all: loadTotals(result.seconds),
      totals: loadTotals(counting),
      truth: truthOf(spec, result, heard, fromMs),
    };
  } finally {
    server.kill("SIGKILL");
  }
}

/** When a second began, from the plan's beginning. The first one begins a moment before it. */
function beginOf({ endMs, durationMs }: LoadSecond): number {
  return endMs - durationMs;
}

function truthOf(spec: LoadSpec, { startedMs }: LoadResult, log: ServerLog, fromMs: number): Truth {
  const plan = planOf(spec);
  let requests = 0;
  const [response, service, leastResponse] = [new Histogram(), new Histogram(), new Histogram()];
  for (let number = 0; ; number++) {
    const atMs = plan.next();
    if (atMs === undefined) break;
    const receivedMs = log.receivedMs[number] ?? 0;
    if (receivedMs === 0) continue; // not sent
    requests++;
    const plannedMs = startedMs + atMs;
    const answeredMs = log.answeredMs[number] ?? 0;
    if (answeredMs < fromMs) continue;
    response.recordMs(answeredMs - plannedMs);
    service.recordMs(answeredMs - receivedMs);
    const stall = log.stalls.find(([fromMs, toMs]) => plannedMs > fromMs && plannedMs < toMs);
    leastResponse.recordMs(stall === undefined ? 0 : stall[1] - plannedMs);
  }
  return {
    requests,
    response: response.summaryMs(),
    service: service.summaryMs(),
    leastResponse: leastResponse.summaryMs(),
  };
}

const shareAllowed = 0.05;
const fastMs = 0.3;

/**
 * The figures that are to agree: within 5 %. Where a millisecond is all that it takes, within
 * 0.3 ms of what the server's log alone says, as if each request had come when it was planned; the
 * response time's p99 within that and the lateness that the generator admits.
 */
export function accuracyRows({ delayMs }: AccuracyCase, run: AccuracyRun): AccuracyRow[] {
  const { totals, truth } = run;
  if (delayMs <= 1) {
    const row = (kind: "response" | "service", at: "p50" | "p90" | "p99", allowedMs = fastMs) => {
      const truthMs = truth.service[at];
      return { figure: `${kind} ${at}`, measuredMs: totals[kind][at], truthMs, allowedMs };
    };
    const late = fastMs + totals.lateness.p99;
    return [
      ...[row("response", "p50"), row("response", "p99", late)],
      ...[row("service", "p50"), row("service", "p90"), row("service", "p99")],
    ];
  }
  return (["response", "service"] as const).flatMap((kind) =>
    (["p50", "p90", "p99"] as const).map((at) => {
      const truthMs = truth[kind][at];
      const allowedMs = truthMs * shareAllowed;
      return { figure: `${kind} ${at}`, measuredMs: totals[kind][at], truthMs, allowedMs };
    }),
  );
}
