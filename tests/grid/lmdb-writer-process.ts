// A process that a test starts: writes one value after another into an LMDB store, and prints
// the number of each write once it was acknowledged.
// Arguments: store URL, first number, how many are in flight, bytes of a value.
// On the first outcome that is not definite it prints it and ends.
import { writeSync } from "node:fs";
import { failed, unwrap } from "../../src/base/failure.ts";
import { recordKey } from "../../src/grid/grid-keys.ts";
import { openStore } from "../../src/grid/stores/open-store.ts";
import { valueOf } from "./lmdb-values.ts";

const [url = "", first = "0", inFlight = "1", bytes = "100"] = process.argv.slice(2);
const store = unwrap(await openStore(url));
const map = store.map("written");
let next = Number(first);
let refused = false;

async function writer(): Promise<void> {
  while (!refused) {
    const number = next++;
    const outcome = await map.putIfAbsent(
      recordKey(1, number),
      valueOf(number, Number(bytes)),
      60_000,
    );
    if (outcome.ok) {
      writeSync(1, `${number}\n`); // at once: what was printed was acknowledged
    } else {
      refused = true;
      writeSync(1, `${JSON.stringify(outcome.failure)}\n`);
    }
  }
}

await Promise.all(Array.from({ length: Number(inFlight) }, () => writer()));
// The store still answers: reads as before, writes with an outcome.
const read = await map.get(recordKey(1, Number(first)), 60_000);
const again = await map.putIfAbsent(recordKey(2, 0), valueOf(0, Number(bytes)), 60_000);
const settled = again.ok ? again : failed(again.failure.code, again.failure.message);
writeSync(1, `${JSON.stringify({ read: read.ok && read.value !== null, again: settled.ok })}\n`);
await store.close();
