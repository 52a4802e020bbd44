// Goal: what a profile saw is put down to the stage that caused it. Method: a small profile made by
// hand, with its sums counted by hand.
import { expect, test } from "vitest";
import { stagesOf, type CpuProfile } from "../../bench/cpu-stages.ts";

function node(id: number, functionName: string, url: string, children: number[] = []) {
  return { id, callFrame: { functionName, url }, children };
}

const src = "file:///somewhere/src";
const profile: CpuProfile = {
  startTime: 1000,
  nodes: [
    node(1, "(root)", "", [2, 3, 4, 5]),
    node(2, "(idle)", ""),
    node(3, "(garbage collector)", ""),
    node(4, "onEnd", "file:///x/node_modules/fastify/lib/handle-request.js", [6, 9]),
    node(5, "runMicrotasks", ""),
    node(6, "handle", `${src}/bidding-demo/bid-command.ts`, [7, 8]),
    node(7, "toString", `${src}/processing-units/value.ts`),
    node(8, "hash", "node:internal/crypto/hash"),
    node(9, "writeUtf8String", ""),
  ],
  samples: [6, 7, 8, 9, 2, 3, 5, 6, 6],
  timeDeltas: [10, 20, 30, 40, 50, 60, 70, 80, 90],
};

test("a sample belongs to the innermost function with a stage; idle time to none", () => {
  expect(Object.fromEntries(stagesOf(profile, { fromUs: 0, toUs: 10_000 }))).toEqual({
    decide: 10 + 30 + 80 + 90, // the hash is what the handler called
    freeze: 20,
    HTTP: 40, // a native function of nobody's own
    "garbage collection": 60,
    "event loop": 70,
  });
});

test("only samples within the window count", () => {
  const stages = stagesOf(profile, { fromUs: 1030, toUs: 1100 });
  expect(Object.fromEntries(stages)).toEqual({ freeze: 20, decide: 30, HTTP: 40 });
});
