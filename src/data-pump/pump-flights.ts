// Pump flights: the transactions that the database was given and whose outcome is not taken in.
// Owns: their order, which is that of the calls; how many there may be. Does not own: what goes
// into one (pump-batch.ts), what an outcome means (pump.ts).
// All of them go over the lane's one connection, which keeps their order.
// Invariants (docs/invariants.md):
//   D14. Outcomes are taken in in the order of the transactions; after a failure nothing is given
//        to the database before all others are answered.
import { assert } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import type { Failure, Outcome } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import type { Database, WriteResult } from "./database.ts";
import { transactionOf, type Batch } from "./pump-batch.ts";
import { countRows } from "./rows.ts";

export interface Flight {
  readonly batch: Batch;
  readonly rows: number;
  readonly startedMs: number;
}

/** How it ended, and how long the database was busy with it, as far as can be seen. */
export interface Landing extends Flight {
  readonly outcome: Outcome<WriteResult>;
  readonly busyMs: number;
}

interface OpenFlight extends Flight {
  answered: Promise<void> | null;
  /** Null: not answered yet. */
  outcome: Outcome<WriteResult> | null;
  answeredMs: number;
}

export interface PumpFlightsOptions {
  readonly database: Database;
  readonly generation: number;
  readonly clock: Clock;
  /** One was answered; nothing was done about it yet. */
  readonly answered: () => void;
  /** Takes in what became of one. Returns why the database could not be written, or null. */
  readonly landed: (landing: Landing) => Failure | null;
}

export class PumpFlights {
  readonly #options: PumpFlightsOptions;
  readonly #open: OpenFlight[] = [];
  #launchedMs = 0;
  #landedMs = 0;

  constructor(options: PumpFlightsOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#open.length;
  }

  /** True where the next to be taken in is not answered yet. */
  get isWaiting(): boolean {
    return this.#open[0]?.outcome === null;
  }

  /** When the last one was launched, and when the last one was found to be answered. */
  get launchedMs(): number {
    return this.#launchedMs;
  }

  get landedMs(): number {
    return this.#landedMs;
  }

  launch(batch: Batch): void {
    assert(this.count < limits.pumpTransactionsInFlight, "no more than the port allows");
    const { database, generation, clock } = this.#options;
    const transaction = transactionOf(batch, generation);
    this.#launchedMs = clock.monotonicMs();
    const flight: OpenFlight = {
      batch,
      rows: countRows(transaction.rows),
      startedMs: this.#launchedMs,
      answered: null,
      outcome: null,
      answeredMs: 0,
    };
    flight.answered = database.write(transaction).then((outcome) => {
      flight.outcome = outcome;
      flight.answeredMs = clock.monotonicMs();
      this.#options.answered();
    });
    this.#open.push(flight);
  }

  /** Takes in what was answered; after a failure, waits for all others first. */
  async land(): Promise<Failure | null> {
    for (let first = this.#open[0]; first !== undefined; first = this.#open[0]) {
      if (first.outcome === null) return null;
      this.#open.shift();
      const problem = this.#landed(first, first.outcome);
      if (problem === null) continue;
      await this.landAll();
      return problem;
    }
    return null;
  }

  /** Waits until nothing is under way, and takes it in. */
  async landAll(): Promise<Failure | null> {
    let problem: Failure | null = null;
    for (let first = this.#open[0]; first !== undefined; first = this.#open[0]) {
      await first.answered;
      this.#open.shift();
      if (first.outcome === null) continue;
      const found = this.#landed(first, first.outcome);
      problem ??= found;
    }
    return problem;
  }

  #landed(flight: OpenFlight, outcome: Outcome<WriteResult>): Failure | null {
    const { batch, rows, startedMs, answeredMs } = flight;
    const busyMs = answeredMs - Math.max(startedMs, this.#landedMs);
    this.#landedMs = answeredMs;
    return this.#options.landed({ batch, rows, startedMs, outcome, busyMs });
  }
}
