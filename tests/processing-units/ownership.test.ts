// Goal: O1, O2. Who claims what, and when: never from a lane that lives, soon from one that is
// dead, nothing with a wrong clock, everything given back when somebody joins or leaves.
// Method: the ownership of several lanes on one memory store in virtual time; claiming and handing
// over are played at once, links are open as the test says.
import { beforeEach, expect, test } from "vitest";
import { unwrap, type Failure } from "../../src/base/failure.ts";
import { limits } from "../../src/base/limits.ts";
import type { GridIdentity } from "../../src/grid/grid-directory.ts";
import type { OwnedPartition } from "../../src/grid/roster-card.ts";
import { MemoryStore } from "../../src/grid/stores/memory-store.ts";
import { OwnerTable } from "../../src/messaging-grid/owner-table.ts";
import type { PeerState } from "../../src/messaging-grid/peer-links.ts";
import { Ownership, type Predecessor } from "../../src/processing-units/ownership.ts";
import { VirtualProcess } from "../../src/simulation/virtual-process.ts";
import { VirtualTime } from "../../src/simulation/virtual-time.ts";

const partitions = 12;
const identity: GridIdentity = { gridId: "g", generation: 1, partitions };
const open: PeerState = { open: true, closedMs: 0, refused: false };
const refused: PeerState = { open: false, closedMs: 5000, refused: true };

let time: VirtualTime;
let store: MemoryStore;
let epochs: number;
/** Every claim, as "lane partition". */
let claims: string[];
/** Who was told that a partition of its was claimed: slot, partition, epoch. */
let overtaken: [number, number, number][];

beforeEach(() => {
  time = new VirtualTime();
  store = new MemoryStore();
  epochs = 0;
  claims = [];
  overtaken = [];
});

/** One lane, as far as its ownership goes. */
class TestLane {
  readonly held = new Map<number, OwnedPartition>();
  readonly process = new VirtualProcess(time);
  readonly ownership: Ownership;
  readonly name: string;
  /** How it sees the lanes in other slots. */
  view: (slot: number) => PeerState = () => open;
  lost: Failure | null = null;
  stoodStill = 0;

  constructor(
    name: string,
    options: { unit?: string; predecessor?: Predecessor; database?: string } = {},
  ) {
    this.name = name;
    this.ownership = new Ownership({
      identity,
      lane: {
        incarnation: `${name}/${String(time.nowMs)}`,
        unit: options.unit ?? name,
        name,
        address: name,
        release: "test",
        database: options.database ?? null,
      },
      predecessor: options.predecessor ?? null,
      map: store.map("grid.1"),
      owners: new OwnerTable(partitions),
      clock: this.process.clock,
      timers: this.process.timers,
      makeLinks: () =>
        ({
          want: () => undefined,
          state: (slot: number) => this.view(slot),
          probe: () => undefined,
          close: () => undefined,
        }) as never,
      events: {
        held: () => [...this.held.values()],
        claim: (partition) => {
          claims.push(`${this.name} ${String(partition)}`);
          this.held.set(partition, { partition, epoch: ++epochs, acknowledged: epochs });
        },
        handOver: (partition) => {
          const epoch = this.held.get(partition)?.epoch ?? 0;
          this.held.delete(partition);
          this.ownership.heardReleased(partition, epoch);
        },
        overtaken: (slot, partition, epoch) => {
          overtaken.push([slot, partition, epoch]);
        },
        leaving: () => 0,
        stoodStill: () => {
          this.stoodStill++;
        },
        lost: (reason) => (this.lost = reason),
      },
    });
  }

  get partitions(): number[] {
    return [...this.held.keys()].sort((a, b) => a - b);
  }
}

/** These lanes join together. */
async function join(...all: TestLane[]): Promise<void> {
  const joining = all.map((lane) => lane.ownership.join());
  await pass(50);
  for (const joined of await Promise.all(joining)) unwrap(joined);
}

async function pass(durationMs: number): Promise<void> {
  await time.run({ untilMs: time.nowMs + durationMs, eventsMax: 100_000 });
}

/** A few heartbeats: enough for all that follows from what everybody can see. */
const settleMs = 6 * limits.heartbeatMs + limits.joinSettleMs;

async function lanes(...names: string[]): Promise<TestLane[]> {
  const all = names.map((name) => new TestLane(name));
  await join(...all);
  await pass(settleMs);
  return all;
}

function shares(all: readonly TestLane[]): number[] {
  return all.map((lane) => lane.held.size);
}

test("O1: lanes that start together share at once, and no partition moves", async () => {
  const all = await lanes("a", "b", "c");
  expect(shares(all)).toEqual([4, 4, 4]);
  expect(claims).toHaveLength(partitions);
});

test("O1: a join moves its share and no more; a leave moves the leaver's", async () => {
  const all = await lanes("a", "b", "c");
  const fourth = new TestLane("d");
  await join(fourth);
  await pass(settleMs);
  expect(shares([...all, fourth])).toEqual([3, 3, 3, 3]);
  expect(claims.slice(partitions).every((claim) => claim.startsWith("d"))).toBe(true);
  claims = [];
  fourth.ownership.leave();
  await pass(settleMs);
  expect(shares([...all, fourth])).toEqual([4, 4, 4, 0]);
  expect(claims).toHaveLength(3);
});

test("O4: what was given to a lane that leaves as well, and never claimed it, comes back", async () => {
  const [a, b] = (await lanes("a", "b")) as [TestLane, TestLane];
  const [given] = [...a.held.values()];
  if (given === undefined) throw new Error("a lane has partitions");
  claims = [];
  for (const lane of [a, b]) lane.ownership.leave();
  a.held.delete(given.partition);
  a.ownership.gaveAway(given, true);
  expect(a.ownership.isWaitedFor).toBe(true);
  await pass(settleMs);
  expect(claims).toEqual([`a ${String(given.partition)}`]);
  expect(shares([a, b])).toEqual([0, 0]); // it goes on to nobody
});

test("O1: a dead lane's partitions are claimed once it stood still and nothing connects it", async () => {
  const [a, b, c] = (await lanes("a", "b", "c")) as [TestLane, TestLane, TestLane];
  claims = [];
  c.process.kill();
  await pass(limits.heartbeatStillMs + settleMs);
  expect(claims).toEqual([]); // its connection is still open: it may only be slow
  a.view = (slot) => (slot === c.ownership.slot ? refused : open);
  b.view = a.view;
  await pass(settleMs);
  expect(shares([a, b])).toEqual([6, 6]);
});

test("O1: where the connection alone is gone, nobody duels: it is said, and nothing is claimed", async () => {
  const [a, b] = (await lanes("a", "b")) as [TestLane, TestLane];
  claims = [];
  a.view = () => refused;
  await pass(10_000);
  expect(claims).toEqual([]);
  expect(a.ownership.unreachable(b.ownership.slot)).toMatchObject({ code: "PEER_UNREACHABLE" });
  expect(a.ownership.alarms()).toHaveLength(1);
  expect(b.ownership.alarms()).toEqual([]);
});

test("M6: an owner is told of a later claim whose lane died when one other had heard of it", async () => {
  const [a, b] = (await lanes("a", "b")) as [TestLane, TestLane];
  const partition = a.partitions[0] ?? -1;
  const dead = 7;
  const epoch = 100;
  b.ownership.heardServing(dead, partition, epoch);
  await pass(limits.heartbeatMs);
  expect(overtaken).toEqual([]); // whoever claimed it may say so in a moment
  await pass(limits.heartbeatStillMs + settleMs);
  expect(overtaken).toContainEqual([a.ownership.slot, partition, epoch]);
  expect(new Set(overtaken.map(String)).size).toBe(1);
});

test("M6: an owner is told of a later claim that it did not take in, while its owner lives", async () => {
  const [a, b, c] = (await lanes("a", "b", "c")) as [TestLane, TestLane, TestLane];
  const partition = a.partitions[0] ?? -1;
  const epoch = 100;
  c.held.set(partition, { partition, epoch, acknowledged: epoch });
  b.ownership.heardServing(c.ownership.slot, partition, epoch);
  await pass(limits.heartbeatStillMs + settleMs);
  expect(overtaken).toContainEqual([a.ownership.slot, partition, epoch]);
  expect(overtaken.filter(([slot]) => slot !== a.ownership.slot)).toEqual([]);
});

test("M6: a lane whose heartbeat stood still is told that it may have been replaced", async () => {
  const [a, b] = (await lanes("a", "b")) as [TestLane, TestLane];
  const before = [a.stoodStill, b.stoodStill];
  a.process.pause();
  await pass(limits.heartbeatStillMs);
  a.process.resume();
  await pass(settleMs);
  expect([a.stoodStill, b.stoodStill].map((count, lane) => count - (before[lane] ?? 0))).toEqual([
    1, 0,
  ]);
});

test("O1: a replacement takes its predecessor's slot, and its partitions, without a wait", async () => {
  const [a, b] = (await lanes("a", "b")) as [TestLane, TestLane];
  const had = b.partitions;
  const slot = b.ownership.slot;
  const incarnation = `b/0`;
  b.process.kill();
  claims = [];
  const next = new TestLane("b", { predecessor: { slot, incarnation } });
  await join(next);
  await pass(limits.heartbeatMs * 3);
  expect(next.ownership.slot).toBe(slot);
  expect(next.partitions).toEqual(had);
  expect(claims).toHaveLength(had.length);
  expect(a.held.size).toBe(6);
  // What the dead one had acknowledged is known to the next.
  expect(next.ownership.acknowledged(had[0] ?? -1)).toBeGreaterThan(0);
});

test("O1: a lane that keeps coming and going gets its share later each time", async () => {
  const [a] = (await lanes("a", "b")) as [TestLane];
  for (let round = 0; round < 8; round++) {
    const flapping = new TestLane("flapping");
    await join(flapping);
    await pass(limits.heartbeatMs);
    flapping.process.kill();
    a.view = (slot) => (slot > 1 ? refused : open);
    await pass(limits.heartbeatStillMs + settleMs);
    a.view = () => open;
  }
  claims = [];
  await join(new TestLane("flapping"));
  await pass(settleMs);
  expect(claims).toEqual([]);
  await pass(limits.joinDelayMsMax + settleMs);
  expect(claims.length).toBeGreaterThan(0);
});

test("O1: a unit that is started anew again and again has all its lanes at work each time", async () => {
  for (let round = 0; round < 8; round++) {
    const unit = `unit, life ${String(round)}`;
    const all = ["first", "second"].map((name) => new TestLane(name, { unit }));
    for (const lane of all) {
      lane.view = (slot) => (slot < 2 * round ? refused : open);
      await join(lane);
      await pass(limits.heartbeatMs); // the second comes a little later
    }
    await pass(limits.heartbeatStillMs + 2 * settleMs);
    expect(shares(all)).toEqual([6, 6]);
    for (const lane of all) lane.process.kill();
  }
});

test("O2: a lane whose clock is seconds off the others' claims nothing, and says so", async () => {
  const all = (await lanes("a", "b", "c", "d")) as [TestLane, TestLane, TestLane, TestLane];
  const [a, b, c, d] = all;
  claims = [];
  a.process.wallOffsetMs = 2 * limits.clockOffsetMsMax;
  await pass(settleMs);
  d.process.kill();
  for (const lane of [a, b, c]) lane.view = (slot) => (slot === d.ownership.slot ? refused : open);
  await pass(limits.heartbeatStillMs + settleMs);
  expect(claims.filter((claim) => claim.startsWith("a"))).toEqual([]);
  expect(a.ownership.alarms()).toHaveLength(1);
  expect(b.ownership.alarms()).toEqual([]);
  a.process.wallOffsetMs = 0;
  await pass(settleMs);
  expect(shares([a, b, c])).toEqual([4, 4, 4]);
});

test("O1: a lane that slept until others took its slot is told to end", async () => {
  const [a, b] = (await lanes("a", "b")) as [TestLane, TestLane];
  b.process.pause();
  await pass(limits.heartbeatMs);
  const slot = b.ownership.slot;
  await join(new TestLane("b", { predecessor: { slot, incarnation: "b/0" } }));
  b.process.resume();
  await pass(settleMs);
  expect(b.lost).toMatchObject({ code: "NOT_OWNER" });
  expect(a.lost).toBeNull();
});

test("O3: a lane that writes to another database than those that live is refused", async () => {
  const first = new TestLane("a", { database: "one" });
  await join(first);
  await pass(settleMs);
  const joining = new TestLane("b", { database: "two" }).ownership.join();
  await pass(50);
  expect(await joining).toMatchObject({ ok: false, failure: { code: "DATABASE_FOREIGN" } });
  first.process.kill();
  await pass(limits.clockOffsetMsMax);
  await join(new TestLane("b", { database: "two" })); // nobody is left who would mind
});

test("O1: one that comes back again and again waits for nobody where it is alone", async () => {
  for (let round = 0; round < 8; round++) {
    const alone = new TestLane("alone");
    alone.view = () => refused;
    await join(alone);
    await pass(limits.heartbeatStillMs + settleMs);
    expect(alone.held.size).toBe(partitions);
    alone.process.kill();
  }
});
