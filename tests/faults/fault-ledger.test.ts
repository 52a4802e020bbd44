// Goal: the ledger that faults are judged by sees each way in which an answer can have been wrong.
// Method: answers made up, and what a partition would hold.
import { expect, test } from "vitest";
import { failed, ok } from "../../src/base/failure.ts";
import { FaultLedger, partitionOfId } from "./support/fault-ledger.ts";

/** Four commands of partition 3: acknowledged as 1 and 2, unknown, not applied. */
function fourAnswers() {
  const ledger = new FaultLedger();
  const outcomes = [
    ok(1),
    ok(2),
    failed("DEADLINE_EXCEEDED", "late"),
    failed("GRID_UNAVAILABLE", "not now"),
  ];
  const ids = outcomes.map((outcome) => {
    const line = ledger.send(3);
    ledger.answer(line, outcome);
    return line.id;
  });
  const [one = "", two = "", unknown = "", refused = ""] = ids;
  return { ledger, one, two, unknown, refused };
}

test("P3: what was acknowledged is held under its number, the unknown is there or not", () => {
  const { ledger, one, two, unknown } = fourAnswers();
  const held = new Map([one, two].map((id, index) => [id, index + 1]));
  expect(ledger.problems(3, held)).toEqual([]);
  expect(ledger.problems(3, held.set(unknown, 3))).toEqual([]);
  expect(partitionOfId(unknown)).toBe(3);
});

test("P3: a loss, another number, a second time, a refusal that happened: each is seen", () => {
  const { ledger, one, two, unknown, refused } = fourAnswers();
  const problems = (held: [string, number][]) => ledger.problems(3, new Map(held)).join("; ");
  expect(problems([[one, 1]])).toMatch(/id 3-1: acknowledged, and lost$/);
  expect(
    problems([
      [one, 1],
      [two, 3],
      [unknown, 2],
    ]),
  ).toMatch(/acknowledged as 2, held as 3$/);
  expect(
    problems([
      [one, 1],
      [two, 2],
      [unknown, 4],
    ]),
  ).toMatch(/number 3 is not once there$/);
  expect(
    problems([
      [one, 1],
      [two, 2],
      [refused, 3],
    ]),
  ).toMatch(/GRID_UNAVAILABLE, and applied$/);
  expect(
    problems([
      [one, 1],
      [two, 2],
      ["3-9", 3],
    ]),
  ).toMatch(/id 3-9: nobody sent it$/);
});

test("a ledger takes over as many lines as a load on a fast machine leaves", () => {
  const other = new FaultLedger();
  for (let count = 0; count < 300_000; count++) other.answer(other.send(3), ok(count));
  const ledger = new FaultLedger();
  ledger.adopt(other.lines);
  expect(ledger.acknowledged()).toHaveLength(300_000);
});

test("E1: a second answer to one command is an error", () => {
  const ledger = new FaultLedger();
  const line = ledger.send(0);
  ledger.answer(line, ok(1));
  expect(() => {
    ledger.answer(line, ok(1));
  }).toThrow("answered twice");
});
