// Reservations process: one candidate, one window, in a process of its own.
// Owns: warm-up, window, and what is counted in it. Prints one line of JSON and ends.
// Does not own: members, rounds (reservations.ts).
import type { BidInput } from "../src/bidding-demo/bid-command.ts";
import { ClosedLoop } from "./closed-loop.ts";
import { DirectReserver, emptyMembers, type DirectManner } from "./direct-reserver.ts";
import { LaneReserver } from "./lane-reserver.ts";
import { processCpu } from "./process-cpu.ts";
import { BidInputs, drawInputs, type Recount, type Reserver } from "./reservation-inputs.ts";

export interface ReservationJob {
  readonly engine: "lane" | DirectManner;
  /** memory: or hazelcast://… */
  readonly store: string;
  readonly memberPids: readonly number[];
  readonly outstanding: number;
  readonly warmUpMs: number;
  readonly windowMs: number;
  /** Inputs until the same ones come again, of other users. */
  readonly differentInputs: number;
}

/** What one window showed; times in microseconds are those of the window, for each bid. */
export interface ReservationWindow {
  readonly seconds: number;
  readonly bids: number;
  /** Processor time of this process. */
  readonly cpuUs: number;
  /** Processor time of all members together; null where there are none, or it is not told. */
  readonly membersCpuUs: number | null;
  /** Processors that this process kept busy. */
  readonly busy: number;
  /** The loop and the inputs alone, with a candidate that does nothing. */
  readonly generatorUs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly records: number;
  readonly recordBytes: number;
  readonly racesLost: number;
  /** From the first bid to the last, warm-up and all: as answered, and as found afterwards. */
  readonly answered: { readonly reservations: number; readonly heldMicros: number };
  readonly found: Recount;
  /** What came instead of bids, and how often. */
  readonly others: Readonly<Record<string, number>>;
}

const generatorBids = 100_000;

async function openReserver({ engine, store }: ReservationJob): Promise<Reserver> {
  if (store !== "memory:") await emptyMembers(store);
  return engine === "lane" ? LaneReserver.open(store) : DirectReserver.open(store, engine);
}

async function measure(job: ReservationJob): Promise<ReservationWindow> {
  const drawn = drawInputs(job.differentInputs);
  const generatorUs = await generatorCost(drawn, job.outstanding);
  const inputs = new BidInputs(drawn);
  const reserver = await openReserver(job);
  const loop = new ClosedLoop(
    job.outstanding,
    () => inputs.next(),
    (input, answer) => {
      reserver.bid(input, answer);
    },
  );
  const look = () => ({
    atMs: performance.now(),
    bids: loop.bids,
    ...reserver.counts(),
    own: process.cpuUsage(),
    members: membersCpu(job.memberPids),
  });
  loop.start();
  await sleep(job.warmUpMs);
  loop.latency.reset();
  const before = look();
  await sleep(job.windowMs);
  const after = look();
  const latency = loop.latency.summaryMs();
  await loop.stop();
  const found = await reserver.recount();
  await reserver.close();
  const bids = after.bids - before.bids;
  const seconds = (after.atMs - before.atMs) / 1000;
  const cpuUs = after.own.user + after.own.system - before.own.user - before.own.system;
  return {
    seconds,
    bids,
    cpuUs: cpuUs / bids,
    membersCpuUs:
      after.members === null || before.members === null
        ? null
        : (after.members - before.members) / bids,
    busy: cpuUs / seconds / 1_000_000,
    generatorUs,
    p50Ms: latency.p50,
    p99Ms: latency.p99,
    records: after.records - before.records,
    recordBytes: after.recordBytes - before.recordBytes,
    racesLost: after.racesLost - before.racesLost,
    answered: { reservations: loop.bids, heldMicros: loop.heldMicros },
    found,
    others: Object.fromEntries(loop.others),
  };
}

/** Processor time of loop and inputs, for each bid that is answered in the next tick. */
async function generatorCost(drawn: readonly BidInput[], outstanding: number): Promise<number> {
  const inputs = new BidInputs(drawn);
  let left = generatorBids;
  const { promise: done, resolve } = Promise.withResolvers<void>();
  const loop = new ClosedLoop(
    outstanding,
    () => inputs.next(),
    (_input, answer) => {
      if (--left === 0) resolve();
      setImmediate(answer, 1);
    },
  );
  const before = process.cpuUsage();
  loop.start();
  await done;
  const used = process.cpuUsage(before);
  await loop.stop();
  return (used.user + used.system) / generatorBids;
}

function membersCpu(pids: readonly number[]): number | null {
  let total = 0;
  for (const pid of pids) {
    const cpu = processCpu(pid);
    if (cpu === null) return null;
    total += cpu.total;
  }
  return pids.length === 0 ? null : total;
}

function sleep(durationMs: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, durationMs);
  });
}

const job = JSON.parse(process.argv[2] ?? "") as ReservationJob;
process.stdout.write(`${JSON.stringify(await measure(job))}\n`);
