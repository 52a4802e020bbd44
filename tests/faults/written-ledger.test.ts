// Goal: the ledger by which a database is judged sees each way in which its rows can be wrong.
// Method: answers made up, and rows that would follow from them.
import { expect, test } from "vitest";
import { failed, ok } from "../../src/base/failure.ts";
import { WrittenLedger, type EntryRow } from "../../src/faults/written-ledger.ts";

/** Commands 0 to 4 of partition 3: acknowledged as 1 and 2, unknown, not applied, no answer. */
function fiveCommands(): WrittenLedger {
  const ledger = new WrittenLedger();
  const outcomes = [ok(1), ok(2), failed("DEADLINE_EXCEEDED", ""), failed("OVERLOADED", ""), null];
  for (const [index, outcome] of outcomes.entries()) {
    ledger.note({ id: `3-${String(index)}`, partition: 3, outcome: null });
    ledger.note({ id: `3-${String(index)}`, partition: 3, outcome });
  }
  return ledger;
}

function problems(...ids: readonly number[]): string {
  const rows = ids.map((id, index): EntryRow => ({ id: `3-${String(id)}`, number: index + 1 }));
  return fiveCommands().problems(3, rows).join("; ");
}

test("D1: every prefix of what was acknowledged fits, with and without what is unknown", () => {
  expect(problems()).toBe("");
  expect(problems(0)).toBe("");
  expect(problems(0, 1)).toBe("");
  expect(problems(0, 1, 4, 2)).toBe("");
  expect(fiveCommands().highest()).toEqual(new Map([[3, 2]]));
});

test("D1: a loss, a swap, a refusal that happened, a stranger, a second time: each is seen", () => {
  expect(problems(1)).toMatch(/id 3-1: acknowledged as 2, written as 1/);
  expect(problems(2, 1)).toMatch(/command 0: acknowledged as 1, which is 3-2/);
  expect(problems(0, 1, 3)).toMatch(/id 3-3: answered as not applied, and there/);
  expect(problems(0, 1, 9)).toMatch(/id 3-9: nobody sent it/);
  const twice = [1, 1, 2].map((number): EntryRow => ({ id: `3-${String(number - 1)}`, number }));
  expect(fiveCommands().problems(3, twice)[0]).toMatch(/row 2: number 1$/);
});
