// A lane's HTTP server with the demo's page on it, and nothing else behind it.
// Owns: listening, and the statuses that a test lets the page hear.
import { connect, createServer, type AddressInfo } from "node:net";
import { pino } from "pino";
import { failed } from "../../src/base/failure.ts";
import { seededRandom } from "../../src/base/random.ts";
import type { Timers } from "../../src/base/timers.ts";
import { registerPage, type Page } from "../../src/bidding-demo/page/page-routes.ts";
import { Edge } from "../../src/processing-units/edge.ts";
import type { PartitionElsewhere } from "../../src/processing-units/unit-status.ts";

export interface PageServer {
  readonly page: Page;
  readonly edge: Edge;
  readonly host: string;
  /** Partitions of other units, from the next status on. */
  elsewhere: readonly PartitionElsewhere[];
  close(): Promise<void>;
}

/** Serves the page as a lane does: connections come from another listener. */
export async function servePage(options: {
  readonly timers: Timers;
  readonly partitions: number;
  readonly timeMs?: () => number;
  /** Default: a free one. */
  readonly port?: number;
}): Promise<PageServer> {
  const { timers, partitions, timeMs = () => 0, port: asked = 0 } = options;
  const edge = new Edge({
    incarnation: "page",
    application: { name: "page", spaces: [], commands: {} },
    log: pino({ level: "silent" }),
    submit: (_name, _input, _options, respond) => {
      respond(failed("COMMAND_UNKNOWN", "there are no commands here"));
    },
    unitStatus: () => null,
    answered: () => undefined,
  });
  const page = registerPage({
    server: edge.server,
    clock: { wallMs: timeMs, monotonicMs: timeMs },
    timers,
    random: seededRandom(1),
    partitions,
    lane: 0,
    elsewhere: () => served.elsewhere,
  });
  await edge.ready();
  const acceptor = createServer({ pauseOnConnect: true }, (socket) => {
    edge.connect(socket);
  });
  await new Promise<void>((resolve) => acceptor.listen(asked, "127.0.0.1", resolve));
  const { port } = acceptor.address() as AddressInfo;
  const served: PageServer = {
    page,
    edge,
    host: `127.0.0.1:${String(port)}`,
    elsewhere: [],
    close: async () => {
      await edge.close();
      await new Promise((resolve) => acceptor.close(resolve));
    },
  };
  return served;
}

/** Sends one request as it stands, and reads until the server ends the connection. */
export function sendRaw(host: string, lines: readonly string[]): Promise<string> {
  const port = Number(host.split(":")[1]);
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket = connect(port, "127.0.0.1");
    socket.setEncoding("latin1");
    socket.on("data", (text) => (answer += String(text)));
    socket.on("error", reject);
    socket.on("close", () => {
      resolve(answer);
    });
    socket.write(`${lines.join("\r\n")}\r\n\r\n`);
  });
}
