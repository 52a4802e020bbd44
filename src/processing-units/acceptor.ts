// Acceptor: the one listening socket of a processing unit; it hands each connection to a lane.
// Owns: listening, and connections until a lane takes them. Does not own: HTTP (edge.ts).
// One listener that hands over, instead of one per thread on a shared port: a port in use is an
// error, the spread is even by construction, and a dying lane resets nobody new.
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { failed, ok, type Outcome } from "../base/failure.ts";

// Connections that wait for a lane to be ready. More are refused by closing them.
const waitingMax = 1024;

export class Acceptor {
  readonly #server: Server;
  #waiting: Socket[] = [];
  #place: (socket: Socket) => boolean = () => false;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Listens. Fails with ADDRESS_IN_USE or CONFIG_INVALID (no such address, no permission). */
  static listen(host: string, port: number): Promise<Outcome<Acceptor>> {
    const server = createServer({ pauseOnConnect: true, noDelay: true });
    const acceptor = new Acceptor(server);
    server.on("connection", (socket) => {
      acceptor.#accept(socket);
    });
    return new Promise((resolve) => {
      server.once("error", (error: NodeJS.ErrnoException) => {
        resolve(listenFailure(host, port, error));
      });
      server.listen({ host, port, backlog: 1024 }, () => {
        server.removeAllListeners("error");
        resolve(ok(acceptor));
      });
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /**
   * From here on each connection is given to `place`, which says whether a lane took it; those
   * that none took wait, and are given again by the next `open`.
   */
  open(place: (socket: Socket) => boolean): void {
    this.#place = place;
    this.#waiting = this.#waiting.filter((socket) => !socket.destroyed && !place(socket));
  }

  /** Accepts no more; connections that no lane took are closed. */
  close(): void {
    this.#server.close();
    for (const socket of this.#waiting) socket.destroy();
    this.#waiting = [];
  }

  #accept(socket: Socket): void {
    // Until a lane has it, an error of the connection concerns nobody.
    socket.on("error", () => socket.destroy());
    if (this.#place(socket)) return;
    if (this.#waiting.length < waitingMax) this.#waiting.push(socket);
    else socket.destroy();
  }
}

function listenFailure(host: string, port: number, error: NodeJS.ErrnoException): Outcome<never> {
  const where = `${host}:${String(port)}`;
  if (error.code === "EADDRINUSE") {
    return failed("ADDRESS_IN_USE", `${where} is in use; stop what uses it, or choose --port`);
  }
  const advice = "choose another --host or --port";
  return failed("CONFIG_INVALID", `cannot listen on ${where}: ${error.message}; ${advice}`);
}
