// Goal: never more bytes on their way than allowed, but for one call alone; who waits starts in
// order, and nobody is forgotten. Method: a property against a plain model; examples.
import fc from "fast-check";
import { expect, test } from "vitest";
import { ByteWindow } from "../../src/grid/stores/hazelcast-window.ts";

const bytesMax = 100;

test("at most the allowed bytes are on their way, in order, and all start in the end", () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("enter" as const), bytes: fc.integer({ min: 1, max: 150 }) }),
    fc.record({ kind: fc.constantFrom("leave" as const, "withdraw" as const), which: fc.nat(9) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: "max" }), (steps) => {
      const window = new ByteWindow(bytesMax);
      const running: { id: number; bytes: number }[] = [];
      const waiting: { id: number; start: () => void }[] = [];
      const started: number[] = [];
      const withdrawn = new Set<number>();
      const check = () => {
        const used = running.reduce((sum, { bytes }) => sum + bytes, 0);
        expect(used <= bytesMax || running.length === 1).toBe(true);
      };
      let ids = 0;
      for (const one of steps) {
        if (one.kind === "enter") {
          const id = ids++;
          const start = () => {
            running.push({ id, bytes: one.bytes });
            started.push(id);
          };
          waiting.push({ id, start });
          window.enter(one.bytes, start);
        } else if (one.kind === "leave") {
          const [left] = running.splice(one.which % Math.max(1, running.length), 1);
          if (left !== undefined) window.leave(left.bytes);
        } else {
          const some = waiting[one.which % Math.max(1, waiting.length)];
          if (some === undefined) continue;
          const isWaiting = !started.includes(some.id) && !withdrawn.has(some.id);
          expect(window.withdraw(some.start)).toBe(isWaiting);
          if (isWaiting) withdrawn.add(some.id);
        }
        check();
      }
      while (running.length > 0) {
        window.leave(running.shift()?.bytes ?? 0);
        check();
      }
      const all = Array.from({ length: ids }, (_, id) => id).filter((id) => !withdrawn.has(id));
      expect(started).toEqual(all);
    }),
  );
});

test("a call of any size fits an empty window, and no other fits beside it", () => {
  const window = new ByteWindow(bytesMax);
  const started: string[] = [];
  window.enter(1000, () => started.push("large"));
  window.enter(1, () => started.push("small"));
  expect(started).toEqual(["large"]);
  window.leave(1000);
  expect(started).toEqual(["large", "small"]);
});
