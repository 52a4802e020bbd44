// Bench: `npm run bench`, the one command for everything that is measured.
// Owns: the list of scenarios, options, the exit code (of a scenario: 0 valid, 1 invalid; of a
// comparison: 0 not worse, 1 worse; 2 used wrongly). Does not own: a run (run.ts), a comparison
// (compare.ts), what a scenario measures.
import { existsSync, statSync } from "node:fs";
import { constants } from "node:os";
import { dirname } from "node:path";
import { Command, InvalidArgumentError, type CommanderError } from "commander";
import { FailureError } from "../src/base/failure.ts";
import { bidPath } from "./bid-path.ts";
import { compare, type CompareOptions } from "./compare.ts";
import { floor } from "./floor.ts";
import { generator } from "./generator.ts";
import { gridBytes } from "./grid-bytes.ts";
import { latency } from "./latency.ts";
import { loadingBack } from "./loading-back.ts";
import { micro } from "./micro.ts";
import { ownership } from "./ownership.ts";
import { recovery } from "./recovery.ts";
import { rivals } from "./rivals.ts";
import { runScenario, type RunOptions } from "./run.ts";
import type { Scenario } from "./scenario.ts";
import { throughput } from "./throughput.ts";
import { writeBehind } from "./write-behind.ts";

const scenarios: readonly Scenario[] = [
  generator,
  floor,
  micro,
  throughput,
  bidPath,
  latency,
  rivals,
  ownership,
  gridBytes,
  recovery,
  writeBehind,
  loadingBack,
];

const exitWorse = 1;
const exitInvalid = 1;
const exitUsage = 2;

function listScenarios(): void {
  const width = Math.max(...scenarios.map(({ name }) => name.length));
  for (const { name, summary, takes } of scenarios) {
    process.stdout.write(`${name.padEnd(width)}  ${summary} (${takes})\n`);
  }
}

function knownScenario(name: string): Scenario | undefined {
  const scenario = scenarios.find((one) => one.name === name);
  if (scenario !== undefined) return scenario;
  process.stderr.write(`there is no scenario ${name}; there are:\n`);
  listScenarios();
  process.exitCode = exitUsage;
  return undefined;
}

async function measure(name: string | undefined, options: RunOptions): Promise<void> {
  if (name === undefined) {
    listScenarios();
    return;
  }
  const scenario = knownScenario(name);
  if (scenario === undefined) return;
  if (!(await runScenario(scenario, options))) process.exitCode = exitInvalid;
}

async function measureTrees(a: string, b: string, options: CompareOptions): Promise<void> {
  if (knownScenario(options.scenario) === undefined) return;
  try {
    if ((await compare([a, b], options)) === "worse") process.exitCode = exitWorse;
  } catch (error) {
    if (!(error instanceof FailureError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = exitUsage;
  }
}

function wholeNumber(text: string): number {
  if (/^[1-9]\d{0,2}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It must be a whole number from 1 to 999.");
}

/** Looked at before anything is measured: minutes later it would be too late. */
function newFile(text: string): string {
  const isFolder = existsSync(text) && statSync(text).isDirectory();
  if (text === "" || isFolder) throw new InvalidArgumentError("It must be the name of a file.");
  if (existsSync(dirname(text))) return text;
  throw new InvalidArgumentError(`There is no folder ${dirname(text)}: make it first.`);
}

/** What was started ends with this process: by its reapers, or when it exits. */
function stopOn(signal: "SIGINT" | "SIGTERM"): void {
  process.once(signal, () => {
    process.stderr.write(`stopped by ${signal}: nothing was written\n`);
    process.exit(128 + constants.signals[signal]);
  });
}

function newCommand(): Command {
  const bench = new Command("bench")
    .description("Measures. Without a scenario: lists what there is.")
    .enablePositionalOptions()
    .exitOverride(({ exitCode }: CommanderError) => process.exit(exitCode === 0 ? 0 : exitUsage))
    .argument("[scenario]", "what to measure")
    .option("--smoke", "a short run that only shows that it works")
    .option("--rounds <n>", "how often each candidate is measured, in turn", wholeNumber)
    .option("--json <file>", "write the result there, with its environment", newFile)
    .option("--html <file>", "write it there as a page for a browser, with charts", newFile)
    .action(measure);
  bench
    .command("compare")
    .description("Does B do worse than A? Runs both in turn, A B B A …; exit code 1: it does.")
    .argument("<A>", "a git revision; . is the working tree")
    .argument("<B>", "a git revision; . is the working tree")
    .option("--scenario <name>", "what to compare them by", bidPath.name)
    .option("--smoke", "a short run that only shows that it works")
    .option("--rounds <n>", "how often each is measured (default: 15)", wholeNumber)
    .option("--json <file>", "write the comparison there, with its environment", newFile)
    .option("--html <file>", "write it there as a page for a browser, with a chart", newFile)
    .action(measureTrees);
  return bench;
}

stopOn("SIGINT");
stopOn("SIGTERM");
await newCommand().parseAsync();
