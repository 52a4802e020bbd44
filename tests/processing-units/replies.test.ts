// Goal: a number is judged as if every reply ever given were remembered, from what is in flight
// only. Method: properties against a model that forgets nothing; a segment's bytes and back.
import fc from "fast-check";
import { expect, test } from "vitest";
import type { CommandEntry } from "../../src/grid/log-record.ts";
import { decodeSegment, encodeSegment } from "../../src/grid/log-record.ts";
import { senderSpace } from "../../src/processing-units/internal-spaces.ts";
import { PartitionMemory } from "../../src/processing-units/partition-memory.ts";
import { Replies } from "../../src/processing-units/replies.ts";

function entry(sender: string, number: number, confirmed = 0): CommandEntry {
  const reply = `${sender}${String(number)}`;
  return { sender, number, confirmed, attempt: 0, changes: [], reply };
}

function origin(sender: string, number: number, confirmed = 0) {
  return { sender, number, confirmed, attempt: 0 };
}

function newReplies() {
  const memory = new PartitionMemory([]);
  return { memory, replies: new Replies(memory) };
}

/** Numbers of two senders that arrive in any order, each with what was confirmed by then. */
const entries = fc.array(
  fc
    .record({
      sender: fc.constantFrom("a", "b"),
      number: fc.integer({ min: 1, max: 12 }),
      below: fc.integer({ min: 1, max: 12 }),
    })
    .map(({ sender, number, below }) => entry(sender, number, Math.max(0, number - below))),
  { maxLength: 40 },
);

function rows(memory: PartitionMemory): unknown {
  return structuredClone(new Map(memory.entries(senderSpace)));
}

test("P5: a number is new, known or stale as if nothing were ever forgotten", () => {
  fc.assert(
    fc.property(entries, (list) => {
      const { replies } = newReplies();
      const kept = new Map<string, CommandEntry>();
      const confirmed = new Map<string, number>();
      for (const one of list) {
        const { sender, number } = one;
        if (sender === null) continue;
        const name = `${sender}${String(number)}`;
        const most = confirmed.get(sender) ?? 0;
        const judged = replies.judge(origin(sender, number));
        if (number <= most) expect(judged.kind).toBe("stale");
        else if (kept.has(name)) expect(judged).toEqual({ kind: "known", reply: name });
        else expect(judged.kind).toBe("new");
        if (judged.kind !== "new") continue;
        replies.fold(one);
        kept.set(name, one);
        confirmed.set(sender, Math.max(most, one.confirmed)); // P6
      }
    }),
  );
});

test("P5: folding is idempotent, and a segment's bytes give the same rows back", () => {
  fc.assert(
    fc.property(entries, fc.nat(40), (list, from) => {
      const { memory, replies } = newReplies();
      for (const one of list) replies.fold(one);
      const once = rows(memory);
      // A checkpoint says what the rows are, and then its batch folds the last entries again.
      for (const one of list.slice(from)) replies.fold(one);
      expect(rows(memory)).toEqual(once);
      const changes = [...memory.entries(senderSpace)].map(([key, value]) => ({
        space: senderSpace,
        key,
        value,
      }));
      const loaded = newReplies();
      loaded.memory.loadSegment(decodeSegment(encodeSegment(changes)) ?? []);
      expect(rows(loaded.memory)).toEqual(once);
      loaded.replies.fold(entry("a", 100, 99)); // it can be changed in place
      expect(loaded.memory.get(senderSpace, "a")).toEqual({
        confirmed: 99,
        replies: [[100, "a100"]],
      });
    }),
  );
});

test("P5: a row holds what is above the confirmed number, and no more", () => {
  const { memory, replies } = newReplies();
  for (let number = 1; number <= 1000; number++) replies.fold(entry("a", number, number - 3));
  expect(memory.get(senderSpace, "a")).toEqual({
    confirmed: 997,
    replies: [998, 999, 1000].map((number) => [number, `a${String(number)}`]),
  });
});

test("P6: what is confirmed only grows, and counts with commands that change nothing, too", () => {
  const { replies } = newReplies();
  replies.fold(entry("a", 5, 3));
  expect(replies.judge(origin("a", 9, 6)).kind).toBe("new"); // changes nothing: not folded
  expect(replies.judge(origin("a", 6, 2)).kind).toBe("stale");
  expect(replies.judge(origin("a", 7, 2)).kind).toBe("new");
  expect(replies.judge(origin("a", 8, 8)).kind).toBe("stale"); // it confirms itself
});

test("P5: senders that are gone are forgotten, so many at a time, and no other", () => {
  const { memory, replies } = newReplies();
  for (const sender of ["a", "b", "c", "d"]) replies.fold(entry(sender, 1));
  const isGone = (sender: string) => sender !== "b";
  const first = replies.forget(isGone, 2);
  expect(first.map(({ key }) => key)).toEqual(["a", "c"]);
  memory.apply(first);
  memory.apply(replies.forget(isGone, 2));
  expect([...memory.entries(senderSpace)].map(([sender]) => sender)).toEqual(["b"]);
  expect(replies.forget(isGone, 2)).toEqual([]);
  expect(replies.judge(origin("b", 1)).kind).toBe("known");
});
