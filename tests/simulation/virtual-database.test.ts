// Goal: the virtual database does what a server before a bad network does, and the pump keeps D1
// over it: at every moment the tables are the fold of the records up to each progress row.
// Method: single calls at chosen moments; then the pump itself, with everything at once, by seed.
import { expect, test } from "vitest";
import type { Outcome } from "../../src/base/failure.ts";
import { limits } from "../../src/base/limits.ts";
import { seededRandom } from "../../src/base/random.ts";
import type { Database, PumpTransaction, WriteResult } from "../../src/data-pump/database.ts";
import { TraceHash } from "../../src/simulation/trace-hash.ts";
import {
  healthyDatabase,
  VirtualDatabase,
  type DatabaseFaults,
} from "../../src/simulation/virtual-database.ts";
import { VirtualProcess } from "../../src/simulation/virtual-process.ts";
import { item, itemsTable, PumpWorld } from "../support/pump-world.ts";

const chain = Buffer.from("chain");

function transaction(before: number, seq: number, count: number): PumpTransaction {
  const rows = [
    { table: itemsTable, upserts: [["a", { count }] as const], deletes: [], appends: [] },
  ];
  const step = { partition: 0, epoch: 1, before, seq, chain, letters: 0, complete: false };
  return { generation: 1, steps: [step], rows, letters: [] };
}

class DatabaseWorld extends PumpWorld {
  readonly trace = new TraceHash();
  readonly process = new VirtualProcess(this.time);
  readonly virtual: VirtualDatabase;
  readonly database: Database;

  constructor(faults: Partial<DatabaseFaults> = {}, seed = 1) {
    super(1);
    const { time, trace, server } = this;
    const random = seededRandom(seed);
    const all = { ...healthyDatabase, ...faults };
    this.virtual = new VirtualDatabase({ server, time, random, trace, faults: all });
    this.database = this.virtual.connect(this.process);
    server.claim(1, [{ partition: 0, epoch: 1 }]);
  }

  /** A write, and what became of it; null: not answered yet. */
  write(seq: number): { outcome: Outcome<WriteResult> | null } {
    const result: { outcome: Outcome<WriteResult> | null } = { outcome: null };
    const { seq: before = 0 } = this.server.row(0) ?? {};
    void this.database
      .write(transaction(before, seq, seq))
      .then((outcome) => (result.outcome = outcome));
    return result;
  }

  get seq(): number | undefined {
    return this.server.row(0)?.seq;
  }
}

const unknown = { ok: false, failure: { code: "OUTCOME_UNKNOWN" } };

test("a write is answered once it is done; a step that does not fit changes nothing", async () => {
  const world = new DatabaseWorld();
  const first = world.write(3);
  await world.pass(20);
  expect(first.outcome).toEqual({ ok: true, value: "written" });
  const wrong = world.database.write(transaction(1, 5, 5));
  await world.pass(20);
  expect(await wrong).toEqual({ ok: true, value: "misfit" });
  expect(world.server.table("items")).toEqual(new Map([["a", { count: 3 }]]));
});

test("writes of one process take effect in the order given, and are answered in it", async () => {
  for (let seed = 0; seed < 40; seed++) {
    const world = new DatabaseWorld({ delayMsMax: 20 }, seed);
    const order: string[] = [];
    const told = (name: string) => (outcome: Outcome<WriteResult>) => {
      order.push(`${name} ${outcome.ok ? outcome.value : outcome.failure.code}`);
    };
    void world.database.write(transaction(0, 3, 3)).then(told("first"));
    void world.database.write(transaction(3, 4, 4)).then(told("second"));
    await world.pass(100);
    expect(order).toEqual(["first written", "second written"]);
  }
});

test("a commit of unknown outcome happened, happens late, or never happens", async () => {
  const happens = { lostAnswer: [3, 3], lostRequest: [0, 0], late: [0, 3] } as const;
  for (const [fault, [soon, later]] of Object.entries(happens)) {
    const world = new DatabaseWorld({ [fault]: 1, lateMsMax: 5000 });
    const write = world.write(3);
    await world.pass(10);
    expect(write.outcome).toMatchObject(unknown);
    expect(world.seq).toBe(soon);
    await world.pass(5000);
    expect(world.seq).toBe(later);
  }
});

test("a crash leaves what was done, and nothing of what was under way", async () => {
  let applied = 0;
  for (let seed = 0; seed < 40; seed++) {
    const world = new DatabaseWorld({ delayMsMax: 10 }, seed);
    const write = world.write(3);
    await world.pass(8);
    const isAnswered = write.outcome !== null;
    world.virtual.crash();
    await world.pass(40);
    if (!isAnswered) expect(write.outcome).toMatchObject(unknown);
    if (!isAnswered && world.seq === 3) applied++;
    const later = world.write(9);
    await world.pass(40);
    expect(later.outcome).toMatchObject({ failure: { code: "DATABASE_UNREACHABLE" } });
    const seqAtCrash = world.seq;
    world.virtual.start();
    await world.pass(40);
    expect(world.seq).toBe(seqAtCrash);
  }
  expect(applied).toBeGreaterThan(3);
});

test("a server that stands still is unknown at the time limit, and may do the work later", async () => {
  const world = new DatabaseWorld();
  world.virtual.hang();
  const write = world.write(3);
  await world.pass(limits.databaseTransactionMs - 1);
  expect(write.outcome).toBeNull();
  await world.pass(2);
  expect(write.outcome).toMatchObject(unknown);
  expect(world.seq).toBe(0);
  world.virtual.start();
  await world.pass(10);
  expect(world.seq).toBe(3);
});

test("a process that is cut off is alone with that", async () => {
  const world = new DatabaseWorld();
  const other = world.virtual.connect(new VirtualProcess(world.time));
  world.virtual.reach(world.process, false);
  const write = world.write(3);
  const read = other.read([0]);
  await world.pass(20);
  expect(write.outcome).toMatchObject({ failure: { code: "DATABASE_UNREACHABLE" } });
  expect(await read).toMatchObject({ ok: true });
  world.virtual.reach(world.process, true);
  const again = world.write(3);
  await world.pass(20);
  expect(again.outcome).toMatchObject({ ok: true });
});

/** One owner pumps through everything at once; then all is well. */
async function pumpThrough(seed: number): Promise<{ problems: string[]; trace: string }> {
  const chaos = { lostRequest: 0.1, lostAnswer: 0.1, late: 0.1, lateMsMax: 400, refused: 0.1 };
  const world = new DatabaseWorld({ ...chaos, delayMsMax: 15 }, seed);
  const random = seededRandom(seed);
  const problems: string[] = [];
  world.server.onWritten = () => problems.push(...world.differences());
  const lane = world.lane({}, world.database);
  const [log] = world.logs;
  if (log === undefined) throw new Error("no log");
  const epoch = log.claim();
  lane.pump.attach(log.source(epoch));
  for (let step = 0; step < 150; step++) {
    const count = random.chance(0.1) ? null : step;
    world.put(lane, log, epoch, [item(random.pick(["a", "b", "c"]), count)]);
    const dice = random.below(12);
    if (dice === 0) world.virtual.crash();
    else if (dice === 1) world.virtual.hang();
    else if (dice < 5) world.virtual.start();
    await world.pass(random.fraction() * 60);
  }
  world.virtual.faults = healthyDatabase;
  world.virtual.start();
  if (!(await world.drain(lane, 120_000))) problems.push("never drained");
  if (world.seq !== log.tail) problems.push(`ends at ${String(world.seq)}`);
  problems.push(...world.differences());
  return { problems, trace: world.trace.digest };
}

test("D1: the pump keeps the tables a fold of the log through crashes and unknown commits", async () => {
  for (let seed = 0; seed < 20; seed++) {
    const { problems } = await pumpThrough(seed);
    expect(problems, `seed ${String(seed)}`).toEqual([]);
  }
  expect(await pumpThrough(7)).toEqual(await pumpThrough(7));
});
