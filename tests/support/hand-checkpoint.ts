// Hand checkpoint: one whole checkpoint of partition 0 by an owner that does nothing else, so that
// a test has one where it wants it: claim, load, the record, head behind it, the log trimmed.
import { everyRule } from "../../src/grid/log-rules.ts";
import { headKey, recordKey } from "../../src/grid/grid-keys.ts";
import {
  decodeRecord,
  encodeHead,
  type Change,
  type CheckpointBody,
} from "../../src/grid/log-record.ts";
import { PartitionLog } from "../../src/grid/partition-log.ts";
import { requestSpace, senderSpace } from "../../src/processing-units/internal-spaces.ts";
import { PartitionState } from "../../src/processing-units/partition-state.ts";
import type { Space } from "../../src/processing-units/space.ts";
import type { VirtualTime } from "../../src/simulation/virtual-time.ts";
import type { PartitionGrid } from "./partition-kit.ts";

/** A checkpoint without segments: all of it stands in the record. */
export function checkpointOf(delta: readonly Change[]): CheckpointBody {
  const parts = { number: 1, segments: [], entries: [], trimmedTo: 1, logBytes: 0 };
  return { type: "checkpoint", ...parts, delta };
}

/** All that is kept, as the changes that make it. */
function changesOf({ memory }: PartitionState, spaces: readonly Space[]): Change[] {
  const names = [...spaces.map(({ name }) => name), senderSpace, requestSpace];
  return names.flatMap((space) =>
    [...memory.entries(space)].map(([key, value]) => ({ space, key, value })),
  );
}

let owners = 0;

/** Takes over and checkpoints within a virtual second; its position, or null where it lost. */
export async function checkpointByHand(
  grid: PartitionGrid,
  time: VirtualTime,
  spaces: readonly Space[],
): Promise<number | null> {
  const { map, identity } = grid;
  const { gridId, generation } = identity;
  const token = `hand ${String(owners++)}`;
  let state = new PartitionState(spaces);
  const durable: number[] = [];
  const log = new PartitionLog({
    map,
    timers: time.timers,
    clock: time.clock,
    config: { partition: 0, gridId, generation, lane: "hand", token, rules: everyRule },
    listener: {
      reset: () => {
        state = new PartitionState(spaces);
      },
      segment: (changes) => {
        state.memory.loadSegment(changes);
      },
      loaded: ({ record }) => {
        state.fold(record.body);
      },
      serving: () => {
        log.appendRecord(() => checkpointOf(changesOf(state, spaces)));
      },
      durable: ({ record }) => {
        durable.push(record.position);
      },
      stopped: () => undefined,
    },
  });
  log.open();
  await time.run({ untilMs: time.nowMs + 1000, eventsMax: 10_000 });
  const [position = null] = durable;
  if (position !== null) await trim(grid, position);
  return position;
}

async function trim({ map }: PartitionGrid, head: number): Promise<void> {
  await map.put(headKey(0), encodeHead(head), 1000);
  for (let position = 1; position < head; position++) {
    const found = await map.get(recordKey(0, position), 1000);
    const stored = found.ok ? found.value : null;
    if (stored === null || decodeRecord(stored)?.body.type === "claim") continue;
    await map.delete(recordKey(0, position), 1000);
  }
}
