// Goal: W1, from the other side: clusters with something wrong in them are found to be wrong, from
// outside, within 200 seeds each. Method: the engine's own lanes with one method of one module
// replaced, or one adapter that does less than it says; seeds from 1 on until one fails, for a
// reason that fits. A bug that nobody finds is a hole in the oracle, the clients or the faults.
import { afterEach, expect, test, vi } from "vitest";
import { simulatedWorkload } from "../../src/cli/simulated-workload.ts";
import type { WorkloadName } from "../../src/cli/settings.ts";
import { failed, ok, type Outcome } from "../../src/base/failure.ts";
import type { Database, ProgressRow } from "../../src/data-pump/database.ts";
import { recordKey } from "../../src/grid/grid-keys.ts";
import type { Change } from "../../src/grid/log-record.ts";
import type { ByteMap } from "../../src/grid/store.ts";
import { Messenger } from "../../src/messaging-grid/messenger.ts";
import { GivenPartitions } from "../../src/processing-units/given-partitions.ts";
import { PartitionCommands } from "../../src/processing-units/partition-commands.ts";
import { UnwrittenAnswers } from "../../src/processing-units/partition-unwritten.ts";
import { PartitionMemory } from "../../src/processing-units/partition-memory.ts";
import { PendingEntries } from "../../src/processing-units/partition-pending.ts";
import { Partition } from "../../src/processing-units/partition.ts";
import { Replies } from "../../src/processing-units/replies.ts";
import { runBatch, type SeedFailure } from "../../src/simulation/cluster-batch.ts";
import { noFaults, type FaultPlan } from "../../src/simulation/cluster-faults.ts";
import { runCluster } from "../../src/simulation/cluster-run.ts";
import { honest, LyingStore } from "../../src/simulation/lying-store.ts";
import { VirtualDatabase } from "../../src/simulation/virtual-database.ts";
import type { VirtualProcess } from "../../src/simulation/virtual-process.ts";

const seedsMax = 200;
/** Set while records are to say the time that a slow clock would. */
const wrong = { time: false };
const undo: (() => void)[] = [];

vi.mock(import("../../src/grid/log-record.ts"), async (original) => {
  const real = await original();
  return {
    ...real,
    encodeRecord: (record) => {
      // Each owner's clock is seconds off that of the one before.
      const timeMs = wrong.time ? record.timeMs - (record.epoch % 7) * 1000 : record.timeMs;
      return real.encodeRecord({ ...record, timeMs });
    },
  };
});

afterEach(() => {
  wrong.time = false;
  for (const each of undo.splice(0)) each();
  vi.restoreAllMocks();
});

/** Puts another method in the place of a class's, for one test. */
function replace<T extends object, K extends keyof T>(
  prototype: T,
  name: K,
  make: (real: T[K]) => T[K],
): void {
  const real = prototype[name];
  prototype[name] = make(real);
  undo.push(() => (prototype[name] = real));
}

const isInternal = ({ space }: Change): boolean => space.startsWith("$");

/** The rows that tell repeated commands apart are not loaded. */
function plantForgottenReplies(): void {
  for (const name of ["loadSegment", "loadCheckpoint"] as const) {
    replace(PartitionMemory.prototype, name, (real) => {
      return function (this: PartitionMemory, changes: readonly Change[]) {
        real.call(
          this,
          changes.filter((change) => !isInternal(change)),
        );
      };
    });
  }
}

/** A store that, until a lane's time is over, lets it write over what others wrote. */
function plantLease(): void {
  const recordKind = recordKey(0, 0)[2];
  const leaseMs = 10_000;
  replace(LyingStore.prototype, "connect", (real) => {
    return function (this: LyingStore, process: VirtualProcess) {
      const store = real.call(this, process);
      const untilMs = process.clock.wallMs() + leaseMs;
      return { ...store, map: (name) => leased(store.map(name)) };
      function leased(map: ByteMap): ByteMap {
        return {
          ...map,
          putIfAbsent: async (key, value, deadlineMs) => {
            const outcome = await map.putIfAbsent(key, value, deadlineMs);
            const isBeaten = outcome.ok && outcome.value !== null && !outcome.value.equals(value);
            const isOver = process.clock.wallMs() > untilMs;
            if (!isBeaten || key[2] !== recordKind || isOver) return outcome;
            return map.put(key, value, deadlineMs);
          },
        };
      }
    };
  });
}

/** Epochs never get into the rows, which are written under whatever epoch is there. */
function plantUnclaimed(): void {
  replace(VirtualDatabase.prototype, "connect", (real) => {
    return function (this: VirtualDatabase, process: VirtualProcess): Database {
      const database = real.call(this, process);
      const { server } = this;
      const epochs = new Map<number, number>();
      const asClaimed = async (partitions: readonly number[]): Promise<Outcome<ProgressRow[]>> => {
        const rows = await database.read(partitions);
        if (!rows.ok) return rows;
        return ok(rows.value.map((row) => ({ ...row, epoch: epochs.get(row.partition) ?? 0 })));
      };
      return {
        claim: (_generation, claims) => {
          for (const { partition, epoch } of claims) epochs.set(partition, epoch);
          return asClaimed(claims.map(({ partition }) => partition));
        },
        read: asClaimed,
        write: (transaction) => {
          const steps = transaction.steps.map((step) => ({
            ...step,
            epoch: server.row(step.partition)?.epoch ?? 0,
          }));
          return database.write({ ...transaction, steps });
        },
        rehearse: (transaction) => database.rehearse(transaction),
        close: () => database.close(),
      };
    };
  });
}

/** Each time that a command is sent again, it is another command for its receiver. */
function plantNewNumbers(): void {
  const sent = new Set<string>();
  let fresh = 1_000_000;
  replace(Messenger.prototype, "send", (real) => {
    return function (this: Messenger, peer, request, respond) {
      const { origin, partition } = request;
      if (origin === null) {
        real.call(this, peer, request, respond);
        return;
      }
      const command = `${origin.sender} ${origin.number} ${partition}`;
      const number = sent.has(command) ? ++fresh : origin.number;
      sent.add(command);
      real.call(this, peer, { ...request, origin: { ...origin, number } }, respond);
    };
  });
}

/** A lost link, and an append of unknown fate, count as nothing done. */
function plantDenials(): void {
  const never = failed("PEER_UNREACHABLE", "the link is gone");
  replace(Messenger.prototype, "send", (real) => {
    return function (this: Messenger, peer, request, respond) {
      real.call(this, peer, request, (outcome) => {
        respond(!outcome.ok && outcome.failure.code === "LANE_LOST" ? never : outcome);
      });
    };
  });
  replace(PendingEntries.prototype, "stopped", (real) => {
    return function (this: PendingEntries, reason, inFlight) {
      real.call(this, reason, inFlight, "notApplied");
    };
  });
}

/** Commands are answered as those that ask for `x-ack: memory` are. */
function plantEarlyReplies(): void {
  replace(Partition.prototype, "execute", (real) => {
    return function (this: Partition, request) {
      real.call(this, { ...request, ack: "memory" });
    };
  });
}

interface PlantedBug {
  readonly name: string;
  readonly workload: WorkloadName;
  plant(): void;
  /** What an oracle may say of it. */
  readonly found: RegExp;
  /** Where what the seeds draw would take long to show it. */
  readonly faults?: FaultPlan;
}

const bugs: readonly PlantedBug[] = [
  {
    name: "written is answered when it is journaled",
    workload: "register",
    plant: () =>
      vi.spyOn(UnwrittenAnswers.prototype, "wait").mockImplementation(({ respond, outcome }) => {
        respond(outcome);
      }),
    found: /answered as written, and is not/,
  },
  {
    name: "dedupe off",
    workload: "register",
    plant: () => vi.spyOn(Replies.prototype, "judge").mockReturnValue({ kind: "new" }),
    found: /journaled again|and again in partition/,
  },
  {
    name: "dedupe not in the checkpoint",
    workload: "transfer",
    plant: plantForgottenReplies,
    found: /journaled again|and again in partition|is not the fold/,
  },
  {
    name: "the clock used as a fence",
    workload: "register",
    plant: plantLease,
    found: /two values|another value|chain is broken|is gone|acknowledged behind/,
  },
  {
    name: "reply before journal",
    workload: "register",
    plant: plantEarlyReplies,
    found: /was answered, and is in no log/,
  },
  {
    name: "database claim skipped",
    workload: "register",
    plant: plantUnclaimed,
    found: /no claim/,
  },
  {
    name: "time going back",
    workload: "register",
    plant: () => (wrong.time = true),
    found: /time goes back/,
  },
  {
    name: "not applied, said without proof",
    workload: "register",
    plant: plantDenials,
    found: /was denied, and is in/,
    faults: { ...noFaults, kinds: ["reset", "crash", "leave"], everyMs: 200, downMax: 2 },
  },
  {
    name: "local reads of what is not journaled",
    workload: "register",
    plant: () => vi.spyOn(PendingEntries.prototype, "lastChange", "get").mockReturnValue(null),
    found: /was read, and is in no log/,
  },
  {
    name: "a lane that leaves waits for no heir",
    workload: "register",
    plant: () => vi.spyOn(GivenPartitions.prototype, "unserved", "get").mockReturnValue(new Set()),
    found: /was stopped in order, and is not complete/,
  },
  {
    name: "a retry under a new number",
    workload: "register",
    plant: plantNewNumbers,
    found: /and again in partition/,
  },
];

test.for(bugs)("W1: found from outside: $name", { timeout: 600_000 }, async (bug) => {
  bug.plant();
  const isIt = ({ problems }: SeedFailure): boolean =>
    problems.some((what) => bug.found.test(what));
  const batch = await runBatch({
    from: 1,
    seeds: seedsMax,
    makeWorkload: () => simulatedWorkload(bug.workload),
    run: bug.faults === undefined ? {} : { faults: bug.faults },
    onSeed: ({ failures }) => !failures.some(isIt),
  });
  const finding = batch.failures.find(isIt);
  expect(finding, `${bug.name} in ${seedsMax} seeds`).toBeDefined();
});

test("W1: found from outside: released without draining", async () => {
  vi.spyOn(PartitionCommands.prototype, "isPending", "get").mockReturnValue(false);
  const lies = { ...honest, delayMsMax: 60 }; // so that something mostly waits for the journal
  const plan = { ...noFaults, lies, kinds: ["leave"], everyMs: 1000, downMax: 1 } as const;
  let unanswered = 0;
  for (let seed = 1; seed <= seedsMax && unanswered === 0; seed++) {
    const { workload } = simulatedWorkload("register");
    const run = await runCluster({ seed, workload, faults: plan });
    unanswered += run.unanswered + run.violations.length;
  }
  expect(unanswered).toBeGreaterThan(0);
});
