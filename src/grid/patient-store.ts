// Patient store: single values brought into a store and read from it by whoever makes or rebuilds
// a grid, apart from any lane: each call is asked until its outcome is definite.
// Owns: the waiting. Does not own: when a value is durable (log-write.ts), what values mean.
import type { Clock } from "../base/clock.ts";
import { failed, ok, type Outcome } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import { delay, type Timers } from "../base/timers.ts";
import { everyRule } from "./log-rules.ts";
import type { Definite } from "./log-moves.ts";
import { answerWrite, confirmCall, startWrite, writeCall, type LogCall } from "./log-write.ts";
import { callStore } from "./partition-log.ts";
import type { ByteMap } from "./store.ts";

export interface PatiencePorts {
  readonly timers: Timers;
  readonly clock: Clock;
}

/** Asks until the outcome is definite; gives up with STORE_UNREACHABLE after 10 s. */
export async function askPatiently(
  ports: PatiencePorts,
  map: ByteMap,
  call: LogCall,
): Promise<Outcome<Definite>> {
  const patienceMs = 10_000;
  const startedMs = ports.clock.monotonicMs();
  let backoffMs: number = limits.storeBackoffMsMin;
  for (;;) {
    const answer = await callStore(map, call);
    if (answer.ok) return answer;
    if (ports.clock.monotonicMs() - startedMs > patienceMs) {
      const why = `the store is of no use: ${answer.failure.message}; check its address and state`;
      return failed("STORE_UNREACHABLE", why);
    }
    await delay(ports.timers, backoffMs);
    backoffMs = Math.min(limits.storeBackoffMsMax, backoffMs * 2);
  }
}

/** Write (docs/log-protocol.md, step 1): null = durable, else what else is there for certain. */
export async function writePatiently(
  ports: PatiencePorts,
  map: ByteMap,
  key: Buffer,
  value: Buffer,
): Promise<Outcome<Buffer | null>> {
  let state = startWrite(key, value);
  for (;;) {
    const answer = await askPatiently(ports, map, writeCall(state));
    if (!answer.ok) return answer;
    const step = answerWrite(state, answer.value as null | boolean | Buffer, everyRule);
    if (step.kind === "durable") return ok(null);
    if (step.kind === "beaten") return ok(step.other);
    state = step.state;
  }
}

/** A value that others build on: read, then confirmed to be on every copy; null if absent. */
export async function readConfirmed(
  ports: PatiencePorts,
  map: ByteMap,
  key: Buffer,
): Promise<Outcome<Buffer | null>> {
  for (;;) {
    const read = await askPatiently(ports, map, { op: "get", key });
    if (!read.ok || read.value === null) return read as Outcome<null>;
    const found = read.value as Buffer;
    const confirmed = await askPatiently(ports, map, confirmCall(key, found));
    if (!confirmed.ok) return confirmed;
    if (confirmed.value === true) return ok(found);
  }
}
