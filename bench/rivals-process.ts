// Rivals process: one rival, one window, in a process of its own.
// Owns: warm-up, window, and what is counted in it, the raw rate behind it (when all is warm), the
// audit of what was kept.
// Prints one line of JSON and ends. Does not own: servers (rivals-servers.ts), rounds (rivals.ts).
import { processTimes } from "./process-times.ts";
import { audit, type Audit } from "./rivals-audit.ts";
import { DirectReserver, emptyMembers, type DirectManner } from "./rivals-hazelcast.ts";
import { LaneReserver } from "./rivals-lane.ts";
import { RivalsLoop } from "./rivals-loop.ts";
import { campaignsOf, Plan, type Reserver, type Shape } from "./rivals-plan.ts";
import { PostgresReserver, type PostgresManner } from "./rivals-postgres.ts";
import { RedisReserver, type RedisManner } from "./rivals-redis.ts";
import { WireReserver } from "./rivals-wire.ts";

/** Where a rival is, and how it is asked. */
export type Target =
  | { readonly engine: "lane"; readonly store: string }
  | { readonly engine: "unit"; readonly url: string }
  | { readonly engine: "redis"; readonly port: number; readonly manner: RedisManner }
  | {
      readonly engine: "postgres";
      readonly url: string;
      readonly manner: PostgresManner;
      readonly isFlushed: boolean;
    }
  | { readonly engine: "hazelcast"; readonly url: string; readonly manner: DirectManner };

export interface RivalJob {
  readonly target: Target;
  readonly shape: Shape;
  /** Their processor time counts, with that of their children. */
  readonly serverPids: readonly number[];
  readonly outstanding: number;
  readonly rawMs: number;
  readonly warmUpMs: number;
  readonly windowMs: number;
  /** Inputs until the same ones come again, of other users. */
  readonly differentInputs: number;
}

/** What one window showed; processor times in microseconds, for each answer. */
export interface RivalWindow {
  readonly seconds: number;
  /** Verdicts of all kinds, within the window. */
  readonly answers: number;
  /** What its connections carry when they are asked for nothing; null: there is no such thing. */
  readonly rawPerSecond: number | null;
  /** Processor time of this process. */
  readonly cpuUs: number;
  /** Of all servers together; 0 where there are none, null where the system does not tell. */
  readonly serversCpuUs: number | null;
  /** Loop and plan alone, with nobody behind them: part of this process's time. */
  readonly loopUs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly records: number;
  readonly recordBytes: number;
  readonly racesLost: number;
  /** From the first answer to the last, warm-up and all. */
  readonly reserved: number;
  readonly overCap: number;
  readonly overBudget: number;
  /** What was found afterwards in the rival's own data. */
  readonly audit: Audit;
  /** What came instead of verdicts, and how often. */
  readonly others: Readonly<Record<string, number>>;
}

const loopAnswers = 100_000;
const verdicts: readonly string[] = ["reserved", "over cap", "over budget"];
/** How long nothing may be answered before a window ends with "no answers". */
const patienceMs = 30_000;

async function openReserver({ target, shape, outstanding }: RivalJob): Promise<Reserver> {
  switch (target.engine) {
    case "lane":
      if (target.store.startsWith("hazelcast:")) await emptyMembers(target.store);
      return LaneReserver.open(target.store, shape);
    case "unit":
      return WireReserver.open(target.url, outstanding);
    case "redis":
      return RedisReserver.open(target.port, target.manner, shape);
    case "postgres":
      return PostgresReserver.open(target.url, target, shape);
    case "hazelcast":
      await emptyMembers(target.url);
      return DirectReserver.open(target.url, target.manner);
  }
}

async function measure(job: RivalJob): Promise<RivalWindow> {
  const loopUs = await loopCost(job);
  const reserver = await openReserver(job);
  const plan = new Plan(job.shape, job.differentInputs);
  const loop = new RivalsLoop(job.outstanding, (answer) => {
    reserver.reserve(plan.next(), (verdict) => {
      answer(typeof verdict === "string" ? verdict : verdict.message);
    });
  });
  const look = () => ({
    atMs: performance.now(),
    answers: loop.answers,
    ...reserver.counts(),
    own: process.cpuUsage(),
    servers: processTimes(job.serverPids),
  });
  loop.start();
  await sleep(job.warmUpMs);
  loop.latency.reset();
  const before = look();
  await someAnswers(loop, job.windowMs);
  const after = look();
  const latency = loop.latency.summaryMs();
  await loop.stop();
  const rawPerSecond = await rawRate(reserver, job);
  const books = await reserver.books();
  await reserver.close();
  const answers = after.answers - before.answers;
  const cpuUs = after.own.user + after.own.system - before.own.user - before.own.system;
  const serversUs = usedBetween(job.serverPids, before.servers, after.servers);
  const told = Object.fromEntries(loop.byAnswer);
  return {
    seconds: (after.atMs - before.atMs) / 1000,
    answers,
    rawPerSecond,
    cpuUs: each(cpuUs, answers),
    serversCpuUs: serversUs === null ? null : each(serversUs, answers),
    loopUs,
    p50Ms: latency.p50,
    p99Ms: latency.p99,
    records: after.records - before.records,
    recordBytes: after.recordBytes - before.recordBytes,
    racesLost: after.racesLost - before.racesLost,
    reserved: told["reserved"] ?? 0,
    overCap: told["over cap"] ?? 0,
    overBudget: told["over budget"] ?? 0,
    audit: audit(campaignsOf(job.shape), books),
    others: Object.fromEntries([...loop.byAnswer].filter(([what]) => !verdicts.includes(what))),
  };
}

/** A window; a short one on a busy machine is lengthened until something is answered in it. */
async function someAnswers(loop: RivalsLoop, windowMs: number): Promise<void> {
  const from = loop.answers;
  const latestMs = performance.now() + patienceMs;
  do {
    await sleep(windowMs);
  } while (loop.answers === from && performance.now() < latestMs);
}

/** A window in which nothing was answered is said to be one; its figures need not be numbers. */
function each(total: number, answers: number): number {
  return answers === 0 ? 0 : total / answers;
}

/** With the same connections and as much under way as the reservations have. */
async function rawRate({ raw }: Reserver, job: RivalJob): Promise<number | null> {
  if (raw === null) return null;
  const loop = new RivalsLoop(job.outstanding, (answer) => {
    raw((error) => {
      answer(error === null ? "raw" : error.message);
    });
  });
  loop.start();
  await sleep(job.rawMs);
  const fromMs = performance.now();
  const from = loop.answers;
  await someAnswers(loop, job.rawMs);
  const perSecond = ((loop.answers - from) / (performance.now() - fromMs)) * 1000;
  await loop.stop();
  const failures = [...loop.byAnswer.keys()].filter((what) => what !== "raw");
  if (failures.length > 0) throw new Error(`the raw rate: ${failures.join(", ")}`);
  return perSecond;
}

/** Processor time of loop and plan, for each question that is answered in the next tick. */
async function loopCost({ shape, differentInputs, outstanding }: RivalJob): Promise<number> {
  const plan = new Plan(shape, differentInputs);
  let left = loopAnswers;
  const { promise: done, resolve } = Promise.withResolvers<void>();
  const loop = new RivalsLoop(outstanding, (answer) => {
    plan.next();
    if (--left === 0) resolve();
    setImmediate(answer, "");
  });
  const before = process.cpuUsage();
  loop.start();
  await done;
  const used = process.cpuUsage(before);
  await loop.stop();
  return (used.user + used.system) / loopAnswers;
}

/** A server's children come and go. Null where the system told nothing of a server. */
function usedBetween(
  pids: readonly number[],
  before: ReadonlyMap<number, number>,
  after: ReadonlyMap<number, number>,
): number | null {
  if (!pids.every((pid) => before.has(pid) && after.has(pid))) return null;
  let total = 0;
  for (const [pid, us] of after) total += us - (before.get(pid) ?? 0);
  return total;
}

function sleep(durationMs: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, durationMs);
  });
}

const job = JSON.parse(process.argv[2] ?? "") as RivalJob;
process.stdout.write(`${JSON.stringify(await measure(job))}\n`);
