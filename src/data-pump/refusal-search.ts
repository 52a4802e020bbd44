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
  /** Of the next record, while there is no verdict. */
  trial: Trial | null = null;
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
 * Finds out which of the record's changes are refused: by halves, where some of them are. It may
 * take two rehearsals a change, and others have their turn between any two of them.
 */
export class Trial {
  readonly #database: Database;
  readonly #suspect: Suspect;
  readonly #admitted: Candidate[] = [];
  readonly #reasons = new Map<number, string>();
  /** Not judged yet; the last group is the next one. */
  readonly #open: (readonly Candidate[])[];

  constructor(database: Database, suspect: Suspect) {
    this.#database = database;
    this.#suspect = suspect;
    this.#open = [suspect.changes.map((change, index) => ({ change, index }))];
  }

  /** True where that is the step that it tries, on the row as it was then. */
  isOf({ seq, epoch, letters }: ProgressStep): boolean {
    const { step } = this.#suspect;
    return step.seq === seq && step.epoch === epoch && step.letters === letters;
  }

  /**
   * One rehearsal: do the next candidates fit with all that were admitted before? The verdict at
   * the end, null before it; "misfit" where the row is no longer as it was; a failure where the
   * database is away: then the same rehearsal is the next one.
   */
  async next(): Promise<Outcome<Verdict | "misfit" | null>> {
    const group = this.#open.pop() ?? [];
    const open = group.filter(({ change }) => !this.#isParked(change));
    if (open.length > 0) {
      const outcome = await this.#rehearse([...this.#admitted, ...open]);
      if (outcome.ok && outcome.value === "misfit") return ok("misfit");
      if (outcome.ok) this.#admitted.push(...open);
      else if (outcome.failure.code === "ROW_REFUSED") this.#refused(open, outcome.failure.message);
      else {
        this.#open.push(group);
        return outcome;
      }
    }
    if (this.#open.length > 0) return ok(null);
    return ok({ position: this.#suspect.step.seq, reasons: this.#reasons });
  }

  #refused(open: readonly Candidate[], message: string): void {
    const [only] = open;
    if (open.length === 1 && only !== undefined) {
      this.#reasons.set(only.index, message);
      return;
    }
    const half = Math.ceil(open.length / 2);
    this.#open.push(open.slice(half), open.slice(0, half));
  }

  /** Stays in the grid, or follows a letter of its key. */
  #isParked({ space, key }: Change): boolean {
    const { tables, parked, changes } = this.#suspect;
    if (!tables.has(space) || parked.has(space, key)) return true;
    return [...this.#reasons.keys()].some((index) => {
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
