// Until: waits for what another process does not announce, by asking it again and again.
// Owns: the pace of asking, and the words when it does not come. A test's own limit of time says
// only that it was late; this says for what, and what the last answer was.
import { setInterval } from "node:timers/promises";

const paceMs = 50;
const looksMax = 6000;

/** Asks until the answer is null (there is nothing left to wait for); rejects with the last one. */
export async function until(what: string, look: () => Promise<string | null>): Promise<void> {
  let last: string | null = null;
  const ticks = setInterval(paceMs)[Symbol.asyncIterator]();
  try {
    for (let looks = 0; looks < looksMax; looks++) {
      last = await look();
      if (last === null) return;
      await ticks.next();
    }
  } finally {
    await ticks.return?.();
  }
  throw new Error(`waited in vain until ${what}; last: ${String(last)}`);
}
