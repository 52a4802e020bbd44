// Generation pointer: the two values of a store's directory: which grid lies in it, and which
// generation of it is open or being rebuilt. This format must not change under people.
// Owns: their encoding, and what a lane makes of the pointer while it works.
// Does not own: who moves it (grid-directory.ts at the creation, rebuild-machine.ts later).
// Invariants (docs/invariants.md):
//   G3. A lane works only while the pointer says that its generation is open; it looks with each
//       heartbeat.
import { Packr } from "msgpackr";
import { failure, ok, type Failure, type Outcome } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import type { TimerHandle, Timers } from "../base/timers.ts";
import { directoryMapName, pointerKey } from "./grid-keys.ts";
import { formatByte } from "./log-record.ts";
import type { Store } from "./store.ts";

export interface Pointer {
  readonly generation: number;
  readonly state: "open" | "rebuilding";
  /** Whose it is: unique among all runs that ever moved a pointer. */
  readonly token: string;
  /** The generation that this one replaces; 0 for the first. */
  readonly base: number;
  /** Of the generation; left out: as many as the grid was made with. */
  readonly partitions?: number;
  /** Of the generation that it replaces. */
  readonly basePartitions?: number;
}

/** Of the whole grid, whatever its generation. */
export interface GridId {
  readonly gridId: string;
  /** Of the first generation. */
  readonly partitions: number;
}

const packr = new Packr({ useRecords: false });

/** The stored value of a pointer or a grid id. */
export function encodeDirectory(value: GridId | Pointer): Buffer {
  return Buffer.concat([Buffer.of(formatByte), packr.pack(value)]);
}

/** The pointer in a stored value; null where a newer version wrote it. */
export function decodePointer(stored: Buffer): Pointer | null {
  return stored[0] === formatByte ? (packr.unpack(stored.subarray(1)) as Pointer) : null;
}

/** The grid id in a stored value; null where a newer version wrote it. */
export function decodeGridId(stored: Buffer): GridId | null {
  return stored[0] === formatByte ? (packr.unpack(stored.subarray(1)) as GridId) : null;
}

/**
 * Why a lane of this generation must end, by what the pointer says: GRID_ENDED; null: nothing is
 * known against it. Fails as the store does.
 */
export async function generationEnded(
  store: Store,
  generation: number,
): Promise<Outcome<Failure | null>> {
  const read = await store.map(directoryMapName).get(pointerKey, limits.heartbeatStillMs);
  // Missing: the check of the log (L11) says what is lost.
  if (!read.ok || read.value === null) return read as Outcome<null>;
  const pointer = decodePointer(read.value);
  if (pointer === null || (pointer.generation === generation && pointer.state === "open")) {
    return ok(null);
  }
  const now = `generation ${String(pointer.generation)} is ${pointer.state}`;
  return ok(
    failure("GRID_ENDED", `generation ${String(generation)} of the grid has ended: ${now}`),
  );
}

/**
 * Looks at the pointer with each heartbeat (G3); `ended` is told once, when another generation is
 * open or comes. A look that gets no answer is no reason.
 */
export function watchGeneration(options: {
  readonly store: Store;
  readonly generation: number;
  readonly timers: Timers;
  readonly ended: (reason: Failure) => void;
}): TimerHandle {
  const { store, generation, timers, ended } = options;
  let isLooking = false;
  const look = async (): Promise<void> => {
    isLooking = true;
    const outcome = await generationEnded(store, generation);
    isLooking = false;
    if (!outcome.ok || outcome.value === null) return;
    isLooking = true; // for ever
    watch.cancel();
    ended(outcome.value);
  };
  const watch = timers.every(limits.heartbeatMs, () => {
    if (!isLooking) void look();
  });
  return watch;
}
