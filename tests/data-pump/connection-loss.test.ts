// Goal (D4): whatever moment the connection to a real PostgreSQL is lost in, the outcome said is
// true: nothing happened, or unknown. Method: a proxy between the database and the server that
// cuts or goes silent when it sees a given word pass; deadlines that the test lets expire.
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { unwrap } from "../../src/base/failure.ts";
import { systemTimers, type Timers } from "../../src/base/timers.ts";
import { parseDatabaseUrl, type PostgresAddress } from "../../src/data-pump/database-url.ts";
import { PostgresDatabase } from "../../src/data-pump/postgres-database.ts";
import { startTestDatabase, type TestDatabase } from "../support/embedded-database.ts";
import { itemsTable } from "../support/pump-world.ts";

vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const identity = { gridId: "grid", generation: 1, partitions: 1 };
const transaction = {
  generation: 1,
  steps: [
    {
      partition: 0,
      epoch: 1,
      before: 0,
      seq: 1,
      chain: Buffer.alloc(16, 1),
      letters: 0,
      complete: false,
    },
  ],
  rows: [{ table: itemsTable, upserts: [["a", { count: 1 }]] as const, deletes: [], appends: [] }],
  letters: [],
};

let server: TestDatabase;
const cleanups: (() => Promise<void>)[] = [];

beforeAll(async () => {
  server = await startTestDatabase();
});

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

afterAll(() => server.stop());

type Trouble = "cut before" | "cut after" | "silent after";

/** Passes bytes on, until it sees `word` on the way to the server while `trouble` is set. */
class Proxy {
  trouble: Trouble | null = null;
  word = "";
  /** Resolves when the trouble came. */
  readonly happened = Promise.withResolvers<undefined>();
  readonly #listener: Server;
  readonly #sockets = new Set<Socket>();
  readonly #target: PostgresAddress;

  constructor(target: PostgresAddress) {
    this.#target = target;
    this.#listener = createServer((client) => this.#pass(client));
  }

  async listen(): Promise<number> {
    this.#listener.listen(0, "127.0.0.1");
    await once(this.#listener, "listening");
    return (this.#listener.address() as { port: number }).port;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#listener.close();
    await once(this.#listener, "close");
  }

  #pass(client: Socket): void {
    const upstream = connect(this.#target.port, this.#target.host);
    for (const socket of [client, upstream]) {
      this.#sockets.add(socket);
      socket.on("error", () => undefined);
    }
    client.on("close", () => upstream.destroy());
    upstream.on("close", () => client.destroy());
    const onAnswer = (bytes: Buffer): void => void client.write(bytes);
    upstream.on("data", onAnswer);
    client.on("data", (bytes) => {
      const trouble = bytes.includes(this.word) ? this.trouble : null;
      if (trouble === null) {
        upstream.write(bytes);
        return;
      }
      this.trouble = null;
      if (trouble !== "cut before") {
        upstream.off("data", onAnswer);
        upstream.write(bytes);
        // Answers may come one by one: COMMIT's own says that it has been done.
        const answered = (answer: Buffer): void => {
          if (this.word === "COMMIT" && !answer.includes("COMMIT")) return;
          upstream.off("data", answered);
          if (trouble === "cut after") client.destroy();
          this.happened.resolve(undefined);
        };
        upstream.on("data", answered);
        return;
      }
      client.destroy();
      this.happened.resolve(undefined);
    });
  }
}

async function proxied(timers: Timers = systemTimers) {
  const address = unwrap(parseDatabaseUrl(await server.fresh()));
  if (address.kind !== "postgres") throw new Error("not an address of a server");
  const proxy = new Proxy(address);
  const url = new URL(address.url);
  url.port = String(await proxy.listen());
  const through = unwrap(parseDatabaseUrl(url.href));
  if (through.kind !== "postgres") throw new Error("not an address of a server");
  const tables = [itemsTable];
  const database = new PostgresDatabase({ address: through, identity, tables, timers });
  cleanups.push(() => proxy.close());
  cleanups.push(() => database.close());
  unwrap(await database.claim(1, [{ partition: 0, epoch: 1 }]));
  return { proxy, database };
}

test.each([
  ["cut before", 0],
  ["cut after", 1],
] as const)(
  "D4: a connection %s COMMIT is an unknown outcome; the row says %d",
  async (trouble, seq) => {
    const { proxy, database } = await proxied();
    Object.assign(proxy, { trouble, word: "COMMIT" });
    expect(await database.write(transaction)).toMatchObject({
      ok: false,
      failure: { code: "OUTCOME_UNKNOWN", kind: "unknown" },
    });
    expect(unwrap(await database.read([0]))[0]?.seq).toBe(seq);
  },
);

test.each(["BEGIN", "orrery.progress", "public."])(
  "D4: a connection cut at %s is an unknown outcome; whatever the row says is so",
  async (word) => {
    for (const trouble of ["cut before", "cut after"] as const) {
      const { proxy, database } = await proxied();
      Object.assign(proxy, { trouble, word });
      // A transaction is sent in one go: COMMIT may have been on its way already.
      expect(await database.write(transaction)).toMatchObject({
        ok: false,
        failure: { code: "OUTCOME_UNKNOWN", kind: "unknown" },
      });
      const seq = unwrap(await database.read([0]))[0]?.seq;
      const again = await database.write(transaction);
      expect(again).toEqual({ ok: true, value: seq === 0 ? "written" : "misfit" });
    }
  },
);

/** Timers whose deadlines expire when the test says so. */
function heldTimers() {
  const waiting = new Set<() => void>();
  const timers: Timers = {
    ...systemTimers,
    after(_delayMs, callback) {
      waiting.add(callback);
      return { cancel: () => void waiting.delete(callback) };
    },
  };
  const expire = (): void => {
    for (const callback of waiting) callback();
    waiting.clear();
  };
  return { timers, expire };
}

test("D4: a server that goes silent after COMMIT is an unknown outcome at the deadline", async () => {
  const { timers, expire } = heldTimers();
  const { proxy, database } = await proxied(timers);
  Object.assign(proxy, { trouble: "silent after", word: "COMMIT" });
  const writing = database.write(transaction);
  await proxy.happened.promise;
  expire();
  expect(await writing).toMatchObject({ ok: false, failure: { code: "OUTCOME_UNKNOWN" } });
  expect(unwrap(await database.read([0]))[0]?.seq).toBe(1);
});

test("a server that takes connections and says nothing is unreachable at the deadline", async () => {
  const { timers, expire } = heldTimers();
  const sockets: Socket[] = [];
  const silent = createServer((socket) => {
    sockets.push(socket);
    socket.once("data", expire);
  });
  silent.listen(0, "127.0.0.1");
  await once(silent, "listening");
  const { port } = silent.address() as { port: number };
  const address = unwrap(parseDatabaseUrl(`postgres://u:p@127.0.0.1:${String(port)}/d`));
  if (address.kind !== "postgres") throw new Error("not an address of a server");
  const database = new PostgresDatabase({ address, identity, tables: [], timers });
  expect(await database.read([0])).toMatchObject({
    ok: false,
    failure: { code: "DATABASE_UNREACHABLE" },
  });
  for (const socket of sockets) socket.destroy();
  silent.close();
  await once(silent, "close");
});
