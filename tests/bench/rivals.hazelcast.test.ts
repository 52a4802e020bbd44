// Goal: reservations on members, ours and with Hazelcast's client alone, are kept as answered.
// Method: the smoke size of these rows on real members. No figure is judged.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { rivalList } from "../../bench/rivals-servers.ts";
import { hazelcastMissing, hazelcastTitle } from "../support/hazelcast.ts";
import { smokeOf } from "../support/rivals.ts";

const title = hazelcastTitle("reservations on members, and beside them");
describe.skipIf(hazelcastMissing !== null)(title, () => {
  // Three processes, one after the other, on whatever else the machine is doing.
  const patience = { timeout: 600_000 };

  test("smoke size: each is kept once, whoever made it", patience, async () => {
    const folder = await mkdtemp(join(tmpdir(), "orrery-rivals-"));
    onTestFinished(() => rm(folder, { recursive: true }));
    const list = rivalList.filter(({ needs }) => needs === "members");
    const { problems, windows } = await smokeOf(list, folder);
    expect(problems).toEqual([]);
    expect(windows.map(({ rival }) => rival)).toEqual(list.map(({ name }) => name));
    for (const { rival, answers, audit, reserved, records } of windows) {
      expect(answers, rival).toBeGreaterThan(0);
      expect(audit, rival).toMatchObject({ reservations: reserved, unaccountedMicros: 0 });
      if (rival.startsWith("orrery")) expect(records, rival).toBeGreaterThan(0);
    }
  });
});
