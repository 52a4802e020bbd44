// Rows rebuild: the tables of a grid's database anew from the grid, where the database went back
// further than the logs reach.
// Owns: loading each partition's state under a claim of its own. Does not own: writing it
// (data-pump/state-writer.ts), the log (grid).
import { systemClock } from "../base/clock.ts";
import { failed, failure, ok, type Failure, type Outcome } from "../base/failure.ts";
import { newId } from "../base/ids.ts";
import { systemRandom } from "../base/random.ts";
import { systemTimers } from "../base/timers.ts";
import type { PostgresAddress } from "../data-pump/database-url.ts";
import { changesOf } from "../data-pump/rows.ts";
import { StateWriter, type StateTable } from "../data-pump/state-writer.ts";
import type { GridIdentity } from "../grid/grid-directory.ts";
import { generationMapName } from "../grid/grid-keys.ts";
import type { Change, CommandEntry } from "../grid/log-record.ts";
import { everyRule } from "../grid/log-rules.ts";
import { PartitionLog, type ChainedRecord } from "../grid/partition-log.ts";
import type { Store } from "../grid/store.ts";
import type { Application } from "./application.ts";
import { PartitionState } from "./partition-state.ts";

export interface RowsRebuildOptions {
  readonly store: Store;
  readonly identity: GridIdentity;
  readonly address: PostgresAddress;
  /** The tables are ready for it. */
  readonly application: Application;
  progress(partition: number, entries: number): void;
}

/** Records of a partition whose rows of write-only spaces are gone: their log is trimmed. */
export interface RowsLost {
  readonly partition: number;
  readonly from: number;
  readonly to: number;
}

export interface RowsReport {
  readonly partitions: number;
  /** Of all spaces that are kept in memory. */
  readonly entries: number;
  readonly lost: readonly RowsLost[];
  /** The generation of the grid that the database was of before: the grid's, or an older one. */
  readonly generationBefore: number;
}

interface LoadedPartition {
  readonly state: PartitionState;
  readonly claim: ChainedRecord;
  /** Changes of write-only spaces in records that the tables lack. */
  readonly unwritten: readonly Change[];
  /** Position of the first record that the log has behind its checkpoints. */
  readonly first: number;
}

/** What the database is, where that is an older generation of the grid: a backup; else null. */
export function olderGeneration(
  known: GridIdentity | null,
  { gridId, generation }: GridIdentity,
): GridIdentity | null {
  return known?.gridId === gridId && known.generation < generation ? known : null;
}

/**
 * Writes every partition's whole state to the tables, and its position to its progress row; a
 * database of an older generation is of the grid's afterwards. Fails with GRID_LOST where the
 * database is ahead of a log, as the log does, or as StateWriter.write.
 */
export function rebuildRows(options: RowsRebuildOptions): Promise<Outcome<RowsReport>> {
  const { address, identity, application } = options;
  const tables = new Map<string, StateTable>();
  for (const { name, table, writeOnly } of application.spaces) {
    if (table !== null) tables.set(name, { table, writeOnly });
  }
  const token = newId(systemRandom());
  const writing = { address, timers: systemTimers, identity, token, tables };
  return StateWriter.write(writing, async (writer) => {
    const lost: RowsLost[] = [];
    let entries = 0;
    for (let partition = 0; partition < identity.partitions; partition++) {
      const seq = writer.seqOf(partition);
      const loaded = await load(options, partition, seq);
      if (!loaded.ok) return loaded;
      const { claim, first } = loaded.value;
      const { position } = claim.record;
      if (seq >= position) {
        const message = `partition ${String(partition)}: the database has ${String(seq)} records`;
        return failed("GRID_LOST", `${message}, the log ${String(position - 1)}`);
      }
      const written = await write(writer, application, loaded.value);
      if (!written.ok) return written;
      entries += written.value;
      await writer.stand({ partition, position, chain: claim.checksum });
      if (first > seq + 1) lost.push({ partition, from: seq + 1, to: first - 1 });
      options.progress(partition, entries);
    }
    const { generationBefore } = writer;
    return ok({ partitions: identity.partitions, entries, lost, generationBefore });
  });
}

async function write(
  writer: StateWriter,
  { spaces }: Application,
  { state, unwritten }: LoadedPartition,
): Promise<Outcome<number>> {
  let entries = 0;
  for (const { name: space, writeOnly } of spaces) {
    if (writeOnly) continue;
    for (const [key, value] of state.memory.entries(space)) {
      entries++;
      const taken = await writer.take({ space, key, value });
      if (!taken.ok) return taken;
    }
  }
  for (const change of unwritten) {
    const taken = await writer.take(change);
    if (!taken.ok) return taken;
  }
  return ok(entries);
}

/** Claims a partition and folds its log: nobody else writes to it between that and the claim. */
function load(
  { store, identity, application }: RowsRebuildOptions,
  partition: number,
  seq: number,
): Promise<Outcome<LoadedPartition>> {
  const writeOnly = new Set(
    application.spaces.filter((one) => one.writeOnly).map((one) => one.name),
  );
  let state = new PartitionState(application.spaces);
  let unwritten: Change[] = [];
  let first = Number.POSITIVE_INFINITY;
  return new Promise((resolve) => {
    const log: PartitionLog<CommandEntry> = new PartitionLog({
      map: store.map(generationMapName(identity.generation)),
      timers: systemTimers,
      clock: systemClock,
      config: {
        ...{ partition, gridId: identity.gridId, generation: identity.generation },
        ...{ lane: "rebuild", token: newId(systemRandom()), rules: everyRule },
      },
      listener: {
        reset: () => {
          state = new PartitionState(application.spaces);
          unwritten = [];
          first = Number.POSITIVE_INFINITY;
        },
        segment: (changes) => {
          state.memory.loadSegment(changes);
        },
        loaded: ({ record }) => {
          first = Math.min(first, record.position);
          state.fold(record.body);
          if (record.position <= seq) return;
          for (const change of changesOf(record)) {
            if (writeOnly.has(change.space)) unwritten.push(change);
          }
        },
        serving: (claim) => {
          resolve(ok({ state, claim, unwritten, first: Math.min(first, claim.record.position) }));
          log.close(failure("SHUTTING_DOWN", "all is loaded"));
        },
        durable: () => undefined,
        stopped: (reason: Failure) => {
          resolve({ ok: false, failure: reason });
        },
      },
    });
    log.open();
  });
}
