// Goal: Redis is asked fairly, and what it keeps is read right. Method: the smoke size of its rows
// on real servers; a rival on a real server that reads first and writes later: it is found out.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { describe, expect, onTestFinished, test } from "vitest";
import { missingForRedis, startRedis } from "../../bench/redis-server.ts";
import { audit } from "../../bench/rivals-audit.ts";
import { campaignsOf, capMax, type Wanted } from "../../bench/rivals-plan.ts";
import { RedisReserver } from "../../bench/rivals-redis.ts";
import { rivalList } from "../../bench/rivals-servers.ts";
import { must } from "../../src/base/assert.ts";
import { smokeOf } from "../support/rivals.ts";

const missing = missingForRedis();
const title = `reservations on Redis${missing === null ? "" : ` (skipped: ${missing})`}`;

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "orrery-redis-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}

describe.skipIf(missing !== null)(title, () => {
  // Half a dozen servers and processes, on whatever else the machine is doing.
  const patience = { timeout: 600_000 };

  test(
    "smoke size: each form keeps what it answered, and overspends nothing",
    patience,
    async () => {
      const list = rivalList.filter(({ needs }) => needs === "redis");
      const { problems, windows } = await smokeOf(list, await newFolder());
      expect(problems).toEqual([]);
      expect(windows.length).toBeGreaterThan(list.length);
      for (const { rival, answers, audit: found, reserved, rawPerSecond } of windows) {
        expect(answers, rival).toBeGreaterThan(0);
        expect(rawPerSecond, rival).toBeGreaterThan(0);
        expect(found, rival).toMatchObject({
          reservations: reserved,
          overspentMicros: 0,
          overCap: 0,
        });
      }
    },
  );

  test("keys that are read first and written later overspend, and it shows", patience, async () => {
    const server = await startRedis(await newFolder(), "none");
    const books = await RedisReserver.open(server.port, "one connection", "spread");
    const redis = new Redis({ host: "127.0.0.1", port: server.port });
    onTestFinished(async () => {
      redis.disconnect();
      await books.close();
      await server.stop();
    });
    // Asked for at once, so that each is read before any is written.
    const [campaign] = campaignsOf("spread").slice(-1);
    const wanted = Array.from({ length: 100 }, (_, number) => {
      return { id: String(number), user: "somebody", campaign: must(campaign, "a campaign") };
    });
    const answers = await Promise.all(wanted.map((each) => reserveWithoutCare(redis, each)));
    expect(answers).not.toContain("refused");
    const found = audit(campaignsOf("spread"), await books.books());
    expect(found.reservations).toBe(wanted.length);
    expect(found.overspentMicros).toBeGreaterThan(0);
    expect(found.overCap).toBe(wanted.length - capMax);
    expect(found.unaccountedMicros).toBeGreaterThan(0);
  });
});

async function reserveWithoutCare(redis: Redis, wanted: Wanted): Promise<string> {
  const { id, user, campaign } = wanted;
  const { id: name, priceMicros } = campaign;
  const [seenKey, leftKey] = [`seen:${name}|${user}`, `left:${name}`];
  const [count, left] = await redis.mget(seenKey, leftKey);
  if (Number(count) >= capMax || Number(left) < priceMicros) return "refused";
  const text = `${user}|${name}|${String(priceMicros)}|0`;
  const leftThen = Number(left) - priceMicros;
  await redis.mset(seenKey, Number(count) + 1, leftKey, leftThen, `r:${id}`, text);
  return "reserved";
}
