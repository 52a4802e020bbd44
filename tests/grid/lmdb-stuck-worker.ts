// A thread that a test starts: writes, and then never ends its turn, as a handler with an endless
// loop does.
import { parentPort, workerData } from "node:worker_threads";
import { unwrap } from "../../src/base/failure.ts";
import { recordKey } from "../../src/grid/grid-keys.ts";
import { openStore } from "../../src/grid/stores/open-store.ts";

const { url } = workerData as { url: string };
const map = unwrap(await openStore(url)).map("stuck");
let position = 0;
for (; position < 100; position++) await map.put(recordKey(1, position), Buffer.of(1), 5000);
for (let more = 0; more < 20; more++) {
  void map.put(recordKey(1, position + more), Buffer.alloc(100_000), 5000);
}
// The store's writer is at work now: give it a moment, then write once more into its turn.
const until = process.hrtime.bigint() + 100_000_000n;
while (process.hrtime.bigint() < until);
void map.put(recordKey(2, 0), Buffer.of(1), 5000);
parentPort?.postMessage("stuck");
for (;;);
