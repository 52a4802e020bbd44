// Load client: what a load is sent through, whatever the protocol.
// Owns: the port, requests made beforehand, what an answer counts as. Does not own: connections.
import type { Clock } from "../base/clock.ts";
import { ok, unwrap, type Outcome } from "../base/failure.ts";
import { systemRandom } from "../base/random.ts";
import type { Timers } from "../base/timers.ts";
import { HttpClient, parseTarget, type HttpRequest } from "./http-client.ts";
import type { LoadSpec } from "./load-spec.ts";

export interface LoadAnswer {
  /** What it is counted as: a status, or the failure's code. */
  readonly outcome: string;
  /** Whether its time says how fast the server is. */
  readonly measured: boolean;
}

export interface LoadClient {
  /** Connects. TARGET_UNREACHABLE says why it cannot. */
  open(): Promise<Outcome<void>>;
  /** Sends the request of this number; `answered` is called once. `sent`: it left only now. */
  send(number: number, answered: (answer: LoadAnswer) => void, sent: () => void): void;
  close(): void;
}

/** Through keep-alive connections. The specification was checked. */
export function httpLoadClient(
  spec: LoadSpec,
  ports: { readonly clock: Clock; readonly timers: Timers; log(line: string): void },
): LoadClient {
  const { origin, pathname, search } = new URL(spec.url);
  const client = new HttpClient({
    ...ports,
    targets: [unwrap(parseTarget(origin))],
    connectionsPerTarget: spec.connections,
    waitingMax: spec.inFlightMax,
    random: systemRandom(),
  });
  const common = {
    method: spec.method,
    path: pathname + search,
    headers: spec.headers.map((header) => `${header}\r\n`).join(""),
    timeoutMs: spec.deadlineMs,
  };
  const empty: HttpRequest = { ...common, body: "" };
  const requests = spec.bodies.map((body): HttpRequest => ({ ...common, body }));
  return {
    async open() {
      const opened = await client.open();
      if (!opened.ok) client.close();
      return opened.ok ? ok(undefined) : opened;
    },
    send(number, answered, sent) {
      const request = requests[number % requests.length] ?? empty;
      client.send(
        request,
        (outcome) => {
          if (outcome.ok) {
            const { status } = outcome.value;
            answered({ outcome: String(status), measured: status < 400 });
          } else {
            const { code } = outcome.failure;
            // A refused connection takes no time: as an answer it would flatter the server.
            answered({ outcome: code, measured: code === "DEADLINE_EXCEEDED" });
          }
        },
        sent,
      );
    },
    close() {
      client.close();
    },
  };
}
