// Sent numbers: the numbers that one lane gave to its commands for each partition, and up to
// where all of them are answered: what the partition need not remember any longer.
// Owns: the counting. Does not own: the commands (command-sender.ts), what a partition remembers.

interface Row {
  last: number;
  /** Every number up to this one is answered. */
  confirmed: number;
  /** Answered numbers above it. */
  readonly done: Set<number>;
}

export class SentNumbers {
  readonly #rows = new Map<number, Row>();

  /** A number for the next command to a partition; they rise by one. */
  next(partition: number): number {
    return ++this.#row(partition).last;
  }

  /** Up to this number nothing is asked again. */
  confirmed(partition: number): number {
    return this.#row(partition).confirmed;
  }

  /** A command was answered: its number is never sent again. */
  done(partition: number, number: number): void {
    const row = this.#row(partition);
    if (number !== row.confirmed + 1) {
      row.done.add(number);
      return;
    }
    row.confirmed = number;
    while (row.done.size > 0 && row.done.delete(row.confirmed + 1)) row.confirmed++;
  }

  #row(partition: number): Row {
    let row = this.#rows.get(partition);
    if (row === undefined)
      this.#rows.set(partition, (row = { last: 0, confirmed: 0, done: new Set() }));
    return row;
  }
}
