// Written ledger: what a client knows of its commands, a few bytes for each, and what must follow
// from it for the rows in the database.
// Owns: the answers by id, and what is wrong with the rows of a partition. Does not own: the rows
// (written-judge.ts), sending commands.
import { assert, must } from "../base/assert.ts";
import type { Outcome } from "../base/failure.ts";

/** A command as its sender knows it; its id is PARTITION-N, N counting over all partitions. */
export interface NotedCommand {
  readonly id: string;
  readonly partition: number;
  /** null: it was sent, and there is no answer. */
  readonly outcome: Outcome<unknown> | null;
}

/** A row of the table `entries`. */
export interface EntryRow {
  readonly id: string;
  readonly number: number;
}

/** Beside numbers that were answered, which begin at 1. */
const notApplied = 0;
const unknown = -1;

export class WrittenLedger {
  /** By the N of the id: the number that was answered, or one of the two above. */
  #numbers = new Int32Array(1024);
  #partitions = new Uint16Array(1024);
  /** One above the highest N. */
  #size = 0;
  #acknowledged = 0;
  readonly #highest = new Map<number, number>();

  /** A command that is about to be sent, or its answer. */
  note({ id, partition, outcome }: NotedCommand): void {
    const index = indexOf(id);
    this.#grow(index);
    this.#partitions[index] = partition;
    this.#numbers[index] = unknown;
    if (outcome?.ok === true) {
      const number = Number(outcome.value);
      assert(number > 0, "an entry has a number from 1");
      this.#numbers[index] = number;
      this.#acknowledged++;
      this.#highest.set(partition, Math.max(number, this.#highest.get(partition) ?? 0));
    } else if (outcome !== null && outcome.failure.kind !== "unknown") {
      this.#numbers[index] = notApplied;
    }
  }

  /** How many commands were acknowledged. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** How many were sent. */
  get sent(): number {
    return this.#size;
  }

  /** The highest number that was answered, by partition. */
  highest(): ReadonlyMap<number, number> {
    return new Map(this.#highest);
  }

  /**
   * What is wrong with the rows of a partition, all of a moment, in the order of their numbers:
   * numbers go from 1 without a gap, each once; a row's id was sent, and not answered as not
   * applied; what was acknowledged under a number up to the last is there under it.
   */
  problems(partition: number, rows: readonly EntryRow[]): string[] {
    const problems: string[] = [];
    const say = (what: string) => {
      if (problems.length < 10) problems.push(`partition ${partition}, ${what}`);
    };
    for (const [index, { id, number }] of rows.entries()) {
      if (number !== index + 1) {
        say(`row ${index + 1}: number ${number}`);
        break; // all that follow are shifted
      }
      const at = indexOf(id);
      const answered = at < this.#size ? must(this.#numbers[at], "a known command") : notApplied;
      if (at >= this.#size || this.#partitions[at] !== partition) say(`id ${id}: nobody sent it`);
      else if (answered === notApplied) say(`id ${id}: answered as not applied, and there`);
      else if (answered !== unknown && answered !== number) {
        say(`id ${id}: acknowledged as ${answered}, written as ${number}`);
      }
    }
    for (let at = 0; at < this.#size; at++) {
      const number = must(this.#numbers[at], "a known command");
      if (this.#partitions[at] !== partition || number <= 0 || number > rows.length) continue;
      const { id } = must(rows[number - 1], "a row of that number");
      if (indexOf(id) !== at) say(`command ${at}: acknowledged as ${number}, which is ${id}`);
    }
    return problems;
  }

  #grow(index: number): void {
    this.#size = Math.max(this.#size, index + 1);
    if (index < this.#numbers.length) return;
    const length = Math.max(index + 1, this.#numbers.length * 2);
    const [numbers, partitions] = [new Int32Array(length), new Uint16Array(length)];
    numbers.set(this.#numbers);
    partitions.set(this.#partitions);
    [this.#numbers, this.#partitions] = [numbers, partitions];
  }
}

function indexOf(id: string): number {
  return Number(id.slice(id.indexOf("-") + 1));
}
