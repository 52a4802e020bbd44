// Goal: a lane gets a slot, keeps it, loses it and leaves it as the roster promises, whatever the
// store does not say. Method: a memory store under a layer that loses calls or answers by script,
// in time that passes only by waiting; the cards are looked at in the store.
import { expect, test } from "vitest";
import { failed, unwrap, type Outcome } from "../../src/base/failure.ts";
import { limits } from "../../src/base/limits.ts";
import { slotKey } from "../../src/grid/grid-keys.ts";
import { decodeCard, encodeCard, type LaneCard } from "../../src/grid/roster-card.ts";
import { readRoster, RosterSlot, type JoinOptions } from "../../src/grid/roster.ts";
import type { ByteMap } from "../../src/grid/store.ts";
import { MemoryStore } from "../../src/grid/stores/memory-store.ts";
import { LayeredStore, type Layer, type LayeredCall } from "./layered-store.ts";
import { InstantTime } from "./manual-timers.ts";
import { laneCard } from "./roster-cards.ts";

const ms = 1000;
const alone: JoinOptions = { mayTake: () => false, predecessor: null };
const silent: Outcome<never> = failed("STORE_TIMEOUT", "the store gave no answer");

/** A slot on a map; what the layer does is decided by the test, call by call. */
function slotOn(map: ByteMap): RosterSlot {
  const time = new InstantTime();
  return new RosterSlot({ map, timers: time, clock: time });
}

function memory(): ByteMap {
  return new MemoryStore().map("grid.1");
}

function layered(map: ByteMap, layer: Layer): ByteMap {
  return new LayeredStore({ map: () => map, close: () => Promise.resolve() }, layer).map("grid.1");
}

/** Time passes in a call that is not answered: its whole deadline. */
function lose(time: InstantTime): Promise<Outcome<never>> {
  return new Promise((resolve) => time.after(limits.storeWriteMs, () => resolve(silent)));
}

async function cardAt(map: ByteMap, slot: number): Promise<LaneCard | null> {
  const stored = unwrap(await map.get(slotKey(slot), ms));
  return stored === null ? null : decodeCard(stored);
}

async function put(map: ByteMap, slot: number, card: LaneCard): Promise<void> {
  unwrap(await map.put(slotKey(slot), encodeCard(card), ms));
}

const at = (partition: number, acknowledged: number) => ({ partition, epoch: 1, acknowledged });

test.each([
  [0, 1, 32],
  [4, 1, 32],
  [31, 1, 32],
  [32, 2, 96],
  [64, 2, 96],
  [256, 4, 256],
])("R3: a roster of %i lanes is read by %i reads of %i slots", async (lanes, reads, slots) => {
  const map = memory();
  for (let slot = 0; slot < lanes; slot++) {
    await put(map, slot, laneCard({ incarnation: `i${String(slot)}` }));
  }
  const asked: number[] = [];
  const counted: ByteMap = {
    ...layered(map, (_call, forward) => forward()),
    getMany: (keys, deadlineMs) => {
      asked.push(keys.length);
      return map.getMany(keys, deadlineMs);
    },
  };
  const entries = unwrap(await readRoster(counted));
  expect(entries.map(({ slot }) => slot)).toEqual(Array.from({ length: lanes }, (_, n) => n));
  expect(asked).toHaveLength(reads);
  expect(asked.reduce((sum, count) => sum + count, 0)).toBe(slots);
});

test("R3: slots are taken from 0 on; a gap is taken first; 256 and no more", async () => {
  const map = memory();
  const join = (incarnation: string): Promise<Outcome<number>> =>
    slotOn(map).join(laneCard({ incarnation }), alone);
  expect(unwrap(await join("a"))).toBe(0);
  expect(unwrap(await join("b"))).toBe(1);
  await put(map, 3, laneCard({ incarnation: "d" }));
  expect(unwrap(await join("c"))).toBe(2);
  for (let slot = 4; slot < limits.rosterSlotsMax; slot++) {
    await put(map, slot, laneCard({ incarnation: `i${String(slot)}` }));
  }
  expect(await join("z")).toMatchObject({ ok: false, failure: { code: "ROSTER_FULL" } });
});

test("R3: the slot below is confirmed before an empty one is taken", async () => {
  const map = memory();
  await put(map, 0, laneCard({ incarnation: "below" }));
  const calls: string[] = [];
  const watched = layered(map, (call, forward) => {
    if (call.key !== null) calls.push(`${call.op} ${String(call.key.readBigUInt64BE(3))}`);
    return forward();
  });
  expect(unwrap(await slotOn(watched).join(laneCard({ incarnation: "a" }), alone))).toBe(1);
  expect(calls).toEqual(["replaceIfSame 0", "putIfAbsent 1"]);
});

test("many that join at once get one slot each", async () => {
  const map = memory();
  const lanes = Array.from({ length: 40 }, (_, index) => `i${String(index)}`);
  const joined = await Promise.all(
    lanes.map((incarnation) => slotOn(map).join(laneCard({ incarnation }), alone)),
  );
  const slots = joined.map(unwrap).sort((a, b) => a - b);
  expect(slots).toEqual(lanes.map((_, index) => index));
});

test("R4: a replacement takes its predecessor's very slot, and what it knew", async () => {
  const map = memory();
  const dead = { incarnation: "dead", owned: [at(1, 50), at(2, 7)], witnessed: [at(2, 9)] };
  await put(map, 0, laneCard({ incarnation: "other" }));
  await put(map, 1, laneCard(dead));
  await put(map, 2, laneCard({ incarnation: "gone", state: "left" }));
  const slot = slotOn(map);
  const predecessor = { slot: 1, incarnation: "dead" };
  const card = laneCard({ incarnation: "new", witnessed: [at(5, 5)] });
  expect(unwrap(await slot.join(card, { ...alone, predecessor }))).toBe(1);
  expect(slot.witnessed).toEqual([at(1, 50), at(2, 9), at(5, 5)]);
  expect((await cardAt(map, 1))?.witnessed).toEqual(slot.witnessed);
  // From here on the lane says it, or that it is served.
  const witnessed = slot.witnessed.filter(({ partition }) => partition !== 2);
  expect(unwrap(await slot.beat({ ...card, counter: 1, witnessed }))).toBe(true);
  expect((await cardAt(map, 1))?.witnessed).toEqual([at(1, 50), at(5, 5)]);
  // The predecessor's slot is another's by now: the lane gets one like any other.
  const late = slotOn(map);
  const joined = await late.join(laneCard({ incarnation: "late" }), { ...alone, predecessor });
  expect(unwrap(joined)).toBe(2);
});

test("R4: a slot that was left is taken again, before one that may be taken, before an empty one", async () => {
  const map = memory();
  const first = slotOn(map);
  const card = laneCard({ incarnation: "first", address: "ws://a", owned: [at(3, 30)] });
  unwrap(await first.join(card, alone));
  await put(map, 1, laneCard({ incarnation: "dead", owned: [at(4, 40)] }));
  await put(map, 2, laneCard({ incarnation: "alive" }));
  await first.leave();
  expect(await cardAt(map, 0)).toMatchObject({
    state: "left",
    address: null,
    owned: [],
    witnessed: [at(3, 30)],
  });
  const mayTake: JoinOptions["mayTake"] = ({ card: { incarnation } }) => incarnation === "dead";
  const joins: [number, number[]][] = [];
  for (const incarnation of ["a", "b", "c"]) {
    const slot = slotOn(map);
    const joined = await slot.join(laneCard({ incarnation }), { ...alone, mayTake });
    joins.push([unwrap(joined), slot.witnessed.map(({ acknowledged }) => acknowledged)]);
  }
  expect(joins).toEqual([
    [0, [30]],
    [1, [40]],
    [3, []],
  ]);
});

test("a slot whose card is of a newer version is shown, and never taken", async () => {
  const map = memory();
  unwrap(await map.put(slotKey(0), Buffer.from([9, 0xc0]), ms));
  const asked: number[] = [];
  const mayTake: JoinOptions["mayTake"] = ({ slot }) => asked.push(slot) > 0;
  const predecessor = { slot: 0, incarnation: "" };
  const slot = await slotOn(map).join(laneCard({ incarnation: "a" }), { mayTake, predecessor });
  expect(unwrap(slot)).toBe(1);
  expect(asked).toEqual([]);
  expect(unwrap(await readRoster(map))[0]?.card).toMatchObject({ incarnation: "", format: 9 });
});

test("a lane that still beats while its slot is taken keeps it", async () => {
  const map = memory();
  const alive = slotOn(map);
  unwrap(await alive.join(laneCard({ incarnation: "alive" }), alone));
  const taker = slotOn(map);
  // It beats between what the taker read and what it writes.
  let beaten = false;
  const racing = layered(map, async (call, forward) => {
    if (call.op === "replaceIfSame" && !beaten) {
      beaten = true;
      unwrap(await alive.beat(laneCard({ incarnation: "alive", counter: 1 })));
    }
    return forward();
  });
  const onRace = slotOn(racing);
  const seen: number[] = [];
  const mayTake: JoinOptions["mayTake"] = ({ card }) => {
    seen.push(card.counter);
    return card.counter === 0;
  };
  const joined = await onRace.join(laneCard({ incarnation: "b" }), { ...alone, mayTake });
  expect(unwrap(joined)).toBe(1);
  expect(seen).toContain(1); // it looked again
  expect((await cardAt(map, 0))?.incarnation).toBe("alive");
  expect(taker.witnessed).toEqual([]);
});

test("R2: a lane whose slot was taken is told, again and again, and changes nothing", async () => {
  const map = memory();
  const slot = slotOn(map);
  unwrap(await slot.join(laneCard({ incarnation: "a" }), alone));
  const taker = laneCard({ incarnation: "b" });
  const mayTake = (): boolean => true;
  expect(unwrap(await slotOn(map).join(taker, { ...alone, mayTake }))).toBe(0);
  expect(unwrap(await slot.beat(laneCard({ incarnation: "a", counter: 1 })))).toBe(false);
  expect(unwrap(await slot.beat(laneCard({ incarnation: "a", counter: 2 })))).toBe(false);
  await slot.leave();
  expect(await cardAt(map, 0)).toEqual(taker);
});

test("R2: another's card that vanishes with its primary is no loss", async () => {
  const map = memory();
  // What the primary has before each write from now on.
  const primary: Buffer[] = [];
  const failing = layered(map, async (call, forward) => {
    const card = call.op === "replaceIfSame" ? primary.shift() : undefined;
    if (card !== undefined) unwrap(await map.put(slotKey(0), card, ms));
    return forward();
  });
  const slot = slotOn(failing);
  const own = laneCard({ incarnation: "a" });
  unwrap(await slot.join(own, alone));
  primary.push(encodeCard(laneCard({ incarnation: "b" })), encodeCard(own));
  expect(unwrap(await slot.beat({ ...own, counter: 1 }))).toBe(true);
  expect(primary).toEqual([]);
  expect(await cardAt(map, 0)).toEqual({ ...own, counter: 1 });
});

/** What becomes of the next writes to a slot, each of which the test names. */
type Fate = "lost" | "answer lost" | "late";

interface Scripted {
  readonly map: ByteMap;
  readonly slot: RosterSlot;
  readonly script: Fate[];
  readonly late: (() => Promise<unknown>)[];
  readonly calls: LayeredCall[];
}

function scripted(): Scripted {
  const map = memory();
  const time = new InstantTime();
  const script: Fate[] = [];
  const late: (() => Promise<unknown>)[] = [];
  const calls: LayeredCall[] = [];
  const scriptedMap = layered(map, async (call, forward) => {
    calls.push(call);
    const fate = call.op === "get" || call.op === "getMany" ? undefined : script.shift();
    if (fate === undefined) return forward();
    if (fate === "late") late.push(forward);
    if (fate === "answer lost") await forward();
    return lose(time);
  });
  const slot = new RosterSlot({ map: scriptedMap, timers: time, clock: time });
  return { map, slot, script, late, calls };
}

test.each<[string, Fate[]]>([
  ["its request is lost", ["lost"]],
  ["its answer is lost", ["answer lost"]],
  ["both, again and again", ["lost", "answer lost", "lost", "answer lost", "lost"]],
])("R2: a join is one card in one slot where %s", async (_name, fates) => {
  const { map, slot, script } = scripted();
  script.push(...fates);
  const card = laneCard({ incarnation: "a" });
  expect(unwrap(await slot.join(card, alone))).toBe(0);
  expect(unwrap(await readRoster(map))).toEqual([{ slot: 0, card }]);
  expect(unwrap(await slot.beat({ ...card, counter: 1 }))).toBe(true);
});

test("a join that gave up goes on with the card that it wrote", async () => {
  const { map, slot, script } = scripted();
  script.push("answer lost", ...Array.from({ length: 200 }, (): Fate => "lost"));
  const card = laneCard({ incarnation: "a" });
  expect(await slot.join(card, alone)).toEqual(silent);
  script.length = 0;
  expect(unwrap(await slot.join({ ...card, counter: 1 }, alone))).toBe(0);
  expect(unwrap(await readRoster(map))).toEqual([{ slot: 0, card: { ...card, counter: 1 } }]);
});

test("R1: a heartbeat gives up in time, and the next goes on from what is there", async () => {
  const { map, slot, script, late, calls } = scripted();
  const card = laneCard({ incarnation: "a" });
  unwrap(await slot.join(card, alone));
  const beat = (counter: number): Promise<Outcome<boolean>> => slot.beat({ ...card, counter });

  const giveUp: Fate[] = ["lost", "lost", "lost", "lost"];
  script.push(...giveUp);
  calls.length = 0;
  expect(await beat(1)).toEqual(silent);
  expect(calls.length).toBeLessThanOrEqual(2); // the time for more is over
  script.length = 0;
  expect(unwrap(await beat(2))).toBe(true);

  // It was stored, and nobody said so; the one after it as well.
  for (const counter of [3, 4]) {
    script.push("answer lost", ...giveUp);
    expect(await beat(counter)).toEqual(silent);
    script.length = 0;
    expect((await cardAt(map, 0))?.counter).toBe(3);
  }
  expect(unwrap(await beat(5))).toBe(true);

  // It arrives after the next one: it finds other bytes than it expects, and does nothing.
  script.push("late", "late", "lost", "lost");
  expect(await beat(6)).toEqual(silent);
  script.length = 0;
  expect(unwrap(await beat(7))).toBe(true);
  await Promise.all(late.map((arrive) => arrive()));
  expect((await cardAt(map, 0))?.counter).toBe(7);

  // It arrives before the next one: that one goes over it.
  late.length = 0;
  script.push("late", "lost", "lost", "lost");
  expect(await beat(8)).toEqual(silent);
  script.length = 0;
  await Promise.all(late.map((arrive) => arrive()));
  expect((await cardAt(map, 0))?.counter).toBe(8);
  expect(unwrap(await beat(9))).toBe(true);
  expect((await cardAt(map, 0))?.counter).toBe(9);
});

test("leaving waits for the heartbeat under way, and gives up in time", async () => {
  const { map, slot, script } = scripted();
  const card = laneCard({ incarnation: "a" });
  unwrap(await slot.join(card, alone));
  script.push("lost");
  const beaten = slot.beat({ ...card, counter: 1 });
  await slot.leave();
  expect(unwrap(await beaten)).toBe(true);
  expect(await cardAt(map, 0)).toMatchObject({ counter: 2, state: "left" });

  const other = scripted();
  unwrap(await other.slot.join(card, alone));
  other.script.push(...Array.from({ length: 9 }, (): Fate => "lost"));
  await other.slot.leave();
  expect(await cardAt(other.map, 0)).toEqual(card);
});
