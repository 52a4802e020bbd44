// Rivals over the wire: reservations of Orrery asked for over HTTP, from a processing unit with one
// lane, in a process of its own.
// Owns: the requests, and reading what the unit keeps. Does not own: the unit (rivals-servers.ts),
// connections (src/load/http-client.ts), the application (rivals-application.ts).
import { systemClock } from "../src/base/clock.ts";
import { unwrap } from "../src/base/failure.ts";
import { systemRandom } from "../src/base/random.ts";
import { systemTimers } from "../src/base/timers.ts";
import { HttpClient, parseTarget } from "../src/load/http-client.ts";
import type { Books, Kept, Reserver, ReserverCounts, Verdict, Wanted } from "./rivals-plan.ts";

/** Far from any latency: a rival that is slow is slow, and not wrong. */
const timeoutMs = 30_000;
const headers = `content-type: application/json\r\nx-deadline-ms: ${String(timeoutMs)}\r\n`;

export class WireReserver implements Reserver {
  readonly raw = null;
  readonly #url: string;
  readonly #client: HttpClient;

  private constructor(url: string, client: HttpClient) {
    this.#url = url;
    this.#client = client;
  }

  /** To the unit of this URL, with so many connections; HTTP/1.1 has one request on each. */
  static async open(url: string, connections: number): Promise<WireReserver> {
    const client = new HttpClient({
      targets: [unwrap(parseTarget(url))],
      connectionsPerTarget: connections,
      waitingMax: connections,
      clock: systemClock,
      timers: systemTimers,
      random: systemRandom(),
      log: (line) => process.stderr.write(`${line}\n`),
    });
    unwrap(await client.open());
    return new WireReserver(url, client);
  }

  reserve({ id, user, campaign }: Wanted, answer: (verdict: Verdict | Error) => void): void {
    const body = JSON.stringify({ id, user, campaign: campaign.id });
    const request = {
      method: "POST",
      path: "/commands/reserve",
      headers,
      body,
      timeoutMs,
    } as const;
    this.#client.send(request, (outcome) => {
      if (!outcome.ok) answer(new Error(`${outcome.failure.code}: ${outcome.failure.message}`));
      else if (outcome.value.status === 200) answer(JSON.parse(outcome.value.body) as Verdict);
      else answer(new Error(`${String(outcome.value.status)} ${outcome.value.body}`));
    });
  }

  counts(): ReserverCounts {
    return { records: 0, recordBytes: 0, racesLost: 0 };
  }

  async books(): Promise<Books> {
    const response = await fetch(`${this.#url}/books`);
    const { reservations, spentMicros } = (await response.json()) as {
      readonly reservations: Kept[];
      readonly spentMicros: [string, number][];
    };
    return { reservations, spentMicros: new Map(spentMicros) };
  }

  close(): Promise<void> {
    this.#client.close();
    return Promise.resolve();
  }
}
