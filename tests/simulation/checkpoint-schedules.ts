// The shortest known ways in which wrong checkpoints and wrong trimming lose something
// (docs/log-protocol.md), as schedules: each runs under given rules, and the oracle's verdict is
// empty where they hold.
// Owns: the schedules. Does not own: which rule each is for (checkpoint-rules.test.ts).
import type { LogRules } from "../../src/grid/log-rules.ts";
import { LogScript } from "../../src/simulation/log-script.ts";
import type { ScriptLane } from "../../src/simulation/script-lane.ts";

type Verdict = readonly string[];

/** Lane a serves under the claim at 1. */
function served(rules: LogRules) {
  const script = new LogScript();
  const lane = (name: string): ScriptLane => script.lane(name, { rules });
  return { script, lane, a: lane("a").open().rest() };
}

/** Makes a checkpoint up to its durable record; the move of head is out. */
function recorded(lane: ScriptLane, everything = false): void {
  lane.restCheckpoint().checkpoints.begin(everything);
  lane.restCheckpoint().appendCheckpoint().rest();
}

/** A segment lies on the primary alone, is found there, and a record names it. */
export function segmentUnconfirmed(rules: LogRules): Verdict {
  const { script, a } = served(rules);
  a.append(1).rest();
  a.checkpoints.begin();
  a.checkpointOnPrimaryAlone().restCheckpoint().appendCheckpoint().rest().restCheckpoint();
  script.losePrimary();
  return script.verdict();
}

/** A command runs after its entries were encoded and before the record leaves. */
export function changedWhileEncoding(rules: LogRules): Verdict {
  const { script, a } = served(rules);
  a.append(1).rest();
  a.checkpoints.begin();
  a.append(2).rest();
  a.restCheckpoint().appendCheckpoint().rest().restCheckpoint();
  return script.verdict();
}

/** A command waits for the next batch when the record leaves; then its lane dies. */
export function batchLeftBehind(rules: LogRules): Verdict {
  const { script, lane, a } = served(rules);
  a.append(1).rest();
  a.checkpoint(2);
  lane("b").open().rest();
  return script.verdict();
}

/** What the delta of one checkpoint said is in no segment of the next. */
export function deltaForgotten(rules: LogRules): Verdict {
  const { script, a } = served(rules);
  a.append(1).rest();
  a.checkpoints.begin();
  a.append(2).rest();
  a.restCheckpoint().appendCheckpoint().rest();
  a.checkpoint();
  return script.verdict();
}

/** An entry is in a shared segment and in a later one. */
export function encodedTwice(rules: LogRules): Verdict {
  const { script, a } = served(rules);
  a.append(1).rest();
  a.checkpoint();
  a.append(4).rest(); // the same entry of the space "last"
  a.checkpoint();
  return script.verdict();
}

/**
 * The owner before made a checkpoint of everything and sleeps before it moves head; its successor
 * makes one, too. Then the sleeper moves head and deletes what its own record names no more.
 */
export function basedOnHead(rules: LogRules): Verdict {
  const { script, lane, a } = served(rules);
  a.append(1).rest();
  a.checkpoint();
  a.append(2).rest();
  recorded(a, true);
  const b = lane("b").open().rest();
  b.append(3).rest();
  recorded(b);
  a.restCheckpoint();
  b.restCheckpoint();
  return script.verdict();
}

/** The newest checkpoint is above head; a successor looks for what dead attempts left. */
export function orphansBehindHead(rules: LogRules): Verdict {
  const { script, lane, a } = served(rules);
  a.append(1).rest();
  a.checkpoint();
  a.append(2).rest();
  recorded(a);
  lane("b").open().rest().restCheckpoint();
  return script.verdict();
}

/** Head was moved on the primary alone; a new owner reads it there, trims, and the primary dies. */
export function headNotSettled(rules: LogRules): Verdict {
  const { script, lane, a } = served(rules);
  a.append(1).rest();
  a.checkpoint();
  a.append(2).rest();
  recorded(a, true);
  const b = lane("b").open().until("headAfterClaim");
  a.checkpointOnPrimaryAlone();
  b.rest().restCheckpoint();
  script.losePrimary();
  return script.verdict();
}

/** A former owner moves head and deletes segments while somebody loads them: no loss. */
export function segmentsGoneWhileLoading(rules: LogRules): Verdict {
  const { script, lane, a } = served(rules);
  a.append(1).rest();
  a.checkpoint();
  a.append(2).rest();
  recorded(a, true);
  const b = lane("b").open().until("loadSegments");
  a.restCheckpoint();
  b.rest();
  return script.verdict();
}

/** Records are deleted, then head is to move; its lane dies in between. */
export function trimmedBeforeHead(rules: LogRules): Verdict {
  const { script, a } = served(rules);
  a.append(1).rest();
  recorded(a);
  a.stepCheckpoint();
  return script.verdict();
}

/** The move of head lies on the primary alone, is found there, and the log behind it trimmed. */
export function headUnconfirmed(rules: LogRules): Verdict {
  const { script, a } = served(rules);
  a.append(1).rest();
  recorded(a);
  a.checkpointOnPrimaryAlone().restCheckpoint();
  script.losePrimary();
  return script.verdict();
}

/** A former owner's move of head arrives after its successor moved it further, and trimmed. */
export function headMovedLate(rules: LogRules): Verdict {
  const { script, lane, a } = served(rules);
  a.append(1).rest();
  recorded(a);
  const b = lane("b").open().rest();
  b.checkpoint();
  a.restCheckpoint();
  lane("c").open().rest();
  return script.verdict();
}

/** A sleeping owner's append meets the place of a claim. */
export function claimTrimmed(rules: LogRules): Verdict {
  const { script, lane, a } = served(rules);
  a.append(1);
  lane("b").open().rest().checkpoint();
  a.rest();
  return script.verdict();
}

/** The database is behind head. */
export function trimmedUnwritten(rules: LogRules): Verdict {
  const { script, a } = served(rules);
  script.oracle.written = 2;
  a.checkpoints.written = 2;
  a.append(1).rest();
  a.append(2).rest();
  a.checkpoint();
  return script.verdict();
}
