// Main: the command line `orrery`.
// Owns: the commands, exit codes (0 done, 1 failed, 2 used wrongly). Does not own: the settings
// (settings.ts), what the commands do (one file each).
import { Argument, Command, CommanderError } from "commander";
import { FailureError } from "../base/failure.ts";
import packageJson from "../../package.json" with { type: "json" };
import { dropLetter, listLetters, retryLetters, showLetter } from "./dead-letters.ts";
import { demo } from "./demo.ts";
import { exchange } from "./exchange.ts";
import { load } from "./load.ts";
import { withLoadSettings, type LoadSettings } from "./load-settings.ts";
import { migrate } from "./migrate.ts";
import { rebuildCommand } from "./rebuild.ts";
import { wholeNumber, withSettings, type SettingName, type Settings } from "./settings.ts";
import { simulate } from "./simulate.ts";
import { unit } from "./unit.ts";

const exitFailed = 1;
const exitUsage = 2;

function program(): Command {
  const root = new Command("orrery")
    .description("An in-memory data grid processing engine for Node.")
    .version(packageJson.version)
    .configureOutput({ outputError: writeUsageError })
    .exitOverride();
  withSettings(root.command("demo").description("bidding demo: lanes, grid, database, exchange"), [
    "lanes",
    "rate",
    "for",
    "port",
    "host",
    "advertise",
    "peerHost",
    "gridBytesMax",
    "data",
    "store",
    "database",
    "databasePasswordFile",
    "partitions",
    "rebuild",
    "campaigns",
    "requests",
    "seed",
    "json",
    "logLevel",
  ]).action((settings: Settings) => demo(settings));
  withSettings(root.command("unit").description("one processing unit that bids"), [
    "lanes",
    "port",
    "host",
    "advertise",
    "peerHost",
    "gridBytesMax",
    "data",
    "store",
    "database",
    "databasePasswordFile",
    "partitions",
    "rebuild",
    "campaigns",
    "logLevel",
  ]).action((settings: Settings) => unit(settings));
  withSettings(root.command("exchange").description("an exchange that sends bid requests"), [
    "targets",
    "rate",
    "for",
    "seed",
    "requests",
    "data",
    "json",
  ]).action((settings: Settings) => exchange(settings));
  withSettings(
    root
      .command("simulate")
      .description("whole clusters in virtual time, with all that goes wrong"),
    ["seeds", "from", "workload", "exhaustive", "worlds"],
  ).action((settings: Settings) => simulate(settings));
  withLoadSettings(
    root.command("load").description("sends requests to any application, and measures it"),
  )
    .argument("<url>", "http://HOST:PORT/PATH or ws://HOST:PORT/PATH")
    .action((target: string, settings: LoadSettings) => load(target, settings));
  addDatabaseCommands(root);
  return root;
}

const databaseSettings = ["data", "database", "databasePasswordFile"] as const;

/** Commands that work on the database, beside the units or without them. */
function addDatabaseCommands(root: Command): void {
  withSettings(
    root.command("rebuild").description("makes a grid anew from its database, all units stopped"),
    [
      "rebuildFrom",
      "yes",
      "partitions",
      "data",
      "store",
      "database",
      "databasePasswordFile",
      "campaigns",
      "logLevel",
    ],
  ).action((settings: Settings) => rebuildCommand(settings));
  withSettings(root.command("migrate").description("brings the database to this version"), [
    ...databaseSettings,
    "dryRun",
  ]).action((settings: Settings) => migrate(settings));
  const letters = root.command("dead-letters").description("what the database refused");
  const id = () =>
    new Argument("<id>", "number of a letter").argParser(wholeNumber(1, 999_999_999_999_999));
  const add = (name: string, what: string, ...more: SettingName[]) =>
    withSettings(letters.command(name).description(what), [...databaseSettings, ...more]);
  add("list", "the newest of them").action((settings: Settings) => listLetters(settings));
  add("show", "one of them, with its value")
    .addArgument(id())
    .action((number: number, settings: Settings) => showLetter(settings, number));
  add("retry", "applies all letters of that one's key, in order", "all")
    .addArgument(id().argOptional())
    .action((number: number | undefined, settings: Settings, command: Command) => {
      if ((number === undefined) !== (settings.all === true)) {
        command.error("error: name one letter, or --all", { exitCode: exitUsage });
      }
      return retryLetters(settings, number ?? null);
    });
  add("drop", "takes one away for good: its change will never be in its table")
    .addArgument(id())
    .action((number: number, settings: Settings) => dropLetter(settings, number));
}

/** What is wrong and what to do in one line, like every other failure. */
function writeUsageError(text: string, write: (text: string) => void): void {
  const problem = text
    .trim()
    .replace(/^error: /, "")
    .replaceAll("\n", " ");
  write(`orrery: ${problem.replace(/\.$/, "")}; --help shows what there is\n`);
}

async function main(): Promise<void> {
  // Whoever read our output may be gone (a pipe, a closed terminal): no reason to end a unit.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
  try {
    await program().parseAsync();
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? 0 : exitUsage;
    } else if (error instanceof FailureError) {
      const { code, message } = error.failure;
      process.stderr.write(`orrery: ${message} [${code}]\n`);
      process.exitCode = code === "CONFIG_INVALID" ? exitUsage : exitFailed;
    } else if (error instanceof Error && "syscall" in error) {
      // A file or folder that a setting names: the system says which, and what is wrong with it.
      process.stderr.write(`orrery: ${error.message}; choose a path that can be used\n`);
      process.exitCode = exitFailed;
    } else {
      throw error;
    }
  }
}

await main();
