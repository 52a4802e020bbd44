// The shortest known ways in which a wrong engine loses something (docs/log-protocol.md §1, §5),
// as schedules: each runs under given rules, and the oracle's verdict is empty where they hold.
// Owns: the schedules. Does not own: which rule each is for (log-rules.test.ts).
import { checksum } from "../../src/grid/log-record.ts";
import type { LogRules } from "../../src/grid/log-rules.ts";
import { LogScript } from "../../src/simulation/log-script.ts";
import type { LaneBug } from "../../src/simulation/script-bugs.ts";
import type { ScriptLane } from "../../src/simulation/script-lane.ts";

type Verdict = readonly string[];

/** Makes a checkpoint up to its durable record; the move of head is out. */
function recorded(lane: ScriptLane): void {
  lane.restCheckpoint().checkpoints.begin();
  lane.restCheckpoint().appendCheckpoint().rest();
}

/** Lane a serves under the claim at 1. */
function served(rules: LogRules, bugs: ReadonlySet<LaneBug> = new Set()) {
  const script = new LogScript();
  const lane = (name: string) => script.lane(name, { rules, bugs });
  return { script, lane, a: lane("a").open().rest() };
}

/** Stored on the primary, answer lost; found again, acknowledged; the primary dies. */
export function ownAppendUnconfirmed(rules: LogRules): Verdict {
  const { script, a } = served(rules);
  a.append(1).onPrimaryAlone().rest();
  script.losePrimary();
  return script.verdict();
}

export function ownClaimUnconfirmed(rules: LogRules): Verdict {
  const script = new LogScript();
  script.lane("a", { rules }).open().until("claim.put").onPrimaryAlone().rest();
  script.losePrimary();
  return script.verdict();
}

/** The request is lost; no copy ever saw it. */
export function appendLost(rules: LogRules): Verdict {
  const { script, a } = served(rules);
  a.append(1).lost();
  return script.verdict();
}

/** Beaten by a claim that dies with its primary; then the loser's own duplicate lands. */
export function winnerVanishes(rules: LogRules): Verdict {
  const { script, lane, a } = served(rules);
  const late = a.append(1).call;
  a.lost();
  lane("b").open().until("claim.put").onPrimaryAlone(); // and b is heard of no more
  a.rest();
  script.losePrimary();
  script.everywhere(late);
  return script.verdict();
}

/** One's own record vanishes between being found and confirmed; then its duplicate lands. */
export function ownVanishes(rules: LogRules): Verdict {
  const { script, a } = served(rules);
  const late = a.append(1).call;
  a.onPrimaryAlone().until("append.own");
  script.losePrimary();
  a.rest();
  script.everywhere(late);
  return script.verdict();
}

/** A claim is built on a tail that dies with its primary. */
export function tailVanishes(rules: LogRules): Verdict {
  const { script, lane, a } = served(rules);
  a.append(1).onPrimaryAlone();
  const b = lane("b").open().until("headAfterClaim");
  script.losePrimary();
  b.rest();
  return script.verdict();
}

/** A claimer sleeps; the owner checkpoints, moves head and trims what it wants to claim. */
export function claimOnTrimmedGround(rules: LogRules): Verdict {
  const { script, lane, a } = served(rules);
  const c = lane("c").open().until("claim.put");
  a.append(1).rest();
  a.checkpoint();
  c.rest();
  return script.verdict();
}

/** A beaten claim's duplicate fills a trimmed position while somebody loads. */
export function duplicateWhileLoading(rules: LogRules): Verdict {
  const { script, lane, a } = served(rules);
  const c = lane("c").open().until("claim.put");
  const late = c.call;
  a.append(1).rest();
  c.rest(); // beaten
  recorded(a);
  const b = lane("b").open().until("loadRecords");
  a.restCheckpoint();
  script.everywhere(late);
  b.rest();
  return script.verdict();
}

/** A former owner moves head and trims while somebody loads: a hole that is no loss. */
export function trimWhileLoading(rules: LogRules): Verdict {
  const { script, lane, a } = served(rules);
  a.append(1).rest();
  recorded(a);
  const b = lane("b").open().until("loadRecords");
  a.restCheckpoint();
  b.rest();
  return script.verdict();
}

/** A record was helped into the log, folded and trimmed; a void claim then takes its place. */
export function beatenByVoidClaim(rules: LogRules): Verdict {
  const { script, lane, a } = served(rules);
  a.append(1).rest();
  const c = lane("c").open().until("claim.put"); // at 3, and it sleeps
  a.append(2).answerLost(); // at 3 as well
  const b = lane("b").open().rest();
  b.checkpoint();
  script.everywhere(c.call);
  a.rest();
  return script.verdict();
}

/** Beyond the failure bound: another's record lies in the log, and nobody trimmed. */
export function foreignRecordInLog(rules: LogRules): Verdict {
  const { script, lane, a } = served(rules);
  const { call } = lane("c").open().until("claim.put");
  a.append(1).rest();
  a.append(2).rest();
  if (call.op === "putIfAbsent") script.everywhere({ ...call, op: "put" });
  const b = lane("b").open().rest();
  return b.phase === "stopped" ? [] : script.verdict();
}

/** The second append leaves while the first one's outcome is unknown. */
export function twoAppendsInFlight(rules: LogRules, planted: boolean): Verdict {
  const { script, a } = served(rules);
  const serving = a.state;
  a.append(1).lost();
  const { phase } = a.state;
  if (planted && phase.name === "append") {
    const chain = checksum(phase.write.value);
    a.twin({ ...serving, next: serving.next + 1, chain })
      .append(2)
      .rest();
  } else {
    a.rest().append(2).rest();
  }
  return script.verdict();
}

/** Identity by the writer's token: two attempts of one lane share it. */
export function tokenIdentity(rules: LogRules, planted: boolean): Verdict {
  const script = new LogScript();
  const bugs = new Set<LaneBug>(planted ? ["tokenIdentity"] : []);
  const options = { rules, bugs, token: "lane 1" };
  const late = script.lane("a", options).open().rest().append(1).call;
  const again = script.lane("a", options).open().until("claim.put");
  script.everywhere(late);
  again.rest();
  if (again.phase === "serving") again.append(2).rest();
  return script.verdict();
}

/** State folded from what was read before the claim: one record of it was never kept. */
export function foldFromScan(rules: LogRules, planted: boolean): Verdict {
  const { script, lane, a } = served(rules, new Set(planted ? ["foldsScan"] : []));
  a.append(1).onPrimaryAlone();
  const b = lane("b").open().until("findTail").step(); // it saw the record at 2
  script.losePrimary();
  const c = lane("c").open().rest();
  c.append(2).rest();
  b.rest();
  return script.verdict();
}

/** The grid loses the last record, and members change; then the owner has something to append. */
export function tailLost(rules: LogRules): Verdict {
  const { script, a } = served(rules);
  a.append(1).rest();
  script.lose(2);
  return appendedAfter(script, a.check().rest());
}

/** The same, but an append goes over the hole before the news of the change arrives. */
export function tailLostUnseen(rules: LogRules): Verdict {
  const { script, a } = served(rules);
  a.append(1).rest();
  script.lose(2);
  a.append(2).rest();
  return appendedAfter(script, a.check().rest());
}

/** An append whose outcome is unknown, and a grid that lost what lies before it. */
export function unknownOverHole(rules: LogRules): Verdict {
  const { script, a } = served(rules);
  a.append(1).rest();
  a.append(2);
  script.lose(2);
  a.check().lost().rest();
  return script.verdict();
}

/** An append stored over the hole, whose answer arrives after the news of the change. */
export function storedOverHole(rules: LogRules): Verdict {
  const { script, a } = served(rules);
  a.append(1).rest();
  a.append(2);
  script.lose(2);
  a.check().rest();
  return script.verdict();
}

/** A late duplicate of the last record lies where the others are gone. */
export function lastRestored(rules: LogRules): Verdict {
  const { script, a } = served(rules);
  a.append(1).rest();
  const late = a.append(2).call;
  a.rest().check().rest();
  script.lose(2, 3);
  script.everywhere(late);
  return appendedAfter(script, a.check().rest());
}

/** Nothing is lost: the owner has trimmed behind its checkpoint. */
export function checkedAfterTrim(rules: LogRules): Verdict {
  const { script, a } = served(rules);
  a.append(1).rest();
  a.checkpoint();
  return appendedAfter(script, a.check().rest());
}

/** Nothing is lost: the next owner has trimmed while this one slept. */
export function checkedWhenTrimmedAway(rules: LogRules): Verdict {
  const { script, lane, a } = served(rules);
  a.append(1).rest();
  const b = lane("b").open().rest();
  b.checkpoint();
  return appendedAfter(script, a.check().rest());
}

function appendedAfter(script: LogScript, lane: ScriptLane): Verdict {
  if (lane.phase === "serving") lane.append(9).rest();
  return script.verdict();
}
