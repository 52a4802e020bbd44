// Run: one scenario from its start to its table and its files.
// Owns: the folder for data, progress, what is printed, the JSON and the HTML file. Does not own:
// the command line (main.ts), what is measured (the scenarios).
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { reportPage } from "../src/report/report-page.ts";
import { formatReport, sealReport, type Goal, type Report } from "../src/report/report.ts";
import { unjudged } from "../src/report/verdict.ts";
import { CoRunners } from "./co-runners.ts";
import { environment, probe, probesTaken } from "./machine.ts";
import { textTable, type Scenario } from "./scenario.ts";

export interface RunOptions extends ReportFiles {
  readonly smoke?: boolean;
  readonly rounds?: number;
}

/** Where a report is to be written; left out: nowhere. */
export interface ReportFiles {
  readonly json?: string;
  readonly html?: string;
}

/** Measures, prints, writes the files. True: the result is valid. */
export async function runScenario(scenario: Scenario, options: RunOptions): Promise<boolean> {
  const smoke = options.smoke ?? false;
  const rounds = options.rounds ?? (smoke ? 1 : scenario.roundsDefault);
  const folder = dataFolder("bench-");
  const times = rounds === 1 ? "1 round" : `${String(rounds)} rounds`;
  const startedAt = new Date().toISOString();
  const startMs = performance.now();
  const coRunners = new CoRunners();
  progress(`${scenario.name}: ${times}, ${smoke ? "smoke size" : scenario.takes}`);
  probe();
  const result = await scenario.run({ rounds, smoke, folder, progress });
  probe();
  const { problems } = result;
  const { commit, ...machine } = environment(folder);
  const facts = { ...machine, coRunners: coRunners.summary() };
  const report = sealReport({
    version: 1,
    scenario: scenario.name,
    summary: scenario.summary,
    startedAt,
    tookMs: Math.round(performance.now() - startMs),
    smoke,
    rounds,
    valid: problems.length === 0,
    problems: [...problems],
    commit: String(commit),
    seeds: { ...result.seeds },
    environment: facts,
    goals: result.goals.map((goal) => judged(goal, smoke, problems)),
    samples: [...result.samples],
    charts: [...result.charts],
    probes: [...probesTaken()],
    text: result.report,
    figures: { ...result.figures },
  });
  print(report);
  writeReport(report, options);
  return report.valid;
}

/** Writes the files that are asked for, and says so. */
export function writeReport(report: Report, { json, html }: ReportFiles): void {
  const files = [
    [json, () => formatReport(report)],
    [html, () => reportPage(report)],
  ] as const;
  for (const [file, text] of files) {
    if (file === undefined) continue;
    writeFileSync(file, text());
    process.stdout.write(`written: ${file}\n`);
  }
}

/**
 * A new folder that is removed when this process ends. Not the system's folder for temporary
 * files: that may lie in memory, where a flush is free.
 */
export function dataFolder(prefix: string): string {
  mkdirSync("data", { recursive: true });
  const folder = mkdtempSync(join("data", prefix));
  process.on("exit", () => {
    // Again, while those who are told to end still write there.
    rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  });
  return folder;
}

/** Tells a person how far it is, and since when. */
export function progress(line: string): void {
  const seconds = (performance.now() / 1000).toFixed(0);
  process.stderr.write(`${seconds.padStart(5)} s  ${line}\n`);
}

/** What a run was too short or too disturbed for is not judged by it. */
function judged(goal: Goal, smoke: boolean, problems: readonly string[]): Goal {
  if (smoke) return unjudged(goal, "smoke size");
  return problems.length > 0 ? unjudged(goal, "the result is not valid") : goal;
}

function print({ text, goals, smoke, commit, environment: facts, hash, problems }: Report): void {
  const say = (line: string) => process.stdout.write(`${line}\n`);
  say(`\n${text}`);
  if (goals.length > 0) say(`\n${goalsText(goals)}`);
  const shown = Object.entries({ commit, ...facts }).map(([name, value]) => `${name} ${value}`);
  say(`\n${shown.join(", ")}\nresult ${hash}`);
  if (smoke) say("smoke size: the figures mean nothing, goals are not judged");
  for (const problem of problems) say(`INVALID: ${problem}`);
}

function goalsText(goals: readonly Goal[]): string {
  const rows = goals.map(({ name, goal, measured, verdict, why }) => {
    return [name, goal, measured, `${verdict}:`, why];
  });
  const table = textTable([["goal", "", "measured", "verdict", ""], ...rows]);
  const counts = (["met", "missed", "cannot tell"] as const).map((verdict) => {
    return `${String(goals.filter((goal) => goal.verdict === verdict).length)} ${verdict}`;
  });
  return `${table}\n${counts.join(", ")}`;
}
