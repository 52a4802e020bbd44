// Fault ledger: what was asked of the engine and what it said, kept apart from it: the oracle.
// Owns: the commands and their answers, what must be found after a fault, the longest stall.
// Does not own: sending (fault-load.ts), the lanes (fault-lanes.ts).
import { systemClock } from "../../../src/base/clock.ts";
import type { Outcome } from "../../../src/base/failure.ts";
import type { Value } from "../../../src/grid/log-record.ts";

/** One command: its id, where it went, what came back. */
export interface LedgerLine {
  /** Place in the ledger, from 0. */
  readonly index: number;
  readonly id: string;
  readonly partition: number;
  readonly sentMs: number;
  /** null while there is no answer. */
  outcome: Outcome<Value> | null;
  answeredMs: number;
}

/** What a partition holds: the number of each id. */
export type Holding = ReadonlyMap<string, number>;

/** The partition that an id was made for. */
export function partitionOfId(id: string): number {
  return Number.parseInt(id, 10);
}

type AnswerListener = (line: LedgerLine, outcome: Outcome<Value>) => void;

export class FaultLedger {
  readonly #lines: LedgerLine[] = [];
  readonly #listeners = new Set<AnswerListener>();
  readonly #prefix: string;
  #open = 0;

  /** `prefix` makes the ids of this ledger its own. */
  constructor(prefix = "") {
    this.#prefix = prefix;
  }

  /** A command that is about to be sent. */
  send(partition: number): LedgerLine {
    const index = this.#lines.length;
    const id = `${partition}-${this.#prefix}${index}`;
    const sentMs = systemClock.monotonicMs();
    const line: LedgerLine = { index, id, partition, sentMs, outcome: null, answeredMs: 0 };
    this.#lines.push(line);
    this.#open++;
    return line;
  }

  /** Its answer; each command has one. */
  answer(line: LedgerLine, outcome: Outcome<Value>): void {
    if (line.outcome !== null) throw new Error(`command ${line.id} was answered twice`);
    line.outcome = outcome;
    line.answeredMs = systemClock.monotonicMs();
    this.#open--;
    for (const listener of [...this.#listeners]) listener(line, outcome);
  }

  /** Calls back at every answer, until what it returns is called. */
  onAnswer(listener: AnswerListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Commands without an answer. */
  get open(): number {
    return this.#open;
  }

  get lines(): readonly LedgerLine[] {
    return this.#lines;
  }

  /** What another ledger says of other partitions. */
  adopt(lines: readonly LedgerLine[]): void {
    for (const line of lines) this.#lines.push(line);
  }

  /** How many were sent so far. */
  get size(): number {
    return this.#lines.length;
  }

  /** Acknowledged ones of those from place `from` on. */
  acknowledged(from = 0): LedgerLine[] {
    return this.#lines.slice(from).filter(({ outcome }) => outcome?.ok === true);
  }

  /** How often each answer was given: "ok", or the code of the failure. */
  counts(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const { outcome } of this.#lines) {
      const what = outcome === null ? "none" : outcome.ok ? "ok" : outcome.failure.code;
      counts[what] = (counts[what] ?? 0) + 1;
    }
    return counts;
  }

  /**
   * What is wrong with what a partition holds: each acknowledged id is there under the number that
   * was answered; none that was answered as not applied is there; and every number was given to one
   * id, so that none was entered twice.
   */
  problems(partition: number, holding: Holding): string[] {
    const problems: string[] = [];
    const mine = this.#lines.filter((line) => line.partition === partition);
    const ids = new Set(mine.map(({ id }) => id));
    for (const { id, outcome } of mine) {
      const held = holding.get(id);
      const where = `partition ${partition}, id ${id}`;
      if (outcome === null) problems.push(`${where}: never answered`);
      else if (outcome.ok && held === undefined) problems.push(`${where}: acknowledged, and lost`);
      else if (outcome.ok && held !== outcome.value) {
        problems.push(
          `${where}: acknowledged as ${JSON.stringify(outcome.value)}, held as ${held}`,
        );
      } else if (!outcome.ok && outcome.failure.kind !== "unknown" && held !== undefined) {
        problems.push(`${where}: answered ${outcome.failure.code}, and applied`);
      }
    }
    for (const id of holding.keys()) {
      if (!ids.has(id)) problems.push(`partition ${partition}, id ${id}: nobody sent it`);
    }
    const numbers = [...holding.values()].sort((a, b) => a - b);
    const wrong = numbers.findIndex((number, index) => number !== index + 1);
    if (wrong >= 0) problems.push(`partition ${partition}: number ${wrong + 1} is not once there`);
    return problems;
  }

  /** The longest time between two acknowledgements of one partition, the worst of these. */
  stallMs(partitions: readonly number[]): number {
    const stalls = partitions.map((partition) =>
      longestGap(this.#lines.filter((line) => line.partition === partition)),
    );
    return Math.max(0, ...stalls);
  }

  /** The longest time without any acknowledgement. */
  silenceMs(): number {
    return longestGap(this.#lines);
  }
}

function longestGap(lines: readonly LedgerLine[]): number {
  const times = lines
    .filter(({ outcome }) => outcome?.ok === true)
    .map(({ answeredMs }) => answeredMs)
    .sort((a, b) => a - b);
  let longest = 0;
  for (const [index, time] of times.entries()) {
    if (index > 0) longest = Math.max(longest, time - (times[index - 1] ?? time));
  }
  return longest;
}
