// Grid rebuild: a grid from its database, as a unit or an operator asks for it.
// Owns: what of an application comes back, whether a stop was clean enough to rebuild unasked.
// Does not own: the protocol (grid/rebuild.ts), SQL (data-pump).
// Invariants (docs/invariants.md):
//   G1. An emptied store next to a full database is a loss. Only where the database says of every
//       partition that it is complete nothing is lost, and a unit may rebuild the grid by itself.
import { systemClock } from "../base/clock.ts";
import { failed, failure, ok, type Failure, type Outcome } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import { partitionOf } from "../base/murmur3.ts";
import { systemRandom } from "../base/random.ts";
import { systemTimers } from "../base/timers.ts";
import type { Mender } from "../data-pump/mender.ts";
import { PostgresRebuildDatabase } from "../data-pump/rebuild-database.ts";
import { decodePointer } from "../grid/generation-pointer.ts";
import { openGrid, type GridIdentity } from "../grid/grid-directory.ts";
import { directoryMapName, pointerKey } from "../grid/grid-keys.ts";
import type { RebuildProgress, RebuildReport } from "../grid/rebuild-ports.ts";
import { rebuildGrid } from "../grid/rebuild.ts";
import type { Store } from "../grid/store.ts";
import type { Application } from "./application.ts";
import { loadApplication, tablesOf, type ApplicationSource } from "./load-application.ts";
import type { UnitDatabase } from "./unit-database.ts";

const system = { clock: systemClock, timers: systemTimers, random: systemRandom() };

const asItIs: Mender = { mend: (entry) => entry, rest: () => [] };

/** A grid that a database knows, and how it would be made anew from there. */
export interface RebuildSource {
  readonly known: GridIdentity;
  readonly database: PostgresRebuildDatabase;
  /** Spaces whose entries lay in the grid only: they do not come back. */
  readonly spacesLost: readonly string[];
}

/**
 * Prepares a database for being read: its tables are those of the application. Fails with
 * GRID_LOST where it knows of no grid, or as `UnitDatabase.adopt` does.
 */
export async function rebuildSource(
  database: UnitDatabase,
  makeSource: (known: GridIdentity) => Promise<ApplicationSource>,
): Promise<Outcome<RebuildSource>> {
  const { address } = database;
  if (address === null) return failed("CONFIG_INVALID", "without a database nothing comes back");
  const known = await database.knownGrid();
  if (!known.ok) return known;
  const identity = known.value;
  if (identity === null) {
    return failed("GRID_LOST", "the database knows of no grid: there is nothing to rebuild");
  }
  // Twice, as at every start: the application may need a secret of the database.
  const adopted = await database.adopt(identity, []);
  if (!adopted.ok) return adopted;
  const application = await loadApplication(await makeSource(identity));
  const prepared = await database.adopt(identity, [...tablesOf(application).values()]);
  if (!prepared.ok) return prepared;
  const rebuilding = new PostgresRebuildDatabase({
    address,
    timers: systemTimers,
    comingBack: (partitions) => comingBack(application, partitions),
  });
  const lost = application.spaces.filter(
    ({ writeOnly, routeOf }) => !writeOnly && routeOf === null,
  );
  const spacesLost = lost.map(({ name }) => name);
  return ok({ known: identity, database: rebuilding, spacesLost });
}

function comingBack(application: Application, partitions: number) {
  const spaces = application.spaces.flatMap(({ name, table, routeOf }) => {
    if (table === null || routeOf === null) return [];
    return [
      {
        name,
        table,
        partitionOf: (key: string, value: Parameters<typeof routeOf>[1]) =>
          partitionOf(routeOf(key, value, partitions), partitions),
      },
    ];
  });
  return { spaces, mender: application.rebuilt?.(partitions) ?? asItIs };
}

/** The generation that is open in a store; null: none. Fails as the store does. */
export async function openGeneration(store: Store): Promise<Outcome<number | null>> {
  const read = await store.map(directoryMapName).get(pointerKey, limits.storeReadMs);
  if (!read.ok || read.value === null) return read as Outcome<null>;
  const pointer = decodePointer(read.value);
  if (pointer === null)
    return failed("GRID_FORMAT", "the generation pointer is of a newer version");
  return ok(pointer.state === "open" ? pointer.generation : null);
}

/** The grid in a store; GRID_LOST where there is none, or as `openGrid` fails. */
export function existingGrid(store: Store): Promise<Outcome<GridIdentity>> {
  return openGrid({
    ...system,
    store,
    partitions: null,
    partitionsDefault: limits.partitionsDefault,
    mayCreate: () => Promise.resolve(failed("GRID_LOST", "there is no grid in the store")),
  });
}

/** Runs a rebuild; what `replaces` and `partitions` mean, and how it fails: grid/rebuild.ts. */
export function rebuild(
  store: Store,
  source: RebuildSource,
  options: {
    readonly replaces: number | null;
    readonly partitions: number | null;
    progress(progress: RebuildProgress): void;
  },
): Promise<Outcome<RebuildReport>> {
  return rebuildGrid({ ...system, ...options, store, database: source.database });
}

/**
 * The grid that `open` finds; where it is lost and was complete, it is rebuilt first. Units that
 * find it so at once do it one after the other: the first does it, the others find it done. Fails
 * as `open` does; the message says what cannot be vouched for, where it was not complete.
 */
export async function openComplete(options: {
  readonly store: Store;
  readonly source: RebuildSource;
  open(): Promise<Outcome<GridIdentity>>;
  progress(progress: RebuildProgress): void;
  rebuilt(report: RebuildReport): void;
}): Promise<Outcome<GridIdentity>> {
  const { store, source } = options;
  return source.database.alone(async () => {
    const opened = await options.open();
    if (opened.ok || opened.failure.code !== "GRID_LOST") return opened;
    const incomplete = await whyIncomplete(source, opened.failure);
    if (incomplete !== null) return { ok: false, failure: incomplete };
    const report = await rebuild(store, source, {
      replaces: null,
      partitions: null,
      progress: (progress) => {
        options.progress(progress);
      },
    });
    if (!report.ok) return report;
    options.rebuilt(report.value);
    return options.open();
  });
}

/** Null where every partition was stopped in order. */
async function whyIncomplete({ database }: RebuildSource, lost: Failure): Promise<Failure | null> {
  const row = await database.row();
  if (!row.ok) return row.failure;
  const written = row.value?.written ?? [];
  const open = written.filter(({ complete }) => !complete).map(({ partition }) => partition);
  if (open.length === 0) return null;
  const count = `${String(open.length)} of ${String(written.length)} partitions`;
  const why = `${count} were not stopped in order, and may have had more than the database has`;
  return failure(
    "GRID_LOST",
    `${lost.message}; ${why}: orrery rebuild makes a grid of what it has`,
  );
}
