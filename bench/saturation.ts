// Saturation: as many requests as a server answers, over connections that always wait for one.
// Owns: warm-up, the window, counting answers and processor time within it, checking each answer.
// Does not own: latency. In a closed loop a slow server lowers its own load: what is measured is
// throughput and cost, nothing else.
import autocannon from "autocannon";
import { cpuBetween, processCpu, type ProcessCpu } from "./process-cpu.ts";

export interface Load {
  readonly url: string;
  /** Of the server; its processor time is counted. */
  readonly pid: number;
  readonly connections: number;
  readonly warmUpMs: number;
  readonly windowMs: number;
  /** The body of each request; each connection repeats a few of its own. */
  body(number: number): string;
  readonly status: 200 | 204;
  /** Whether a body is what comes with that status, and with no other. */
  verify(body: string): boolean;
}

export interface SaturationWindow {
  readonly seconds: number;
  /** Answers with the expected status within the window. */
  readonly answers: number;
  /** Answers with any status, the warm-up included. */
  readonly answersInAll: number;
  /** Answers with another status, in the warm-up and the window, by status. */
  readonly otherStatus: Readonly<Record<string, number>>;
  /** Answers with the right status and a wrong body; connections that broke. */
  readonly wrongBodies: number;
  readonly errors: number;
  /** Of the server, within the window; null: the system does not tell. */
  readonly serverCpu: ProcessCpu | null;
  /** Of this process, in microseconds, within the window. */
  readonly generatorCpuUs: number;
}

const bodiesPerConnection = 64;
const answerSecondsMax = 5;

/** Loads a server, and measures one window after the warm-up. */
export async function saturate(load: Load): Promise<SaturationWindow> {
  let nextBody = 0;
  const seconds = (load.warmUpMs + load.windowMs) / 1000;
  const instance = autocannon({
    url: load.url,
    method: "POST",
    connections: load.connections,
    // The window ends it; this is for when something hangs.
    duration: seconds + 0.5,
    sampleInt: 100,
    timeout: answerSecondsMax,
    headers: { "content-type": "application/json" },
    setupClient: (client) => {
      const numbers = Array.from({ length: bodiesPerConnection }, () => nextBody++);
      client.setRequests(numbers.map((number) => ({ method: "POST", body: load.body(number) })));
    },
    verifyBody: (body) => load.verify(body),
  });
  let answers = 0;
  instance.on("response", (_client: unknown, status: number) => {
    if (status === load.status) answers += 1;
  });
  const look = () => ({
    answers,
    atMs: performance.now(),
    server: processCpu(load.pid),
    own: process.cpuUsage(),
  });
  await sleep(load.warmUpMs);
  const before = look();
  await sleep(load.windowMs);
  const after = look();
  const result = await instance;
  const counts = Object.entries(result.statusCodeStats);
  const others = counts.filter(([status]) => Number(status) !== load.status);
  return {
    seconds: (after.atMs - before.atMs) / 1000,
    answers: after.answers - before.answers,
    answersInAll: sum(counts),
    otherStatus: Object.fromEntries(others.map(([status, { count }]) => [status, count])),
    // Answers with another status have no such body, either: they are counted there.
    wrongBodies: result.mismatches - sum(others),
    errors: result.errors,
    serverCpu:
      before.server === null || after.server === null
        ? null
        : cpuBetween(before.server, after.server),
    generatorCpuUs: after.own.user + after.own.system - before.own.user - before.own.system,
  };
}

function sum(counts: readonly (readonly [string, { readonly count: number }])[]): number {
  return counts.reduce((all, [, { count }]) => all + count, 0);
}

function sleep(durationMs: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, durationMs);
  });
}
