// Goal: the Hazelcast store keeps the contract of src/grid/store.ts on real members, refuses
// members that are not what it needs in one clear line, and comes back by itself from the loss of
// members, of a majority and of all of them, without ever writing to a grid that it does not know.
// Method: the contract suite; three real members, killed, frozen and started again.
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { ok, unwrap, type Outcome } from "../../src/base/failure.ts";
import { limits } from "../../src/base/limits.ts";
import type { HazelcastMembers } from "../../src/faults/hazelcast-members.ts";
import type { ByteMap, Store } from "../../src/grid/store.ts";
import { openStore, type StoreOptions } from "../../src/grid/stores/open-store.ts";
import { until } from "../end-to-end/support/until.ts";
import { hazelcastMissing, hazelcastTitle, startMembers } from "../support/hazelcast.ts";
import { storeContract } from "./store-contract.ts";

const deadlineMs = 10_000;
const timeout = 600_000;

function key(number: number, partition = 1): Buffer {
  return Buffer.of(0, partition, number);
}

async function openOn(members: HazelcastMembers, options: StoreOptions = {}): Promise<Store> {
  const store = unwrap(await openStore(members.url, options));
  onTestFinished(() => store.close());
  return store;
}

/** Waits until a write is done, as a log does: the identical call until the answer is definite. */
async function written(map: ByteMap, at: Buffer, value: Buffer): Promise<Buffer | null> {
  let found: Buffer | null = null;
  await until("the write has a definite answer", async () => {
    const outcome = await map.putIfAbsent(at, value, deadlineMs);
    if (!outcome.ok) return outcome.failure.message;
    found = outcome.value;
    return null;
  });
  return found;
}

function problem(outcome: Outcome<unknown>): string {
  return outcome.ok ? "ok" : `${outcome.failure.code}: ${outcome.failure.message}`;
}

describe.skipIf(hazelcastMissing !== null)(hazelcastTitle("Hazelcast store"), () => {
  storeContract("three members", async () => {
    const members = await startMembers();
    return {
      open: async () => unwrap(await openStore(members.url)),
      end: () => members.stop(),
    };
  });

  test("what many callbacks of one tick ask for leaves in one write to each member", async () => {
    const map = (await openOn(await startMembers())).map("grid.1");
    unwrap(await map.get(key(0), deadlineMs)); // the map is known from here on
    const writes = vi.spyOn(Socket.prototype, "write");
    onTestFinished(() => writes.mockRestore());
    const answers = Array.from({ length: 64 }, async (_, partition) => {
      await new Promise((resolve) => setImmediate(resolve));
      return map.put(key(1, partition), Buffer.of(1), deadlineMs);
    });
    await Promise.all(answers).then((all) => all.map(unwrap));
    // Three, and what the client says of its own accord.
    expect(writes.mock.calls.length).toBeLessThan(16);
  });

  test("S2: what is not there, or is not ours, is refused in one line", { timeout }, async () => {
    const members = await startMembers({ members: 1 });
    const [member] = members.members;
    const address = member?.address ?? "";
    const [nobody, wrongName, alone] = await Promise.all([
      openStore("hazelcast://127.0.0.1:1/orrery"),
      openStore(`hazelcast://${address}/another`),
      openStore(members.url),
    ]);
    expect(problem(nobody)).toMatch(/^STORE_UNREACHABLE: no Hazelcast member at 127\.0\.0\.1:1 /);
    expect(problem(wrongName)).toMatch(/^STORE_UNREACHABLE: .*\(cluster another\).*cluster name/);
    expect(problem(alone)).toMatch(/^STORE_UNREACHABLE: only 1 of at least 2 members .*start more/);
  });

  test("S3: members with other settings are refused, the difference is named", async () => {
    const folder = await mkdtemp(join(tmpdir(), "orrery-settings-"));
    onTestFinished(() => rm(folder, { recursive: true }));
    const own = fileURLToPath(new URL("../../deploy/hazelcast/", import.meta.url));
    const text = await readFile(join(own, "hazelcast.yaml"), "utf8");
    const other = text
      .replace("backup-count: 2", "backup-count: 1")
      .replace(/(orrery\.backup-count:\s+type: string\s+value: )"2"/, '$1"1"');
    expect(other).not.toBe(text);
    await writeFile(join(folder, "hazelcast.yaml"), other);
    await copyFile(join(own, "logging.properties"), join(folder, "logging.properties"));
    const environment = { MEMBER_CONFIG: join(folder, "hazelcast.yaml") };
    const members = await startMembers({ members: 1, environment });
    const outcome = await openStore(members.url);
    expect(problem(outcome)).toMatch(
      /^STORE_MISFIT: .*backup-count is 1 on the member, 2 here.*hazelcast\.yaml/,
    );
  });

  test(
    "S3: two of three members die, and nothing that was written is lost",
    { timeout },
    async () => {
      const members = await startMembers();
      let changes = 0;
      const store = await openOn(members, { changed: () => changes++ });
      const map = store.map("grid.1");
      for (let number = 0; number < 200; number++) {
        unwrap(await map.putIfAbsent(key(number, number), Buffer.of(number), deadlineMs));
      }
      const before = changes;
      await Promise.all([members.member(1).kill(), members.member(2).kill()]);
      await until("a minority is refused", async () => {
        const outcome = await map.putIfAbsent(key(201), Buffer.of(1), deadlineMs);
        if (outcome.ok) return "it was written";
        return outcome.failure.message.includes("too few") ? null : outcome.failure.message;
      });
      await until("the change of members is heard of", () => {
        return Promise.resolve(changes > before ? null : `${String(changes)} changes`);
      });
      await members.member(1).start();
      expect(await written(map, key(202), Buffer.of(7))).toBeNull();
      for (let number = 0; number < 200; number++) {
        const found = await map.get(key(number, number), deadlineMs);
        expect(unwrap(found)).toEqual(Buffer.of(number));
      }
    },
  );

  test(
    "S6: after all members were lost, nothing is written to those that come",
    {
      timeout,
    },
    async () => {
      const members = await startMembers();
      const asked: string[] = [];
      const store = await openOn(members, {
        admits: async (behind) => {
          const found = await behind.map("grid").get(key(0), limits.storeReadMs);
          if (!found.ok) return found;
          asked.push(String(found.value));
          return ok(found.value?.toString() === "ours");
        },
      });
      const other = await openOn(members);
      const map = store.map("grid.1");
      unwrap(await other.map("grid").put(key(0), Buffer.from("ours"), deadlineMs));
      // The first connection may be judged before the grid is made, as no lane's ever is.
      await until("it was judged", () => Promise.resolve(asked.length > 0 ? null : "not yet"));
      const before = asked.length;
      await Promise.all(members.members.map((member) => member.kill()));
      const pending = map.putIfAbsent(key(1), Buffer.of(1), deadlineMs);
      expect((await pending).ok).toBe(false);
      await Promise.all(members.members.map((member) => member.start()));
      await members.whole();
      await until("the new members were judged", async () => {
        const outcome = await map.putIfAbsent(key(1), Buffer.of(1), deadlineMs);
        return problem(outcome).includes("another grid, or none") ? null : problem(outcome);
      });
      expect(asked.length).toBeGreaterThan(before);
      const outcomes = await Promise.all(
        Array.from({ length: 50 }, (_, number) => map.putIfAbsent(key(number), Buffer.of(1), 2000)),
      );
      for (const outcome of outcomes) expect(problem(outcome)).toMatch(/another grid, or none/);
      for (let number = 0; number < 50; number++) {
        const found = await written(other.map("grid.1"), key(number), Buffer.of(2));
        if (found !== null) expect(found).toEqual(Buffer.of(2)); // an earlier try of its own
      }
    },
  );

  test(
    "S2: calls to a frozen member are unknown in time, and all ends well without it",
    {
      timeout,
    },
    async () => {
      const members = await startMembers();
      const replaced: string[] = [];
      const store = await openOn(members, { log: (message) => replaced.push(message) });
      const map = store.map("grid.1");
      const value = Buffer.alloc(16 * 1024, 1);
      unwrap(await map.putIfAbsent(key(0), value, deadlineMs));
      members.member(2).freeze();
      const calls = Array.from({ length: 600 }, (_, number) =>
        map.putIfAbsent(Buffer.of(0, number % 64, number >> 8, number & 255), value, 2000),
      );
      // Each of them needs the frozen member: its copy, or its word as the owner.
      for (const outcome of await Promise.all(calls)) {
        expect(outcome).toMatchObject({ ok: false, failure: { kind: "unknown" } });
      }
      await members.member(2).destroy();
      for (let number = 0; number < 600; number++) {
        const at = Buffer.of(0, number % 64, number >> 8, number & 255);
        const found = await written(map, at, value);
        expect(found === null || found.equals(value)).toBe(true);
      }
    },
  );
});
