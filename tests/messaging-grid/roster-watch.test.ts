// Goal: a lane is blamed for what was seen of it, not for what its observer missed.
// Method: a clock set by hand, cards given as they would be read; no store, no sleeping.
import { expect, test } from "vitest";
import type { Clock } from "../../src/base/clock.ts";
import { limits } from "../../src/base/limits.ts";
import type { LaneCard, RosterEntry } from "../../src/grid/roster-card.ts";
import { RosterWatch } from "../../src/messaging-grid/roster-watch.ts";
import { laneCard } from "../grid/roster-cards.ts";

const beatsUntilStill = Math.ceil(limits.heartbeatStillMs / limits.heartbeatMs);

class HandClock implements Clock {
  nowMs = 0;
  wallMs(): number {
    return 1_767_225_600_000 + this.nowMs;
  }
  monotonicMs(): number {
    return this.nowMs;
  }
}

function watched(): { clock: HandClock; watch: RosterWatch } {
  const clock = new HandClock();
  return { clock, watch: new RosterWatch(clock) };
}

function entry(slot: number, fields: Partial<LaneCard> = {}): RosterEntry {
  return { slot, card: laneCard({ incarnation: `i${String(slot)}`, ...fields }) };
}

test("R5: a heartbeat that stood still for the stated time is still, not before", () => {
  const { clock, watch } = watched();
  watch.observe([entry(0), entry(1)]);
  for (let beat = 1; beat <= beatsUntilStill; beat++) {
    expect(watch.isStill(1)).toBe(false);
    clock.nowMs += limits.heartbeatMs;
    watch.observe([entry(0, { counter: beat }), entry(1)]);
  }
  expect(watch.isStill(0)).toBe(false);
  expect(watch.isStill(1)).toBe(true);
  const still = watch.members().map(({ entry: { slot }, stillMs }) => [slot, stillMs]);
  expect(still).toEqual([
    [0, 0],
    [1, beatsUntilStill * limits.heartbeatMs],
  ]);
});

test("R5: while one seems to be dead looks come sooner, and the last one in time", () => {
  const { clock, watch } = watched();
  const slowMs = 20; // each look is late by so much
  let counter = 0;
  const look = (): void => watch.observe([entry(0, { counter: ++counter }), entry(1)]);
  look();
  const pausesMs: number[] = [];
  while (!watch.isStill(1)) {
    pausesMs.push(watch.nextLookMs);
    clock.nowMs += watch.nextLookMs + slowMs;
    look();
  }
  expect(pausesMs.slice(0, 3)).toEqual([limits.heartbeatMs, limits.heartbeatMs, 50]);
  expect(Math.max(...pausesMs.slice(2))).toBe(limits.heartbeatMs / 2);
  expect(clock.nowMs).toBeLessThan(limits.heartbeatStillMs + 4 * slowMs);
  expect(watch.nextLookMs).toBe(limits.heartbeatMs);
});

test("R5: an observer that slept blames nobody for its sleep, however long and often", () => {
  const { clock, watch } = watched();
  watch.observe([entry(1)]);
  for (let sleep = 1; sleep < 20; sleep++) {
    clock.nowMs += 3_600_000;
    // The first thing it sees is an answer from before its sleep, then what is true.
    watch.observe([entry(1, { counter: sleep - 1 })]);
    expect(watch.isStill(1)).toBe(false);
    watch.observe([entry(1, { counter: sleep })]);
  }
});

test("a new incarnation under the same slot and counter begins anew; so does one that was away", () => {
  const { clock, watch } = watched();
  const wait = (entries: RosterEntry[]): void => {
    for (let beat = 0; beat <= beatsUntilStill; beat++) {
      watch.observe(entries);
      clock.nowMs += limits.heartbeatMs;
    }
  };
  wait([entry(1)]);
  expect(watch.isStill(1)).toBe(true);
  watch.observe([entry(1, { incarnation: "another" })]);
  expect(watch.isStill(1)).toBe(false);
  wait([]);
  expect(watch.isStill(1)).toBe(true); // nobody is there
  watch.observe([entry(1)]);
  expect(watch.isStill(1)).toBe(false);
});

test("a lane that left is no member, and nobody waits for its heartbeat", () => {
  const { watch } = watched();
  watch.observe([entry(0), entry(1, { state: "left" }), entry(2, { state: "leaving" })]);
  expect(watch.members().map((member) => member.entry.slot)).toEqual([0, 2]);
  expect(watch.isStill(1)).toBe(true);
  expect(watch.isStill(2)).toBe(false);
});

test("a lane moves where a new card of it was seen lately, not where an old one was found", () => {
  const { clock, watch } = watched();
  watch.observe([entry(0), entry(1)]);
  expect([0, 1, 2].map((slot) => watch.isMoving(slot))).toEqual([false, false, false]);
  clock.nowMs += limits.heartbeatMs;
  watch.observe([entry(0, { counter: 1 }), entry(1, { incarnation: "another" })]);
  expect([0, 1].map((slot) => watch.isMoving(slot))).toEqual([true, false]);
  // By time, not by looks: one that was not looked at may be dead by now.
  clock.nowMs += limits.heartbeatStillMs;
  expect(watch.isMoving(0)).toBe(false);
  watch.observe([entry(0, { counter: 2 }), entry(1, { incarnation: "another", counter: 1 })]);
  expect([0, 1].map((slot) => watch.isMoving(slot))).toEqual([true, true]);
  watch.observe([entry(0, { counter: 3, state: "left" })]);
  expect([0, 1].map((slot) => watch.isMoving(slot))).toEqual([false, false]);
});

test("the clock's offset is from the median of the live lanes, whoever is wrong", () => {
  const { clock, watch } = watched();
  expect(watch.clockOffsetMs(clock.wallMs())).toBeNull();
  const beat = (counter: number, offsetsMs: readonly number[]): void => {
    clock.nowMs += limits.heartbeatMs;
    const wallMs = clock.wallMs();
    watch.observe(
      offsetsMs.map((offsetMs, slot) => entry(slot, { counter, wallMs: wallMs + offsetMs })),
    );
  };
  beat(1, [0, 20, -30_000]);
  clock.nowMs += 100; // as old as a card may be when it is used
  expect(watch.clockOffsetMs(clock.wallMs())).toBe(0);
  expect(watch.clockOffsetMs(clock.wallMs() - 30_000)).toBe(-30_000);
  // Of two nobody can say who is wrong: neither is stopped.
  beat(2, [0, 60_000]);
  expect(watch.clockOffsetMs(clock.wallMs())).toBe(0);
  expect(watch.clockOffsetMs(clock.wallMs() + 60_000)).toBe(0);
  // Two against two: the same. Three against one: the one.
  beat(3, [0, 1, 60_000, 60_001]);
  expect(watch.clockOffsetMs(clock.wallMs())).toBeCloseTo(-1, 9);
  beat(4, [0, 1, 60_000, 2]);
  expect(watch.clockOffsetMs(clock.wallMs() + 60_000)).toBe(59_998);
});

test("dead lanes and cards that cannot be read have no say about clocks", () => {
  const { clock, watch } = watched();
  const far = clock.wallMs() + 1e9;
  for (let beat = 0; beat <= beatsUntilStill; beat++) {
    watch.observe([
      entry(0, { counter: beat, wallMs: clock.wallMs() }),
      entry(1, { wallMs: far }),
      entry(2, { wallMs: far }),
      entry(3, { incarnation: "", counter: beat, wallMs: 0 }),
      entry(4, { state: "left", counter: beat, wallMs: far }),
    ]);
    clock.nowMs += limits.heartbeatMs;
  }
  expect(watch.clockOffsetMs(clock.wallMs())).toBe(0);
});

test("R5: a heartbeat moves where this lane saw one after another, and lately", () => {
  const { clock, watch } = watched();
  watch.observe([entry(1, { counter: 1 })]); // found: it may have been dead for long
  expect(watch.isMoving(1)).toBe(false);
  clock.nowMs += limits.heartbeatMs;
  watch.observe([entry(1, { counter: 2 })]);
  expect(watch.isMoving(1)).toBe(true);
  clock.nowMs += limits.heartbeatStillMs;
  watch.observe([entry(1, { counter: 2 })]);
  expect(watch.isMoving(1)).toBe(false);
  watch.observe([entry(1, { counter: 1, incarnation: "next" })]);
  expect(watch.isMoving(1)).toBe(false);
});
