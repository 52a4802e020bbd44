// Rebuild database: PostgreSQL as the port through which a grid is rebuilt.
// Owns: the statements on orrery.meta, the transactions of `row`, `fence` and `read`.
// Does not own: the protocol (grid/rebuild.ts), reading tables (data-reader.ts), the schema, which
// must be of this version before (schema.ts).
// Invariants (docs/invariants.md):
//   D20. What is read is read in one snapshot that also shows the generation as ours.
//   D21. The database goes from one generation to the next only where it is what was read before;
//        the progress of the one before is kept until somebody claims under the next.
import { failed, ok, type Outcome } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import type { Timers } from "../base/timers.ts";
import type {
  DatabaseRow,
  FencedRow,
  GenerationMark,
  RebuildDatabase,
  RebuildSink,
  WrittenPartition,
} from "../grid/rebuild-ports.ts";
import { PostgresConnection, workFailure } from "./connection.ts";
import { DataReader, type ReaderSpace } from "./data-reader.ts";
import type { PostgresAddress } from "./database-url.ts";
import { moveGeneration } from "./generation-row.ts";
import type { Mender } from "./mender.ts";

/** What comes back, for as many partitions as the new generation has. */
export interface ComingBack {
  readonly spaces: readonly ReaderSpace[];
  readonly mender: Mender;
}

export interface RebuildDatabaseOptions {
  readonly address: PostgresAddress;
  readonly timers: Timers;
  comingBack(partitions: number): ComingBack;
}

/** The progress of a generation that was fenced off, as meta keeps it. */
interface KeptProgress {
  readonly base: number;
  readonly written: readonly WrittenPartition[];
}

interface FoundRow extends DatabaseRow {
  readonly partitions: number;
}

/** Units that find an empty grid at once rebuild it one after the other; an arbitrary number. */
const rebuildLock = 7_091_817_321;
const lockTryMs = 250;

export class PostgresRebuildDatabase implements RebuildDatabase {
  readonly #options: RebuildDatabaseOptions;

  constructor(options: RebuildDatabaseOptions) {
    this.#options = options;
  }

  row(): Promise<Outcome<DatabaseRow | null>> {
    return this.#use((connection) => within(connection, findRow(connection, "")));
  }

  fence(expected: GenerationMark, next: FencedRow): Promise<Outcome<boolean>> {
    let committing = false;
    const fenced = this.#use(async (connection) => {
      await connection.rows("BEGIN");
      const moved = await within(connection, moveRow(connection, expected, next));
      committing = moved.ok && moved.value;
      await connection.rows(committing ? "COMMIT" : "ROLLBACK");
      return moved;
    });
    return fenced.then((outcome) => {
      if (outcome.ok || !committing) return outcome;
      return failed("OUTCOME_UNKNOWN", outcome.failure.message);
    });
  }

  read(mine: FencedRow, sink: RebuildSink): Promise<Outcome<boolean>> {
    const { timers } = this.#options;
    return this.#use(async (connection) => {
      await connection.rows("BEGIN ISOLATION LEVEL REPEATABLE READ");
      // Locked: until all is read and mended nobody fences it off.
      const found = await findRow(connection, "FOR UPDATE");
      if (!found.ok) return found;
      const row = found.value;
      if (row === null || !isOf(row, mine)) {
        await connection.rows("ROLLBACK");
        return ok(false);
      }
      const { spaces, mender } = this.#options.comingBack(mine.partitions);
      const reader = new DataReader({ connection, spaces, mender, sink, timers });
      const read = await reader.read();
      await connection.rows(read.ok ? "COMMIT" : "ROLLBACK");
      return read.ok ? ok(true) : read;
    });
  }

  /**
   * Runs `work` while no other run does that asked for this, too. It is for quiet only: where the
   * lock is not to be had within a while, or is lost, the work is done all the same.
   */
  async alone<T>(work: () => Promise<T>): Promise<T> {
    const { address, timers } = this.#options;
    const opened = await PostgresConnection.open(address, timers);
    if (!opened.ok) return work();
    const connection = opened.value;
    try {
      const tries = Math.ceil(limits.rebuildDatabaseMsMax / lockTryMs);
      for (let left = tries; left > 0 && !(await tryLock(connection)); left--) {
        await new Promise<void>((resolve) => {
          timers.after(lockTryMs, resolve);
        });
      }
      return await work();
    } finally {
      await connection.end();
    }
  }

  /** A connection for each piece of work; an open transaction ends with it. */
  async #use<T>(
    work: (connection: PostgresConnection) => Promise<Outcome<T>>,
  ): Promise<Outcome<T>> {
    const { address, timers } = this.#options;
    const opened = await PostgresConnection.open(address, timers);
    if (!opened.ok) return opened;
    try {
      return await work(opened.value);
    } catch (error) {
      return workFailure(error, address);
    } finally {
      await opened.value.end();
    }
  }
}

function within<T>(connection: PostgresConnection, work: Promise<T>): Promise<T> {
  return connection.within(limits.databaseTransactionMs, work);
}

async function tryLock(connection: PostgresConnection): Promise<boolean> {
  try {
    const text = `SELECT pg_try_advisory_lock(${String(rebuildLock)}) AS taken`;
    const [row] = await connection.rows(text);
    return row?.["taken"] === true;
  } catch {
    return true; // the connection is lost: nothing more to wait for
  }
}

function isOf(row: GenerationMark, mark: GenerationMark): boolean {
  return row.generation === mark.generation && row.token === mark.token;
}

/** The row with its progress; null where the database never met a grid. */
async function findRow(
  connection: PostgresConnection,
  lock: "" | "FOR UPDATE",
): Promise<Outcome<FoundRow | null>> {
  const [found] = await connection.rows("SELECT to_regclass('orrery.meta') IS NULL AS new");
  if (found?.["new"] !== false) return ok(null);
  const [meta] = await connection.rows(
    `SELECT grid_id, generation, token, partitions, written::text AS kept FROM orrery.meta ${lock}`,
  );
  if (meta === undefined) return ok(null);
  const rows = await connection.rows(
    "SELECT partition, seq, epoch, complete FROM orrery.progress ORDER BY partition",
  );
  const generation = Number(meta["generation"]);
  const written = rows.map(({ partition, seq, complete }) => {
    return { partition: Number(partition), seq: Number(seq), complete: complete === true };
  });
  const own = { base: generation, written };
  const isClaimed = rows.some(({ epoch }) => Number(epoch) > 0);
  const { kept } = meta;
  const before = typeof kept === "string" ? (JSON.parse(kept) as KeptProgress) : own;
  return ok({
    gridId: String(meta["grid_id"]),
    generation,
    token: String(meta["token"]),
    partitions: Number(meta["partitions"]),
    ...(isClaimed ? own : before),
  });
}

/** In a transaction: the next generation takes the place of `expected`. */
async function moveRow(
  connection: PostgresConnection,
  expected: GenerationMark,
  next: FencedRow,
): Promise<Outcome<boolean>> {
  // Pumps hold progress rows while they write: all of them come before, or find another row.
  await connection.rows("LOCK TABLE orrery.progress IN EXCLUSIVE MODE");
  const found = await findRow(connection, "FOR UPDATE");
  if (!found.ok) return found;
  const row = found.value;
  if (row === null || !isOf(row, expected)) return ok(false);
  const { base, written, partitions } = row;
  if (next.partitions !== partitions) {
    const [letter] = await connection.rows("SELECT id FROM orrery.dead_letters LIMIT 1");
    if (letter !== undefined) {
      const what = "there are dead letters, whose partitions would be others";
      return failed("REBUILD_REFUSED", `${what}; retry or drop them, or keep the partitions`);
    }
  }
  const kept: KeptProgress = { base, written };
  await moveGeneration(connection, next, JSON.stringify(kept));
  return ok(true);
}
