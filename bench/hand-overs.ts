// Hand-overs: half of the partitions pass from one lane to another that lives, in one process and
// one thread; how long the slowest answer took around each move.
// Owns: the moves, the callers. Does not own: the lanes (local-lanes.ts), what is concluded
// (recovery.ts).
import { must } from "../src/base/assert.ts";
import { delay, systemTimers } from "../src/base/timers.ts";
import { routes } from "./entries-application.ts";
import { LocalLanes, noMoves } from "./local-lanes.ts";

const partitions = 8;
const route = routes(partitions);
/** Callers go on so long around a move. */
const aroundMs = 50;

export interface HandOverOptions {
  /** The URL of a store that is empty. */
  readonly store: string;
  /** In each partition. */
  readonly entries: number;
  readonly moves: number;
}

/** The longest answer around each move, in milliseconds. */
export async function handOvers({ store, entries, moves }: HandOverOptions): Promise<number[]> {
  const lanes = await LocalLanes.open(store, partitions, noMoves);
  await lanes.join("a");
  await lanes.serves("a", partitions);
  for (const each of route) await lanes.fill("a", each, entries);
  await lanes.join("b");
  await lanes.serves("b", partitions / 2);
  const pausesMs: number[] = [];
  const names = ["a", "b"];
  for (let move = 0; move < moves; move++) {
    const [from, to] = move % 2 === 0 ? names : [...names].reverse();
    pausesMs.push(await handOver(lanes, must(from, "a lane"), must(to, "a lane")));
  }
  await lanes.close();
  return pausesMs;
}

/**
 * One lane leaves; one caller asks each of its partitions, one command after the other. The worst
 * of all answers counts.
 */
async function handOver(lanes: LocalLanes, from: string, to: string): Promise<number> {
  const moving = lanes.served(from);
  let isOver = false;
  let worstMs = 0;
  const callers = moving.map(async (partition) => {
    for (let entry = 0; !isOver; entry = (entry + 1) % 1000) {
      const startedMs = performance.now();
      await lanes.ask(to, "touch", { route: must(route[partition], "a route"), entry });
      worstMs = Math.max(worstMs, performance.now() - startedMs);
    }
  });
  await delay(systemTimers, aroundMs);
  worstMs = 0;
  await lanes.leave(from);
  await lanes.serves(to, partitions);
  await delay(systemTimers, aroundMs);
  isOver = true;
  await Promise.all(callers);
  await lanes.join(from);
  await lanes.serves(from, partitions / 2);
  return worstMs;
}
