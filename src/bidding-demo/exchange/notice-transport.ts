// Notice transport: sends a notice to wherever its address points.
// Owns: one client per place, notices that wait for a connection. Does not own: repeats
// (notices.ts).
// Notices have connections of their own, so that they do not wait behind bid requests, nor the
// other way round.
// Waiting costs a notice nothing of its time for an answer. If it did, a bidder that was away or
// slow for once would never be heard again: in a queue longer than that time every notice reaches
// the wire too late to await its answer, is sent once more, and the queue stays that long.
import { BoundedQueue } from "../../base/bounded-queue.ts";
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

/** Somewhere that notices are sent to. */
interface Place {
  readonly client: HttpClient;
  readonly waiting: BoundedQueue<Try>;
  /** Notices that have a connection. */
  sent: number;
}

interface Try {
  readonly path: string;
  readonly respond: (acknowledged: boolean) => void;
}

const schemeLength = "http://".length;

export class NoticeTransport {
  readonly #options: NoticeTransportOptions;
  /** Null for a place that is none, or one too many. */
  readonly #places = new Map<string, Place | null>();

  constructor(options: NoticeTransportOptions) {
    this.#options = options;
  }

  /** One try: GET. Acknowledged is what is answered with 200 or 204. */
  send(url: string, respond: (acknowledged: boolean) => void): void {
    const slash = url.indexOf("/", schemeLength);
    const origin = slash === -1 ? url : url.slice(0, slash);
    const place = this.#placeOf(origin);
    if (place === null) {
      respond(false);
      return;
    }
    const taken = place.waiting.push({ path: slash === -1 ? "/" : url.slice(slash), respond });
    if (taken) sendNext(place);
    else respond(false);
  }

  close(): void {
    for (const place of this.#places.values()) place?.client.close();
  }

  #placeOf(origin: string): Place | null {
    const known = this.#places.get(origin);
    if (known !== undefined) return known;
    // Places are never forgotten: a bidder has few, and that one is refused is said once.
    if (this.#places.size >= limits.noticeOriginsMax) return null;
    const client = this.#makeClient(origin);
    const waiting = new BoundedQueue<Try>(limits.noticesPendingMax);
    const place = client === null ? null : { client, waiting, sent: 0 };
    this.#places.set(origin, place);
    if (this.#places.size === limits.noticeOriginsMax) {
      this.#options.log(`notices go to ${limits.noticeOriginsMax} places already, and to no more`);
    }
    return place;
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
      waitingMax: limits.noticeConnectionsPerOrigin,
      log: (line) => log(`notices: ${line}`),
    });
    // Whether it can be reached shows with each notice; what waits is sent when it can.
    void client.open();
    return client;
  }
}

/** Sends what waits while there are connections; what is answered at once makes room at once. */
function sendNext(place: Place): void {
  while (place.sent < limits.noticeConnectionsPerOrigin) {
    const next = place.waiting.shift();
    if (next === undefined) return;
    place.sent++;
    sendOne(place, next);
  }
}

function sendOne(place: Place, { path, respond }: Try): void {
  const timeoutMs = limits.noticeAnswerMsMax;
  let during = true;
  place.client.send({ method: "GET", path, headers: "", body: "", timeoutMs }, (outcome) => {
    place.sent--;
    respond(outcome.ok && (outcome.value.status === 200 || outcome.value.status === 204));
    if (!during) sendNext(place);
  });
  during = false;
}
