// Goal: whatever is sent, repeated, lost, crashed and taken over, each number and each key takes
// effect at most once, and exactly once where it was answered. Method: random steps (property) over
// real partitions and their logs in virtual time; what is found once stays as a plain test.
import fc from "fast-check";
import { test } from "vitest";
import { PartitionWorld, type StoreFault } from "../support/partition-world.ts";

const numRuns = Number(process.env["FC_RUNS"] ?? 300);

/** The name stands in a counterexample. */
interface Step {
  readonly name: string;
  readonly run: (world: PartitionWorld) => void | Promise<void>;
}

/** Of whichever age: some do not know that they own nothing any more. */
const owner = fc.nat(7);
const command = fc.nat(30);

const send: fc.Arbitrary<Step> = fc
  .tuple(
    owner,
    fc.constantFrom("s", "t"),
    fc.option(fc.constantFrom("k", "l"), { freq: 4 }),
    fc.boolean(),
    fc.constantFrom("journal", "written"),
  )
  .map(([which, sender, key, keepsReply, ack]) => ({
    name: `send ${String(which)} ${sender} ${String(key)} ${String(keepsReply)} ${ack}`,
    run: (world) => {
      world.send(which, sender, key, keepsReply, ack);
    },
  }));

const word: fc.Arbitrary<Step> = fc
  .tuple(owner, fc.constantFrom("write", "hear"))
  .map(([which, kind]) => ({
    name: `${kind} ${String(which)}`,
    run: (world) => {
      world[kind](which);
    },
  }));

const repeat: fc.Arbitrary<Step> = fc.tuple(owner, command).map(([which, nth]) => ({
  name: `repeat ${String(which)} ${String(nth)}`,
  run: (world) => {
    world.repeat(which, nth);
  },
}));

const fault: fc.Arbitrary<Step> = fc
  .tuple(owner, fc.constantFrom<StoreFault>("lost", "silent", "late"))
  .map(([which, kind]) => ({
    name: `fault ${String(which)} ${kind}`,
    run: (world) => {
      world.fault(which, kind);
    },
  }));

/** An append takes up to 6 ms: much happens while one is out. */
const pass: fc.Arbitrary<Step> = fc
  .nat(12)
  .map((ms) => ({ name: `pass ${String(ms)}`, run: (world) => world.pass(ms) }));

const giveUp: fc.Arbitrary<Step> = command.map((nth) => ({
  name: `give up ${String(nth)}`,
  run: (world) => {
    world.giveUp(nth);
  },
}));

const takeOver: fc.Arbitrary<Step> = fc.constant({
  name: "take over",
  run: (world) => {
    world.takeOver();
  },
});

const end: fc.Arbitrary<Step> = fc
  .tuple(owner, fc.constantFrom("handOver", "stop", "crash"))
  .map(([which, kind]) => ({
    name: `${kind} ${String(which)}`,
    run: (world) => {
      world[kind](which);
    },
  }));

const checkpoint: fc.Arbitrary<Step> = fc.constant({
  name: "checkpoint",
  run: (world) => world.checkpoint(),
});

const step = fc.oneof(
  { weight: 8, arbitrary: send },
  { weight: 6, arbitrary: repeat },
  { weight: 6, arbitrary: pass },
  { weight: 4, arbitrary: fault },
  { weight: 5, arbitrary: word },
  { weight: 2, arbitrary: takeOver },
  { weight: 3, arbitrary: end },
  { weight: 1, arbitrary: giveUp },
  { weight: 1, arbitrary: checkpoint },
);

test("P2, P4, P5, P7, P13: each number and key has one effect at most, and one where it was answered", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.nat(),
      fc.array(step, { maxLength: 60, size: "max" }),
      async (seed, steps) => {
        const world = await PartitionWorld.open(seed);
        world.takeOver();
        for (const { run } of steps) await run(world);
        await world.settle();
      },
    ),
    { numRuns },
  );
});
