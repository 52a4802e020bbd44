// HTTP client: a lean HTTP/1.1 client for load, over a fixed number of keep-alive connections.
// Owns: which connection takes a request, requests that wait for one, deadlines. Does not own:
// sockets (http-connection.ts), addresses (target-addresses.ts), framing (http-response.ts), when
// requests are due (open-loop.ts).
//
// No pipelining: one slow answer must not hold others back. Requests go to the connection that was
// idle longest, so they spread over connections, and with them over targets, in turn, and over all
// addresses of a target's name. A request is never sent twice: whether the first one had an effect
// is exactly what must not be hidden.
import { isIP } from "node:net";
import { assert } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import { BoundedQueue } from "../base/bounded-queue.ts";
import { type Outcome, failed, ok } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import type { Random } from "../base/random.ts";
import type { TimerHandle, Timers } from "../base/timers.ts";
import { HttpConnection, type Respond, type Target } from "./http-connection.ts";
import { TargetAddresses, type Resolve } from "./target-addresses.ts";

/** Those whose answers may have a body. */
export const httpMethods = ["GET", "POST", "PUT", "PATCH", "DELETE"] as const;
export type HttpMethod = (typeof httpMethods)[number];

export interface HttpRequest {
  readonly method: HttpMethod;
  /** Path and query. */
  readonly path: string;
  /** Further header lines, each ended by CRLF; host and content-length are added. */
  readonly headers: string;
  readonly body: string;
  /** From the call of `send`; after it the answer is DEADLINE_EXCEEDED. */
  readonly timeoutMs: number;
}

export interface HttpClientOptions {
  readonly targets: readonly Target[];
  readonly connectionsPerTarget: number;
  /** Requests that wait for a connection. More: OVERLOADED. */
  readonly waitingMax: number;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  /** Default: the system's. */
  readonly resolve?: Resolve;
  /** One line when a target loses its last connection, and one when it has one again. */
  readonly log: (line: string) => void;
}

interface Call {
  readonly request: HttpRequest;
  readonly respond: Respond;
  /** Called when it leaves, where it had to wait for a connection. */
  readonly sent: (() => void) | undefined;
  readonly deadlineMs: number;
}

interface Slot {
  readonly connection: HttpConnection;
  /** What waits for an answer on it; none while the answer is one that nobody waits for. */
  call: Call | undefined;
  connected: boolean;
  /** It lies in the queue of idle ones, perhaps from before it was lost. */
  queued: boolean;
  /** It has been connected, or failed to, once. */
  settled: boolean;
  /** Since when it is being opened, or is busy with an abandoned answer; 0 = neither. */
  stuckSinceMs: number;
}

/** Deadlines are looked at this often, for all calls at once: a timer for each would cost more. */
const sweepMs = 5;

/** The target that a URL names. Only http, and no path: requests bring their own. */
export function parseTarget(url: string): Outcome<Target> {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed?.protocol !== "http:" || parsed.pathname !== "/" || parsed.search !== "") {
    return failed(
      "CONFIG_INVALID",
      `${url} does not name a target: give scheme, host and port only, such as http://127.0.0.1:8080`,
    );
  }
  return ok({
    origin: parsed.origin,
    host: parsed.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: parsed.port === "" ? 80 : Number(parsed.port),
    authority: parsed.host,
  });
}

export class HttpClient {
  readonly #options: HttpClientOptions;
  readonly #slots: Slot[] = [];
  readonly #idle: BoundedQueue<Slot>;
  readonly #waiting = new Set<Call>();
  /** Targets without a connection, once that has been logged. */
  readonly #lost = new Set<Target>();
  readonly #addresses: readonly TargetAddresses[];
  #sweeper: TimerHandle | undefined;
  #spreader: TimerHandle | undefined;
  /** The first failure of each target; while `open` waits for first results. */
  readonly #firstErrors = new Map<Target, string>();
  #opened: (() => void) | undefined;

  constructor(options: HttpClientOptions) {
    assert(options.targets.length > 0, "a client has a target");
    this.#options = options;
    this.#addresses = options.targets.map((target) => new TargetAddresses(target, options.resolve));
    this.#idle = new BoundedQueue(options.targets.length * options.connectionsPerTarget);
  }

  /**
   * Opens all connections; TARGET_UNREACHABLE when a target took none of them. From then on, what
   * is lost is connected again, until `close`. Requests may be sent before this resolves.
   */
  async open(): Promise<Outcome<void>> {
    const { targets, connectionsPerTarget, timers } = this.#options;
    this.#sweeper = timers.every(sweepMs, () => this.#sweep());
    const named = this.#addresses.filter(({ target }) => isIP(target.host) === 0);
    this.#spreader = timers.every(limits.loadSpreadMs, () => {
      for (const addresses of named) addresses.spread();
    });
    await new Promise<void>((opened) => {
      this.#opened = opened;
      // In turn over targets, so that the idle ones lie in turn.
      for (let index = 0; index < connectionsPerTarget; index++) {
        for (const addresses of this.#addresses) this.#addConnection(addresses);
      }
    });
    this.#opened = undefined;
    const missing = targets.find((target) => !this.#isConnected(target));
    if (missing === undefined) return ok(undefined);
    const why = this.#firstErrors.get(missing) ?? "closed here";
    return failed(
      "TARGET_UNREACHABLE",
      `${missing.origin} cannot be reached (${why}): start what should answer there, ` +
        "or name another target",
    );
  }

  /**
   * Sends a request on the next idle connection, or as soon as there is one. `respond` is called
   * once: with any response, whatever its status, or with TARGET_UNREACHABLE or OVERLOADED (not
   * sent), DEADLINE_EXCEEDED, CONNECTION_LOST or RESPONSE_MALFORMED (unknown what it did).
   * `sent` is called where it leaves later than at once.
   */
  send(request: HttpRequest, respond: Respond, sent?: () => void): void {
    const deadlineMs = this.#options.clock.monotonicMs() + request.timeoutMs;
    const call: Call = { request, respond, sent, deadlineMs };
    const slot = this.#takeIdle();
    if (slot !== undefined) {
      sendOn(slot, call);
    } else if (!hasHope(this.#slots)) {
      respond(unreachable);
    } else if (this.#waiting.size >= this.#options.waitingMax) {
      respond(failed("OVERLOADED", `${this.#waiting.size} requests wait for a connection already`));
    } else {
      this.#waiting.add(call);
    }
  }

  /** Closes all connections. What is not answered gets CONNECTION_LOST. */
  close(): void {
    this.#sweeper?.cancel();
    this.#spreader?.cancel();
    for (const slot of this.#slots) {
      slot.connected = false;
      slot.connection.close();
    }
    this.#failWaiting(failed("CONNECTION_LOST", "closed here before it was sent"));
    this.#opened?.();
  }

  #addConnection(addresses: TargetAddresses): void {
    const { target, find } = addresses;
    const { clock, timers, random } = this.#options;
    const events = {
      connected: () => this.#onConnected(slot),
      idle: () => this.#onIdle(slot),
      down: (_connection: HttpConnection, why: string) => this.#onDown(slot, why),
    };
    const parts = { target, clock, timers, random, events, findAddresses: find };
    const connection = new HttpConnection(parts);
    addresses.add(connection);
    const slot: Slot = {
      connection,
      call: undefined,
      connected: false,
      queued: false,
      settled: false,
      stuckSinceMs: 0,
    };
    this.#slots.push(slot);
    connection.open();
  }

  #onConnected(slot: Slot): void {
    const { target } = slot.connection;
    if (this.#lost.delete(target)) this.#options.log(`connected to ${target.origin} again`);
    slot.connected = true;
    this.#settle(slot);
  }

  #onIdle(slot: Slot): void {
    slot.call = undefined;
    slot.stuckSinceMs = 0;
    const [next] = this.#waiting;
    if (next !== undefined) {
      this.#waiting.delete(next);
      next.sent?.();
      sendOn(slot, next);
    } else if (!slot.queued) {
      slot.queued = true;
      assert(this.#idle.push(slot), "the queue has room for every connection");
    }
  }

  #onDown(slot: Slot, why: string): void {
    const { target } = slot.connection;
    slot.connected = false;
    slot.call = undefined;
    slot.stuckSinceMs = 0;
    const others = this.#slots.filter(({ connection }) => connection.target === target);
    if (this.#opened === undefined && !this.#lost.has(target) && !hasHope(others)) {
      this.#lost.add(target);
      this.#options.log(`lost the connection to ${target.origin} (${why}): trying again`);
    }
    if (!slot.settled && !this.#firstErrors.has(target)) this.#firstErrors.set(target, why);
    this.#settle(slot);
    if (!hasHope(this.#slots)) this.#failWaiting(unreachable);
  }

  #settle(slot: Slot): void {
    slot.settled = true;
    const { targets, connectionsPerTarget } = this.#options;
    const all = this.#slots.length === targets.length * connectionsPerTarget;
    if (all && this.#slots.every(({ settled }) => settled)) this.#opened?.();
  }

  #isConnected(target: Target): boolean {
    return this.#slots.some((slot) => slot.connected && slot.connection.target === target);
  }

  #takeIdle(): Slot | undefined {
    for (;;) {
      const slot = this.#idle.shift();
      if (slot === undefined) return undefined;
      slot.queued = false;
      // Lost since it was put there.
      if (slot.connection.state === "idle") return slot;
    }
  }

  #failWaiting(outcome: Outcome<never>): void {
    const calls = [...this.#waiting];
    this.#waiting.clear();
    for (const { respond } of calls) respond(outcome);
  }

  #sweep(): void {
    const nowMs = this.#options.clock.monotonicMs();
    for (const call of this.#waiting) {
      if (call.deadlineMs > nowMs) continue;
      this.#waiting.delete(call);
      call.respond(late(call, "waiting for a connection"));
    }
    for (const slot of this.#slots) this.#sweepSlot(slot, nowMs);
  }

  #sweepSlot(slot: Slot, nowMs: number): void {
    const { call, connection } = slot;
    if (call !== undefined) {
      if (call.deadlineMs > nowMs) return;
      slot.call = undefined;
      slot.stuckSinceMs = nowMs;
      connection.abandon();
      call.respond(late(call, `waiting for an answer of ${connection.target.origin}`));
    } else if (slot.stuckSinceMs === 0) {
      if (connection.state === "opening") slot.stuckSinceMs = nowMs;
    } else if (connection.state === "opening") {
      if (nowMs - slot.stuckSinceMs > limits.connectMsMax) connection.drop("no connection in time");
    } else if (nowMs - slot.stuckSinceMs > limits.abandonedAnswerMs) {
      connection.drop("no answer in time");
    }
  }
}

const unreachable = failed("TARGET_UNREACHABLE", "no target is connected");

/** Whether a request that waits may still find a connection among these. */
function hasHope(slots: readonly Slot[]): boolean {
  return slots.some(({ connection: { state } }) => state !== "down" && state !== "closed");
}

function sendOn(slot: Slot, call: Call): void {
  const { method, path, headers, body } = call.request;
  slot.call = call;
  slot.connection.send(
    `${method} ${path} HTTP/1.1\r\nhost: ${slot.connection.target.authority}\r\n${headers}` +
      `content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    call.respond,
  );
}

function late({ request }: Call, what: string): Outcome<never> {
  return failed("DEADLINE_EXCEEDED", `${request.timeoutMs} ms passed ${what}`);
}
