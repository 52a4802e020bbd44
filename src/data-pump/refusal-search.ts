// Refusal search: which changes of a partition the database refuses for their content.
// Owns: how far the search has come: the same again, the partition alone, half of the records, one
// record; then rehearsals of its changes.
// Does not own: the transactions of the first steps (pump.ts), what becomes of a refused change
// (pump-batch.ts).
// Invariants (docs/invariants.md):
//   D13. Only a change that is refused by itself becomes a dead letter, and those behind it.
import { limits } from "../base/limits.ts";
import { ok, type Outcome } from "../base/failure.ts";
import type { Change } from "../grid/log-record.ts";
import type { Database, ProgressStep, WriteResult } from "./database.ts";
import type { ParkedKeys } from "./parked-keys.ts";
import { RowBatch, type TablesBySpace } from "./rows.ts";

/** What the database said to each change of a record that it refuses, by the change's index. */
export interface Verdict {
  readonly position: number;
  readonly reasons: ReadonlyMap<number, string>;
}

export class RefusalSearch {
  /** Records that may go in one transaction. */
  recordsMax = Infinity;
  /** In a transaction of the partition's own. */
  isAlone = false;
  /** The next record is refused by itself: its changes are to be looked at. */
  isOne = false;
  verdict: Verdict | null = null;
  #isProven = false;

  /**
   * A transaction was refused again that had so many records of the partition, and (`isOnly`) none
   * of another. False where all that was found out did not help.
   */
  refused(records: number, isOnly: boolean): boolean {
    this.#isProven ||= isOnly;
    if (isOnly && records === 1) {
      const isNew = this.verdict === null;
      this.isOne = isNew;
      this.verdict = null;
      return isNew;
    }
    this.recordsMax = isOnly ? Math.ceil(records / 2) : records;
    this.isAlone = true;
    return true;
  }

  /** A transaction was written. True where nothing more is to be searched for. */
  accepted(): boolean {
    this.isOne = false;
    this.verdict = null;
    this.recordsMax *= 2;
    return !this.#isProven || this.recordsMax > limits.pumpTransactionRecordsMax;
  }
}

interface Candidate {
  readonly index: number;
  readonly change: Change;
}

/** One record whose changes are tried. */
export interface Suspect {
  readonly step: ProgressStep;
  readonly generation: number;
  readonly changes: readonly Change[];
  readonly parked: ParkedKeys;
  readonly tables: TablesBySpace;
}

/**
 * Rehearses the record's changes, by halves where some of them are refused. "misfit" where the row
 * is no longer as it was; a failure where the database is away.
 */
export async function judgeChanges(
  database: Database,
  suspect: Suspect,
): Promise<Outcome<Verdict | "misfit">> {
  const trial = new Trial(database, suspect);
  const all = suspect.changes.map((change, index) => ({ change, index }));
  const result = await trial.admit(all);
  if (!result.ok) return result;
  if (result.value === "misfit") return ok("misfit");
  return ok({ position: suspect.step.seq, reasons: trial.reasons });
}

class Trial {
  readonly reasons = new Map<number, string>();
  readonly #database: Database;
  readonly #suspect: Suspect;
  readonly #admitted: Candidate[] = [];

  constructor(database: Database, suspect: Suspect) {
    this.#database = database;
    this.#suspect = suspect;
  }

  /** Admits those of the candidates that are accepted together with all admitted before. */
  async admit(candidates: readonly Candidate[]): Promise<Outcome<WriteResult>> {
    const open = candidates.filter(({ change }) => !this.#isParked(change));
    if (open.length === 0) return ok("written");
    const outcome = await this.#rehearse([...this.#admitted, ...open]);
    if (outcome.ok) {
      this.#admitted.push(...open);
      return outcome;
    }
    if (outcome.failure.code !== "ROW_REFUSED") return outcome;
    const [only] = open;
    if (open.length === 1 && only !== undefined) {
      this.reasons.set(only.index, outcome.failure.message);
      return ok("written");
    }
    const half = Math.ceil(open.length / 2);
    const first = await this.admit(open.slice(0, half));
    if (!first.ok || first.value === "misfit") return first;
    return this.admit(open.slice(half));
  }

  /** Stays in the grid, or follows a letter of its key. */
  #isParked({ space, key }: Change): boolean {
    const { tables, parked, changes } = this.#suspect;
    if (!tables.has(space) || parked.has(space, key)) return true;
    return [...this.reasons.keys()].some((index) => {
      return changes[index]?.space === space && changes[index].key === key;
    });
  }

  #rehearse(candidates: readonly Candidate[]): Promise<Outcome<WriteResult>> {
    const { step, generation, tables } = this.#suspect;
    const rows = new RowBatch();
    for (const { change } of candidates) {
      const table = tables.get(change.space);
      if (table !== undefined) rows.add(table, change.key, change.value);
    }
    const transaction = { generation, steps: [step], rows: rows.toTables(), letters: [] };
    return this.#database.rehearse(transaction);
  }
}
