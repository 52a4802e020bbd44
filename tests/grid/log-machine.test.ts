// Goal: the log's machine does what its protocol says in every state, whatever is answered.
// Method: tables over all phases (a phase that is forgotten does not compile): each is reached by
// real steps over explicit copies, then given each kind of event, each kind of answer.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { canAppend, stepLog } from "../../src/grid/log-machine.ts";
import { encodeHead, type RecordBody } from "../../src/grid/log-record.ts";
import type { LogEvent, LogPhase, LogState } from "../../src/grid/log-state.ts";
import { LogScript } from "../../src/simulation/log-script.ts";
import type { ScriptLane } from "../../src/simulation/script-lane.ts";
import type { StoreValue } from "../../src/simulation/replica-store.ts";

import {
  beatenAppend,
  beatenClaim,
  checking,
  checkingDurable,
  checkingReplaced,
  checkingTrimmed,
  checkingUnknown,
  checkpointed,
  claim,
  end,
  newer,
  record,
  served,
  twoLanes,
  unknownAtHead,
} from "./log-lanes.ts";

type PhaseName = LogPhase["name"];

const b = (phase: Parameters<ScriptLane["until"]>[0]) => () => twoLanes().b.until(phase);

/** A lane in each phase. */
const reach: Record<PhaseName, () => ScriptLane> = {
  idle: () => new LogScript().lane("a"),
  readGenesis: b("readGenesis"),
  confirmGenesis: b("confirmGenesis"),
  readHead: b("readHead"),
  confirmHead: b("confirmHead"),
  readBase: b("readBase"),
  headAfterNoBase: () => twoLanes().b.until("readBase").answer(null),
  findTail: b("findTail"),
  helpTail: b("helpTail"),
  claim: b("claim.put"),
  headAfterClaim: b("headAfterClaim"),
  loadBase: b("loadBase"),
  loadSegments: () => checkpointed().until("loadSegments"),
  loadRecords: b("loadRecords"),
  headAfterGap: () => twoLanes().b.until("loadBase").answer(null),
  headAfterLoad: b("headAfterLoad"),
  serving: () => twoLanes().a,
  append: () => twoLanes().a.append(3),
  headWhenBeaten: () => beatenAppend("claim").step(),
  checkRead: () => checking(),
  checkGenesis: () => checking().until("checkGenesis"),
  checkLast: () => checking().until("checkLast"),
  checkBefore: () => checking().until("checkBefore"),
  checkHead: () => checking([5]).until("checkHead"),
  checkExtent: () => checking([4, 5]).until("checkExtent"),
  stopped: () => twoLanes().b.until("readGenesis").answer(null),
};

const phases = Object.keys(reach) as PhaseName[];

function isCalling(name: PhaseName): boolean {
  return name !== "idle" && name !== "serving" && name !== "stopped";
}

describe("states × events", () => {
  const check: LogEvent = { kind: "check" };
  const append: LogEvent = { kind: "append", body: { type: "release" }, wallMs: 0 };
  const unknown: LogEvent = { kind: "answer", answer: { known: false }, wallMs: 0 };

  test.each(phases)("%s: opened only when idle", (name) => {
    const { state } = reach[name]();
    expect(state.phase.name).toBe(name);
    const open = (): string => stepLog(state, { kind: "open" }).state.phase.name;
    if (name === "idle") expect(open()).toBe("readGenesis");
    else expect(open).toThrow("opened once");
  });

  test.each(phases)("L8: %s: appends only while serving with nothing in flight", (name) => {
    const { state } = reach[name]();
    expect(canAppend(state)).toBe(name === "serving");
    if (name === "serving") expect(stepLog(state, append).state.phase.name).toBe("append");
    else expect(() => stepLog(state, append)).toThrow("L8");
  });

  test.each(phases)(
    "L11: %s: a check begins where nothing is in flight, else it is due",
    (name) => {
      const { state } = reach[name]();
      const next = stepLog(state, check);
      if (name === "serving") expect(next.state.phase.name).toBe("checkRead");
      else expect(next.outputs).toEqual([]);
      const isDue = isCalling(name);
      expect(next.state.checkDue).toBe(isDue);
      if (name !== "serving") expect({ ...next.state, checkDue: false }).toEqual(state);
      expect(stepLog(next.state, check).state.checkDue).toBe(isDue || name === "serving");
    },
  );

  test.each(phases)(
    "L2: %s: an unknown outcome repeats the same call and changes nothing",
    (name) => {
      const { state } = reach[name]();
      if (isCalling(name)) {
        const step = stepLog(state, unknown);
        expect(step.state).toBe(state);
        expect(step.outputs).toEqual([{ kind: "call", call: state.call }]);
      } else {
        expect(state.call).toBeNull();
        expect(() => stepLog(state, unknown)).toThrow("an answer needs a call");
      }
    },
  );
});

type Case = readonly [
  what: string,
  lane: () => ScriptLane,
  answer: "real" | StoreValue,
  next: string,
];

const at = (name: PhaseName) => reach[name];
const foreign = record(
  { type: "genesis", genesis: { gridId: "x", generation: 1, partitions: 1, partition: 0 } },
  0,
);

/** Every definite answer in every phase, and where it leads (`CODE fate` where it stops). */
const answers: Record<PhaseName, readonly Case[]> = {
  idle: [],
  serving: [],
  stopped: [],
  readGenesis: [
    ["genesis", at("readGenesis"), "real", "confirmGenesis"],
    ["missing", at("readGenesis"), null, "GRID_LOST none"],
    ["another grid's", at("readGenesis"), foreign, "GRID_FOREIGN none"],
    ["of a newer format", at("readGenesis"), newer, "GRID_FORMAT none"],
  ],
  confirmGenesis: [
    ["on every copy", at("confirmGenesis"), "real", "readHead"],
    ["gone", at("confirmGenesis"), false, "readGenesis"],
  ],
  readHead: [
    ["there", at("readHead"), "real", "confirmHead"],
    ["missing", at("readHead"), null, "GRID_LOST none"],
  ],
  confirmHead: [
    ["on every copy", at("confirmHead"), "real", "readBase"],
    ["moved meanwhile", at("confirmHead"), false, "readHead"],
    ["of a newer format", () => reach.readHead().answer(newer), true, "GRID_FORMAT none"],
  ],
  readBase: [
    ["there", at("readBase"), "real", "findTail"],
    ["missing", at("readBase"), null, "headAfterNoBase"],
  ],
  headAfterNoBase: [
    ["moved", at("headAfterNoBase"), encodeHead(7), "readGenesis"],
    ["unmoved", at("headAfterNoBase"), encodeHead(0), "GRID_LOST none"],
    ["missing", at("headAfterNoBase"), null, "GRID_LOST none"],
    ["of a newer format", at("headAfterNoBase"), newer, "GRID_FORMAT none"],
  ],
  findTail: [
    ["a record between two probes", at("findTail"), "real", "findTail"],
    ["nothing behind head", at("findTail"), new Array<null>(16).fill(null), "helpTail"],
    [
      "END is the tail",
      at("findTail"),
      [end(1), ...new Array<null>(15).fill(null)],
      "GRID_ENDED none",
    ],
    [
      "a newer tail",
      at("findTail"),
      [newer, ...new Array<null>(15).fill(null)],
      "GRID_FORMAT none",
    ],
  ],
  helpTail: [
    ["on every copy", at("helpTail"), "real", "claim.put"],
    ["vanished", at("helpTail"), false, "readGenesis"],
  ],
  claim: [
    ["stored", at("claim"), null, "headAfterClaim"],
    ["own found", () => reach.claim().answerLost(), "real", "claim.own"],
    ["own confirmed", () => reach.claim().answerLost().step(), "real", "headAfterClaim"],
    ["own vanished", () => reach.claim().answerLost().step(), false, "claim.put"],
    ["another's found", at("claim"), newer, "claim.other"],
    ["another's confirmed", () => beatenClaim("claim"), "real", "CLAIM_BEATEN none"],
    ["another's vanished", () => beatenClaim("claim"), false, "claim.put"],
    ["END confirmed", () => beatenClaim("end"), "real", "GRID_ENDED none"],
  ],
  headAfterClaim: [
    ["before the claim", at("headAfterClaim"), "real", "loadBase"],
    ["at the claim: void", at("headAfterClaim"), encodeHead(4), "readGenesis"],
    ["behind the claim: void", at("headAfterClaim"), encodeHead(9), "readGenesis"],
    ["missing", at("headAfterClaim"), null, "GRID_LOST none"],
    ["of a newer format", at("headAfterClaim"), newer, "GRID_FORMAT none"],
  ],
  loadBase: [
    ["genesis", at("loadBase"), "real", "loadRecords"],
    ["a checkpoint", () => checkpointed().until("loadBase"), "real", "loadSegments"],
    ["missing", at("loadBase"), null, "headAfterGap"],
    [
      "no checkpoint: a late duplicate",
      at("loadBase"),
      record({ type: "release" }, 0),
      "headAfterGap",
    ],
    ["of a newer format", at("loadBase"), newer, "GRID_FORMAT none"],
  ],
  loadSegments: [
    ["there", at("loadSegments"), "real", "headAfterLoad"],
    ["missing", at("loadSegments"), [null], "headAfterGap"],
    ["of a newer format", at("loadSegments"), [newer], "GRID_FORMAT none"],
  ],
  loadRecords: [
    ["all", at("loadRecords"), "real", "headAfterLoad"],
    ["a hole", at("loadRecords"), [null, null, null], "headAfterGap"],
    ["a broken chain", at("loadRecords"), [record({ type: "release" }, 1)], "headAfterGap"],
    ["END among them", at("loadRecords"), [end(1)], "GRID_ENDED none"],
    ["of a newer format", at("loadRecords"), [newer], "GRID_FORMAT none"],
  ],
  headAfterGap: [
    ["moved: trimmed", at("headAfterGap"), encodeHead(2), "loadBase"],
    ["moved behind the claim: void", at("headAfterGap"), encodeHead(4), "readGenesis"],
    ["unmoved: lost", at("headAfterGap"), encodeHead(0), "GRID_LOST none"],
    ["missing", at("headAfterGap"), null, "GRID_LOST none"],
  ],
  headAfterLoad: [
    ["unmoved", at("headAfterLoad"), "real", "serving"],
    ["moved", at("headAfterLoad"), encodeHead(2), "loadBase"],
    ["moved behind the claim: void", at("headAfterLoad"), encodeHead(4), "readGenesis"],
    ["missing", at("headAfterLoad"), null, "GRID_LOST none"],
  ],
  append: [
    ["stored", at("append"), null, "serving"],
    ["own found", () => reach.append().answerLost(), "real", "append.own"],
    ["own confirmed", () => reach.append().answerLost().step(), "real", "serving"],
    ["own vanished", () => reach.append().answerLost().step(), false, "append.put"],
    ["another's found", () => beatenAppend("claim"), "real", "headWhenBeaten"],
    ["another's vanished", () => beatenAppend("claim"), false, "append.put"],
  ],
  headWhenBeaten: [
    ["before it: denied", at("headWhenBeaten"), "real", "NOT_OWNER notApplied"],
    ["at it: unknown", at("headWhenBeaten"), encodeHead(4), "NOT_OWNER unknown"],
    ["missing", at("headWhenBeaten"), null, "NOT_OWNER unknown"],
    ["END beat it", () => beatenAppend("end").step(), "real", "GRID_ENDED notApplied"],
  ],
  checkRead: [
    ["both there", at("checkRead"), "real", "checkGenesis"],
    ["no genesis", at("checkRead"), [null, null], "GRID_LOST none"],
    ["no genesis, an append unknown", () => checkingUnknown(), [null, null], "GRID_LOST unknown"],
    ["no genesis, an append durable", () => checkingDurable(), [null, null], "GRID_LOST unknown"],
    ["another grid's", at("checkRead"), [foreign, null], "GRID_FOREIGN none"],
    ["of a newer format", () => checkingUnknown(), [newer, null], "GRID_FORMAT unknown"],
    ["the last one missing", () => checking([5]), "real", "checkHead"],
    ["the one just written missing", () => checkingDurable([6]), "real", "checkHead"],
    ["another in its place", () => checkingReplaced(5, newer), "real", "checkHead"],
  ],
  checkGenesis: [
    ["on every copy", at("checkGenesis"), "real", "checkLast"],
    ["gone", at("checkGenesis"), false, "checkRead"],
  ],
  checkLast: [
    ["on every copy", at("checkLast"), "real", "checkBefore"],
    ["gone", at("checkLast"), false, "checkRead"],
    ["that was the claim", () => served().check().until("checkLast"), "real", "serving"],
  ],
  checkBefore: [
    ["whole down to the claim", at("checkBefore"), "real", "serving"],
    ["whole so far", () => checking([], 9).until("checkBefore"), "real", "checkBefore"],
    ["an append unknown", () => checkingUnknown().until("checkBefore"), "real", "append.put"],
    ["an append durable", () => checkingDurable().until("checkBefore").step(), "real", "serving"],
    ["a hole", () => checking([3]).until("checkBefore"), "real", "checkHead"],
    ["another's", () => checkingReplaced(4, newer).until("checkBefore"), "real", "checkHead"],
    ["trimmed", checkingTrimmed, "real", "checkHead"],
  ],
  checkHead: [
    ["missing", at("checkHead"), null, "GRID_LOST none"],
    ["of a newer format", at("checkHead"), newer, "GRID_FORMAT none"],
    ["past the last record", at("checkHead"), encodeHead(6), "NOT_OWNER none"],
    ["the same, an append unknown", unknownAtHead, encodeHead(6), "NOT_OWNER unknown"],
    ["past what is missing: trimmed", () => checkingTrimmed().step(), "real", "serving"],
    ["before it: lost", at("checkHead"), "real", "checkExtent"],
    ["at it: lost", at("checkHead"), encodeHead(5), "GRID_LOST none"],
    ["replaced", () => checkingReplaced(5, claim(5)).until("checkHead"), "real", "GRID_LOST none"],
    [
      "by a newer one",
      () => checkingReplaced(5, newer).until("checkHead"),
      "real",
      "GRID_FORMAT none",
    ],
  ],
  checkExtent: [
    ["the lower end found", at("checkExtent"), "real", "GRID_LOST none"],
    ["none there", at("checkExtent"), [null, null, null, null], "GRID_LOST none"],
    [
      "between two probes",
      () => checking([4, 5, 6, 7, 8, 9], 9).until("checkExtent"),
      "real",
      "checkExtent",
    ],
    ["an append unknown", () => unknownAtHead().until("checkExtent"), "real", "GRID_LOST unknown"],
  ],
};

describe("L1, L3, L4, L5, L6, L7: states × answers", () => {
  const cases = Object.entries(answers).flatMap(([name, list]) =>
    list.map(([what, lane, answer, next]) => ({ name, what, lane, answer, next })),
  );

  test.each(cases)("$name: $what → $next", ({ name, lane: reached, answer, next }) => {
    const lane = reached();
    expect(lane.phase.split(".")[0]).toBe(name);
    if (answer === "real") lane.step();
    else lane.answer(answer);
    const { phase } = lane.state;
    const became =
      phase.name === "stopped" ? `${phase.failure.code} ${lane.fate ?? "?"}` : lane.phase;
    expect(became).toBe(next);
  });
});

describe("finding the tail", () => {
  function logOf(records: number): LogScript {
    const script = new LogScript();
    const a = script.lane("a").open().rest();
    for (let number = 2; number <= records; number++) a.append(number).rest();
    return script;
  }

  test("step 4: galloping finds what a linear search finds, in few reads", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), (records) => {
        const lane = logOf(records).lane("b").open();
        let reads = 0;
        while (lane.phase !== "claim.put") {
          if (lane.phase === "findTail") reads++;
          lane.step();
        }
        expect(lane.state.next).toBe(records + 1);
        expect(reads).toBeLessThanOrEqual(4);
      }),
      { numRuns: 40 },
    );
  });

  test("step 4: a tail further away than one read's probes is found", () => {
    const lane = new LogScript().lane("b").open().until("findTail");
    const tail = 100_000;
    const at = (position: number): Buffer => record({ type: "release" }, position);
    while (lane.phase === "findTail") {
      const { phase } = lane.state;
      if (phase.name !== "findTail") break;
      lane.answer(phase.probes.map((position) => (position <= tail ? at(position) : null)));
    }
    expect(lane.state.phase).toMatchObject({ name: "helpTail", tail });
  });
});

describe("a state is a value", () => {
  test("continued from a copy, it does the same again; what was copied is unchanged", () => {
    const answered: [LogState, StoreValue][] = [];
    const script = new LogScript();
    const rest = (lane: ScriptLane): ScriptLane => {
      while (lane.state.call !== null) {
        const value = script.everywhere(lane.state.call);
        answered.push([lane.state, value]);
        lane.answer(value);
      }
      return lane;
    };
    const a = rest(script.lane("a").open());
    rest(a.append(1).onPrimaryAlone());
    a.checkpoint();
    const b = rest(script.lane("b").open());
    rest(b.append(2).answerLost());
    expect(answered.length).toBeGreaterThan(20);
    for (const [state, value] of answered) {
      const before = JSON.stringify(state);
      const answer = { kind: "answer", answer: { known: true, value }, wallMs: 0 } as const;
      const [once, again] = [stepLog(state, answer), stepLog({ ...state }, answer)];
      expect(again).toEqual(once);
      expect(JSON.stringify(state)).toBe(before);
    }
  });

  test("a record's time never goes back, whatever the wall clock says", () => {
    const { a } = twoLanes();
    const body: RecordBody = { type: "release" };
    const late = stepLog(a.state, { kind: "append", body, wallMs: 5000 }).state;
    const known = { known: true, value: null } as const;
    const after = stepLog(late, { kind: "answer", answer: known, wallMs: 5001 }).state;
    const { phase } = stepLog(after, { kind: "append", body, wallMs: 10 }).state;
    expect(phase).toMatchObject({ name: "append", record: { timeMs: 5000 } });
  });
});
