// Rival Redis: the reservation as one Lua script on one Redis server, as one would write it with
// care, in the forms in which a client may send it.
// Owns: script, keys, connections. Does not own: the server (redis-server.ts).
// To the rival's favour: all keys lie on one server (in Redis Cluster a user's count and a
// campaign's budget have no common slot, and this script cannot run), and nothing expires.
import { Redis, type Result } from "ioredis";
import { must } from "../src/base/assert.ts";
import {
  campaignsOf,
  capMax,
  type Books,
  type Kept,
  type Reserver,
  type ReserverCounts,
  type Shape,
  type Verdict,
  type Wanted,
} from "./rivals-plan.ts";

/** How commands leave: all on one connection; the same, those of a tick in one write; on 64. */
export type RedisManner = "one connection" | "auto-pipelining" | "64 connections";

const connectionsOf: Readonly<Record<RedisManner, number>> = {
  "one connection": 1,
  "auto-pipelining": 1,
  "64 connections": 64,
};

const verdicts: readonly Verdict[] = ["reserved", "over cap", "over budget"];

// KEYS: what the user has of the campaign, what is left of its budget, the reservation.
// ARGV: cap, price, the reservation's text. Answers the place of the verdict above.
const script = `
local price = tonumber(ARGV[2])
if tonumber(redis.call('GET', KEYS[1]) or '0') >= tonumber(ARGV[1]) then return 1 end
if tonumber(redis.call('GET', KEYS[2])) < price then return 2 end
redis.call('INCR', KEYS[1])
redis.call('DECRBY', KEYS[2], price)
redis.call('SET', KEYS[3], ARGV[3])
return 0
`;

declare module "ioredis" {
  interface RedisCommander<Context> {
    reserve(
      seen: string,
      left: string,
      reservation: string,
      cap: number,
      priceMicros: number,
      text: string,
    ): Result<number, Context>;
  }
}

const keysAtOnce = 10_000;

export class RedisReserver implements Reserver {
  readonly #connections: readonly Redis[];
  readonly #shape: Shape;
  #next = 0;

  private constructor(connections: readonly Redis[], shape: Shape) {
    this.#connections = connections;
    this.#shape = shape;
  }

  /** Empties the server, and puts the budgets there. */
  static async open(port: number, manner: RedisManner, shape: Shape): Promise<RedisReserver> {
    const connections = Array.from({ length: connectionsOf[manner] }, () => {
      return new Redis({
        ...{ host: "127.0.0.1", port, lazyConnect: true },
        // What was sent once is not sent again: a reservation would be made twice.
        ...{ maxRetriesPerRequest: 0, autoResendUnfulfilledCommands: false },
        enableAutoPipelining: manner === "auto-pipelining",
        scripts: { reserve: { lua: script, numberOfKeys: 3 } },
      });
    });
    await Promise.all(connections.map((connection) => connection.connect()));
    const [first] = connections;
    await first?.flushall();
    for (const { id, budgetMicros } of campaignsOf(shape)) {
      await first?.set(leftKey(id), budgetMicros);
    }
    return new RedisReserver(connections, shape);
  }

  reserve({ id, user, campaign }: Wanted, answer: (verdict: Verdict | Error) => void): void {
    const { id: name, priceMicros } = campaign;
    const text = `${user}|${name}|${String(priceMicros)}|${String(Date.now())}`;
    this.#connection
      .reserve(`seen:${name}|${user}`, leftKey(name), `r:${id}`, capMax, priceMicros, text)
      .then((place) => {
        answer(must(verdicts[place], "the script answers a verdict"));
      }, answer);
  }

  readonly raw = (answer: (error: Error | null) => void): void => {
    this.#connection.ping().then(() => {
      answer(null);
    }, answer);
  };

  counts(): ReserverCounts {
    return { records: 0, recordBytes: 0, racesLost: 0 };
  }

  async books(): Promise<Books> {
    const connection = must(this.#connections[0], "there is a connection");
    const reservations: Kept[] = [];
    const stream = connection.scanStream({ match: "r:*", count: keysAtOnce });
    for await (const part of stream) {
      const keys = part as string[];
      if (keys.length === 0) continue;
      const texts = await connection.mget(keys);
      for (const [index, key] of keys.entries()) {
        const [user = "", campaign = "", price] = (texts[index] ?? "").split("|");
        reservations.push({ id: key.slice(2), user, campaign, priceMicros: Number(price) });
      }
    }
    const spentMicros = new Map<string, number>();
    for (const { id, budgetMicros } of campaignsOf(this.#shape)) {
      spentMicros.set(id, budgetMicros - Number(await connection.get(leftKey(id))));
    }
    return { reservations, spentMicros };
  }

  close(): Promise<void> {
    for (const connection of this.#connections) connection.disconnect();
    return Promise.resolve();
  }

  get #connection(): Redis {
    const index = this.#next++ % this.#connections.length;
    return must(this.#connections[index], "there are connections");
  }
}

function leftKey(campaign: string): string {
  return `left:${campaign}`;
}
