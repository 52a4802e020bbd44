// Goal: a check of the log finds whatever was lost of what an owner acknowledged, names it, and
// reads no more than it must. Method: lanes over explicit copies from which records are taken.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { limits } from "../../src/base/limits.ts";
import { stepLog } from "../../src/grid/log-machine.ts";
import type { ScriptLane } from "../../src/simulation/script-lane.ts";
import {
  checking,
  checkingDurable,
  checkingReplaced,
  checkingUnknown,
  claim,
  record,
  served,
  twoLanes,
} from "./log-lanes.ts";

describe("L11: a check of the tail", () => {
  /** How it ends, whatever it reads. */
  function ended(lane: ScriptLane): string {
    const { phase } = lane.rest().state;
    return phase.name === "stopped" ? phase.failure.message : lane.phase;
  }

  test("says exactly which records are missing, and which was acknowledged last", () => {
    const lost = (what: string): string => `partition 0: the grid lost data: ${what}`;
    const last = (position: number): string => `record ${position} was the last acknowledged`;
    const emptied = "its genesis record is missing, the grid was emptied";
    expect(ended(checking([5]))).toBe(lost(`record 5 is missing; ${last(5)}`));
    expect(ended(checking([3, 4, 5]))).toBe(lost(`records 3 to 5 are missing; ${last(5)}`));
    expect(ended(checking([3]))).toBe(lost(`record 3 is missing; ${last(5)}`));
    expect(ended(checking([1, 2, 3, 4, 5]))).toBe(lost(`records 1 to 5 are missing; ${last(5)}`));
    expect(ended(checkingUnknown([5]))).toBe(lost(`record 5 is missing; ${last(5)}`));
    expect(ended(checkingDurable([6]))).toBe(lost(`record 6 is missing; ${last(5)}`));
    expect(ended(checking([0]))).toBe(lost(`${emptied}; ${last(5)}`));
    expect(ended(checkingReplaced(5, claim(5)))).toBe(
      lost(`record 5 was replaced by one of lane c; ${last(5)}`),
    );
    const release = record({ type: "release" }, 3);
    expect(ended(checkingReplaced(3, release))).toBe(
      lost(`record 3 was replaced by one of writer t; ${last(5)}`),
    );
  });

  test("finds any hole, however long, in few reads, and names its ends", () => {
    const hole = fc.tuple(fc.integer({ min: 2, max: 400 }), fc.nat(400), fc.nat(40));
    fc.assert(
      fc.property(hole, ([lowest, more, over]) => {
        const highest = lowest + more;
        const lost = Array.from({ length: more + 1 }, (_, index) => lowest + index);
        const lane = checking(lost, highest + over);
        let reads = 0;
        for (; lane.phase !== "stopped"; lane.step()) reads++;
        const which = more === 0 ? `record ${lowest} is` : `records ${lowest} to ${highest} are`;
        expect(ended(lane)).toContain(`${which} missing`);
        expect(reads).toBeLessThan(20);
      }),
      { numRuns: 40 },
    );
  });

  test("sees the last few before anything goes on, the others in slices between appends", () => {
    const phases: string[] = [];
    const lane = served(40).append(41).check();
    let { state } = lane;
    for (let appends = 0; state.look !== null || state.checkDue; appends++) {
      expect(appends).toBeLessThan(10);
      // As a driver does that always has something to append.
      while (state.call !== null) {
        const known = { known: true, value: lane.script.everywhere(state.call) } as const;
        phases.push(state.phase.name);
        ({ state } = stepLog(state, { kind: "answer", answer: known, wallMs: 0 }));
      }
      const body = { type: "release" } as const;
      ({ state } = stepLog(state, { kind: "append", body, wallMs: 0 }));
    }
    const first = ["append", "checkRead", "checkGenesis", "checkLast", "checkBefore"];
    const [slice, append] = ["checkBefore", "append"];
    expect(phases).toEqual([...first, slice, append, slice, append, slice]);
  });

  test("told anew before it has seen all, it does not leave out the rest", () => {
    const a = served(20)
      .append(21, limits.tailCheckMs + 1)
      .check()
      .lost();
    a.until("append.put").check(); // the first slice was seen
    expect(a.state.look).toMatchObject({ below: 16, sinceMs: -limits.tailCheckMs });
    a.until("checkBefore");
    expect(a.state.phase).toMatchObject({ look: { below: 21, sinceMs: -limits.tailCheckMs } });
  });

  test("looks back as long as the news may take, to a record that is older, and no further", () => {
    const lose = (position: number): string => {
      const a = served();
      for (let old = 2; old <= 40; old++) a.append(old, 0).rest();
      for (let young = 41; young <= 44; young++) a.append(young, limits.tailCheckMs + 1).rest();
      a.script.lose(position);
      return ended(a.check());
    };
    expect(lose(41)).toContain("record 41 is missing");
    expect(lose(40)).toContain("record 40 is missing"); // an idle owner's last, before the hole
    expect(lose(20)).toBe("serving");
  });

  test("told again while one runs, it runs once more; told often, not oftener", () => {
    const a = checking();
    let begun = 1;
    a.check().check();
    for (; a.phase !== "serving"; a.step()) if (a.phase === "checkRead") begun++;
    expect(begun).toBe(3); // the first one's first call was counted twice
    a.check().until("checkLast").check();
    a.script.lose(5);
    expect(ended(a)).toContain("record 5 is missing");
  });

  test("while taking over it comes before serving is told", () => {
    const { script, b } = twoLanes();
    b.until("headAfterLoad").check();
    script.lose(4); // its claim
    expect(ended(b)).toContain("record 4 is missing; record 3 was the last acknowledged");
    expect(b.follower.phase).toBe("idle"); // and never served
  });
});
