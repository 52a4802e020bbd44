// One keep-alive connection to one target: one request in flight, reconnecting with backoff.
// Owns: the socket, the request on it, when it connects again. Does not own: which request comes
// next, deadlines (http-client.ts), framing (http-response.ts), addresses (target-addresses.ts).
//
//     opening ──connected──▶ idle ──send──▶ busy ──response──▶ idle
//        ▲                     │              │
//        └── at once, or ◀─────┴── down ◀─────┘  lost, malformed, `connection: close`
//            after backoff
import type { LookupAddress } from "node:dns";
import net from "node:net";
import { assert } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import { type Failure, type Outcome, failure, ok } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import type { Random } from "../base/random.ts";
import type { TimerHandle, Timers } from "../base/timers.ts";
import { type HttpResponse, ResponseReader } from "./http-response.ts";

export type Respond = (outcome: Outcome<HttpResponse>) => void;

export interface Target {
  /** Scheme, host and port, as a URL says it: the target's name in messages. */
  readonly origin: string;
  readonly host: string;
  readonly port: number;
  /** For the host field. */
  readonly authority: string;
}

export interface ConnectionEvents {
  /** Connected; `idle` follows. */
  connected(connection: HttpConnection): void;
  /** Ready for a request. */
  idle(connection: HttpConnection): void;
  /** Not connected, or no longer; it connects again by itself. `why` may be a system's error. */
  down(connection: HttpConnection, why: string): void;
}

/** Told once: the addresses of a name, or why there are none. */
export type AddressesFound = (error: Error | null, addresses: LookupAddress[]) => void;
/** Finds the addresses of a target's name, in the order in which they are to be tried. */
export type FindAddresses = (found: AddressesFound) => void;

type State = "opening" | "idle" | "busy" | "down" | "closed";

const readBufferBytes = 16 * 1024;

export class HttpConnection {
  readonly target: Target;
  readonly #events: ConnectionEvents;
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #random: Random;
  readonly #findAddresses: FindAddresses;
  readonly #reader = new ResponseReader();
  readonly #buffer = Buffer.allocUnsafe(readBufferBytes);
  #state: State = "down";
  #socket: net.Socket | undefined;
  #address: string | null = null;
  #moves = false;
  #connectedMs = 0;
  /** Undefined while busy: nobody waits for the answer any more. */
  #respond: Respond | undefined;
  #backoffMs: number = limits.reconnectMsMin;
  #retry: TimerHandle | undefined;

  constructor(options: {
    target: Target;
    events: ConnectionEvents;
    clock: Clock;
    timers: Timers;
    random: Random;
    findAddresses: FindAddresses;
  }) {
    this.target = options.target;
    this.#events = options.events;
    this.#clock = options.clock;
    this.#timers = options.timers;
    this.#random = options.random;
    this.#findAddresses = options.findAddresses;
  }

  get state(): State {
    return this.#state;
  }

  /** The address that it is connected to, or tries first; null before it knows one. */
  get address(): string | null {
    return this.#address;
  }

  /** It will connect anew when it has its answer. */
  get moves(): boolean {
    return this.#moves;
  }

  open(): void {
    assert(this.#state === "down", "only what is down is opened");
    this.#state = "opening";
    this.#moves = false;
    this.#retry = undefined;
    const socket = net.connect({
      host: this.target.host,
      port: this.target.port,
      noDelay: true,
      // A name has several addresses: when one does not answer, the next is tried.
      autoSelectFamily: true,
      lookup: (_name, _options, callback) => {
        this.#findAddresses((error, addresses) => {
          if (socket === this.#socket) this.#address = addresses[0]?.address ?? null;
          callback(error, addresses);
        });
      },
      // One buffer for all reads: what a response leaves behind is copied out of it.
      onread: {
        buffer: this.#buffer,
        callback: (length) => {
          if (socket === this.#socket) this.#read(this.#buffer.subarray(0, length));
          return true;
        },
      },
    });
    this.#socket = socket;
    let why = "the server closed the connection";
    socket.on("connect", () => {
      if (socket !== this.#socket) return;
      this.#address = socket.remoteAddress ?? null;
      this.#connectedMs = this.#clock.monotonicMs();
      this.#events.connected(this);
      this.#becomeIdle();
    });
    socket.on("error", (error) => {
      // An AggregateError (several addresses were tried) has its text in the code.
      why = "code" in error && typeof error.code === "string" ? error.code : error.message;
    });
    // A server that ends its side answers no more; waiting for `close` could lose a request.
    socket.on("end", () => socket.destroy());
    socket.on("close", () => {
      if (socket === this.#socket) this.drop(why);
    });
  }

  /** Sends the request's text; `respond` is called once. Only on an idle connection. */
  send(text: string, respond: Respond): void {
    assert(this.#state === "idle" && this.#socket !== undefined, "one request at a time");
    this.#state = "busy";
    this.#respond = respond;
    this.#socket.write(text);
  }

  /** Stops waiting for the answer: the connection stays busy until it came, and ignores it. */
  abandon(): void {
    this.#respond = undefined;
  }

  /** Connects anew, now or when it has its answer; to another address, where that is preferred. */
  move(): void {
    if (this.#state === "busy") {
      this.#moves = true;
    } else if (this.#state === "idle") {
      this.#backoffMs = 0;
      this.drop("moved");
    }
  }

  /** Gives the connection up and connects again, later. A waiting request gets CONNECTION_LOST. */
  drop(why: string): void {
    this.#down(why, failure("CONNECTION_LOST", `${this.target.origin}: ${why}`));
  }

  close(): void {
    this.#retry?.cancel();
    this.#state = "closed";
    const respond = this.#letGo();
    respond?.({ ok: false, failure: failure("CONNECTION_LOST", `${this.target.origin}: closed`) });
  }

  #becomeIdle(): void {
    this.#state = "idle";
    this.#events.idle(this);
  }

  #read(bytes: Buffer): void {
    if (this.#state !== "busy") {
      this.#malformed("it came without a request");
      return;
    }
    const result = this.#reader.read(bytes);
    if (result.kind === "more") return;
    if (result.kind === "malformed") {
      this.#malformed(result.why);
      return;
    }
    this.#backoffMs = 0;
    const respond = this.#respond;
    this.#respond = undefined;
    // Before the next request is sent here: that would count as time of this one.
    respond?.(ok(result.response));
    this.#answered(result.response.closes);
  }

  #answered(closes: boolean): void {
    if (this.#state !== "busy") return; // who was answered has closed it
    if (closes) this.drop("the server closes after this answer");
    else if (this.#moves) this.drop("moved");
    else this.#becomeIdle();
  }

  #malformed(why: string): void {
    const text = `the answer is not one that can be read: ${why}`;
    this.#down(text, failure("RESPONSE_MALFORMED", `${this.target.origin}: ${text}`));
  }

  #down(why: string, cause: Failure): void {
    if (this.#state === "down" || this.#state === "closed") return;
    const isOpen = this.#state !== "opening";
    const stood = isOpen && this.#clock.monotonicMs() - this.#connectedMs > limits.reconnectMsMax;
    this.#state = "down";
    const respond = this.#letGo();
    if (this.#backoffMs === 0 || stood) {
      // It answered since it was opened, or kept it for a while, until it had been idle for too
      // long (perhaps with a 408): most likely the server only closed this one connection.
      this.#backoffMs = limits.reconnectMsMin;
      this.open();
    } else {
      // Half of it by chance: the connections of a server that came back must not come as one.
      const delayMs = this.#backoffMs * (0.5 + 0.5 * this.#random.fraction());
      this.#backoffMs = Math.min(limits.reconnectMsMax, this.#backoffMs * 2);
      this.#retry = this.#timers.after(delayMs, () => this.open());
    }
    this.#events.down(this, why);
    respond?.({ ok: false, failure: cause });
  }

  /** Forgets the socket; returns who waits for an answer on it. */
  #letGo(): Respond | undefined {
    this.#reader.reset();
    this.#address = null;
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.destroy();
    const respond = this.#respond;
    this.#respond = undefined;
    return respond;
  }
}
