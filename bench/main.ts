// Bench: `npm run bench`, the one command for everything that is measured.
// Owns: the list of scenarios, options, progress, the JSON file, the exit code (0 good, 1 invalid,
// 2 used wrongly). Does not own: what a scenario measures.
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { bidPath } from "./bid-path.ts";
import { failover } from "./failover.ts";
import { gridBytes } from "./grid-bytes.ts";
import { environment } from "./machine.ts";
import { ownership } from "./ownership.ts";
import { reservations } from "./reservations.ts";
import type { Scenario } from "./scenario.ts";
import { writeBehind } from "./write-behind.ts";

const scenarios: readonly Scenario[] = [
  bidPath,
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
  const { problems, report, figures } = await scenario.run({ rounds, smoke, folder, progress });
  const valid = problems.length === 0;
  const result = {
    scenario: scenario.name,
    startedAt,
    smoke,
    rounds,
    valid,
    problems,
    environment: environment(folder),
    figures,
  };
  const hash = createHash("sha256").update(JSON.stringify(result)).digest("hex").slice(0, 16);
  if (options.json !== undefined) {
    writeFileSync(options.json, `${JSON.stringify({ ...result, hash }, null, 2)}\n`);
  }
  process.stdout.write(`\n${report}\n`);
  const facts = Object.entries(result.environment).map(([name, value]) => `${name} ${value}`);
  process.stdout.write(`\n${facts.join(", ")}\nresult ${hash}\n`);
  if (smoke) process.stdout.write("smoke size: the figures mean nothing\n");
  for (const problem of problems) process.stdout.write(`INVALID: ${problem}\n`);
  if (!valid) process.exitCode = exitInvalid;
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
