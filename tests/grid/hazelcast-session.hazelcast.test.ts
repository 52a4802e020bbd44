// Goal: a client whose connections all break before it is told of any does not take the thread.
// Method: many clients of two members; writes to one of them fail as on a broken connection, which
// a client learns of seconds later, and the other one is killed.
import { Socket } from "node:net";
import { describe, onTestFinished, test, vi } from "vitest";
import { unwrap } from "../../src/base/failure.ts";
import { openStore } from "../../src/grid/stores/open-store.ts";
import { until } from "../end-to-end/support/until.ts";
import { hazelcastMissing, hazelcastTitle, startMembers } from "../support/hazelcast.ts";

const deadlineMs = 5000;
const stores = 8;

/** From now on writes to this port fail, until the end of the test or what it returns is called. */
function breakWritesTo(port: number): () => void {
  const write = Reflect.get(Socket.prototype, "write") as (
    this: Socket,
    ...args: unknown[]
  ) => boolean;
  const spy = vi.spyOn(Socket.prototype, "write");
  spy.mockImplementation(function (this: Socket, ...args: unknown[]) {
    if (this.remotePort !== port) return write.apply(this, args);
    const told = args.find((one) => typeof one === "function");
    told?.(new Error("EPIPE"));
    return true;
  });
  onTestFinished(() => spy.mockRestore());
  return () => spy.mockRestore();
}

function key(partition: number, number: number): Buffer {
  return Buffer.of(0, partition, number);
}

describe.skipIf(hazelcastMissing !== null)(hazelcastTitle("Hazelcast session"), () => {
  test("S2: where all connections break at once, a store comes back by itself", async () => {
    const members = await startMembers({ members: 2 });
    // Of a client, only one connection tells it of the members: of which, chance decides.
    const maps = await Promise.all(
      Array.from({ length: stores }, async () => {
        const store = unwrap(await openStore(members.url));
        onTestFinished(() => store.close());
        return store.map("grid.1");
      }),
    );
    const putAll = (number: number) =>
      maps.flatMap((map, index) =>
        Array.from({ length: 8 }, (_, partition) =>
          map.putIfAbsent(key(partition, number * stores + index), Buffer.of(1), deadlineMs),
        ),
      );
    for (const outcome of await Promise.all(putAll(0))) unwrap(outcome);
    const mend = breakWritesTo(members.member(2).port);
    const broken = putAll(1);
    await members.member(1).kill();
    await Promise.all(broken);
    mend();
    await members.member(1).start();
    await until("every store writes again", async () => {
      const failures = (await Promise.all(putAll(2))).filter((outcome) => !outcome.ok);
      return failures.length === 0 ? null : JSON.stringify(failures[0]);
    });
  }, 600_000);
});
