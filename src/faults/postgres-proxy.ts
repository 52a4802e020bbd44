// PostgreSQL proxy: stands between clients and a server, and cuts or stalls a connection
// exactly before or behind a COMMIT, or holds back what clients send.
// Owns: the sockets of both sides, in this process. Does not own: what the messages are
// (postgres-stream.ts), the server (postgres-server.ts).
import { createServer, connect, type AddressInfo, type Server, type Socket } from "node:net";
import { once } from "node:events";
import { completed, PostgresStream, StatementReader } from "./postgres-stream.ts";

/**
 * - `mid-transaction`: a transaction has begun and stepped, its rows do not come.
 * - `before commit`: everything but the COMMIT has gone; the server will roll back.
 * - `after commit`: the server has answered the COMMIT, the client does not hear it.
 */
export type CutPlace = "mid-transaction" | "before commit" | "after commit";

interface Stall {
  readonly place: CutPlace;
  readonly reached: (end: () => void) => void;
}

/** Only transactions of the pump count: their step moves progress on. */
const step = /UPDATE orrery\.progress[\s\S]*\bseq\b/;
const rows = /^\s*(?:INSERT|DELETE|WITH|COPY)/i;
const begin = /^\s*BEGIN; SET LOCAL orrery\.transaction/i;
const commit = /^\s*COMMIT/i;
const endOfTransaction = /^\s*(?:COMMIT|ROLLBACK)/i;

export class PostgresProxy {
  readonly #server: Server;
  readonly #serverPort: number;
  readonly #connections = new Set<Connection>();
  #stall: Stall | null = null;
  #isHolding = false;
  /** To be called when a transaction of a pump is held. */
  #wanted: (() => void)[] = [];

  private constructor(server: Server, serverPort: number) {
    this.#server = server;
    this.#serverPort = serverPort;
    server.on("connection", (client) => {
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

  /**
   * The next transaction of a pump that comes there: nothing of its connection passes any more, on
   * either side. Resolves then, with what ends the connection.
   */
  stall(place: CutPlace): Promise<() => void> {
    return new Promise((reached) => {
      this.#stall = { place, reached };
    });
  }

  /** Cuts the next transaction of a pump that comes there; resolves when that is done. */
  async cut(place: CutPlace): Promise<void> {
    const end = await this.stall(place);
    end();
  }

  /**
   * From the beginning of the next transaction of a pump on, nothing that a client sends passes;
   * resolves when it is held here. A claim before it passes: no transaction comes without.
   */
  hold(): Promise<void> {
    return new Promise((resolve) => {
      this.#wanted.push(resolve);
    });
  }

  /** What was held passes, and everything else again. */
  release(): void {
    this.#isHolding = false;
    this.#wanted = [];
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

  /** The next transaction of a pump is to be held. */
  get isWaiting(): boolean {
    return this.#wanted.length > 0;
  }

  /** A connection is about to pass a statement of a client, in a transaction of a pump or not. */
  asked(connection: Connection, statement: string, isPumps: boolean): void {
    if (isPumps && this.isWaiting) {
      this.#isHolding = true;
      for (const resolve of this.#wanted.splice(0)) resolve();
    }
    if (!isPumps || step.test(statement)) return;
    const place = rows.test(statement) ? "mid-transaction" : "before commit";
    if (place === "mid-transaction" || commit.test(statement)) this.#reached(connection, place);
  }

  /** A connection is about to pass on that a COMMIT of a pump took effect. */
  written(connection: Connection): void {
    this.#reached(connection, "after commit");
  }

  gone(connection: Connection): void {
    this.#connections.delete(connection);
  }

  #reached(connection: Connection, place: CutPlace): void {
    const stall = this.#stall;
    if (stall?.place !== place) return;
    this.#stall = null;
    connection.isStalled = true;
    stall.reached(() => connection.end());
  }
}

/**
 * Whether a transaction that has come so far without a step is not to be held. A client waits for
 * what the server says of a statement that it prepares: a pump's claim, which comes first on each
 * connection, prepares all that is before the step.
 */
function isNoPumps(type: string, statement: string | null): boolean {
  return type === "P" || (statement !== null && endOfTransaction.test(statement));
}

/** A client's connection, and the one to the server that it stands for. */
class Connection {
  /** Nothing passes any more. */
  isStalled = false;
  readonly #proxy: PostgresProxy;
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #fromClient = new PostgresStream("client");
  readonly #fromServer = new PostgresStream("server");
  readonly #statements = new StatementReader();
  /** The client is in a transaction of a pump. */
  #isPumps = false;
  /** A transaction has begun that is to be held from its beginning if it is a pump's. */
  #isDoubtful = false;
  /** For each end of a transaction that was asked for and not answered: whether of a pump. */
  #ending: boolean[] = [];
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
    this.#isDoubtful = false;
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
      if (statement !== null) this.#asked(statement);
      if (this.isStalled) break;
      if (this.#proxy.isHolding || this.#isDoubtful) this.#held.push(message.bytes);
      else this.#server.write(message.bytes);
      if (this.#isDoubtful && isNoPumps(message.type, statement)) this.flush();
    }
    this.#server.uncork();
  }

  #asked(statement: string): void {
    this.#isDoubtful ||= this.#proxy.isWaiting && begin.test(statement);
    if (step.test(statement)) {
      this.#isPumps = true;
      this.#isDoubtful = false;
    }
    this.#proxy.asked(this, statement, this.#isPumps);
    if (!endOfTransaction.test(statement)) return;
    this.#ending.push(this.#isPumps);
    this.#isPumps = false;
  }

  #heardServer(chunk: Buffer): void {
    this.#client.cork();
    for (const message of this.#fromServer.take(chunk)) {
      const tag = completed(message);
      if (tag === "COMMIT" || tag === "ROLLBACK") {
        const isPumps = this.#ending.shift() === true;
        if (isPumps && tag === "COMMIT") this.#proxy.written(this);
      }
      if (this.isStalled) break;
      this.#client.write(message.bytes);
    }
    this.#client.uncork();
  }
}
