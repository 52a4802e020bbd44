// Rebuild end: the end of one log of a generation that is being replaced, apart from all I/O:
// (state, answer) → state. At most one call is out at any time.
// Owns: step 4 of the rebuild's protocol: where END records go. Does not own: what a lane makes of
// one (log-machine.ts: it stops), which logs (rebuild.ts).
// Source: the model-checked protocol, docs/log-protocol.md, "Rebuild".
// Invariants (docs/invariants.md):
//   G8. Behind what any owner of the old generation can have, its log ends: the next position of a
//       log that is whole, and those behind what its owner is known to have had of one that is cut.
import { assert, must } from "../base/assert.ts";
import { headKey, recordKey } from "./grid-keys.ts";
import { decodeHead, decodeRecord, encodeRecord } from "./log-record.ts";
import { everyRule } from "./log-rules.ts";
import type { Definite } from "./log-moves.ts";
import { answerWrite, startWrite, writeCall, type LogCall, type WriteState } from "./log-write.ts";

export interface EndConfig {
  readonly partition: number;
  /** The generation that comes, and its run: an END record names both. */
  readonly successor: number;
  readonly token: string;
  readonly timeMs: number;
  /** The last position that anybody is known to have acknowledged or written to the database. */
  readonly known: number;
  /** How many positions beyond that an owner may have gone since. */
  readonly beyond: number;
}

export interface EndState {
  readonly config: EndConfig;
  readonly phase:
    | { readonly name: "head" }
    | { readonly name: "scan"; readonly from: number }
    | { readonly name: "mark"; readonly position: number; readonly write: WriteState }
    | { readonly name: "done" };
  readonly call: LogCall | null;
  /** The last record of the log that is no END. */
  readonly last: number;
}

const positionsPerCall = 64;

export function startEnd(config: EndConfig): EndState {
  const call = { op: "get", key: headKey(config.partition) } as const;
  return { config, phase: { name: "head" }, call, last: 0 };
}

/** What follows from a definite answer. An unknown one is repeated by the caller. */
export function answerEnd(state: EndState, value: Definite): EndState {
  const { phase } = state;
  switch (phase.name) {
    case "head":
      return scan(state, (headOf(value as Buffer | null) ?? 0) + 1);
    case "scan":
      return scanned(state, phase.from, value as readonly (Buffer | null)[]);
    case "mark":
      return marked(state, phase.position, phase.write, value as null | boolean | Buffer);
    case "done":
      assert(false, "no call is out when all is done");
  }
}

/** Missing, or of a newer version that wrote more than this one knows: from the first record on. */
function headOf(stored: Buffer | null): number | null {
  return stored === null ? null : decodeHead(stored);
}

function scan(state: EndState, from: number): EndState {
  const keys = Array.from({ length: positionsPerCall }, (_, index) =>
    recordKey(state.config.partition, from + index),
  );
  return { ...state, phase: { name: "scan", from }, call: { op: "getMany", keys }, last: from - 1 };
}

function scanned(state: EndState, from: number, values: readonly (Buffer | null)[]): EndState {
  const free = values.findIndex((stored) => stored === null || isEnd(stored));
  if (free < 0) return scan(state, from + values.length);
  return mark({ ...state, last: from + free - 1 }, from + free);
}

function isEnd(stored: Buffer): boolean {
  return decodeRecord(stored)?.body.type === "end";
}

function mark(state: EndState, position: number): EndState {
  const { partition, successor, token, timeMs, known, beyond } = state.config;
  if (position > Math.max(state.last, known) + beyond) {
    return { ...state, phase: { name: "done" }, call: null };
  }
  // A log that is cut: nobody can have anything between its end and what was known of it.
  const isBetween = position > state.last + beyond && position <= known;
  const at = isBetween ? known + 1 : position;
  const header = { position: at, epoch: 0, token, timeMs, previous: Buffer.alloc(0) };
  const record = encodeRecord({ ...header, body: { type: "end", successor } });
  const write = startWrite(recordKey(partition, at), record);
  return { ...state, phase: { name: "mark", position: at, write }, call: writeCall(write) };
}

function marked(
  state: EndState,
  position: number,
  write: WriteState,
  value: null | boolean | Buffer,
): EndState {
  const step = answerWrite(write, value, everyRule);
  switch (step.kind) {
    case "call":
      return {
        ...state,
        phase: { name: "mark", position, write: step.state },
        call: writeCall(step.state),
      };
    case "durable":
      return mark(state, position + 1);
    case "beaten": {
      // Another run's END is as good; a record was appended meanwhile, and its owner goes on.
      const last = isEnd(must(step.other, "what beat it")) ? state.last : position;
      return mark({ ...state, last }, position + 1);
    }
  }
}
