// PostgreSQL proxy: stands between clients and a server, and cuts a connection exactly before or
// behind a COMMIT, or holds back what a client sends.
// Owns: the sockets of both sides, in this process. Does not own: what the messages are
// (postgres-stream.ts), the server (postgres-server.ts).
import { createServer, connect, type AddressInfo, type Server, type Socket } from "node:net";
import { once } from "node:events";
import { completed, PostgresStream, StatementReader } from "./postgres-stream.ts";

/**
 * - `mid-transaction`: rows of a transaction have gone to the server, its COMMIT does not.
 * - `before commit`: everything but the COMMIT has gone; the server rolls back.
 * - `after commit`: the server has answered the COMMIT, the client does not hear it.
 */
export type CutPlace = "mid-transaction" | "before commit" | "after commit";

interface Cut {
  readonly place: CutPlace;
  readonly done: () => void;
}

/** Only transactions of the pump count: what steps progress. */
const step = /UPDATE orrery\.progress[\s\S]*\bseq\b/;

export class PostgresProxy {
  readonly #server: Server;
  readonly #serverPort: number;
  readonly #connections = new Set<Connection>();
  #cut: Cut | null = null;
  #isHolding = false;
  #held: (() => void)[] = [];
  /** Connections that it took so far. */
  taken = 0;

  private constructor(server: Server, serverPort: number) {
    this.#server = server;
    this.#serverPort = serverPort;
    server.on("connection", (client) => {
      this.taken++;
      this.#connections.add(new Connection(client, this.#serverPort, this));
    });
  }

  /** Listens on a port of the loopback interface, for a server on another one. */
  static async listen(serverPort: number): Promise<PostgresProxy> {
    const server = createServer({ noDelay: true });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new PostgresProxy(server, serverPort);
  }

  /** The server's URL, by way of this proxy. */
  urlOf(serverUrl: string): string {
    const url = new URL(serverUrl);
    url.port = String((this.#server.address() as AddressInfo).port);
    return url.href;
  }

  /** Cuts the next transaction of a pump that comes there; resolves when that is done. */
  cut(place: CutPlace): Promise<void> {
    return new Promise((done) => {
      this.#cut = { place, done };
    });
  }

  /**
   * From now on nothing that a client sends passes; resolves when the next transaction of a pump
   * is held here.
   */
  hold(): Promise<void> {
    this.#isHolding = true;
    return new Promise((resolve) => {
      this.#held.push(resolve);
    });
  }

  /** What was held passes, and everything else again. */
  release(): void {
    this.#isHolding = false;
    this.#held = [];
    for (const connection of this.#connections) connection.flush();
  }

  /** Ends all connections on both sides. */
  async close(): Promise<void> {
    for (const connection of [...this.#connections]) connection.end();
    this.#server.close();
    await once(this.#server, "close");
  }

  get isHolding(): boolean {
    return this.#isHolding;
  }

  /** A statement is about to pass: false where the connection was cut instead. */
  passes(connection: Connection, statement: string): boolean {
    if (this.#isHolding && step.test(statement)) {
      for (const resolve of this.#held.splice(0)) resolve();
    }
    if (step.test(statement)) connection.isInPumpTransaction = true;
    if (!connection.isInPumpTransaction || this.#cut === null) return true;
    const { place } = this.#cut;
    const isHere =
      (place === "mid-transaction" && /^\s*(?:INSERT|DELETE)/i.test(statement)) ||
      (place === "before commit" && /^\s*COMMIT/i.test(statement));
    if (isHere) this.#endHere(connection);
    return !isHere;
  }

  /** The server has completed a statement: false where the connection was cut instead. */
  answers(connection: Connection, tag: string): boolean {
    if (tag !== "COMMIT" && tag !== "ROLLBACK") return true;
    const isPumps = connection.isInPumpTransaction;
    connection.isInPumpTransaction = false;
    if (!isPumps || tag !== "COMMIT" || this.#cut?.place !== "after commit") return true;
    this.#endHere(connection);
    return false;
  }

  gone(connection: Connection): void {
    this.#connections.delete(connection);
  }

  #endHere(connection: Connection): void {
    const cut = this.#cut;
    this.#cut = null;
    connection.end();
    cut?.done();
  }
}

/** A client's connection, and the one to the server that it stands for. */
class Connection {
  isInPumpTransaction = false;
  readonly #proxy: PostgresProxy;
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #fromClient = new PostgresStream("client");
  readonly #fromServer = new PostgresStream("server");
  readonly #statements = new StatementReader();
  #held: Buffer[] = [];
  #isOver = false;

  constructor(client: Socket, serverPort: number, proxy: PostgresProxy) {
    this.#proxy = proxy;
    this.#client = client;
    this.#server = connect({ host: "127.0.0.1", port: serverPort, noDelay: true });
    client.on("data", (chunk: Buffer) => this.#heardClient(chunk));
    this.#server.on("data", (chunk: Buffer) => this.#heardServer(chunk));
    for (const socket of [client, this.#server]) {
      socket.on("error", () => this.end()); // the other side sees it as its own connection's end
      socket.on("close", () => this.end());
    }
  }

  /** Sends what was held. */
  flush(): void {
    for (const bytes of this.#held.splice(0)) this.#server.write(bytes);
  }

  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#client.destroy();
    this.#server.destroy();
    this.#proxy.gone(this);
  }

  #heardClient(chunk: Buffer): void {
    this.#server.cork(); // what came together leaves together
    for (const message of this.#fromClient.take(chunk)) {
      const statement = this.#statements.read(message);
      if (statement !== null && !this.#proxy.passes(this, statement)) return;
      if (this.#proxy.isHolding) this.#held.push(message.bytes);
      else this.#server.write(message.bytes);
    }
    this.#server.uncork();
  }

  #heardServer(chunk: Buffer): void {
    this.#client.cork();
    for (const message of this.#fromServer.take(chunk)) {
      const tag = completed(message);
      if (tag !== null && !this.#proxy.answers(this, tag)) return;
      this.#client.write(message.bytes);
    }
    this.#client.uncork();
  }
}
