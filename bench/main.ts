// Bench: `npm run bench`, the one command for everything that is measured.
// Owns: the list of scenarios, options, progress, the JSON file, the exit code (0 good, 1 invalid,
// 2 used wrongly). Does not own: what a scenario measures.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { formatReport, sealReport, type Goal } from "../src/report/report.ts";
import { unjudged } from "../src/report/verdict.ts";
import { failover } from "./failover.ts";
import { floor } from "./floor.ts";
import { generator } from "./generator.ts";
import { gridBytes } from "./grid-bytes.ts";
import { environment, probe, probesTaken } from "./machine.ts";
import { micro } from "./micro.ts";
import { ownership } from "./ownership.ts";
import { reservations } from "./reservations.ts";
import type { Scenario } from "./scenario.ts";
import { throughput } from "./throughput.ts";
import { writeBehind } from "./write-behind.ts";

const scenarios: readonly Scenario[] = [
  generator,
  floor,
  micro,
  throughput,
  reservations,
  ownership,
  gridBytes,
  failover,
  writeBehind,
];

interface Options {
  readonly smoke?: boolean;
  readonly rounds?: number;
  readonly json?: string;
}

const exitInvalid = 1;
const exitUsage = 2;

function listScenarios(): void {
  const width = Math.max(...scenarios.map(({ name }) => name.length));
  for (const { name, summary, takes } of scenarios) {
    process.stdout.write(`${name.padEnd(width)}  ${summary} (${takes})\n`);
  }
}

async function runScenario(scenario: Scenario, options: Options): Promise<void> {
  const smoke = options.smoke ?? false;
  const rounds = options.rounds ?? (smoke ? 1 : scenario.roundsDefault);
  // Not the system's folder for temporary files: that may lie in memory, where a flush is free.
  mkdirSync("data", { recursive: true });
  const folder = mkdtempSync(join("data", "bench-"));
  process.on("exit", () => {
    rmSync(folder, { recursive: true, force: true });
  });
  const startedAt = new Date().toISOString();
  const progress = (line: string) => process.stderr.write(`${line}\n`);
  const times = rounds === 1 ? "1 round" : `${String(rounds)} rounds`;
  progress(`${scenario.name}: ${times}, ${smoke ? "smoke size" : scenario.takes}`);
  probe();
  const result = await scenario.run({ rounds, smoke, folder, progress });
  probe();
  const { problems, report } = result;
  const { commit, ...facts } = environment(folder);
  const sealed = sealReport({
    version: 1,
    scenario: scenario.name,
    summary: scenario.summary,
    startedAt,
    tookMs: Math.round(performance.now()),
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
    text: report,
    figures: { ...result.figures },
  });
  if (options.json !== undefined) writeFileSync(options.json, formatReport(sealed));
  process.stdout.write(`\n${report}\n`);
  const shown = Object.entries({ commit, ...facts }).map(([name, value]) => `${name} ${value}`);
  process.stdout.write(`\n${shown.join(", ")}\nresult ${sealed.hash}\n`);
  if (smoke) process.stdout.write("smoke size: the figures mean nothing\n");
  for (const problem of problems) process.stdout.write(`INVALID: ${problem}\n`);
  if (!sealed.valid) process.exitCode = exitInvalid;
}

/** What a run was too short or too disturbed for is not judged by it. */
function judged(goal: Goal, smoke: boolean, problems: readonly string[]): Goal {
  if (smoke) return unjudged(goal, "smoke size");
  return problems.length > 0 ? unjudged(goal, "the result is not valid") : goal;
}

function wholeNumber(text: string): number {
  if (/^[1-9]\d{0,2}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It must be a whole number from 1 to 999.");
}

async function main(): Promise<void> {
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));
  await new Command("bench")
    .description("Measures. Without a scenario: lists what there is.")
    .argument("[scenario]", "what to measure")
    .option("--smoke", "a short run that only shows that it works")
    .option("--rounds <n>", "how often each candidate is measured, in turn", wholeNumber)
    .option("--json <file>", "write the result there, with its environment")
    .action(async (name: string | undefined, options: Options) => {
      if (name === undefined) {
        listScenarios();
        return;
      }
      const scenario = scenarios.find((one) => one.name === name);
      if (scenario !== undefined) {
        await runScenario(scenario, options);
        return;
      }
      process.stderr.write(`there is no scenario ${name}\n`);
      listScenarios();
      process.exitCode = exitUsage;
    })
    .parseAsync();
}

await main();
