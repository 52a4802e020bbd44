// Cluster diary: what happened in a run, in words, for whoever looks for the cause of a failure.
// Owns: the newest lines, each with the partition and the key that it is about.
// Does not own: what is worth a line. It costs nothing until a run is told again to be read.
import type { VirtualTime } from "./virtual-time.ts";

interface Line {
  readonly atMs: number;
  /** null: it is about all of them. */
  readonly partition: number | null;
  readonly text: string;
}

const linesMax = 100_000;

export class ClusterDiary {
  readonly #time: VirtualTime;
  readonly #isKept: boolean;
  #lines: Line[] = [];

  constructor(time: VirtualTime, isKept: boolean) {
    this.#time = time;
    this.#isKept = isKept;
  }

  note(partition: number | null, text: () => string): void {
    if (!this.#isKept) return;
    this.#lines.push({ atMs: this.#time.nowMs, partition, text: text() });
    if (this.#lines.length > linesMax) this.#lines = this.#lines.slice(linesMax / 2);
  }

  /** The last lines about a partition, or about everything; those about all of them included. */
  last(partition: number | null, count: number): string[] {
    const about = this.#lines.filter(
      (line) => partition === null || line.partition === null || line.partition === partition,
    );
    return about.slice(-count).map(({ atMs, partition: number, text }) => {
      const where = number === null ? "" : `partition ${String(number)}: `;
      return `${atMs.toFixed(1).padStart(9)} ms  ${where}${text}`;
    });
  }
}
