// Log state: what a lane knows about the log of one partition, as plain data.
// Owns: the shapes of state, events and outputs of the log's state machine (log-machine.ts).
// Nothing in a state is ever changed in place: a copied reference is a snapshot, and a whole
// cluster's states can be kept, compared and continued from, which is how the real code is
// explored under many schedules.
import type { Failure } from "../base/failure.ts";
import type { LogRecord, RecordBody } from "./log-record.ts";
import type { LogAnswer, LogCall, WriteState } from "./log-write.ts";
import type { LogRules } from "./log-rules.ts";

export interface LogConfig {
  readonly partition: number;
  readonly gridId: string;
  readonly generation: number;
  /** Address of the lane, for people who read a claim. */
  readonly lane: string;
  /** Lane incarnation and attempt: unique among all that ever write to this log. */
  readonly token: string;
  readonly rules: LogRules;
}

/** The step that a machine is in; numbers are those of the protocol. */
export type LogPhase =
  | { readonly name: "idle" }
  // 3: genesis found and confirmed, then head, then the checkpoint record that head names.
  | { readonly name: "readGenesis" }
  | { readonly name: "confirmGenesis"; readonly genesis: Buffer }
  | { readonly name: "readHead" }
  | { readonly name: "confirmHead"; readonly stored: Buffer }
  | { readonly name: "readBase" }
  | { readonly name: "headAfterNoBase" }
  // 4: `low` is present, `high` is absent (or not known yet), `probes` are being read.
  | {
      readonly name: "findTail";
      readonly low: number;
      readonly lowBytes: Buffer;
      readonly high: number | null;
      readonly probes: readonly number[];
    }
  // 5 and 6
  | { readonly name: "helpTail"; readonly tail: number; readonly bytes: Buffer }
  | { readonly name: "claim"; readonly write: WriteState; readonly record: LogRecord }
  // 7 and 8
  | { readonly name: "headAfterClaim" }
  | { readonly name: "loadBase" }
  | {
      readonly name: "loadSegments";
      readonly base: Buffer;
      readonly record: LogRecord;
      readonly from: number;
    }
  | { readonly name: "loadRecords"; readonly from: number; readonly count: number }
  | { readonly name: "headAfterGap"; readonly gap: string }
  | { readonly name: "headAfterLoad" }
  // 2
  | { readonly name: "serving" }
  | { readonly name: "append"; readonly write: WriteState; readonly record: LogRecord }
  | { readonly name: "headWhenBeaten"; readonly by: LogRecord | null }
  // 15: genesis and the last record are read, then confirmed one after the other.
  | { readonly name: "checkRead"; readonly interrupted: Interrupted }
  | { readonly name: "checkGenesis"; readonly interrupted: Interrupted; readonly last: Buffer }
  | { readonly name: "checkLast"; readonly interrupted: Interrupted; readonly last: Buffer }
  // The next slice of a look back is read, from `from` on.
  | {
      readonly name: "checkBefore";
      readonly interrupted: Interrupted;
      readonly look: LookBack;
      readonly from: number;
    }
  // At `position` is no record, or another one.
  | {
      readonly name: "checkHead";
      readonly interrupted: Interrupted;
      readonly position: number;
      readonly stored: Buffer | null;
    }
  // `lowest` to `highest` are missing, `below` is there (or not known yet), `probes` are read.
  | {
      readonly name: "checkExtent";
      readonly interrupted: Interrupted;
      readonly floor: number;
      readonly lowest: number;
      readonly highest: number;
      readonly below: number | null;
      readonly probes: readonly number[];
    }
  | { readonly name: "stopped"; readonly failure: Failure };

/** What goes on after a check: where the machine was, and what it was about to tell or to ask. */
export interface Interrupted {
  readonly phase: LogPhase & { readonly name: "serving" | "append" };
  readonly call: LogCall | null;
  readonly outputs: readonly LogOutput[];
}

/** What a check still has to see: records below one that was seen, which was built on them. */
export interface LookBack {
  readonly below: number;
  /** Checksum of the record before `below`. */
  readonly chain: Buffer;
  /** It ends at the first record that is not younger, or at the own claim. */
  readonly sinceMs: number;
  /** Records of the next slice. */
  readonly count: number;
}

export interface LogState {
  readonly config: LogConfig;
  readonly phase: LogPhase;
  /** The one call that is out; its answer is the next event. */
  readonly call: LogCall | null;
  /** Head as last read: h before the claim, h' after it. */
  readonly head: number;
  /** Position of the own claim; 0 before it is durable. */
  readonly epoch: number;
  /** The own claim once it is durable. */
  readonly claim: LogRecord | null;
  /** Where the next record goes, and the checksum and time of the last one. */
  readonly next: number;
  readonly chain: Buffer;
  readonly timeMs: number;
  /** Members changed, and no check was begun since. */
  readonly checkDue: boolean;
  /** What is left of the last check, read in slices between appends. */
  readonly look: LookBack | null;
}

export type LogEvent =
  /** Begin to take over. */
  | { readonly kind: "open" }
  /** The outstanding call was answered. */
  | { readonly kind: "answer"; readonly answer: LogAnswer; readonly wallMs: number }
  /** Append one record; only while serving with nothing in flight. */
  | { readonly kind: "append"; readonly body: RecordBody; readonly wallMs: number }
  /** The grid's members changed: see whether the log is whole; at any time. */
  | { readonly kind: "check" }
  /** Nothing is to be appended: go on looking back, if anything is left of that. */
  | { readonly kind: "look" };

/** What became of the append that was in flight when a machine stopped. */
export type AppendFate = "none" | "notApplied" | "unknown";

export type LogOutput =
  | { readonly kind: "call"; readonly call: LogCall }
  /** What was loaded so far is void; loading begins anew. */
  | { readonly kind: "reset" }
  /** A segment as it is stored, of a known format: decoding it takes its time. */
  | { readonly kind: "segment"; readonly stored: Buffer }
  /** A record below the claim, in order, its chain checked. */
  | {
      readonly kind: "loaded";
      readonly record: LogRecord;
      readonly checksum: Buffer;
      readonly bytes: number;
    }
  /** The claim is durable and valid, all before it was loaded: the partition may serve. */
  | { readonly kind: "serving"; readonly claim: LogRecord; readonly checksum: Buffer }
  | {
      readonly kind: "durable";
      readonly record: LogRecord;
      readonly checksum: Buffer;
      readonly bytes: number;
    }
  | { readonly kind: "stopped"; readonly failure: Failure; readonly append: AppendFate };

export interface LogStep {
  readonly state: LogState;
  readonly outputs: readonly LogOutput[];
}

/** A machine that has done nothing yet. */
export function initialLogState(config: LogConfig): LogState {
  return {
    config,
    phase: { name: "idle" },
    call: null,
    head: 0,
    epoch: 0,
    claim: null,
    next: 0,
    chain: Buffer.alloc(0),
    timeMs: 0,
    checkDue: false,
    look: null,
  };
}
