// Roster write: one card brought into one slot, against a store whose outcomes may be unknown.
// Owns: repeating a call until it is definite or its time is over; when a card is stored, and when
// another's is. Does not own: which slot, which card (roster.ts).
// Invariants (docs/invariants.md):
//   R2. Stored and beaten are said only of what is on every copy: a value that was found is
//       confirmed first, whosever it is (docs/log-protocol.md, steps 1 and 12).
import type { Clock } from "../base/clock.ts";
import { failed, ok, type Outcome } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import { delay, type Timers } from "../base/timers.ts";
import { everyRule } from "./log-rules.ts";
import { answerWrite, startWrite, writeCall } from "./log-write.ts";
import { callStore } from "./partition-log.ts";
import type { ByteMap } from "./store.ts";

/** The store, until a moment of the monotonic clock. */
export interface RosterPorts {
  readonly map: ByteMap;
  readonly timers: Timers;
  readonly clock: Clock;
  readonly untilMs: number;
}

/** What became of a card: stored, or what else is there for certain (null: nothing at all). */
export type CardFate =
  { readonly stored: true } | { readonly stored: false; readonly found: Buffer | null };

/** Asks until the outcome is definite; after `untilMs` the failure is returned as it is. */
export async function askUntil<T>(
  ports: Omit<RosterPorts, "map">,
  ask: (deadlineMs: number) => Promise<Outcome<T>>,
): Promise<Outcome<T>> {
  let backoffMs: number = limits.storeBackoffMsMin;
  for (;;) {
    const leftMs = ports.untilMs - ports.clock.monotonicMs();
    if (leftMs <= 0) return failed("STORE_TIMEOUT", "the time for the roster is over");
    const answer = await ask(Math.min(limits.storeWriteMs, Math.ceil(leftMs)));
    if (answer.ok) return answer;
    if (ports.untilMs - ports.clock.monotonicMs() <= backoffMs) return answer;
    await delay(ports.timers, backoffMs);
    backoffMs = Math.min(limits.heartbeatMs, backoffMs * 2);
  }
}

/** Whether a value still is what was read, and on every copy. */
export function confirmCard(
  ports: RosterPorts,
  key: Buffer,
  stored: Buffer,
): Promise<Outcome<boolean>> {
  return askUntil(ports, (deadlineMs) => ports.map.replaceIfSame(key, stored, stored, deadlineMs));
}

/** Writes a card where none is (docs/log-protocol.md, step 1). */
export async function writeCard(
  ports: RosterPorts,
  key: Buffer,
  value: Buffer,
): Promise<Outcome<CardFate>> {
  let state = startWrite(key, value);
  for (;;) {
    const answer = await askUntil(ports, () => callStore(ports.map, writeCall(state)));
    if (!answer.ok) return answer;
    const step = answerWrite(state, answer.value as null | boolean | Buffer, everyRule);
    if (step.kind === "durable") return ok({ stored: true });
    if (step.kind === "beaten") return ok({ stored: false, found: step.other });
    state = step.state;
  }
}

/**
 * Writes a card over the one that was read, or over whichever card `isOwn` says is the writer's
 * too: one whose outcome it never learnt.
 */
export async function replaceCard(
  ports: RosterPorts,
  key: Buffer,
  options: { readonly read: Buffer; readonly value: Buffer; isOwn(found: Buffer): boolean },
): Promise<Outcome<CardFate>> {
  const { read, value } = options;
  let expected = read;
  for (;;) {
    const over = expected;
    const replaced = await askUntil(ports, (deadlineMs) =>
      ports.map.replaceIfSame(key, over, value, deadlineMs),
    );
    if (!replaced.ok) return replaced;
    if (replaced.value) return ok({ stored: true });
    const got = await askUntil(ports, (deadlineMs) => ports.map.get(key, deadlineMs));
    if (!got.ok) return got;
    const found = got.value;
    if (found === null) return ok({ stored: false, found });
    if (found.equals(read) || options.isOwn(found)) {
      // It is there already (then this confirms it), or an earlier one of ours is, or what we
      // wrote vanished with its primary: the card that we want goes over what is there.
      expected = found;
      continue;
    }
    const confirmed = await confirmCard(ports, key, found);
    if (!confirmed.ok) return confirmed;
    if (confirmed.value) return ok({ stored: false, found });
  }
}
