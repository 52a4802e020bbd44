// Goal: the workloads do what histories are made of, and their records are what the checkers take.
// Method: their own handlers run one after the other on a map (a perfect cluster), with answers
// that come late or never; then the same with a lie, which the checkers must find.
import { expect, test } from "vitest";
import { seededRandom, type Random } from "../../src/base/random.ts";
import { historyProblems } from "../../src/checkers/local-reads.ts";
import { registerModel } from "../../src/checkers/register-model.ts";
import { transferModel } from "../../src/checkers/transfer-model.ts";
import type { Change, Value } from "../../src/grid/log-record.ts";
import type { Application, Transaction } from "../../src/processing-units/application.ts";
import type { ClientOperation, ClusterWorkload } from "../../src/simulation/cluster-workload.ts";
import { RegisterWorkload } from "../../src/simulation/register-workload.ts";
import { bank, TransferWorkload } from "../../src/simulation/transfer-workload.ts";

/** An application run one command after the other, on one map. */
class PerfectCluster {
  readonly entries = new Map<string, Value>();
  readonly changes: Change[] = [];
  readonly #application: Application;

  constructor(application: Application) {
    this.#application = application;
  }

  run({ command, input }: ClientOperation): { answer: Value; changes: Change[] } {
    const changes: Change[] = [];
    const tx: Transaction = {
      partition: 0,
      timeMs: 0,
      random: () => 0,
      id: () => "",
      get: (space, key) => this.entries.get(`${space.name}/${key}`) as never,
      put: (space, key, value) => changes.push({ space: space.name, key, value }),
      delete: (space, key) => changes.push({ space: space.name, key, value: null }),
    };
    const answer = this.#application.commands[command]?.handle(tx, input) ?? null;
    this.apply(changes);
    return { answer, changes };
  }

  apply(changes: readonly Change[]): void {
    this.changes.push(...changes);
    for (const { space, key, value } of changes) this.entries.set(`${space}/${key}`, value);
  }

  view(space: string): ReadonlyMap<string, Value> {
    const prefix = `${space}/`;
    const own = [...this.entries].filter(([key]) => key.startsWith(prefix));
    return new Map(own.map(([key, value]) => [key.slice(prefix.length), value]));
  }
}

interface Lie {
  /** Changes of an operation that was acknowledged are lost, or made twice. */
  readonly kind: "none" | "lost" | "doubled";
}

/** Operations of all clients, effects one after the other; some answers never come. */
function drive(workload: ClusterWorkload, random: Random, operations: number, lie: Lie): string[] {
  const cluster = new PerfectCluster(workload.application);
  const promised = new Set<string>();
  let lastChanges: Change[] = [];
  let nowMs = 0;
  const run = (operation: ClientOperation): void => {
    nowMs += random.fraction() * 4;
    const calledMs = nowMs - random.fraction() * 10;
    const before = [...cluster.entries];
    const { answer, changes } = cluster.run(operation);
    const isHeard = random.chance(0.97);
    const effect = operation.effectOf(answer);
    if (isHeard && effect !== null) promised.add(effect);
    if (isHeard && lie.kind === "lost" && effect !== null && random.chance(0.05)) {
      cluster.entries.clear();
      for (const [key, value] of before) cluster.entries.set(key, value);
    }
    if (lie.kind === "doubled" && random.chance(0.05)) cluster.apply(lastChanges);
    if (changes.length > 0) lastChanges = changes;
    if (isHeard) {
      operation.ended({ kind: "answered", answer, acknowledged: true }, calledMs, nowMs);
    } else operation.ended({ kind: "unknown" }, calledMs, nowMs);
  };
  for (let each = 0; each < operations; each++) {
    if (random.chance(0.05)) {
      const refused = workload.next(random.below(workload.clients), random);
      refused.ended({ kind: "denied" }, nowMs, nowMs); // it never happens
      continue;
    }
    run(workload.next(random.below(workload.clients), random));
  }
  nowMs += 1000;
  for (const operation of workload.last(0)) run(operation);
  const found = new Set(cluster.changes.map((change) => workload.effectIn(change)));
  const missing = [...promised].filter((effect) => !found.has(effect));
  expect(missing).toEqual([]); // what was promised has a name, and is found by it
  return workload.problems({ entries: (space) => cluster.view(space), rows: () => [] });
}

const bounds = { staleMsMax: 5, stepsMax: 2_000_000 };

function registerProblems(seed: number, lie: Lie): string[] {
  const workload = new RegisterWorkload();
  const own = drive(workload, seededRandom(seed), 1500, lie);
  const { ordered, local } = workload.history;
  expect(ordered.length).toBeGreaterThan(900);
  expect(local.length).toBeGreaterThan(200);
  return [...own, ...historyProblems(registerModel, ordered, local, bounds)];
}

function transferProblems(seed: number, lie: Lie): string[] {
  const workload = new TransferWorkload();
  const own = drive(workload, seededRandom(seed), 1000, lie);
  const { ordered, local } = workload.history;
  const model = transferModel(bank.accounts, bank.beginsWith);
  return [...own, ...historyProblems(model, ordered, local, bounds)];
}

test("C1: what a perfect cluster does is ok, with answers lost and operations refused", () => {
  for (let seed = 0; seed < 5; seed++) {
    expect(registerProblems(seed, { kind: "none" })).toEqual([]);
    expect(transferProblems(seed, { kind: "none" })).toEqual([]);
  }
});

test("C1: acknowledged changes that are lost or made twice are found", () => {
  for (const kind of ["lost", "doubled"] as const) {
    for (let seed = 0; seed < 3; seed++) {
      const problems = [registerProblems(seed, { kind }), transferProblems(seed, { kind })];
      for (const found of problems) expect(found.join(), kind).toMatch(/illegal/);
    }
  }
});

test("a key has few operations, and is given up when too much of it is unknown", () => {
  const workload = new RegisterWorkload();
  const random = seededRandom(3);
  const counts = new Map<string, number>();
  for (let each = 0; each < 5000; each++) {
    const operation = workload.next(each, random);
    counts.set(operation.key, (counts.get(operation.key) ?? 0) + 1);
    if (operation.key === "r1") operation.ended({ kind: "unknown" }, each, each);
  }
  expect(workload.clients).toBeLessThanOrEqual(10);
  expect(Math.max(...counts.values())).toBe(200);
  expect(counts.get("r1")).toBe(8);
});
