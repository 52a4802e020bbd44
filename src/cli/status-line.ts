// Status line: one line a second on a terminal, always in the same place.
// Owns: what is in the line, and that other output does not tear it. On a pipe nothing is shown:
// a log file wants events, not a line a second.
import type { ExchangeProgress } from "../bidding-demo/exchange/tally.ts";

// A terminal that does not say how wide it is says 0.
const columnsUnknown = 120;
const clearLine = "\r\u001b[2K";

export class StatusLine {
  readonly #terminal = process.stdout.isTTY;
  #shown = "";

  /** Replaces the line. */
  show(text: string): void {
    if (!this.#terminal) return;
    this.#shown = text.slice(0, (process.stdout.columns || columnsUnknown) - 1);
    process.stdout.write(clearLine + this.#shown);
  }

  /** Prints a line of text above it. */
  print(text: string): void {
    process.stdout.write(`${this.#shown === "" ? "" : clearLine}${text}\n${this.#shown}`);
  }

  /** Leaves the line as it is and goes on below it. */
  end(): void {
    if (this.#shown !== "") process.stdout.write("\n");
    this.#shown = "";
  }
}

const microsPerDollar = 1_000_000;

/** Micros as dollars and cents. */
export function dollars(micros: number): string {
  return `$${(micros / microsPerDollar).toFixed(2)}`;
}

/** What an exchange can say of the last second. */
export function exchangeLine(progress: ExchangeProgress): string {
  const { lastSecond, answers, exchange } = progress;
  const { p50, p99 } = lastSecond.latencyMs;
  return [
    `${String(lastSecond.requests)} requests/s`,
    `${String(lastSecond.bids)} bids/s`,
    `p50 ${p50.toFixed(1)} ms`,
    `p99 ${p99.toFixed(1)} ms`,
    `billed ${dollars(exchange.billedMicros)}`,
    `errors ${String(answers.error)}`,
  ].join(" · ");
}
