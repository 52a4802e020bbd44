// Rebuild: the command that makes a grid anew from its database: lost, or with other partitions;
// or the rows of the database from the grid.
// Owns: what is said before and after it. Does not own: the rebuild (processing-units, grid).
import { mkdirSync } from "node:fs";
import { failure, FailureError, unwrap } from "../base/failure.ts";
import { parseDatabaseUrl } from "../data-pump/database-url.ts";
import type { GridIdentity } from "../grid/grid-directory.ts";
import type { RebuildProgress, RebuildReport } from "../grid/rebuild-ports.ts";
import type { Store } from "../grid/store.ts";
import { openStore } from "../grid/stores/open-store.ts";
import type { Application } from "../processing-units/application.ts";
import {
  existingGrid,
  openGeneration,
  rebuild,
  rebuildSource,
  type RebuildSource,
} from "../processing-units/grid-rebuild.ts";
import { openLog } from "../processing-units/lane-log.ts";
import { loadApplication, tablesOf } from "../processing-units/load-application.ts";
import { olderGeneration, rebuildRows, type RowsReport } from "../processing-units/rows-rebuild.ts";
import { UnitDatabase } from "../processing-units/unit-database.ts";
import { biddingApplication, placesOf } from "./bidder.ts";
import type { Settings } from "./settings.ts";
import { StatusLine } from "./status-line.ts";

/** Says what would be done, or does it; throws FailureError where it cannot. */
export async function rebuildCommand(settings: Settings): Promise<void> {
  const application = biddingApplication(settings);
  const places = placesOf(settings);
  const address = unwrap(parseDatabaseUrl(places.database));
  mkdirSync(settings.data, { recursive: true });
  const store = unwrap(await openStore(places.store));
  try {
    const log = openLog(null, settings.logLevel, "rebuild");
    const database = unwrap(await UnitDatabase.open(address, log));
    try {
      if (settings.rebuildFrom === "grid") {
        const grid = unwrap(await existingGrid(store));
        const loaded = await loadApplication(await application(database, grid));
        await rebuildTheRows(store, database, grid, loaded, settings);
        return;
      }
      const source = await rebuildSource(database, (known) => application(database, known));
      await rebuildFrom(store, unwrap(source), settings);
    } finally {
      await database.close();
    }
  } finally {
    await store.close();
  }
}

async function rebuildFrom(store: Store, source: RebuildSource, settings: Settings): Promise<void> {
  const line = new StatusLine();
  const replaces = unwrap(await openGeneration(store));
  for (const text of await planLines(source, replaces, settings)) line.print(text);
  if (settings.yes !== true) {
    line.print("nothing was changed; stop all units, then add --yes");
    return;
  }
  const report = await source.database.alone(() =>
    rebuild(store, source, {
      replaces,
      partitions: settings.partitions ?? null,
      progress: (progress) => {
        showProgress(line, progress);
      },
    }),
  );
  line.end();
  for (const text of rebuiltLines(unwrap(report), source.spacesLost)) line.print(text);
}

/** The other way: the grid is whole, and the database is not. */
async function rebuildTheRows(
  store: Store,
  database: UnitDatabase,
  identity: GridIdentity,
  application: Application,
  settings: Settings,
): Promise<void> {
  const line = new StatusLine();
  const { address } = database;
  if (address === null) {
    const message = "--from grid goes with a database whose rows are to be written";
    throw new FailureError(failure("CONFIG_INVALID", message));
  }
  const kept = application.spaces.filter(({ table, writeOnly }) => table !== null && !writeOnly);
  const names = kept.map(({ name }) => name).join(", ");
  const generation = `generation ${String(identity.generation)}`;
  line.print(
    `grid ${identity.gridId}: ${count(identity.partitions, "partition")} of ${generation}`,
  );
  line.print(`their whole state takes the place of the rows, and the dead letters, of: ${names}`);
  const older = olderGeneration(unwrap(await database.knownGrid()), identity);
  if (older !== null) {
    const what = `generation ${String(older.generation)}, with ${count(older.partitions, "partition")}`;
    line.print(`the database went back to ${what}: it is brought to ${generation}`);
  }
  if (settings.yes !== true) {
    line.print("nothing was changed; stop all units, then add --yes");
    return;
  }
  unwrap(await database.adopt(older ?? identity, [...tablesOf(application).values()]));
  const report = await rebuildRows({
    ...{ store, identity, address, application },
    progress: (partition, entries) => {
      line.show(`partition ${String(partition)} · ${count(entries, "entry", "entries")}`);
    },
  });
  line.end();
  for (const text of writtenLines(unwrap(report), identity)) line.print(text);
}

function writtenLines(report: RowsReport, { generation }: GridIdentity): string[] {
  const { partitions, entries, lost, generationBefore } = report;
  const what = `${count(entries, "entry", "entries")} of ${count(partitions, "partition")}`;
  const lines = [`written from the grid: ${what}`];
  if (generationBefore < generation) {
    const last = String(generation - 1);
    const first = String(generationBefore);
    const older = first === last ? last : `${first} to ${last}`;
    const gone = `rows of write-only spaces that came under generation ${older} after the backup`;
    lines.push(`${gone} are gone`);
  }
  if (lost.length === 0) return lines;
  const ranges = lost.map(({ partition, from, to }) => {
    return `${String(partition)}: ${String(from)} to ${String(to)}`;
  });
  const gone = "rows of write-only spaces that these records had are gone (partition: records)";
  return [...lines, `${gone}: ${ranges.join(", ")}`];
}

async function planLines(
  { known, database }: RebuildSource,
  replaces: number | null,
  { partitions = known.partitions }: Settings,
): Promise<string[]> {
  const row = unwrap(await database.row());
  const open = (row?.written ?? []).filter(({ complete }) => !complete);
  const lines = [
    `grid ${known.gridId}: the database has ${count(known.partitions, "partition")}` +
      ` of generation ${String(known.generation)}`,
    replaces === null
      ? "the store has no open generation"
      : `the store has generation ${String(replaces)}; it will be replaced, with what is only there`,
    `the new generation has ${count(partitions, "partition")}`,
  ];
  if (open.length === 0) return [...lines, "all partitions were stopped in order: complete"];
  const from = open.map(({ partition, seq }) => `${String(partition)}: ${String(seq)}`).join(", ");
  const what = `${count(open.length, "partition")} may have acknowledged more than is written`;
  return [...lines, `${what} (partition: last record in the database): ${from}`];
}

function showProgress(line: StatusLine, { step, generation, entries, bytes }: RebuildProgress) {
  const mib = (bytes / 2 ** 20).toFixed(1);
  line.show(`generation ${String(generation)}: ${step} · ${String(entries)} entries · ${mib} MiB`);
}

/** What was done, for people. */
export function rebuiltLines(report: RebuildReport, spacesLost: readonly string[]): string[] {
  const { generation, base, partitions, entries, vouched, oldOwners } = report;
  const what = `${count(entries, "entry", "entries")} in ${count(partitions, "partition")}`;
  const lines = [
    `rebuilt from the database: generation ${String(generation)} of the grid, ${what}`,
    vouched === "complete"
      ? "complete: nothing that was acknowledged is missing"
      : `not vouched for is what was acknowledged under generation ${String(base)} from these ` +
        "records on (partition: record): " +
        vouched.map(({ partition, from }) => `${String(partition)}: ${String(from)}`).join(", "),
  ];
  if (spacesLost.length > 0) {
    lines.push(`these lay in the grid only, and begin anew: ${spacesLost.join(", ")}`);
  }
  // Whoever claims behind a complete stop tells the database first: then it is not complete.
  if (oldOwners === "log" || vouched === "complete") return lines;
  const sleeper = "a unit of the old generation that sleeps stops when it wakes up and looks";
  return [...lines, `${sleeper}: see that none is left`];
}

function count(number: number, one: string, more = `${one}s`): string {
  return `${String(number)} ${number === 1 ? one : more}`;
}
