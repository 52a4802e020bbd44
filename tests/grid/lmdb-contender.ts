// What a contender does, in a thread or in a process: for each position it tries to be the first
// to store its own name there, and tells which it won.
import { unwrap } from "../../src/base/failure.ts";
import { recordKey } from "../../src/grid/grid-keys.ts";
import { openStore } from "../../src/grid/stores/open-store.ts";

/** Positions that this contender won; throws where a found value is nobody's name. */
export async function contend(url: string, name: string, positions: number): Promise<number[]> {
  const store = unwrap(await openStore(url));
  const map = store.map("contended");
  const won: number[] = [];
  let next = 0;
  const inFlight = Array.from({ length: 4 }, async () => {
    for (let position = next++; position < positions; position = next++) {
      const key = recordKey(1, position);
      const found = unwrap(await map.putIfAbsent(key, Buffer.from(name), 60_000));
      if (found === null) won.push(position);
      else if (!/^contender \d+$/.test(found.toString())) throw new Error("a value of nobody");
    }
  });
  await Promise.all(inFlight);
  await store.close();
  return won;
}
