// Checkpoint state: what an owner knows of its partition's checkpoints, as plain data.
// Owns: the shapes of state, events and outputs of the checkpoint machine, and how the records of a
// log are folded into what a new owner must know of them.
// Does not own: the moves (checkpoint-machine.ts, checkpoint-trim.ts).
// Nothing in a state is ever changed in place: see log-state.ts.
// Invariants (docs/invariants.md):
//   K3. The base of the next checkpoint is the newest checkpoint record in the log, above head too;
//       segments of dead attempts are counted from there.
import type { RecordBody, SegmentName } from "./log-record.ts";
import type { LogRules } from "./log-rules.ts";
import type { LogAnswer, LogCall, WriteState } from "./log-write.ts";

/** What the store is asked, besides the calls of a log: nobody waits for one delete alone. */
export type CheckpointCall =
  LogCall | { readonly op: "deleteMany"; readonly keys: readonly Buffer[] };

/** A checkpoint record, and what it names. */
export interface CheckpointBase {
  readonly position: number;
  readonly segments: readonly SegmentName[];
}

/** Segments that no record names may lie under the numbers from here on. */
export interface Orphans {
  readonly epoch: number;
  readonly checkpoint: number;
}

/** What the records of a log say of its checkpoints, from the one that loading began with. */
export interface CheckpointFacts {
  /** Position of the first of them: head when it was loaded. */
  readonly from: number;
  readonly base: CheckpointBase | null;
  readonly trimmedTo: number;
  readonly claims: readonly number[];
  /** Named by records before the base and not by the base. */
  readonly garbage: readonly SegmentName[];
  readonly orphans: readonly Orphans[];
}

export interface CheckpointConfig {
  readonly partition: number;
  /** Position of the own claim. */
  readonly epoch: number;
  readonly rules: LogRules;
}

/** A checkpoint on its way into the log. */
export interface CheckpointAttempt {
  readonly number: number;
  /** Those of the base; none where everything is encoded anew. */
  readonly shared: readonly SegmentName[];
  readonly segments: readonly SegmentName[];
  readonly round: number;
}

export type CheckpointPhase =
  | { readonly name: "idle" }
  // 12: the next slice is to be encoded; it is written; the record has its turn in the log.
  | { readonly name: "encode"; readonly attempt: CheckpointAttempt }
  | {
      readonly name: "segment";
      readonly attempt: CheckpointAttempt;
      readonly segment: SegmentName;
      readonly write: WriteState;
    }
  | { readonly name: "append"; readonly attempt: CheckpointAttempt }
  // Head goes to `to`, or is confirmed there.
  | { readonly name: "moveHead"; readonly to: number }
  | { readonly name: "readHead"; readonly to: number }
  | { readonly name: "confirmHead"; readonly to: number }
  // 13: below `limit` all is written; `calls` more may go out in this round.
  | { readonly name: "askWritten" }
  | { readonly name: "dropSegments"; readonly names: readonly SegmentName[]; readonly trim: Trim }
  | {
      // `found` null: which attempt left a first segment; else the others of attempt `orphans`.
      readonly name: "probeOrphans";
      readonly orphans: Orphans;
      readonly found: readonly SegmentName[] | null;
      readonly trim: Trim;
    }
  | { readonly name: "readLeft"; readonly to: number; readonly trim: Trim }
  | { readonly name: "trim"; readonly to: number; readonly trim: Trim }
  // Somebody newer moved head: it trims.
  | { readonly name: "ended" };

/** Records below `limit` may go; after `calls` more calls others have their turn. */
export interface Trim {
  readonly limit: number;
  readonly calls: number;
}

export interface CheckpointState {
  readonly config: CheckpointConfig;
  readonly phase: CheckpointPhase;
  /** The one call that is out; its answer is the next event. */
  readonly call: CheckpointCall | null;
  /** Head as this owner knows it, and whether a move or a confirmation of its own is durable. */
  readonly head: number;
  readonly isSettled: boolean;
  readonly base: CheckpointBase | null;
  /** Number of the next attempt; an attempt's number is never used again. */
  readonly nextNumber: number;
  /** Records before it are gone, but for claims and genesis. */
  readonly trimmedTo: number;
  /** Which records are claims is known from `loadedFrom` on, and below `readTo`. */
  readonly loadedFrom: number;
  readonly readTo: number;
  readonly claims: readonly number[];
  /** To be deleted: no record from head on names them. */
  readonly garbage: readonly SegmentName[];
  readonly orphans: readonly Orphans[];
}

export type CheckpointEvent =
  /** The partition serves: finish what the owner before left. */
  | { readonly kind: "serve" }
  /** Make a checkpoint, of everything or of what changed since the base; only where it may. */
  | { readonly kind: "begin"; readonly everything: boolean }
  /** The next segment, encoded when `encodedAt` was the last durable position. */
  | { readonly kind: "slice"; readonly value: Buffer; readonly encodedAt: number }
  /** All is encoded; `fits`: what changed meanwhile fits the record. */
  | { readonly kind: "sliced"; readonly fits: boolean }
  /** The record was to leave, and what changed meanwhile did not fit it. */
  | { readonly kind: "tooMuch" }
  /** The record that was appended is durable. */
  | { readonly kind: "durable"; readonly position: number }
  /** See what can be trimmed; only while idle. */
  | { readonly kind: "trim" }
  /** What the database has, read just now; null: not known. */
  | { readonly kind: "written"; readonly position: number | null }
  | { readonly kind: "answer"; readonly answer: LogAnswer };

export type CheckpointOutput =
  | { readonly kind: "call"; readonly call: CheckpointCall }
  /** Encode the next slice, later; a round begins where `begins` says over what. */
  | { readonly kind: "encode"; readonly begins: "everything" | "marked" | null }
  /** Have the record appended: `checkpointParts` says what it names. */
  | { readonly kind: "append" }
  | { readonly kind: "encoded" }
  | { readonly kind: "givenUp" }
  /** Head is at the newest checkpoint. */
  | { readonly kind: "moved" }
  | { readonly kind: "askWritten" }
  | { readonly kind: "trimmed"; readonly to: number }
  /** All numbers of this epoch are used: a new claim has new ones. */
  | { readonly kind: "exhausted" };

export interface CheckpointStep {
  readonly state: CheckpointState;
  readonly outputs: readonly CheckpointOutput[];
}

/** Before the first record that is loaded. */
export function noFacts(from: number): CheckpointFacts {
  return { from, base: null, trimmedTo: 1, claims: [], garbage: [], orphans: [] };
}

/** Folds one more record of the log, in order; claims of others, and the checkpoints in it. */
export function withRecord(
  facts: CheckpointFacts,
  position: number,
  epoch: number,
  body: RecordBody,
  rules: LogRules,
): CheckpointFacts {
  if (body.type === "claim") {
    const orphans = [...facts.orphans, { epoch: position, checkpoint: 0 }];
    return { ...facts, claims: [...facts.claims, position], orphans };
  }
  if (body.type !== "checkpoint") return facts;
  const isBase = facts.base === null || rules.baseFromLog; // K3
  const base = isBase ? { position, segments: body.segments } : facts.base;
  const { trimmedTo } = body;
  const garbage = isBase ? [...facts.garbage, ...notIn(facts.base, body.segments)] : facts.garbage;
  const counts = rules.orphansFromLog || position === facts.from; // K3
  const orphans = counts ? behind(facts.orphans, epoch, body.number) : facts.orphans;
  return { ...facts, base, trimmedTo, garbage, orphans };
}

/** Segments of a base that a newer record does not name. */
export function notIn(
  base: CheckpointBase | null,
  segments: readonly SegmentName[],
): readonly SegmentName[] {
  if (base === null) return [];
  const kept = new Set(segments.map(nameOf));
  return base.segments.filter((one) => !kept.has(nameOf(one)));
}

export function nameOf({ epoch, checkpoint, segment }: SegmentName): string {
  return `${String(epoch)}.${String(checkpoint)}.${String(segment)}`;
}

/** Only later attempts of that epoch can be dead ones. */
function behind(orphans: readonly Orphans[], epoch: number, number: number): readonly Orphans[] {
  return [...orphans.filter((one) => one.epoch !== epoch), { epoch, checkpoint: number + 1 }];
}

/** An owner that has done nothing yet. */
export function initialCheckpointState(
  config: CheckpointConfig,
  facts: CheckpointFacts,
): CheckpointState {
  const { from, base, trimmedTo, claims, garbage, orphans } = facts;
  return {
    config,
    phase: { name: "idle" },
    call: null,
    head: from,
    isSettled: false,
    base,
    nextNumber: 0,
    trimmedTo,
    loadedFrom: from,
    readTo: trimmedTo,
    claims,
    garbage,
    orphans: orphans.filter(({ epoch }) => epoch !== config.epoch),
  };
}
