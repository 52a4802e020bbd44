// Log bytes: about how many bytes the records of a partition's log take in the grid.
// Owns: the sum, over spans of records, as records come at the end and are trimmed at the front.
// Does not own: trimming, and segments (checkpointer.ts).

/** Records in one span: within one, bytes count as evenly spread. */
const spanRecords = 64;

interface Span {
  from: number;
  to: number;
  bytes: number;
}

export class LogBytes {
  #spans: Span[] = [];
  #total = 0;

  get total(): number {
    return this.#total;
  }

  /** Records `from` up to, not with, `to` take so many bytes; in order. */
  add(from: number, to: number, bytes: number): void {
    this.#total += bytes;
    const last = this.#spans.at(-1);
    if (last === undefined || to - last.from > spanRecords) this.#spans.push({ from, to, bytes });
    else {
      last.to = to;
      last.bytes += bytes;
    }
  }

  /** Of the records behind that position, about. */
  after(position: number): number {
    let before = 0;
    for (const { from, to, bytes } of this.#spans) {
      if (from > position) break;
      before += bytes * Math.min(1, (position + 1 - from) / (to - from));
    }
    return Math.max(0, Math.round(this.#total - before));
  }

  /** What lies before that position is gone. */
  trimTo(position: number): void {
    let gone = this.#spans.findIndex((span) => span.to > position);
    if (gone < 0) gone = this.#spans.length;
    for (const { bytes } of this.#spans.splice(0, gone)) this.#total -= bytes;
    const first = this.#spans[0];
    if (first === undefined || first.from >= position) return;
    const share = (position - first.from) / (first.to - first.from);
    const bytes = Math.floor(first.bytes * share);
    this.#total -= bytes;
    this.#spans[0] = { from: position, to: first.to, bytes: first.bytes - bytes };
  }
}
