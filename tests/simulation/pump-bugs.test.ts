// Goal: pumps and databases with something wrong in them are found to be wrong, within 200 seeds
// each. Method: schedules of several lanes' pumps (tests/support/pump-schedule.ts) with one method
// of the engine, or of an adapter, replaced; seeds from 1 on until one fails.
// Invariants (docs/invariants.md):
//   D1. What is not in one transaction, or under no condition, shows.
//   D4. What was guessed of a transaction shows.
//   D12. A key that is parked for some only shows.
//   D13. A letter that is not in the transaction of its record shows.
//   D14. What was written out of order shows.
import { afterEach, expect, test, vi } from "vitest";
import { must } from "../../src/base/assert.ts";
import { ok } from "../../src/base/failure.ts";
import { BatchSize } from "../../src/data-pump/batch-size.ts";
import type { ProgressStep, PumpTransaction } from "../../src/data-pump/database.ts";
import { ParkedKeys } from "../../src/data-pump/parked-keys.ts";
import { Pump } from "../../src/data-pump/pump.ts";
import { PumpedPartition } from "../../src/data-pump/pumped-partition.ts";
import { RowBatch } from "../../src/data-pump/rows.ts";
import { DatabaseServer } from "../../src/simulation/database-server.ts";
import { MemoryDatabase } from "../support/memory-database.ts";
import { PumpSchedule } from "../support/pump-schedule.ts";

const seedsMax = 200;
const undo: (() => void)[] = [];

afterEach(() => {
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

/** The server looks at other steps than it was given. */
function plantSteps(change: (server: DatabaseServer, step: ProgressStep) => ProgressStep): void {
  replace(DatabaseServer.prototype, "attempt", (real) => {
    return function (this: DatabaseServer, transaction, isKept) {
      const steps = transaction.steps.map((step) => change(this, step));
      return real.call(this, { ...transaction, steps }, isKept);
    };
  });
}

/** A part of each transaction is a transaction of its own, before the rest. */
function plantParts(part: (all: PumpTransaction) => [PumpTransaction, PumpTransaction]): void {
  replace(DatabaseServer.prototype, "attempt", (real) => {
    return function (this: DatabaseServer, transaction, isKept) {
      if (isKept === false) return real.call(this, transaction, isKept);
      const [first, rest] = part(transaction);
      const { onWritten } = this;
      this.onWritten = () => undefined;
      const outcome = real.call(this, first, true);
      this.onWritten = onWritten;
      return outcome.ok ? real.call(this, rest, true) : outcome;
    };
  });
}

/**
 * What failed is sent again by the connection, behind the next one that went well, as if it came
 * next. Without what would be there twice: only its place is wrong.
 */
function plantRetries(): void {
  const failures = new WeakMap<MemoryDatabase, PumpTransaction>();
  replace(MemoryDatabase.prototype, "write", (real) => {
    return async function (this: MemoryDatabase, transaction) {
      const outcome = await real.call(this, transaction);
      if (!outcome.ok) {
        if (outcome.failure.code !== "ROW_REFUSED") failures.set(this, transaction);
        return outcome;
      }
      const older = failures.get(this);
      if (older === undefined || outcome.value !== "written") return outcome;
      failures.delete(this);
      const found = await this.read(older.steps.map(({ partition }) => partition));
      if (!found.ok) return outcome;
      const steps = older.steps.map((step) => {
        const row = must(
          found.value.find(({ partition }) => partition === step.partition),
          "each partition has a row",
        );
        const { seq, letters, complete } = row;
        return { ...step, before: seq, seq, letters, complete, chain: row.chain ?? step.chain };
      });
      const rows = older.rows.map((each) => ({ ...each, appends: [] }));
      await real.call(this, { ...older, steps, rows, letters: [] });
      return outcome;
    };
  });
}

/** A key that stands in the batch before is changed there, as long as nobody has looked at it. */
function plantWideCoalescing(): void {
  let before: [string, unknown][] = [];
  replace(RowBatch.prototype, "toTables", (real) => {
    return function (this: RowBatch) {
      const tables = real.call(this);
      before = tables.flatMap(({ upserts }) => upserts as [string, unknown][]);
      return tables;
    };
  });
  replace(RowBatch.prototype, "add", (real) => {
    return function (this: RowBatch, table, key, value) {
      const earlier = before.find(([each]) => each === key);
      if (earlier === undefined || value === null) real.call(this, table, key, value);
      else earlier[1] = value;
    };
  });
}

interface PlantedBug {
  readonly name: string;
  plant(): void;
}

const bugs: readonly PlantedBug[] = [
  {
    name: "D1: progress outside the transaction",
    plant: () => {
      plantParts((all) => [
        { ...all, steps: [], letters: [] },
        { ...all, rows: [] },
      ]);
    },
  },
  {
    name: "D1: epoch unchecked on a rewound store",
    plant: () => {
      plantSteps((server, step) => ({ ...step, epoch: server.row(step.partition)?.epoch ?? 0 }));
    },
  },
  {
    name: "D1: seq unchecked",
    plant: () => {
      plantSteps((server, step) => ({ ...step, before: server.row(step.partition)?.seq ?? 0 }));
    },
  },
  {
    name: "D4: guessing an unknown commit",
    plant: () => {
      replace(MemoryDatabase.prototype, "write", (real) => {
        return async function (this: MemoryDatabase, transaction) {
          const outcome = await real.call(this, transaction);
          return outcome.ok || outcome.failure.kind !== "unknown" ? outcome : ok("written");
        };
      });
    },
  },
  {
    name: "D4: trim by timer",
    plant: () => {
      const tails = new WeakMap<Pump, Map<number, () => number>>();
      replace(Pump.prototype, "attach", (real) => {
        return function (this: Pump, source) {
          const known = tails.get(this) ?? new Map<number, () => number>();
          tails.set(
            this,
            known.set(source.partition, () => source.tail()),
          );
          real.call(this, source);
        };
      });
      replace(Pump.prototype, "confirmWritten", () => {
        return function (this: Pump, partition) {
          return Promise.resolve(tails.get(this)?.get(partition)?.() ?? null);
        };
      });
    },
  },
  { name: "D14: a retry that reorders", plant: plantRetries },
  {
    name: "D14: the next batch goes past one that failed",
    plant: () => {
      replace(PumpedPartition.prototype, "unform", () => () => undefined);
    },
  },
  {
    name: "D1: coalescing over a batch's edge",
    plant: () => {
      vi.spyOn(BatchSize.prototype, "isLarge").mockReturnValue(true);
      plantWideCoalescing();
    },
  },
  {
    name: "D12: parked key forgotten by a new owner",
    plant: () => {
      replace(ParkedKeys.prototype, "read", (real) => {
        return function (this: ParkedKeys, row) {
          return real.call(this, { ...row, parked: [] });
        };
      });
    },
  },
  {
    name: "D12: an operator's act unseen by an owner",
    plant: () => {
      plantSteps((server, step) => ({
        ...step,
        letters: server.row(step.partition)?.letters ?? 0,
      }));
    },
  },
  {
    name: "D12: parked for later transactions only",
    plant: () => {
      replace(ParkedKeys.prototype, "has", (real) => {
        return function (this: ParkedKeys, space, key) {
          return this.count > 0 && real.call(this, space, key);
        };
      });
    },
  },
  {
    name: "D13: letter outside the transaction",
    plant: () => {
      plantParts((all) => [
        { ...all, steps: [], rows: [] },
        { ...all, letters: [] },
      ]);
    },
  },
];

test.for(bugs)("found from outside: $name", { timeout: 600_000 }, async (bug) => {
  bug.plant();
  let found: string[] = [];
  let seed = 1;
  for (; seed <= seedsMax && found.length === 0; seed++) {
    const schedule = new PumpSchedule(seed);
    await schedule.run(150).catch((error: unknown) => schedule.problems.push(String(error)));
    found = schedule.problems;
  }
  expect(found, `${bug.name} in ${seedsMax} seeds`).not.toEqual([]);
});

test("D1: and nothing is found where nothing is planted", async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const schedule = new PumpSchedule(seed);
    await schedule.run(150);
    expect(schedule.problems, `seed ${seed}`).toEqual([]);
  }
});
