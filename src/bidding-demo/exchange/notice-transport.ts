// Notice transport: sends a notice to wherever its address points.
// Owns: one client per place. Does not own: repeats (notices.ts).
// Notices have connections of their own, so that they do not wait behind bid requests, nor the
// other way round.
import type { Clock } from "../../base/clock.ts";
import { limits } from "../../base/limits.ts";
import type { Random } from "../../base/random.ts";
import type { Timers } from "../../base/timers.ts";
import { HttpClient, parseTarget } from "../../load/http-client.ts";

export interface NoticeTransportOptions {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly log: (line: string) => void;
}

const schemeLength = "http://".length;

export class NoticeTransport {
  readonly #options: NoticeTransportOptions;
  /** Null for a place that is none, or one too many. */
  readonly #clients = new Map<string, HttpClient | null>();

  constructor(options: NoticeTransportOptions) {
    this.#options = options;
  }

  /** One try: GET. Acknowledged is what is answered with 200 or 204. */
  send(url: string, respond: (acknowledged: boolean) => void): void {
    const slash = url.indexOf("/", schemeLength);
    const origin = slash === -1 ? url : url.slice(0, slash);
    const client = this.#clientOf(origin);
    if (client === null) {
      respond(false);
      return;
    }
    const path = slash === -1 ? "/" : url.slice(slash);
    const timeoutMs = limits.noticeAnswerMsMax;
    client.send({ method: "GET", path, headers: "", body: "", timeoutMs }, (outcome) => {
      respond(outcome.ok && (outcome.value.status === 200 || outcome.value.status === 204));
    });
  }

  close(): void {
    for (const client of this.#clients.values()) client?.close();
  }

  #clientOf(origin: string): HttpClient | null {
    const known = this.#clients.get(origin);
    if (known !== undefined) return known;
    // Places are never forgotten: a bidder has few, and that one is refused is said once.
    if (this.#clients.size >= limits.noticeOriginsMax) return null;
    const client = this.#makeClient(origin);
    this.#clients.set(origin, client);
    if (this.#clients.size === limits.noticeOriginsMax) {
      this.#options.log(`notices go to ${limits.noticeOriginsMax} places already, and to no more`);
    }
    return client;
  }

  #makeClient(origin: string): HttpClient | null {
    const { log } = this.#options;
    const target = parseTarget(origin);
    if (!target.ok) {
      log(`notices to ${origin} are not sent: it is not an address`);
      return null;
    }
    const client = new HttpClient({
      ...this.#options,
      targets: [target.value],
      connectionsPerTarget: limits.noticeConnectionsPerOrigin,
      waitingMax: limits.noticesPendingMax,
      log: (line) => log(`notices: ${line}`),
    });
    // Whether it can be reached shows with each notice; what waits is sent when it can.
    void client.open();
    return client;
  }
}
