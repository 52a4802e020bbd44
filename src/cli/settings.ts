// Settings: the one schema of configuration. It gives flags, ORRERY_… variables, defaults, help.
// Owns: every setting's name, meaning, default and check. Does not own: what a command does.
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { InvalidArgumentError, Option, type Command } from "commander";
import { limits } from "../base/limits.ts";

/** What the clients of a simulated cluster may do. */
const workloadNames = ["register", "transfer", "bidding"] as const;
export type WorkloadName = (typeof workloadNames)[number];

/** When a unit rebuilds a lost grid by itself. */
const rebuildTimes = ["never", "after-clean-stop"] as const;
export type RebuildWhen = (typeof rebuildTimes)[number];

/** Which of both a rebuild begins from, and so which it makes anew. */
const rebuildSources = ["database", "grid"] as const;
export type RebuildFrom = (typeof rebuildSources)[number];

export interface Settings {
  readonly store?: string;
  readonly database?: string;
  readonly databasePasswordFile?: string;
  readonly data: string;
  readonly lanes: number;
  readonly host: string;
  readonly port: number;
  readonly advertise?: string;
  readonly peerHost: string;
  readonly gridBytesMax: number;
  readonly partitions?: number;
  readonly campaigns?: string;
  readonly rebuild: RebuildWhen;
  readonly rebuildFrom: RebuildFrom;
  readonly yes?: boolean;
  readonly targets: readonly string[];
  readonly seed: number;
  readonly seeds: number;
  readonly from: number;
  readonly workload: WorkloadName;
  readonly exhaustive?: boolean;
  readonly worlds: number;
  readonly rate: number;
  /** Milliseconds. */
  readonly for?: number;
  readonly requests?: string;
  readonly json?: string;
  readonly logLevel: string;
  readonly dryRun?: boolean;
  readonly all?: boolean;
}

export type SettingName = keyof Settings;

export function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least && value <= most) return value;
    throw new InvalidArgumentError(
      `It must be a whole number from ${String(least)} to ${String(most)}.`,
    );
  };
}

const unitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Milliseconds. */
export function duration(text: string): number {
  const [, number, unit] = /^(\d{1,9})(ms|s|m|h)$/.exec(text) ?? [];
  const value = Number(number) * (unitsMs[unit ?? ""] ?? Number.NaN);
  if (value > 0) return value;
  throw new InvalidArgumentError("It must be a number with a unit: 500ms, 30s, 5m or 1h.");
}

const unitsBytes: Readonly<Record<string, number>> = { MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 };

function size(text: string): number {
  const [, number, unit] = /^(\d{1,6})(MiB|GiB|TiB)$/.exec(text) ?? [];
  const value = Number(number) * (unitsBytes[unit ?? ""] ?? Number.NaN);
  if (value > 0) return value;
  throw new InvalidArgumentError("It must be a number with a unit: 512MiB, 4GiB.");
}

/** `http://host:port` and nothing more; null for any other text. */
function origin(text: string): string | null {
  const url = URL.parse(text.trim());
  return url?.protocol === "http:" && url.href === `${url.origin}/` ? url.origin : null;
}

function targets(text: string): string[] {
  return text.split(",").map((part) => {
    const target = origin(part);
    if (target !== null) return target;
    throw new InvalidArgumentError("It must be a list like http://127.0.0.1:7070,http://…:7071.");
  });
}

function advertised(text: string): string {
  const address = origin(text);
  if (address !== null) return address;
  throw new InvalidArgumentError("It must be an address like http://bidder.example:7070.");
}

function setting(name: string, flags: string, help: string): Option {
  return new Option(flags, help).env(`ORRERY_${name}`);
}

const options: Readonly<Record<SettingName, () => Option>> = {
  store: () =>
    setting(
      "STORE",
      "--store <url>",
      "the data grid's store: lmdb:FOLDER (lmdb:FOLDER?sync=off is faster and survives kill -9, " +
        "not power loss), hazelcast://HOST:PORT,HOST:PORT/CLUSTER or memory: " +
        "(default: lmdb:DATA/grid)",
    ),
  database: () =>
    setting(
      "DATABASE",
      "--database <url>",
      "where rows are written: embedded:FOLDER (a PostgreSQL of its own), postgres://… or none: " +
        "(default: embedded:DATA/postgres)",
    ),
  databasePasswordFile: () =>
    setting(
      "DATABASE_PASSWORD_FILE",
      "--database-password-file <file>",
      "where the password stands that a postgres:// address leaves out",
    ),
  data: () =>
    setting(
      "DATA",
      "--data <folder>",
      "home of what is not placed by --store and --database",
    ).default("./data"),
  lanes: () =>
    setting("LANES", "--lanes <n>", "lanes (threads), each owns its share of the partitions")
      .argParser(wholeNumber(1, limits.lanesMax))
      .default(Math.max(1, Math.min(8, availableParallelism()))),
  host: () => setting("HOST", "--host <address>", "address to listen on").default("127.0.0.1"),
  port: () =>
    setting("PORT", "--port <n>", "port to listen on (0: a free one)")
      .argParser(wholeNumber(0, 65_535))
      .default(7070),
  advertise: () =>
    setting(
      "ADVERTISE",
      "--advertise <url>",
      "where this unit is reached from outside; exchanges send their notices there " +
        "(default: where they sent the request)",
    ).argParser(advertised),
  peerHost: () =>
    setting(
      "PEER_HOST",
      "--peer-host <address>",
      "address on which lanes of other units reach those of this one (0.0.0.0: all of this " +
        "machine's, found under its name)",
    ).default("127.0.0.1"),
  gridBytesMax: () =>
    setting(
      "GRID_BYTES_MAX",
      "--grid-bytes-max <size>",
      "what logs and checkpoints may take in the grid, one copy; at it, commands that change " +
        "something are refused (GRID_FULL)",
    )
      .argParser(size)
      .default(limits.gridBytesDefault, "4GiB"),
  partitions: () =>
    setting(
      "PARTITIONS",
      "--partitions <n>",
      `partitions of a new grid, fixed for its life (default: ${String(limits.partitionsDefault)}; ` +
        "an existing grid keeps its number)",
    ).argParser(wholeNumber(1, limits.partitionsMax)),
  rebuild: () =>
    setting(
      "REBUILD",
      "--rebuild <when>",
      "whether a grid whose store lost it is rebuilt from its database at the start, where the " +
        "last unit was stopped in order",
    )
      .choices(rebuildTimes)
      .default("never"),
  rebuildFrom: () => {
    const option = setting(
      "REBUILD_FROM",
      "--from <source>",
      "database: a new grid of what the database has; grid: the rows of all that the grid keeps, " +
        "where the database went back to an old backup",
    )
      .choices(rebuildSources)
      .default("database");
    option.attributeName = () => "rebuildFrom"; // `from` is a seed
    return option;
  },
  yes: () => setting("YES", "--yes", "do it; without, it says what would be done"),
  campaigns: () =>
    setting("CAMPAIGNS", "--campaigns <file>", "campaigns, JSON (default: those of the demo)"),
  targets: () =>
    setting(
      "TARGETS",
      "--targets <urls>",
      "units that bid, separated by commas; a name may have several addresses",
    )
      .argParser(targets)
      .default(["http://127.0.0.1:7070"]),
  seed: () =>
    setting("SEED", "--seed <n>", "decides users, sites, prices and arrivals")
      .argParser(wholeNumber(0, 0xffff_ffff))
      .default(1),
  seeds: () =>
    setting("SEEDS", "--seeds <n>", "runs, each with a seed of its own")
      .argParser(wholeNumber(1, 0xffff_ffff))
      .default(1000),
  from: () =>
    setting("FROM", "--from <n>", "the first seed; the others follow it")
      .argParser(wholeNumber(0, 0xffff_ffff))
      .default(1),
  exhaustive: () =>
    setting(
      "EXHAUSTIVE",
      "--exhaustive",
      "instead of seeds: every schedule of one partition's log within small bounds",
    ),
  worlds: () =>
    setting(
      "WORLDS",
      "--worlds <n>",
      "where an exhaustive run gives up on one set of bounds; from a million on it takes wide " +
        "bounds, too",
    )
      .argParser(wholeNumber(1, 1_000_000_000))
      .default(60_000),
  workload: () =>
    setting("WORKLOAD", "--workload <name>", "what clients do")
      .choices(workloadNames)
      .default("register"),
  rate: () =>
    setting("RATE", "--rate <n>", "bid requests a second, whatever the answers do")
      .argParser(wholeNumber(1, 200_000))
      .default(1000),
  for: () =>
    setting(
      "FOR",
      "--for <duration>",
      "stop by itself after 30s, 5m, … (default: until Ctrl-C)",
    ).argParser(duration),
  requests: () =>
    setting(
      "REQUESTS",
      "--requests <file>",
      "OpenRTB requests to send, one JSON a line, instead of generated ones",
    ),
  json: () => setting("JSON", "--json <file>", "write a summary there at the end"),
  dryRun: () => setting("DRY_RUN", "--dry-run", "say what would be done, as SQL, and do nothing"),
  all: () => setting("ALL", "--all", "every key that has letters, each by itself"),
  logLevel: () =>
    setting("LOG_LEVEL", "--log-level <level>", "how much is logged")
      .choices(["debug", "info", "warn", "error"])
      .default("info"),
};

/** Gives a command its settings: flags, variables, defaults and help. */
export function withSettings(command: Command, names: readonly SettingName[]): Command {
  for (const name of names) command.addOption(options[name]());
  return command.addHelpText(
    "after",
    "\nEach option can be set as a variable too: --log-level is ORRERY_LOG_LEVEL.",
  );
}

/** The store's and the database's URL, with their defaults below the data folder. */
export function urlsOf(settings: Settings): { readonly store: string; readonly database: string } {
  return {
    store: settings.store ?? `lmdb:${join(settings.data, "grid")}`,
    database: settings.database ?? `embedded:${join(settings.data, "postgres")}`,
  };
}
