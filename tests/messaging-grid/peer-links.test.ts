// Goal: two lanes that live and want one another find to one link, that both use, whatever broke
// before; who is gone is known at once, who is silent counts as silent; no incarnation is taken
// for another. Method: lanes in a network of virtual time, each rule as an example, then a
// property over seeds: crashes under the same slot or address, broken and silent links, probes,
// stale rosters; the real WebSockets are in peer-links-ws.test.ts.
import fc from "fast-check";
import { expect, test } from "vitest";
import { must } from "../../src/base/assert.ts";
import { ok } from "../../src/base/failure.ts";
import { limits } from "../../src/base/limits.ts";
import { seededRandom, type Random } from "../../src/base/random.ts";
import type { WantedPeer } from "../../src/messaging-grid/peer-links.ts";
import { VirtualTime } from "../../src/simulation/virtual-time.ts";
import { LinkedLane } from "./linked-lane.ts";
import { WireNetwork } from "./wire-network.ts";

class World {
  readonly time = new VirtualTime();
  readonly wires: WireNetwork;

  constructor(random: Random = seededRandom(1)) {
    this.wires = new WireNetwork(this.time, random);
  }

  lane(slot: number, incarnation = `i${slot}`, address = `ws://a${slot}`): LinkedLane {
    return new LinkedLane(this.wires, slot, incarnation, address);
  }

  run(ms: number): Promise<void> {
    return this.time.run({ untilMs: this.time.nowMs + ms, eventsMax: 1_000_000 });
  }
}

/** Slots 1 and 2, which want one another. */
async function pair(world = new World()) {
  const [low, high] = [world.lane(1), world.lane(2)];
  low.links.want([high.card]);
  high.links.want([low.card]);
  await world.run(20);
  return { world, low, high };
}

function stateOf(lane: LinkedLane, slot: number): string {
  const { open, refused } = lane.links.state(slot);
  return open ? "open" : refused ? "gone" : "silent";
}

const soonMs = 2000; // more than any wait between two dials

test("dialling: the higher slot dials, and both can call one another", async () => {
  const { world, low, high } = await pair();
  expect(world.wires.dials.map(({ from, address }) => [from, address])).toEqual([[2, "ws://a1"]]);
  expect([stateOf(low, 2), stateOf(high, 1)]).toEqual(["open", "open"]);
  const calls = [low.call(2, "up"), high.call(1, "down")];
  await world.run(20);
  expect(calls.map(({ outcome }) => outcome)).toEqual([ok(["i2", "up"]), ok(["i1", "down"])]);
});

test("dialling: it is repeated, ever less often, until the peer listens", async () => {
  const world = new World();
  const high = world.lane(2);
  const card = { slot: 1, incarnation: "i1", address: "ws://a1" };
  for (let beat = 0; beat < 100; beat++) {
    high.links.want([card]);
    await world.run(100);
  }
  const times = world.wires.dials.map(({ atMs }) => atMs);
  const waits = times.slice(1).map((atMs, index) => atMs - must(times[index], "one before"));
  expect(Math.min(...waits)).toBeGreaterThanOrEqual(limits.reconnectMsMin / 2);
  expect(Math.max(...waits)).toBeLessThanOrEqual(limits.reconnectMsMax + 10);
  expect(waits.length).toBeLessThan(50);
  expect(stateOf(high, 1)).toBe("gone");
  world.lane(1);
  await world.run(soonMs);
  expect(stateOf(high, 1)).toBe("open");
});

test("dialling: a peer without an address is waited for", async () => {
  const world = new World();
  const [low, high] = [world.lane(1), world.lane(2)];
  high.links.want([{ ...low.card, address: null }]);
  high.links.probe(1);
  await world.run(soonMs);
  expect(world.wires.dials).toEqual([]);
  expect(high.links.state(1)).toEqual({ open: false, closedMs: soonMs, refused: false });
});

test("M9: a link that is closed from there, or refused, is certain; silence counts by time", async () => {
  const { world, low, high } = await pair();
  expect(low.links.state(2)).toEqual({ open: true, closedMs: 0, refused: false });
  const [wire] = world.wires.openWires();
  world.wires.unanswered.add(low.address);
  world.wires.silence(must(wire, "there is a link"));
  await world.run(limits.peerSilenceMsMax);
  expect([stateOf(low, 2), stateOf(high, 1)]).toEqual(["open", "open"]);
  await world.run(10);
  // Silent before its end too: it has not been heard of for longer than that.
  for (const [lane, slot] of [[low, 2] as const, [high, 1] as const]) {
    expect(stateOf(lane, slot)).toBe("silent");
    expect(lane.links.state(slot).closedMs).toBeGreaterThanOrEqual(limits.peerSilenceMsMax);
  }
  await world.run(20_000);
  expect(stateOf(high, 1)).toBe("silent"); // dialled, and not answered
  world.wires.unanswered.clear();
  await world.run(2 * limits.peerConnectMs);
  expect([stateOf(low, 2), stateOf(high, 1)]).toEqual(["open", "open"]);
  low.kill();
  await world.run(10);
  expect(stateOf(high, 1)).toBe("gone");
  expect(high.links.state(1).closedMs).toBeLessThan(10);
});

test("M9: a link that was closed on this side says nothing of the peer", async () => {
  const { world, low, high } = await pair();
  must(low.endsTo(high)[0], "there is a link").send(Uint8Array.of(1, 2, 3)); // no batch
  await world.run(6);
  expect(stateOf(high, 1)).not.toBe("gone");
  await world.run(soonMs);
  expect([stateOf(low, 2), stateOf(high, 1)]).toEqual(["open", "open"]);
});

test("probe: the lower slot dials too, and finds out whether the peer is gone", async () => {
  const world = new World();
  const [low, high] = [world.lane(1), world.lane(2)];
  low.links.want([high.card]); // and high knows nothing of low
  await world.run(soonMs);
  expect([stateOf(low, 2), world.wires.dials]).toEqual(["silent", []]);
  low.links.probe(2);
  low.links.probe(2);
  await world.run(20);
  expect([stateOf(low, 2), stateOf(high, 1)]).toEqual(["open", "open"]);
  low.links.probe(2);
  low.links.probe(77);
  expect(world.wires.dials).toHaveLength(1);
  high.kill();
  await world.run(20);
  const other = world.lane(3);
  other.links.want([{ ...high.card, slot: 4 }]);
  other.links.probe(4);
  await world.run(20);
  expect([stateOf(low, 2), stateOf(other, 4)]).toEqual(["gone", "gone"]);
});

test("close: links end on both sides, nothing is dialled or let in, what was under way ends", async () => {
  const { world, low, high } = await pair();
  const third = world.lane(3);
  third.links.want([low.card, high.card]);
  await world.run(1); // under way
  third.links.close();
  high.links.close();
  await world.run(20);
  const dials = world.wires.dials.length;
  low.links.probe(2);
  await world.run(soonMs);
  expect(world.wires.openWires()).toEqual([]);
  expect([stateOf(low, 2), high.messenger.reaches(1)]).toEqual(["gone", false]);
  expect(world.wires.dials.slice(dials).map(({ from }) => from)).toEqual([1]);
});

test("M7: another incarnation in the roster takes the place of the one before", async () => {
  const { world, low, high } = await pair();
  const waiting = high.call(1, "x", "silence");
  await world.run(20);
  expect(low.heard).toEqual(["x"]);
  const next = world.lane(1, "i1b", "ws://a1b");
  high.links.want([next.card]);
  expect(waiting.outcome).toMatchObject({ failure: { code: "LANE_LOST" } });
  const call = high.call(1, "y");
  expect(call.outcome).toMatchObject({ failure: { code: "PEER_UNREACHABLE" } });
  await world.run(20);
  expect(high.endsTo(next)).toHaveLength(1);
  expect(high.endsTo(low)).toEqual([]);
});

test("M7: one that the roster does not name waits until it does, and what it sent is kept", async () => {
  const { world, low, high } = await pair();
  const successor = world.lane(2, "i2b", "ws://a2b");
  successor.links.want([low.card]);
  await world.run(20);
  const early = successor.call(1, "early");
  low.links.want([high.card]);
  await world.run(20);
  expect(early.outcome).toBeNull();
  expect(low.endsTo(high)).toHaveLength(1);
  low.links.want([successor.card]);
  await world.run(20);
  expect(early.outcome).toEqual(ok(["i1", "early"]));
  expect(stateOf(low, 2)).toBe("open");
  // The one before dials again; nothing of it is taken any more.
  const late = high.call(1, "late");
  await world.run(soonMs);
  expect([late.outcome, low.heard]).toEqual([null, ["early"]]);
});

test("M7: after the one before is gone for certain, its successor need not wait", async () => {
  const { world, low, high } = await pair();
  high.kill();
  const successor = world.lane(2, "i2b");
  successor.links.want([low.card]);
  await world.run(20);
  const early = successor.call(1, "early");
  await world.run(20);
  expect(early.outcome).toEqual(ok(["i1", "early"]));
  low.links.want([high.card]); // read before the successor came
  expect(stateOf(low, 2)).toBe("open");
  low.links.want([successor.card]);
  expect(low.endsTo(successor)).toHaveLength(1);
});

test("M7: one that the roster denies twice was not the successor", async () => {
  const { world, low, high } = await pair();
  const { wires } = world;
  const door = "ws://another-door";
  wires.listeners.set(door, must(wires.listeners.get(low.address), "it listens"));
  wires.unanswered.add(low.address);
  wires.break(must(wires.openWires()[0], "there is a link"));
  await world.run(10);
  const ghost = world.lane(2, "ghost", "ws://ghost");
  ghost.links.want([{ ...low.card, address: door }]);
  await world.run(20);
  expect(low.endsTo(ghost)).toHaveLength(1);
  low.links.want([high.card]);
  expect(low.messenger.reaches(2)).toBe(true);
  low.links.want([high.card]);
  expect(low.messenger.reaches(2)).toBe(false);
  wires.unanswered.clear();
  await world.run(2 * limits.peerConnectMs);
  const call = low.call(2, "who?");
  await world.run(20);
  expect(call.outcome).toEqual(ok(["i2", "who?"]));
});

test("M7: a lane that left the roster is not reached any more", async () => {
  const { world, low, high } = await pair();
  high.links.want([]);
  expect([high.messenger.reaches(1), stateOf(high, 1)]).toEqual([false, "silent"]);
  await world.run(soonMs);
  expect([stateOf(low, 2), world.wires.dials.length]).toEqual(["gone", 1]);
});

/** Delays by the order in which messages leave, so that both dials cross in a chosen way. */
const crossings: [string, number[]][] = [
  ["both arrive, then both are answered", [5, 5, 5, 5]],
  ["the higher one's is answered before the other arrives", [1, 10, 1, 1]],
  ["the lower one's is answered before the other arrives", [10, 1, 1, 1]],
  ["the lower one's arrives first, and is answered last", [5, 1, 20, 1]],
  ["the higher one's arrives first, and is answered last", [1, 5, 20, 1]],
];

for (const [name, delays] of crossings) {
  test(`M8: of two dials that cross the higher slot's stays: ${name}`, async () => {
    const world = new World();
    const [low, high] = [world.lane(1), world.lane(2)];
    let at = 0;
    world.wires.delayMs = () => delays[at++] ?? 1;
    high.links.want([low.card]);
    low.links.want([high.card]);
    low.links.probe(2);
    expect(world.wires.dials).toHaveLength(2);
    const calls: { outcome: unknown }[] = [];
    for (let ms = 0; ms < 40; ms++) {
      if (low.messenger.reaches(2)) calls.push(low.call(2, ms));
      if (high.messenger.reaches(1)) calls.push(high.call(1, ms));
      await world.run(1);
    }
    await world.run(100);
    expect([low.endsTo(high).length, high.endsTo(low).length]).toEqual([1, 1]);
    const [end] = high.endsTo(low);
    expect(end?.other).toBe(low.endsTo(high)[0]);
    expect(world.wires.dials).toHaveLength(2);
    expect(calls.length).toBeGreaterThan(40);
    for (const { outcome } of calls) {
      const lost = { ok: false, failure: expect.objectContaining({ code: "LANE_LOST" }) as object };
      expect([{ ok: true, value: expect.anything() as unknown }, lost]).toContainEqual(outcome);
    }
    const last = [low.call(2, "up"), high.call(1, "down")];
    await world.run(20);
    expect(last.map(({ outcome }) => outcome)).toEqual([ok(["i2", "up"]), ok(["i1", "down"])]);
  });
}

test("M8: of two links that the same lane dialled the later one stays, on both sides", async () => {
  const { world, low, high } = await pair();
  // The dialler's end breaks, and the other side does not hear of it.
  const [end] = high.endsTo(low);
  const before = must(end, "there is a link");
  before.silent = true;
  const waiting = low.call(2, "lost");
  before.arrive({ end: "closed" });
  await world.run(soonMs);
  expect(waiting.outcome).toMatchObject({ failure: { code: "LANE_LOST" } });
  expect(low.endsTo(high)).toHaveLength(1);
  const call = low.call(2, "found");
  await world.run(20);
  expect(call.outcome).toEqual(ok(["i2", "found"]));
});

/** A grid of lanes that come and go, for a while; then it is left in peace. */
class Turmoil {
  readonly world: World;
  readonly #random: Random;
  readonly #slots = 4;
  readonly #lanes: LinkedLane[] = [];
  /** The roster as it was at each beat, newest last. */
  readonly #rosters: WantedPeer[][] = [];
  #births = 0;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
    this.world = new World(this.#random.fork("network"));
    for (let slot = 0; slot < this.#slots; slot++) this.#lanes.push(this.#born(slot, slot));
  }

  get lanes(): readonly LinkedLane[] {
    return this.#lanes;
  }

  /** One beat: each lane sees the roster as it is, or as it was a moment ago. */
  async beat(behindMax: number): Promise<void> {
    this.#rosters.push(this.#lanes.map(({ card }) => card));
    for (const { alive, links, hello } of this.#lanes) {
      const roster = this.#rosters.at(-1 - this.#random.below(behindMax + 1));
      if (!alive || roster === undefined) continue;
      links.want(roster.filter(({ slot }) => slot !== hello.slot));
    }
    await this.world.run(limits.heartbeatMs);
  }

  trouble(): void {
    const { wires } = this.world;
    const open = wires.openWires();
    const what = this.#random.below(6);
    if (what === 0) this.#restart();
    else if (what === 1 && open.length > 0) wires.break(this.#random.pick(open));
    else if (what === 2 && open.length > 0) wires.silence(this.#random.pick(open));
    else if (what === 3) wires.unanswered.add(this.#random.pick(this.#lanes).address);
    else if (what === 4) wires.unanswered.clear();
    else this.#random.pick(this.#lanes).links.probe(this.#random.below(this.#slots));
  }

  /** A lane dies; another one has its slot, or swaps slots with the next, at any free address. */
  #restart(): void {
    const at = this.#random.below(this.#slots);
    const dead = [at, ...(this.#random.chance(0.3) ? [(at + 1) % this.#slots] : [])];
    const addresses = dead.map((slot) => Number(this.#lanes[slot]?.address.slice(6)));
    for (const slot of dead) this.#lanes[slot]?.kill();
    addresses.reverse();
    for (const [index, slot] of dead.entries()) {
      this.#lanes[slot] = this.#born(slot, addresses[index] ?? 0);
    }
  }

  #born(slot: number, address: number): LinkedLane {
    return this.world.lane(slot, `life-${this.#births++}`, `ws://a${address}`);
  }
}

test("M7, M8: whatever broke, all find to one link each in the end, with the right lane", async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(), fc.integer({ min: 5, max: 60 }), async (seed, beats) => {
      const turmoil = new Turmoil(seed);
      for (let beat = 0; beat < beats; beat++) {
        await turmoil.beat(1);
        turmoil.trouble();
      }
      turmoil.world.wires.unanswered.clear();
      for (let beat = 0; beat < 80; beat++) await turmoil.beat(0);
      const { lanes } = turmoil;
      for (const lane of lanes) {
        for (const other of lanes) {
          if (other === lane) continue;
          expect(stateOf(lane, other.hello.slot)).toBe("open");
          expect(lane.endsTo(other)).toHaveLength(1);
          const call = lane.call(other.hello.slot, "hello");
          await turmoil.world.run(20);
          expect(call.outcome).toEqual(ok([other.hello.incarnation, "hello"]));
        }
      }
      expect(turmoil.world.wires.openWires()).toHaveLength((lanes.length * (lanes.length - 1)) / 2);
    }),
    { numRuns: 200 },
  );
});
