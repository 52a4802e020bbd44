// Loaded exchange: the exchange in the test's own process, so that a test knows at every moment
// how many of its requests are unanswered. It runs on across whatever happens to the unit.
// Owns: starting and ending it, waiting for its counts. Does not own: the exchange.
import { setImmediate } from "node:timers/promises";
import { systemClock } from "../../../src/base/clock.ts";
import { unwrap } from "../../../src/base/failure.ts";
import { systemRandom } from "../../../src/base/random.ts";
import { systemTimers } from "../../../src/base/timers.ts";
import { type Exchange, runExchange } from "../../../src/bidding-demo/exchange/exchange.ts";
import type { ExchangeSummary } from "../../../src/bidding-demo/exchange/tally.ts";
import { until } from "./until.ts";

export class LoadedExchange {
  readonly #exchange: Exchange;
  readonly #ratePerSecond: number;

  private constructor(exchange: Exchange, ratePerSecond: number) {
    this.#exchange = exchange;
    this.#ratePerSecond = ratePerSecond;
  }

  static async start(options: {
    readonly url: string;
    readonly ledgerPath: string;
    readonly ratePerSecond: number;
    readonly seed?: number;
  }): Promise<LoadedExchange> {
    const started = await runExchange({
      seed: 1,
      ...options,
      targets: [options.url],
      clock: systemClock,
      timers: systemTimers,
      random: systemRandom(),
      log: () => undefined,
    });
    return new LoadedExchange(unwrap(started), options.ratePerSecond);
  }

  /** Requests that were sent and whose connection then ended without an answer. */
  get lost(): number {
    return this.#exchange.progress().errors["CONNECTION_LOST"] ?? 0;
  }

  /** Resolves in the moment in which so many requests are unanswered. */
  async unanswered(count: number): Promise<void> {
    while (this.#exchange.progress().inFlight < count) await setImmediate();
  }

  /** Resolves when `count` more requests were answered with bids. */
  async moreBids(count: number): Promise<void> {
    const bids = () => this.#exchange.progress().answers.bid;
    const wanted = bids() + count;
    await until(`there are ${String(wanted)} bids`, async () => {
      await setImmediate();
      return bids() >= wanted ? null : JSON.stringify(this.#exchange.progress());
    });
  }

  /** Resolves when the notices of bad times are through: what is pending came in one second. */
  async caughtUp(): Promise<void> {
    await until("the notices are through", async () => {
      await setImmediate();
      const { pending } = this.#exchange.progress().notices;
      return pending <= this.#ratePerSecond ? null : `${String(pending)} are pending`;
    });
  }

  /** Ends the load, and waits until the last notice is acknowledged. */
  async finish(): Promise<ExchangeSummary> {
    this.#exchange.stop();
    return unwrap(await this.#exchange.finished);
  }
}
