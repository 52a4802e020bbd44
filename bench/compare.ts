// Compare: does tree B do worse than tree A? One scenario, one round at a time, A B B A …, each in
// a process of its own, because a machine drifts by more than what is compared differs.
// Owns: the order of runs, what the report says. Does not own: verdicts (src/report), trees
// (trees.ts), what a scenario measures, the files (run.ts).
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { failed, ok, unwrap, type Outcome } from "../src/base/failure.ts";
import {
  compareTrees,
  comparisonRows,
  type ComparedRound,
  type ComparedTrees,
} from "../src/report/comparison.ts";
import {
  parseSamples,
  sealReport,
  type Chart,
  type Report,
  type Sample,
} from "../src/report/report.ts";
import { runChild } from "./child.ts";
import { CoRunners } from "./co-runners.ts";
import { environment, probe, probesTaken } from "./machine.ts";
import { dataFolder, progress, writeReport, type ReportFiles } from "./run.ts";
import { textTable } from "./scenario.ts";
import { makeTree, type Tree } from "./trees.ts";

export interface CompareOptions extends ReportFiles {
  readonly scenario: string;
  readonly rounds?: number;
  readonly smoke?: boolean;
}

/** What was compared, and how. */
interface Setting {
  readonly scenario: string;
  readonly rounds: number;
  readonly smoke: boolean;
  readonly a: Tree;
  readonly b: Tree;
}

/** They find a difference of 30 % nearly always, on a machine that is not quiet (tests/report). */
const roundsDefault = 15;
const shownErrorLines = 12;

/**
 * Compares two revisions (`.`: the working tree). Resolves with the verdict; throws a FailureError
 * where one of the trees cannot be run or has nothing to compare.
 */
export async function compare(
  revisions: readonly [string, string],
  options: CompareOptions,
): Promise<"better" | "worse" | "cannot tell"> {
  const { scenario, smoke = false } = options;
  const rounds = options.rounds ?? (smoke ? 1 : roundsDefault);
  const folder = resolve(dataFolder("compare-"));
  const a = unwrap(makeTree(revisions[0], join(folder, "a")));
  const b = unwrap(makeTree(revisions[1], join(folder, "b")));
  for (const { name, hasOtherPackages } of [a, b]) {
    if (hasOtherPackages) progress(`${name} was made for other packages than those installed`);
  }
  const startedAt = new Date().toISOString();
  const startMs = performance.now();
  const coRunners = new CoRunners();
  const setting = { scenario, rounds, smoke, a, b };
  const measured = await measureRounds(setting);
  const compared = compareTrees(measured);
  const { commit, ...machine } = environment(folder);
  const report = reportOf(setting, measured, compared, {
    ...{ startedAt, tookMs: Math.round(performance.now() - startMs), commit: String(commit) },
    environment: { ...machine, coRunners: coRunners.summary() },
  });
  process.stdout.write(`\n${report.text}\n`);
  if (smoke) process.stdout.write("smoke size: the figures mean nothing\n");
  writeReport(report, options);
  return compared.verdict;
}

async function measureRounds({
  scenario,
  rounds,
  smoke,
  a,
  b,
}: Setting): Promise<readonly ComparedRound[]> {
  const measured: ComparedRound[] = [];
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? [a, b] : [b, a];
    const found = new Map<Tree, readonly Sample[] | null>();
    for (const tree of order) {
      probe();
      progress(`round ${String(round + 1)} of ${String(rounds)}: ${tree === a ? "A" : "B"}`);
      found.set(tree, unwrap(await runRound(tree, scenario, smoke)));
    }
    measured.push({ a: found.get(a) ?? null, b: found.get(b) ?? null });
  }
  probe();
  return measured;
}

function reportOf(
  { scenario, rounds, smoke, a, b }: Setting,
  measured: readonly ComparedRound[],
  { verdict, comparisons, onlyInOne }: ComparedTrees,
  facts: Pick<Report, "startedAt" | "tookMs" | "commit" | "environment">,
): Report {
  const [treeA, treeB] = [a, b].map(({ name, commit }) => ({ name, commit }));
  const text = [
    `${scenario}: A is ${a.name} (${a.commit}), B is ${b.name} (${b.commit})`,
    "",
    textTable(comparisonRows(comparisons)),
    ...onlyInOne.map((name) => `only in one of the trees: ${name}`),
    "",
    `B compared with A: ${verdict}`,
  ].join("\n");
  return sealReport({
    version: 1,
    scenario: "compare",
    summary: `does ${b.name} do worse than ${a.name}, by ${scenario}?`,
    ...{ rounds, smoke, valid: true, problems: [], seeds: {}, goals: [], samples: [] },
    ...facts,
    charts: [chartOf(comparisons)],
    probes: [...probesTaken()],
    text,
    figures: { scenario, a: treeA, b: treeB, verdict, comparisons, onlyInOne, measured },
  });
}

function chartOf(comparisons: ComparedTrees["comparisons"]): Chart {
  const of = (pick: "low" | "middle" | "high") =>
    comparisons.map(({ ratio }) => ratio?.[pick] ?? null);
  return {
    title: "B ÷ A",
    xLabel: "sample",
    x: comparisons.map(({ name }) => name),
    yLabel: "ratio",
    series: [
      { name: "middle", values: of("middle") },
      { name: "interval, low", values: of("low") },
      { name: "interval, high", values: of("high") },
    ],
  };
}

/** One round in one tree: its samples; null: it said itself that they must not be used. */
async function runRound(
  { name, folder }: Tree,
  scenario: string,
  smoke: boolean,
): Promise<Outcome<readonly Sample[] | null>> {
  const args = [scenario, "--rounds", "1", "--json", "round.json", ...(smoke ? ["--smoke"] : [])];
  const file = join(folder, "round.json");
  rmSync(file, { force: true });
  const program = join(folder, "bench", "main.ts");
  const { code, stdout, stderr } = await runChild(program, args, { cwd: folder });
  if (!existsSync(file)) {
    const last = `${stdout}\n${stderr}`.trim().split("\n").slice(-shownErrorLines).join("\n");
    const end = code === null ? "a signal" : String(code);
    return failed(
      "CONFIG_INVALID",
      `${name} did not measure ${scenario}, it ended with ${end}:\n${last}`,
    );
  }
  const outcome = parseSamples(readFileSync(file, "utf8"));
  if (!outcome.ok) {
    return failed("REPORT_INVALID", `the report of ${name}: ${outcome.failure.message}`);
  }
  const { valid, problems, samples } = outcome.value;
  for (const problem of problems) progress(`not valid: ${problem}`);
  return ok(valid ? samples : null);
}
