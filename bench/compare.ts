// Compare: does tree B do worse than tree A? One scenario, one round at a time, A B B A …, each in
// a process of its own, because a machine drifts by more than what is compared differs.
// Owns: the order of runs, what is printed, the JSON file, the exit code. Does not own: verdicts
// (src/report), trees (trees.ts), what a scenario measures.
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { failed, ok, unwrap, type Outcome } from "../src/base/failure.ts";
import { compareTrees, comparisonRows, type ComparedRound } from "../src/report/comparison.ts";
import { parseSamples, type Sample } from "../src/report/report.ts";
import { runChild } from "./child.ts";
import { environment, probe, probesTaken } from "./machine.ts";
import { dataFolder, progress } from "./run.ts";
import { textTable } from "./scenario.ts";
import { makeTree, type Tree } from "./trees.ts";

export interface CompareOptions {
  readonly scenario: string;
  readonly rounds?: number;
  readonly smoke?: boolean;
  readonly json?: string;
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
  const smoke = options.smoke ?? false;
  const rounds = options.rounds ?? (smoke ? 1 : roundsDefault);
  const folder = resolve(dataFolder("compare-"));
  const a = unwrap(makeTree(revisions[0], join(folder, "a")));
  const b = unwrap(makeTree(revisions[1], join(folder, "b")));
  for (const { name, hasOtherPackages } of [a, b]) {
    if (hasOtherPackages) progress(`${name} was made for other packages than those installed`);
  }
  const measured: ComparedRound[] = [];
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? [a, b] : [b, a];
    const found = new Map<Tree, readonly Sample[] | null>();
    for (const tree of order) {
      probe();
      progress(`round ${String(round + 1)} of ${String(rounds)}: ${tree === a ? "A" : "B"}`);
      found.set(tree, unwrap(await runRound(tree, options.scenario, smoke)));
    }
    measured.push({ a: found.get(a) ?? null, b: found.get(b) ?? null });
  }
  probe();
  const { verdict, comparisons, onlyInOne } = compareTrees(measured);
  const say = (line: string) => process.stdout.write(`${line}\n`);
  say(`\n${options.scenario}: A is ${a.name} (${a.commit}), B is ${b.name} (${b.commit})\n`);
  say(textTable(comparisonRows(comparisons)));
  for (const name of onlyInOne) say(`only in one of the trees: ${name}`);
  say(`\nB compared with A: ${verdict}`);
  if (smoke) say("smoke size: the figures mean nothing");
  if (options.json !== undefined) {
    const facts = { environment: environment(folder), probes: probesTaken() };
    const [treeA, treeB] = [a, b].map(({ name, commit }) => ({ name, commit }));
    const result = {
      version: 1,
      ...{ scenario: options.scenario, smoke, rounds, a: treeA, b: treeB },
      ...{ verdict, comparisons, onlyInOne, measured, ...facts },
    };
    writeFileSync(options.json, `${JSON.stringify(result, null, 2)}\n`);
    say(`written: ${options.json}`);
  }
  return verdict;
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
