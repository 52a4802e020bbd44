// Fake bidder: answers as a test wishes, and keeps books of its own to compare with.
// Owns: the HTTP side of a bidder in this process. Does not own: real bidding.
// Notices have weather: some are refused once, some take effect but their answer is lost, so that
// the exchange must repeat them and the bidder must not count them twice.
import { once } from "node:events";
import http from "node:http";
import type { Socket } from "node:net";
import { impressionMicros } from "../../../src/bidding-demo/money.ts";

export type Behaviour =
  "bid" | "none" | "empty" | "shed" | "shed-body" | "invalid" | "garbage" | "broken" | "die";

export interface Booked {
  readonly bidMicros: number;
  wonMicros?: number;
  billedMicros?: number;
  lostReason?: string;
}

interface FakeRequest {
  readonly id: string;
  readonly imp: readonly { readonly id: string }[];
  readonly ext?: { readonly behaviour?: Behaviour };
}

export class FakeBidder {
  /** By bid id. */
  readonly books = new Map<string, Booked>();
  requests = 0;
  /** Notices that came for what was booked already. */
  repeated = 0;
  /** What one bid costs at most. */
  bidCpm = 2;
  weather = true;
  #server: http.Server | undefined;
  #port = 0;
  readonly #sockets = new Set<Socket>();
  readonly #seen = new Map<string, number>();
  #onRequests: { count: number; reached: () => void } | undefined;

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async start(): Promise<void> {
    const server = http.createServer((request, response) => this.#serve(request, response));
    server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
    });
    server.listen(this.#port, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    if (address !== null && typeof address === "object") this.#port = address.port;
    this.#server = server;
  }

  /** As if killed: nothing more is answered, all connections break. */
  async kill(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    const closed = once(server, "close");
    server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  /** Resolves when that many bid requests have come. */
  reached(count: number): Promise<void> {
    return new Promise((reached) => {
      this.#onRequests = { count, reached };
    });
  }

  #serve(request: http.IncomingMessage, response: http.ServerResponse): void {
    const url = new URL(request.url ?? "", this.url);
    const pieces: Buffer[] = [];
    request.on("data", (piece: Buffer) => pieces.push(piece));
    request.on("end", () => {
      if (url.pathname === "/openrtb2/bid") this.#bid(Buffer.concat(pieces).toString(), response);
      else this.#notice(url, response);
    });
  }

  #bid(body: string, response: http.ServerResponse): void {
    this.requests++;
    if (this.requests === this.#onRequests?.count) this.#onRequests.reached();
    const request = JSON.parse(body) as FakeRequest;
    const reply = (status: number, text = "", headers: http.OutgoingHttpHeaders = {}): void => {
      response
        .writeHead(status, { "content-length": Buffer.byteLength(text), ...headers })
        .end(text);
    };
    switch (request.ext?.behaviour ?? "bid") {
      case "bid":
        reply(200, JSON.stringify(this.#bidsFor(request)));
        break;
      case "none":
        reply(204);
        break;
      case "empty":
        reply(200, "{}");
        break;
      case "shed":
        reply(204, "", { "x-orrery-nbr": "15" });
        break;
      case "shed-body":
        reply(200, `{"id":"${request.id}","nbr":15}`);
        break;
      case "invalid":
        reply(400);
        break;
      case "garbage":
        reply(200, '{"id":"another","seatbid":[{"bid":[{}]}]}');
        break;
      case "broken":
        reply(500, "oops");
        break;
      case "die":
        response.destroy();
        break;
    }
  }

  #bidsFor(request: FakeRequest): object {
    const bids = request.imp.map(({ id }) => {
      const bidId = `bid-${this.books.size}`;
      this.books.set(bidId, { bidMicros: this.bidCpm * 1000 });
      const address = (kind: string, rest: string): string =>
        `${this.url}/notice/${kind}?b=${bidId}&${rest}`;
      return {
        id: bidId,
        impid: id,
        price: this.bidCpm,
        cid: "campaign",
        nurl: address("won", "p=${AUCTION_PRICE}"),
        burl: address("billed", "p=${AUCTION_PRICE}"),
        lurl: address("lost", "l=${AUCTION_LOSS}"),
      };
    });
    return { id: request.id, cur: "USD", seatbid: [{ seat: "fake", bid: bids }] };
  }

  #notice(url: URL, response: http.ServerResponse): void {
    const tries = (this.#seen.get(url.href) ?? 0) + 1;
    this.#seen.set(url.href, tries);
    const bidId = url.searchParams.get("b") ?? "";
    const weather = this.weather && tries === 1 ? Number(bidId.slice(4)) % 7 : 0;
    if (weather === 1) {
      response.writeHead(503, { "content-length": 0 }).end();
      return;
    }
    this.#book(url.pathname, bidId, url.searchParams);
    if (weather === 2) response.destroy();
    else if (weather === 3) response.writeHead(204).end();
    else response.writeHead(200, { "content-length": 0 }).end();
  }

  #book(path: string, bidId: string, query: URLSearchParams): void {
    const booked = this.books.get(bidId);
    if (booked === undefined) throw new Error(`a notice for an unknown bid: ${bidId}`);
    const micros = impressionMicros(query.get("p") ?? "") ?? 0;
    if (path === "/notice/won") {
      this.repeated += booked.wonMicros === undefined ? 0 : 1;
      booked.wonMicros = micros;
    } else if (path === "/notice/billed") {
      this.repeated += booked.billedMicros === undefined ? 0 : 1;
      booked.billedMicros = micros;
    } else {
      this.repeated += booked.lostReason === undefined ? 0 : 1;
      booked.lostReason = query.get("l") ?? "";
    }
  }
}
