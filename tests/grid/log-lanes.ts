// Lanes of a log, brought into a state by real steps over explicit copies: for the tests of the
// log's machine.
import { recordKey } from "../../src/grid/grid-keys.ts";
import { encodeRecord, type RecordBody } from "../../src/grid/log-record.ts";
import { LogScript } from "../../src/simulation/log-script.ts";
import type { ScriptLane } from "../../src/simulation/script-lane.ts";

/** Bytes whose format byte no version of today knows. */
export const newer = Buffer.of(9, 1, 2, 3);

export function record(body: RecordBody, position: number): Buffer {
  const previous = Buffer.alloc(16);
  return encodeRecord({ position, epoch: 1, token: "t", timeMs: 0, previous, body });
}

export const claim = (position: number): Buffer => record({ type: "claim", lane: "c" }, position);
export const end = (position: number): Buffer => record({ type: "end", successor: 2 }, position);

/** Lane a wrote 1 (claim), 2 and 3; lane b is on its way to claim 4. */
export function twoLanes(): { script: LogScript; a: ScriptLane; b: ScriptLane } {
  const script = new LogScript();
  const a = script.lane("a").open().rest();
  a.append(1).rest();
  a.append(2).rest();
  return { script, a, b: script.lane("b").open() };
}

/** The same, with a checkpoint at 4, head there, one segment; b is to claim 5. */
export function checkpointed(): ScriptLane {
  const { script, a } = twoLanes();
  a.checkpoint();
  return script.lane("b").open();
}

/** Lane b's claim at 4 has been beaten to its place by another record. */
export function beatenClaim(by: "claim" | "end"): ScriptLane {
  const { script, b } = twoLanes();
  b.until("claim.put");
  if (by === "claim") script.lane("c").open().rest();
  else script.everywhere({ op: "putIfAbsent", key: recordKey(0, 4), value: end(4) });
  return b.step();
}

export function beatenAppend(by: "claim" | "end"): ScriptLane {
  const { script, a } = twoLanes();
  a.append(3);
  if (by === "claim") script.lane("c").open().rest();
  else script.everywhere({ op: "putIfAbsent", key: recordKey(0, 4), value: end(4) });
  return a.step();
}

/** Lane a serves under its claim at 1, and has written up to that position. */
export function served(last = 1): ScriptLane {
  const a = new LogScript().lane("a").open().rest();
  for (let position = 2; position <= last; position++) a.append(position).rest();
  return a;
}

/** Lane a wrote up to `last`, some of that was lost, and it is told that members changed. */
export function checking(lost: readonly number[] = [], last = 5): ScriptLane {
  const a = served(last);
  a.script.lose(...lost);
  return a.check();
}

/** The same with an append in flight, whose outcome was unknown then. */
export function checkingUnknown(lost: readonly number[] = []): ScriptLane {
  const a = served(5).append(6).check();
  a.script.lose(...lost);
  return a.lost();
}

/** The same with an append in flight, whose answer says that it is durable. */
export function checkingDurable(lost: readonly number[] = []): ScriptLane {
  const a = served(5).append(6).check().step();
  a.script.lose(...lost);
  return a;
}

export function unknownAtHead(): ScriptLane {
  return checkingUnknown([4, 5]).until("checkHead");
}

/** Lane a checkpointed at 4 and trimmed behind it; 5 is its last record. */
export function checkingTrimmed(): ScriptLane {
  const a = served(3).checkpoint();
  return a.append(5).rest().check().until("checkBefore");
}

/** Lane a has 5 records, and then another writer's lies at one of these positions. */
export function checkingReplaced(position: number, value: Buffer): ScriptLane {
  const a = served(5);
  a.script.everywhere({ op: "put", key: recordKey(0, position), value });
  return a.check();
}
