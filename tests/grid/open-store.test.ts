// Goal: a store URL means one thing, and one that means nothing says what would.
// Method: a table of URLs; the engines' own failures are tested with the engines.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { unwrap } from "../../src/base/failure.ts";
import { openStore, parseStoreUrl } from "../../src/grid/stores/open-store.ts";

test.each([
  ["memory:", { engine: "memory" }],
  ["lmdb:./data/grid", { engine: "lmdb", folder: "./data/grid", sync: true }],
  ["lmdb:/var/lib/a b", { engine: "lmdb", folder: "/var/lib/a b", sync: true }],
  ["lmdb:C:\\data\\grid", { engine: "lmdb", folder: "C:\\data\\grid", sync: true }],
  ["lmdb:grid.v1?sync=on", { engine: "lmdb", folder: "grid.v1", sync: true }],
  ["lmdb:grid?sync=off", { engine: "lmdb", folder: "grid", sync: false }],
  ["lmdb:grid?", { engine: "lmdb", folder: "grid", sync: true }],
  [
    "hazelcast://grid-1:5701,10.0.0.2:5702/prod",
    { engine: "hazelcast", members: ["grid-1:5701", "10.0.0.2:5702"], cluster: "prod" },
  ],
  ["hazelcast://h", { engine: "hazelcast", members: ["h:5701"], cluster: "orrery" }],
])("a store URL names an engine and its place: %s", (url, address) => {
  expect(parseStoreUrl(url)).toEqual({ ok: true, value: address });
});

test.each([
  ["", "there is no engine"],
  ["./data/grid", "there is no engine"],
  ["redis://localhost", '"redis" is no engine'],
  ["memory:x", 'nothing is known of "x"'],
  ["lmdb:", "the folder is missing"],
  ["lmdb:?sync=off", "the folder is missing"],
  ["lmdb:grid?sink=off", '"sink" is no option'],
  ["lmdb:grid?sync=no", 'sync is on or off, not "no"'],
  ["lmdb:grid?sync=off&sync=maybe", 'not "maybe"'],
  ["hazelcast:", "members or cluster are missing"],
  ["hazelcast:///orrery", "members or cluster are missing"],
  ["hazelcast://a:5701,/orrery", '"" is no member'],
  ["hazelcast://a:70000/orrery", '"a:70000" is no member'],
  ["hazelcast://user@a:5701/orrery", '"user@a:5701" is no member'],
  ["hazelcast://a:5701/x/y", "members or cluster are missing"],
])("CONFIG_INVALID: %s says what is wrong and what would be right", async (url, what) => {
  const outcome = await openStore(url);
  expect(outcome).toMatchObject({ ok: false, failure: { code: "CONFIG_INVALID" } });
  const message = outcome.ok ? "" : outcome.failure.message;
  expect(message).toContain(what);
  expect(message).toContain("lmdb:./data/grid");
});

test("each engine opens, and a folder is made where it is missing", async () => {
  const folder = mkdtempSync(join(tmpdir(), "orrery.open."));
  for (const url of ["memory:", `lmdb:${join(folder, "a.b", "grid")}?sync=off`]) {
    const store = unwrap(await openStore(url));
    const map = store.map("m");
    expect(unwrap(await map.putIfAbsent(Buffer.of(0, 1), Buffer.of(7), 5000))).toBeNull();
    expect(unwrap(await map.get(Buffer.of(0, 1), 5000))).toEqual(Buffer.of(7));
    await store.close();
  }
  rmSync(folder, { recursive: true });
});
