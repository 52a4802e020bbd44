// Transaction: what one command reads and changes, buffered until its handler returns.
// Owns: the buffer of changes, read-your-writes, limits on what a command may change.
// Does not own: the entries themselves (partition-memory.ts); journaling (partition.ts).
// Invariants (docs/invariants.md):
//   P1. A handler that throws changes nothing: changes reach memory only after it returned.
import { assert } from "../base/assert.ts";
import { failure, FailureError } from "../base/failure.ts";
import { newId } from "../base/ids.ts";
import { limits } from "../base/limits.ts";
import type { Random } from "../base/random.ts";
import { misfitProperty } from "../data-pump/table.ts";
import type { Change } from "../grid/log-record.ts";
import type { Entry, Space, Transaction } from "./application.ts";
import type { PartitionMemory } from "./partition-memory.ts";
import { freezeValue, textProblem } from "./value.ts";

const entryBytes = 64; // framing of one command's entry and of one change, generously
const linearChanges = 16;

export interface TransactionOptions {
  readonly partition: number;
  readonly timeMs: number;
  readonly memory: PartitionMemory;
  readonly random: Random;
}

export class BufferedTransaction implements Transaction {
  readonly partition: number;
  readonly timeMs: number;
  readonly #memory: PartitionMemory;
  readonly #random: Random;
  readonly #changes: Change[] = [];
  /** Built only for transactions with many changes: place of each changed key. */
  #places: Map<string, number> | null = null;
  #bytes = entryBytes;
  #open = true;

  constructor(options: TransactionOptions) {
    this.partition = options.partition;
    this.timeMs = options.timeMs;
    this.#memory = options.memory;
    this.#random = options.random;
  }

  random(): number {
    return this.#random.fraction();
  }

  id(): string {
    return newId(this.#random);
  }

  get<V extends Entry>(space: Space<V>, key: string): V | undefined {
    this.#check(space, key);
    assert(!space.writeOnly, () => `space ${space.name} is write-only: nothing can be read`);
    const place = this.#place(space.name, key);
    if (place >= 0) return (this.#changes[place]?.value ?? undefined) as V | undefined;
    return this.#memory.get(space.name, key) as V | undefined;
  }

  put<V extends Entry>(space: Space<V>, key: string, value: V): void {
    this.#check(space, key);
    const bytes = freezeValue(value);
    if (bytes > limits.valueBytesMax) {
      tooLarge(`the value for ${space.name}/${key}`, bytes, limits.valueBytesMax);
    }
    const misfit = space.table === null ? null : misfitProperty(space.table, value);
    if (misfit !== null) {
      const column = `${misfit} of ${space.name}/${key} does not fit its column`;
      throw new FailureError(failure("HANDLER_FAILED", column));
    }
    this.#change({ space: space.name, key, value }, bytes);
  }

  delete(space: Space, key: string): void {
    this.#check(space, key);
    this.#change({ space: space.name, key, value: null }, 1);
  }

  /** Ends the transaction: its changes, and a bound of their encoded size. */
  close(): { readonly changes: readonly Change[]; readonly bytes: number } {
    this.#open = false;
    return { changes: this.#changes, bytes: this.#bytes };
  }

  #check(space: Space, key: string): void {
    assert(this.#open, "a transaction ends when its handler returns");
    assert(this.#memory.knows(space.name), () => `space ${space.name} is not of the application`);
    assert(
      key.length * 3 <= limits.keyBytesMax || Buffer.byteLength(key) <= limits.keyBytesMax,
      () => `a key of ${space.name} is longer than ${String(limits.keyBytesMax)} bytes`,
    );
    const problem = textProblem(key);
    assert(problem === null, () => `a key of ${space.name} has ${String(problem)}`);
  }

  #change(change: Change, bytes: number): void {
    this.#bytes += bytes + change.key.length * 3 + change.space.length * 3 + entryBytes;
    if (this.#bytes > limits.commandBytesMax) {
      tooLarge("what one command changes", this.#bytes, limits.commandBytesMax);
    }
    const place = this.#place(change.space, change.key);
    if (place >= 0) {
      this.#changes[place] = change;
      return;
    }
    this.#changes.push(change);
    this.#places?.set(placeName(change.space, change.key), this.#changes.length - 1);
    if (this.#places === null && this.#changes.length > linearChanges) {
      this.#places = new Map(
        this.#changes.map((one, index) => [placeName(one.space, one.key), index]),
      );
    }
  }

  #place(space: string, key: string): number {
    if (this.#places !== null) return this.#places.get(placeName(space, key)) ?? -1;
    return this.#changes.findIndex((change) => change.key === key && change.space === space);
  }
}

function placeName(space: string, key: string): string {
  return `${space}\0${key}`;
}

function tooLarge(what: string, bytes: number, bytesMax: number): never {
  const sizes = `${String(bytes)} bytes, at most ${String(bytesMax)} are allowed`;
  throw new FailureError(failure("VALUE_TOO_LARGE", `${what} is too large: ${sizes}`));
}
