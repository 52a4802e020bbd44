// Goal: the connections to a name spread over all addresses that it has, follow them when they come
// and go, and lose no request by it. Method: real servers on several loopback addresses with one
// port, under a name that only this test knows; the client looks at it as often as it always does.
import { once } from "node:events";
import http from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { unwrap } from "../../src/base/failure.ts";
import { seededRandom } from "../../src/base/random.ts";
import { systemTimers } from "../../src/base/timers.ts";
import { HttpClient, parseTarget } from "../../src/load/http-client.ts";

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0)) await cleanUp();
});

/** One of the servers that share a name; counts who is connected. */
class Server {
  readonly address: string;
  readonly sockets = new Set<Socket>();
  requests = 0;
  onChange: () => void = () => undefined;
  readonly #server = http.createServer((_request, response) => {
    this.requests++;
    response.writeHead(204).end();
  });

  constructor(address: string) {
    this.address = address;
    this.#server.on("connection", (socket) => {
      this.sockets.add(socket);
      this.onChange();
      socket.on("close", () => {
        this.sockets.delete(socket);
        this.onChange();
      });
    });
    cleanUps.push(() => this.stop());
  }

  /** 0: a free port. Returns the one it has. */
  async listen(port: number): Promise<number> {
    this.#server.listen(port, this.address);
    await once(this.#server, "listening");
    return (this.#server.address() as AddressInfo).port;
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

/** Servers by one name, of which the first ones are known under it. */
async function world(addresses: readonly string[], known: number) {
  const servers = addresses.map((address) => new Server(address));
  let port = 0;
  for (const server of servers) port = await server.listen(port);
  const names = { known };
  const client = new HttpClient({
    targets: [unwrap(parseTarget(`http://unit:${String(port)}`))],
    connectionsPerTarget: 12,
    waitingMax: 1000,
    clock: systemClock,
    timers: systemTimers,
    random: seededRandom(1),
    resolve: (name) => {
      expect(name).toBe("unit");
      const all = addresses.slice(0, names.known).map((address) => ({ address, family: 4 }));
      return all.length === 0 ? Promise.reject(new Error("ENOTFOUND")) : Promise.resolve(all);
    },
    log: () => undefined,
  });
  cleanUps.push(() => {
    client.close();
  });
  const connected = () => servers.map(({ sockets }) => sockets.size);
  /** Resolves when so many connections go to each. */
  const until = (...wanted: number[]) =>
    new Promise<void>((resolve) => {
      const look = () => {
        if (connected().join() === wanted.join()) resolve();
      };
      for (const server of servers) server.onChange = look;
      look();
    });
  const send = () =>
    new Promise<boolean>((resolve) => {
      const request = {
        method: "POST",
        path: "/",
        headers: "",
        body: "",
        timeoutMs: 20_000,
      } as const;
      client.send(request, ({ ok }) => {
        resolve(ok);
      });
    });
  return { client, servers, names, until, send };
}

test("a name with three addresses gets a third of the connections each, and of the requests", async () => {
  const { client, servers, until, send } = await world(["127.0.0.1", "127.0.0.2", "127.0.0.3"], 3);
  unwrap(await client.open());
  await until(4, 4, 4);
  for (let count = 0; count < 24; count++) expect(await send()).toBe(true);
  expect(servers.map(({ requests }) => requests)).toEqual([8, 8, 8]);
});

test("addresses that come get their share under load, and no request fails for it", async () => {
  const { client, servers, names, until, send } = await world(
    ["127.0.0.1", "127.0.0.2", "127.0.0.3"],
    1,
  );
  unwrap(await client.open());
  await until(12, 0, 0);
  const load = { goesOn: true, failed: 0 };
  const loaded = (async () => {
    while (load.goesOn) if (!(await send())) load.failed++;
  })();
  names.known = 3;
  await until(4, 4, 4);
  load.goesOn = false;
  await loaded;
  expect(load.failed).toBe(0);
  // One that goes leaves what it had to the others.
  names.known = 2;
  servers[2]?.stop();
  await until(6, 6, 0);
});

test("an address where nobody answers costs its connections no more than another try", async () => {
  const { client, servers, until, send } = await world(["127.0.0.1", "127.0.0.2"], 2);
  servers[1]?.stop();
  unwrap(await client.open());
  await until(12, 0);
  expect(await send()).toBe(true);
});
