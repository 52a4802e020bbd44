// Script bugs: wrong engines that no rule of the log stands for, planted between store and machine.
// Owns: what a call's answer becomes there, and what such an engine remembers of its scan.
// Does not own: the calls (script-lane.ts); rules that are turned off (src/grid/log-rules.ts).
import { decodeRecord } from "../grid/log-record.ts";
import type { LogState } from "../grid/log-state.ts";
import type { LogCall } from "../grid/log-write.ts";
import type { StoreValue } from "./replica-store.ts";

/**
 * foldsScan: what is loaded is what the search for the tail had read, before the claim was durable.
 * tokenIdentity: a record that was found is one's own where its writer's token is.
 */
export type LaneBug = "foldsScan" | "tokenIdentity";

/** What the search for the tail read, by key; never changed in place. */
export type Scan = Readonly<Record<string, Buffer>>;

export const noScan: Scan = {};

/** What the scan has seen after the answer to the call that is out. */
export function scannedBy({ phase, head }: LogState, call: LogCall, value: StoreValue, scan: Scan) {
  if (phase.name !== "findTail" || call.op !== "getMany") return scan;
  const isFirst = phase.low === head && phase.high === null;
  const seen: Record<string, Buffer> = isFirst ? {} : { ...scan };
  for (const [index, stored] of (value as (Buffer | null)[]).entries()) {
    const name = call.keys[index]?.toString("hex");
    if (stored !== null && name !== undefined) seen[name] = stored;
  }
  return seen;
}

/** What the machine is told instead of what the store said. */
export function mistaken(
  bugs: ReadonlySet<LaneBug>,
  { phase, config }: LogState,
  call: LogCall,
  value: StoreValue,
  scan: Scan,
): StoreValue {
  if (bugs.has("foldsScan") && phase.name === "loadRecords" && call.op === "getMany") {
    const values = value as (Buffer | null)[];
    return call.keys.map((key, index) => scan[key.toString("hex")] ?? values[index] ?? null);
  }
  if (bugs.has("tokenIdentity") && "write" in phase) {
    // What was found is confirmed as it is: nothing vanishes where no primary dies.
    if (phase.write.stage === "own") return true;
    const isMine = value instanceof Buffer && decodeRecord(value)?.token === config.token;
    return isMine ? phase.write.value : value;
  }
  return value;
}
