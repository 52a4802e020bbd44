// Log rules: the parts of the protocol that can be left out one by one, to see each loss caught.
// Owns: their names. Production knows only `everyRule`; the tests of the log turn one off, run
// the seeds or the scripted schedule, and must see the loss that the rule prevents. A rule whose
// absence nobody notices is either not needed or not tested.

export interface LogRules {
  /** One's own value, found, is confirmed before it counts as durable. */
  readonly confirmOwn: boolean;
  /** An unknown outcome is not an acknowledgement. */
  readonly definiteOnly: boolean;
  /** Another's value is confirmed before it counts as the winner. */
  readonly confirmOther: boolean;
  /** A value that vanished before its confirmation is written again, not given up. */
  readonly repeatVanished: boolean;
  /** The tail that a claim builds on is confirmed first. */
  readonly helpTail: boolean;
  /** Head is read again after the claim: passed means void. */
  readonly readHeadAfterClaim: boolean;
  /** The chain is checked while loading. */
  readonly checkChain: boolean;
  /** Head is read once more at the end of the load. */
  readonly readHeadAfterLoad: boolean;
  /** A beaten append says "not applied" only where head proves it. */
  readonly readHeadWhenBeaten: boolean;
  /** A hole or a broken chain is a loss only while head has not moved. */
  readonly lossOnlyUnmoved: boolean;
  /** After a change of members the owner's last record is looked for and confirmed. */
  readonly checkTail: boolean;
  /** And the records before it, as an append may have gone over a hole. */
  readonly checkBefore: boolean;
  /** What became of an append, or its repetition, waits for a check that is due. */
  readonly checkFirst: boolean;

  // Checkpoints and trimming (checkpoint-machine.ts, checkpoint-trim.ts).

  /** A segment of one's own, found, is confirmed before a record names it. */
  readonly confirmSegments: boolean;
  /** A checkpoint record says what changed while its segments were encoded. */
  readonly carryDelta: boolean;
  /** And carries the batch that waits: memory, which the delta is read from, has it already. */
  readonly carryBatch: boolean;
  /** What changed counts from the beginning of the encoding, not from the record. */
  readonly dirtyFromEncoding: boolean;
  /** Of segments that name the same key, those of the later checkpoint win. */
  readonly laterSegmentsWin: boolean;
  /** The next checkpoint is based on the newest record in the log, above head too. */
  readonly baseFromLog: boolean;
  /** Segments of dead attempts are looked for behind the newest record, not behind head's. */
  readonly orphansFromLog: boolean;
  /** Head moves forward only. */
  readonly headForward: boolean;
  /** Head, found where it was to go, is confirmed. */
  readonly confirmHead: boolean;
  /** A new owner moves or confirms head before it deletes anything. */
  readonly settleHead: boolean;
  /** Nothing is trimmed before head has passed it. */
  readonly trimBehindHead: boolean;
  /** Nothing is trimmed that the database does not have. */
  readonly trimWritten: boolean;
  /** Claims are not trimmed. */
  readonly keepClaims: boolean;
}

export const everyRule: LogRules = {
  confirmOwn: true,
  definiteOnly: true,
  confirmOther: true,
  repeatVanished: true,
  helpTail: true,
  readHeadAfterClaim: true,
  checkChain: true,
  readHeadAfterLoad: true,
  readHeadWhenBeaten: true,
  lossOnlyUnmoved: true,
  checkTail: true,
  checkBefore: true,
  checkFirst: true,
  confirmSegments: true,
  carryDelta: true,
  carryBatch: true,
  dirtyFromEncoding: true,
  laterSegmentsWin: true,
  baseFromLog: true,
  orphansFromLog: true,
  headForward: true,
  confirmHead: true,
  settleHead: true,
  trimBehindHead: true,
  trimWritten: true,
  keepClaims: true,
};
