// Exchange: asks bidders for bids, holds the auctions, tells them the outcome, and keeps books.
// Owns: one run from the first request to the last notice, how answers are counted. Does not own:
// what is asked (market.ts, replay.ts), when (src/load), what follows from a bid (sales.ts).
//
// The load is open: requests leave when their plan says so, whatever the bidder does, and a bidder
// that is killed meanwhile costs errors and not the run.
import { type Outcome, ok } from "../../base/failure.ts";
import type { Clock } from "../../base/clock.ts";
import type { Histogram } from "../../base/histogram.ts";
import { limits } from "../../base/limits.ts";
import { seededRandom, type Random } from "../../base/random.ts";
import type { TimerHandle, Timers } from "../../base/timers.ts";
import { type ArrivalPlan, poissonPlan } from "../../load/arrival-plan.ts";
import { HttpClient, type HttpRequest, parseTarget } from "../../load/http-client.ts";
import type { Target } from "../../load/http-connection.ts";
import { type HttpResponse, headerValue } from "../../load/http-response.ts";
import { generatorProblems } from "../../load/load-result.ts";
import { type Finish, OpenLoop } from "../../load/open-loop.ts";
import type { AuctionRequest, RequestSource } from "./auction-request.ts";
import { readBidResponse } from "./bid-response.ts";
import { Ledger } from "./ledger.ts";
import { seededMarket } from "./market.ts";
import { replaySource } from "./replay.ts";
import { Sales } from "./sales.ts";
import type { ExchangeProgress, ExchangeSummary, LatencyMs, LoadSummary } from "./tally.ts";
import { Tally } from "./tally.ts";

export interface ExchangeOptions {
  /** Bidders, as http://host:port; requests go to them in turn. */
  readonly targets: readonly string[];
  readonly ratePerSecond: number;
  /** Decides requests, arrivals and prices; 32 bits of it count. */
  readonly seed: number;
  /** Undefined: until `stop`, or to the end of the requests file. */
  readonly forMs?: number;
  /** Requests to replay, each once, one JSON text a line, instead of made-up ones. */
  readonly requestsFile?: string;
  /** Undefined: no ledger, everything counts at once. */
  readonly ledgerPath?: string;
  readonly clock: Clock;
  readonly timers: Timers;
  /** Only for what need not repeat, such as when to connect again. */
  readonly random: Random;
  /** One line for people. */
  readonly log: (line: string) => void;
}

export interface Exchange {
  progress(): ExchangeProgress;
  /** Sends no more requests; what is in flight, notices included, is finished. */
  stop(): void;
  /** Resolves at the end. DATA_UNUSABLE: the ledger could not be written; the rest is void. */
  readonly finished: Promise<Outcome<ExchangeSummary>>;
}

const bidPath = "/openrtb2/bid";
const bidHeaders = "content-type: application/json\r\nx-openrtb-version: 2.6\r\n";
/** No-bid reason of OpenRTB: insufficient auction time. */
const shedReason = 15;
const invalidStatuses = [400, 413, 415];

/**
 * Starts an exchange. CONFIG_INVALID (targets, requests file), DATA_UNUSABLE (ledger) or
 * TARGET_UNREACHABLE say why it did not begin; afterwards it goes on through anything.
 */
export async function runExchange(options: ExchangeOptions): Promise<Outcome<Exchange>> {
  const targets: Target[] = [];
  for (const url of options.targets) {
    const target = parseTarget(url);
    if (!target.ok) return target;
    targets.push(target.value);
  }
  const { requestsFile, seed } = options;
  const source =
    requestsFile === undefined ? ok(seededMarket(seed)) : await replaySource(requestsFile, seed);
  if (!source.ok) return source;
  const client = new HttpClient({
    ...options,
    targets,
    connectionsPerTarget: limits.loadConnectionsPerTarget,
    waitingMax: limits.loadInFlightMax,
  });
  const opened = await client.open();
  if (!opened.ok) {
    client.close();
    return opened;
  }
  const tally = new Tally();
  const ledger = await openLedger(options, tally);
  if (!ledger.ok) {
    client.close();
    return ledger;
  }
  const parts = { options, source: source.value, client, tally, ledger: ledger.value };
  return ok(new ExchangeRun(parts));
}

async function openLedger(options: ExchangeOptions, tally: Tally): Promise<Outcome<Ledger | null>> {
  const { ledgerPath: path, timers } = options;
  if (path === undefined) return ok(null);
  return Ledger.open({ path, timers, onCounted: (event) => tally.countEvent(event) });
}

interface ExchangeParts {
  readonly options: ExchangeOptions;
  readonly source: RequestSource;
  readonly client: HttpClient;
  readonly tally: Tally;
  readonly ledger: Ledger | null;
}

class ExchangeRun implements Exchange {
  readonly finished: Promise<Outcome<ExchangeSummary>>;
  readonly #options: ExchangeOptions;
  readonly #source: RequestSource;
  readonly #client: HttpClient;
  readonly #sales: Sales;
  readonly #loop: OpenLoop;
  readonly #tally: Tally;
  readonly #ledger: Ledger | null;
  /** Problems that were described in the log already. */
  readonly #described = new Set<string>();
  readonly #cpuBefore = process.cpuUsage();
  readonly #startMs: number;
  #lastSecond: ExchangeProgress["lastSecond"] = { requests: 0, bids: 0, latencyMs: noLatency };
  /** Answers with a bid before the last whole second. */
  #bidsBefore = 0;
  readonly #ticker: TimerHandle;

  constructor(parts: ExchangeParts) {
    const { options, tally, ledger, source } = parts;
    const { clock, timers, random, log } = options;
    this.#options = options;
    this.#source = source;
    this.#client = parts.client;
    this.#tally = tally;
    this.#ledger = ledger;
    this.#startMs = clock.monotonicMs();
    this.#sales = new Sales({ clock, timers, random, log, tally, ledger });
    this.#loop = new OpenLoop({
      plan: planOf(options, source),
      inFlightMax: limits.loadInFlightMax,
      clock,
      timers,
      send: (number, finish) => this.#ask(number, finish),
    });
    this.#ticker = timers.every(1000, () => this.#everySecond());
    this.finished = this.#run();
  }

  progress(): ExchangeProgress {
    const { inFlight } = this.#loop.counts;
    return { ...this.#counts(), inFlight, lastSecond: this.#lastSecond };
  }

  stop(): void {
    this.#loop.stop();
  }

  async #run(): Promise<Outcome<ExchangeSummary>> {
    await this.#loop.run();
    const load = this.#loadSummary();
    await this.#sales.drain();
    await this.#ledger?.close();
    this.#ticker.cancel();
    this.#client.close();
    const failure = this.#ledger?.failure ?? null;
    return failure === null ? ok({ ...this.#counts(), ...load }) : { ok: false, failure };
  }

  #ask(number: number, finish: Finish): void {
    const request = this.#source.request(number);
    this.#client.send(httpRequestOf(request), (outcome) => {
      if (outcome.ok) {
        this.#onAnswer(request, outcome.value);
        finish(true);
        return;
      }
      const { code, message } = outcome.failure;
      this.#tally.countError(code);
      if (code === "RESPONSE_MALFORMED") this.#describe(message);
      // A refused connection takes no time: as a latency it would flatter the bidder.
      finish(code === "DEADLINE_EXCEEDED");
    });
  }

  #onAnswer(request: AuctionRequest, { status, head, body }: HttpResponse): void {
    const { answers } = this.#tally;
    if (status === 204) {
      if (headerValue(head, "x-orrery-nbr") === String(shedReason)) answers.shed++;
      else answers.noBid++;
    } else if (status === 200) {
      this.#onBids(request, body);
    } else if (invalidStatuses.includes(status)) {
      answers.invalid++;
    } else {
      this.#tally.countError(`HTTP_${status}`);
      this.#describe(`a bid request was answered with status ${status}`);
    }
  }

  #onBids(request: AuctionRequest, body: string): void {
    const { answers } = this.#tally;
    const response = readBidResponse(body, request);
    if (!response.ok) {
      this.#tally.countError(response.failure.code);
      this.#describe(`a bid response is malformed: ${response.failure.message}`);
      return;
    }
    const { bids, noBidReason } = response.value;
    if (bids.length === 0) {
      if (noBidReason === shedReason) answers.shed++;
      else answers.noBid++;
      return;
    }
    answers.bid++;
    this.#sales.take(request, bids);
  }

  #describe(problem: string): void {
    if (this.#described.has(problem) || this.#described.size >= 100) return;
    this.#described.add(problem);
    this.#options.log(`${problem} (said once, counted as error)`);
  }

  #everySecond(): void {
    // Without its books a run is worth nothing; `finished` says why it ended.
    if (this.#ledger !== null && this.#ledger.failure !== null) this.stop();
    const { sent, response } = this.#loop.takeWindow();
    const { bid } = this.#tally.answers;
    const bids = bid - this.#bidsBefore;
    this.#bidsBefore = bid;
    this.#lastSecond = { requests: sent, bids, latencyMs: latencyOf(response) };
  }

  #counts(): Omit<ExchangeProgress, "inFlight" | "lastSecond"> {
    const { answers, errors, money, notices } = this.#tally;
    const { sent, notSent } = this.#loop.counts;
    return {
      requests: sent,
      notSent,
      answers: { ...answers },
      errors: { ...errors },
      notices: { ...notices, ...this.#sales.notices },
      exchange: { ...money },
    };
  }

  /** Measured until the last answer; notices that come later cost CPU, but no latency. */
  #loadSummary(): LoadSummary {
    const { response, service, lateness, sent } = this.#loop.total();
    const durationMs = this.#options.clock.monotonicMs() - this.#startMs;
    const { user, system } = process.cpuUsage(this.#cpuBefore);
    const cpuShare = (user + system) / 1000 / durationMs;
    const latenessMsP99 = lateness.percentileMs(99);
    return {
      durationMs,
      latencyMs: latencyOf(response),
      serviceMs: latencyOf(service),
      generator: {
        latenessMsP99,
        cpuShare,
        cpuUsPerRequest: sent === 0 ? 0 : (user + system) / sent,
        latencyTrusted: generatorProblems(latenessMsP99, cpuShare).length === 0,
      },
    };
  }
}

function httpRequestOf({ body, tmaxMs }: AuctionRequest): HttpRequest {
  return { method: "POST", path: bidPath, headers: bidHeaders, body, timeoutMs: tmaxMs };
}

function planOf(options: ExchangeOptions, source: RequestSource): ArrivalPlan {
  const { ratePerSecond, seed, forMs } = options;
  const steps = [{ durationMs: forMs ?? Infinity, ratePerSecond }];
  return upTo(poissonPlan(steps, seededRandom(seed)), source.count);
}

/** The first `count` arrivals of a plan. */
function upTo(plan: ArrivalPlan, count: number): ArrivalPlan {
  let left = count;
  return { next: () => (left-- > 0 ? plan.next() : undefined) };
}

const noLatency: LatencyMs = { p50: 0, p90: 0, p99: 0, p999: 0, max: 0 };

function latencyOf(histogram: Histogram): LatencyMs {
  const { p50, p90, p99, p999, max } = histogram.summaryMs();
  return { p50, p90, p99, p999, max };
}
