// Log script: a schedule written out by hand: lanes as bare state machines over explicit copies,
// where the writer of the schedule says what happens to each call, one after the other.
// Owns: the lanes' states, what became of each call. Does not own: what is right (log-oracle.ts).
// For the shortest ways in which a wrong engine loses something, which chance seldom finds.
import { assert, must } from "../base/assert.ts";
import type { CheckpointCall } from "../grid/checkpoint-state.ts";
import { generationMapName, headKey, recordKey } from "../grid/grid-keys.ts";
import { stepLog } from "../grid/log-machine.ts";
import {
  decodeHead,
  decodeSegment,
  encodeHead,
  encodeRecord,
  type CommandEntry,
} from "../grid/log-record.ts";
import { everyRule, type LogRules } from "../grid/log-rules.ts";
import {
  initialLogState,
  type AppendFate,
  type LogEvent,
  type LogOutput,
  type LogPhase,
  type LogState,
} from "../grid/log-state.ts";
import type { LogAnswer, LogCall } from "../grid/log-write.ts";
import { LogFollower, numberedEntry } from "./log-follower.ts";
import { LogOracle } from "./log-oracle.ts";
import { ReplicaStore, storedKey, type StoreCall, type StoreValue } from "./replica-store.ts";
import { ScriptCheckpoints } from "./script-checkpoints.ts";

const partition = 0;
const generation = 1;
const gridId = "scripted";
const map = generationMapName(generation);
const stepsMax = 200;

/** What a call becomes in between store and machine: a place for a wrong engine. */
export type AnswerFilter = (lane: ScriptLane, call: LogCall, value: StoreValue) => StoreValue;

const asItIs: AnswerFilter = (_lane, _call, value) => value;

export class LogScript {
  readonly copies: ReplicaStore;
  readonly oracle: LogOracle;

  /** A fresh log on a primary and a backup, or one that goes on from given ones. */
  constructor(from?: { copies: ReplicaStore; oracle: LogOracle }) {
    this.copies = from?.copies ?? new ReplicaStore(2);
    this.oracle = from?.oracle ?? new LogOracle(partition, generation, this.copies);
    if (from === undefined) this.#create();
  }

  /** The same moment once more, to go on from in another way; lanes are cloned into it. */
  clone(): LogScript {
    const copies = this.copies.clone();
    return new LogScript({ copies, oracle: this.oracle.clone(copies) });
  }

  lane(name: string, options: { rules?: LogRules; token?: string; filter?: AnswerFilter } = {}) {
    const { rules = everyRule, token = name, filter = asItIs } = options;
    const config = { partition, gridId, generation, lane: name, token, rules };
    return new ScriptLane(this, initialLogState(config), filter);
  }

  /** Executes a call on every copy. */
  everywhere(call: StoreCall | CheckpointCall): StoreValue {
    return this.#execute(call, true);
  }

  /** Executes a call on the primary alone; nobody is told. */
  onPrimaryAlone(call: StoreCall | CheckpointCall): StoreValue {
    return this.#execute(call, false);
  }

  /** Beyond the failure bound: records of these positions are gone from every copy. */
  lose(...positions: readonly number[]): void {
    const left = new Map(this.copies.snapshot());
    for (const at of positions) left.delete(storedKey(map, recordKey(partition, at)));
    this.oracle.rewind(left);
  }

  /** Where head is on the primary. */
  head(): number {
    const stored = this.copies.snapshot().get(storedKey(map, headKey(partition)));
    return must(decodeHead(must(stored, "head is there")), "head is a position");
  }

  losePrimary(): void {
    this.copies.losePrimary();
  }

  /** What is broken, after each live copy was looked at. */
  verdict(): readonly string[] {
    this.oracle.audit("at the end");
    return this.oracle.violations;
  }

  #execute(call: StoreCall | CheckpointCall, everywhere: boolean): StoreValue {
    if (call.op !== "deleteMany") return this.copies.execute(map, call, () => everywhere).value;
    for (const key of call.keys) this.copies.execute(map, { op: "delete", key }, () => everywhere);
    return null;
  }

  #create(): void {
    this.everywhere({ op: "putIfAbsent", key: headKey(partition), value: encodeHead(0) });
    const genesis = { gridId, generation, partitions: 1, partition };
    const record = {
      position: 0,
      epoch: 0,
      token: gridId,
      timeMs: 0,
      previous: Buffer.alloc(0),
      body: { type: "genesis", genesis },
    } as const;
    this.everywhere({
      op: "putIfAbsent",
      key: recordKey(partition, 0),
      value: encodeRecord(record),
    });
  }
}

export class ScriptLane {
  #follower: LogFollower;
  readonly #script: LogScript;
  readonly #filter: AnswerFilter;
  #state: LogState;
  #inFlight: readonly number[] = [];
  #checkpoints: ScriptCheckpoints;
  /** What became of the append in flight when it stopped. */
  fate: AppendFate | null = null;

  constructor(script: LogScript, state: LogState, filter: AnswerFilter) {
    this.#script = script;
    this.#state = state;
    this.#filter = filter;
    this.#follower = new LogFollower(script.oracle, state.config.token);
    this.#checkpoints = new ScriptCheckpoints(state.config);
  }

  get state(): LogState {
    return this.#state;
  }

  get follower(): LogFollower {
    return this.#follower;
  }

  /** Its checkpoints, and the memory that it runs commands in. */
  get checkpoints(): ScriptCheckpoints {
    return this.#checkpoints;
  }

  /** The same lane in a clone of its script. */
  clone(script: LogScript): ScriptLane {
    const copy = new ScriptLane(script, this.#state, this.#filter);
    copy.#follower = this.#follower.clone(script.oracle);
    copy.#inFlight = this.#inFlight;
    copy.#checkpoints = this.#checkpoints.clone();
    return copy;
  }

  get phase(): string {
    const { phase } = this.#state;
    return "write" in phase ? `${phase.name}.${phase.write.stage}` : phase.name;
  }

  /** The call that is out; executing it later is a duplicate, or an arrival after the deadline. */
  get call(): LogCall {
    return must(this.#state.call, () => `no call is out in ${this.phase}`);
  }

  open(): this {
    return this.#dispatch({ kind: "open" });
  }

  get script(): LogScript {
    return this.#script;
  }

  /** Appends an entry of that number; its first call is out afterwards. */
  append(number: number, wallMs = 0): this {
    this.#inFlight = [number];
    const entries = this.#run(this.#inFlight);
    return this.#dispatch({ kind: "append", body: { type: "changes", entries }, wallMs });
  }

  /** Appends the checkpoint's record, whose turn it is, with the batch that waits. */
  appendCheckpoint(...waiting: readonly number[]): this {
    const entries = this.#run(waiting);
    const parts = this.#checkpoints.compose();
    const carries = this.#state.config.rules.carryBatch;
    this.#inFlight = carries ? waiting : [];
    const body = { type: "checkpoint", ...parts, entries: carries ? entries : [] } as const;
    return this.#dispatch({ kind: "append", body, wallMs: 0 });
  }

  /** A whole checkpoint, with all that follows: everything is executed on every copy. */
  checkpoint(...waiting: readonly number[]): this {
    this.restCheckpoint().checkpoints.begin();
    this.restCheckpoint();
    this.appendCheckpoint(...waiting).rest();
    return this.restCheckpoint();
  }

  /** Its checkpoint's call is executed on every copy, and answered. */
  stepCheckpoint(): this {
    this.#checkpoints.answer(this.#script.everywhere(this.#checkpoints.call));
    return this;
  }

  /** Its checkpoint's call reaches the primary and no backup: its outcome is unknown. */
  checkpointOnPrimaryAlone(): this {
    this.#script.onPrimaryAlone(this.#checkpoints.call);
    this.#checkpoints.answer(undefined);
    return this;
  }

  /** Its checkpoint's call is executed on every copy, and its answer lost. */
  checkpointAnswerLost(): this {
    this.#script.everywhere(this.#checkpoints.call);
    this.#checkpoints.answer(undefined);
    return this;
  }

  /** Steps until no call of its checkpoints is out. */
  restCheckpoint(): this {
    return this.untilCheckpoint((phase) => phase === "");
  }

  /** Steps until a call of that phase is out and not yet executed. */
  untilCheckpoint(isThere: (phase: string) => boolean): this {
    for (let step = 0; !isThere(this.#checkpoints.phase); step++) {
      assert(step < stepsMax, () => `no rest in ${this.#checkpoints.phase}`);
      this.stepCheckpoint();
    }
    return this;
  }

  /** Runs commands: memory has what they did before the log has it. */
  #run(numbers: readonly number[]): readonly CommandEntry[] {
    const entries = numbers.map(numberedEntry);
    for (const { changes } of entries) this.#checkpoints.memory.apply(changes);
    return entries;
  }

  /** It is told that the members changed. */
  check(): this {
    this.follower.warned();
    return this.#dispatch({ kind: "check" });
  }

  /** The call that is out is executed on every copy, and answered. */
  step(): this {
    return this.answer(this.#script.everywhere(this.call));
  }

  /** Steps until that phase's call is out and not yet executed. */
  until(phase: LogPhase["name"] | `${string}.${"put" | "own" | "other"}`): this {
    for (let step = 0; this.phase !== phase; step++) {
      assert(step < stepsMax && this.#state.call !== null, () => `${phase}: ended ${this.phase}`);
      this.step();
    }
    return this;
  }

  /** Steps until no call is out: it serves, or it has stopped. */
  rest(): this {
    for (let step = 0; this.#state.call !== null; step++) {
      assert(step < stepsMax, () => `no rest in ${this.phase}`);
      this.step();
    }
    return this;
  }

  /** The call is executed nowhere, and its outcome unknown. */
  lost(): this {
    return this.#answered({ known: false });
  }

  /** The call is executed on every copy, and its answer lost. */
  answerLost(): this {
    this.#script.everywhere(this.call);
    return this.lost();
  }

  /** The call reaches the primary and no backup: its outcome is unknown. */
  onPrimaryAlone(): this {
    this.#script.onPrimaryAlone(this.call);
    return this.lost();
  }

  answer(value: StoreValue): this {
    return this.#answered({ known: true, value: this.#filter(this, this.call, value) });
  }

  /** A lane that goes on from this one's state as it is now: what a wrong driver might do. */
  twin(state: LogState): ScriptLane {
    return new ScriptLane(this.#script, state, this.#filter);
  }

  #answered(answer: LogAnswer): this {
    return this.#dispatch({ kind: "answer", answer, wallMs: 0 });
  }

  #dispatch(event: LogEvent): this {
    const { state, outputs } = stepLog(this.#state, event);
    this.#state = state;
    for (const output of outputs) this.#tell(output);
    const isIdle = this.#state.phase.name === "serving" && this.#state.look !== null;
    return isIdle ? this.#dispatch({ kind: "look" }) : this;
  }

  #tell(output: LogOutput): void {
    const { follower } = this;
    switch (output.kind) {
      case "call":
        break;
      case "reset":
        follower.reset();
        this.#checkpoints.reset();
        break;
      case "segment": {
        const changes = must(decodeSegment(output.stored), "a segment");
        follower.segment(changes);
        this.#checkpoints.memory.loadSegment(changes);
        break;
      }
      case "loaded":
        follower.loaded(output);
        this.#checkpoints.loaded(output.record);
        break;
      case "serving":
        follower.serving({ record: output.claim, checksum: output.checksum });
        this.#checkpoints.serving(output.claim);
        break;
      case "durable":
        follower.durable(output, this.#inFlight.map(numberedEntry));
        this.#inFlight = [];
        this.#checkpoints.durable(output.record);
        break;
      case "stopped":
        this.fate = output.append;
        follower.stopped(output.failure, this.#inFlight.map(numberedEntry), output.append, []);
        this.#inFlight = [];
        break;
    }
  }
}
