// Script lane: one lane of a scripted log: the engine's own state machines, whose every call waits
// until the writer of the schedule says what becomes of it.
// Owns: the lane's states, and what it was told. Does not own: the copies and the database that its
// calls are executed on (log-script.ts); what is right (log-oracle.ts).
import { assert, must } from "../base/assert.ts";
import type { CheckpointCall } from "../grid/checkpoint-state.ts";
import { recordKey } from "../grid/grid-keys.ts";
import { stepLog } from "../grid/log-machine.ts";
import { checksum, decodeSegment, type CommandEntry } from "../grid/log-record.ts";
import type { AppendFate, LogEvent, LogOutput, LogPhase, LogState } from "../grid/log-state.ts";
import type { LogAnswer, LogCall } from "../grid/log-write.ts";
import { LogFollower, numberedEntry } from "./log-follower.ts";
import type { LogOracle } from "./log-oracle.ts";
import type { StoreCall, StoreValue } from "./replica-store.ts";
import { mistaken, noScan, scannedBy, type LaneBug, type Scan } from "./script-bugs.ts";
import { ScriptCheckpoints } from "./script-checkpoints.ts";
import type { DatabaseCall, ScriptDatabase } from "./script-database.ts";
import { ScriptPump, type PumpHost } from "./script-pump.ts";

const stepsMax = 200;

/** Where a lane's calls are executed (log-script.ts). */
interface ScriptWorld {
  readonly oracle: LogOracle;
  readonly database: ScriptDatabase | null;
  everywhere(call: StoreCall | CheckpointCall): StoreValue;
  onPrimaryAlone(call: StoreCall | CheckpointCall): StoreValue;
  atDatabase(call: DatabaseCall): ReturnType<ScriptDatabase["execute"]>;
  lose(...positions: readonly number[]): void;
}

export class ScriptLane {
  #follower: LogFollower;
  readonly #script: ScriptWorld;
  readonly #bugs: ReadonlySet<LaneBug>;
  #scan = noScan;
  #state: LogState;
  #inFlight: readonly number[] = [];
  #checkpoints: ScriptCheckpoints;
  /** Its way to the database, where there is one. */
  #pump: ScriptPump | null = null;
  #isReleased = false;
  /** A read that waits: what it must not miss, and whether the append that answers it was sent. */
  #read: { readonly from: number; readonly isSent: boolean } | null = null;
  /** What became of the append in flight when it stopped. */
  fate: AppendFate | null = null;

  constructor(script: ScriptWorld, state: LogState, bugs: ReadonlySet<LaneBug>) {
    this.#script = script;
    this.#state = state;
    this.#bugs = bugs;
    this.#follower = new LogFollower(script.oracle, state.config.token);
    this.#checkpoints = new ScriptCheckpoints(state.config, this.#ask);
    const { database } = script;
    if (database !== null)
      this.#pump = new ScriptPump(this.#host, state.config.generation, database.bugs);
  }

  get #ask(): (() => void) | null {
    return this.#script.database === null ? null : () => this.#pump?.ask();
  }

  get #host(): PumpHost {
    return {
      confirmed: (position) => this.#checkpoints.dispatch({ kind: "written", position }),
      resumed: () => this.#script.oracle.pumpResumed(this.#state.epoch),
      halted: (reason) => this.#script.oracle.pumpHalted(this.#state.epoch, reason),
    };
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
  clone(script: ScriptWorld): ScriptLane {
    const copy = new ScriptLane(script, this.#state, this.#bugs);
    copy.#scan = this.#scan;
    copy.#follower = this.#follower.clone(script.oracle);
    copy.#inFlight = this.#inFlight;
    copy.#checkpoints = this.#checkpoints.clone(copy.#ask);
    copy.#pump = this.#pump?.clone(copy.#host) ?? null;
    copy.#isReleased = this.#isReleased;
    copy.#read = this.#read;
    return copy;
  }

  /** Equal for lanes that go on alike, as far as their reads go. */
  get readPrint(): string {
    return this.#read === null ? "" : `${this.#read.from},${this.#read.isSent}`;
  }

  /** What a wrong engine will load; empty in a right one. */
  get scan(): Scan {
    return this.#scan;
  }

  get pump(): ScriptPump | null {
    return this.#pump;
  }

  get phase(): string {
    const { phase } = this.#state;
    if (this.#isReleased) return "released";
    return "write" in phase ? `${phase.name}.${phase.write.stage}` : phase.name;
  }

  /** The call that is out; executing it later is a duplicate, or an arrival after the deadline. */
  get call(): LogCall {
    return must(this.#state.call, () => `no call is out in ${this.phase}`);
  }

  open(): this {
    return this.#dispatch({ kind: "open" });
  }

  get script(): ScriptWorld {
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

  /**
   * A linearizable read arrives: the next append that is sent answers it. In a wrong engine the one
   * that is out already does.
   */
  read(ridesOnSent: boolean): this {
    const isSent = ridesOnSent && this.#state.phase.name === "append";
    this.#read = { from: this.#script.oracle.lastAcknowledged, isSent };
    return this;
  }

  /** Gives the partition away: after this record it writes none. */
  release(): this {
    this.#inFlight = [];
    return this.#dispatch({ kind: "append", body: { type: "release" }, wallMs: 0 });
  }

  /** Its pump's call is executed, and answered. */
  stepPump(): this {
    const pump = must(this.#pump, "there is a database");
    const call = must(pump.state.call, "its pump's call is out");
    if (call.op === "log") {
      const keys: Buffer[] = [];
      for (let at = call.from; at <= call.to; at++)
        keys.push(recordKey(this.#state.config.partition, at));
      pump.logRead(this.#script.everywhere({ op: "getMany", keys }) as (Buffer | null)[]);
    } else {
      pump.answered(this.#script.atDatabase(call));
    }
    return this;
  }

  /** Its pump's call is executed or not, and its outcome is unknown. */
  pumpAnswerLost(isExecuted: boolean): this {
    const pump = must(this.#pump, "there is a database");
    const { call } = pump.state;
    assert(call !== null && call.op !== "log", "the database was asked");
    if (isExecuted) this.#script.atDatabase(call);
    pump.answered(undefined);
    return this;
  }

  /** Steps until its pump has nothing to ask. */
  restPump(): this {
    for (let step = 0; this.#pump !== null && this.#pump.state.call !== null; step++) {
      assert(step < stepsMax, "the pump comes to rest");
      this.stepPump();
    }
    return this;
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
    const { call } = this;
    if (this.#bugs.has("foldsScan")) this.#scan = scannedBy(this.#state, call, value, this.#scan);
    const told = mistaken(this.#bugs, this.#state, call, value, this.#scan);
    return this.#answered({ known: true, value: told });
  }

  /** A lane that goes on from this one's state as it is now: what a wrong driver might do. */
  twin(state: LogState): ScriptLane {
    return new ScriptLane(this.#script, state, this.#bugs);
  }

  #answered(answer: LogAnswer): this {
    return this.#dispatch({ kind: "answer", answer, wallMs: 0 });
  }

  #dispatch(event: LogEvent): this {
    if (event.kind === "append" && this.#read !== null)
      this.#read = { ...this.#read, isSent: true };
    const { state, outputs } = stepLog(this.#state, event);
    this.#state = state;
    for (const output of outputs) this.#tell(output);
    this.#pumpEarly();
    const isIdle = this.#state.phase.name === "serving" && this.#state.look !== null;
    return isIdle ? this.#dispatch({ kind: "look" }) : this;
  }

  /** A wrong engine pumps what it merely found. */
  #pumpEarly(): void {
    const { phase } = this.#state;
    if (phase.name !== "append" || phase.write.stage !== "own") return;
    if (this.#pump === null || !this.#script.database?.bugs.has("ownAnswers")) return;
    const { record, write } = phase;
    this.#pump.durable({ record, checksum: checksum(write.value) });
  }

  #answerRead(position: number): void {
    if (this.#read?.isSent !== true) return;
    this.#script.oracle.read(position, this.#read.from);
    this.#read = null;
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
        this.#pump?.attach(output.claim.position);
        this.#checkpoints.serving(output.claim);
        break;
      case "durable":
        follower.durable(output, this.#inFlight.map(numberedEntry));
        this.#inFlight = [];
        this.#answerRead(output.record.position);
        this.#pump?.durable(output);
        this.#checkpoints.durable(output.record);
        if (output.record.body.type === "release") this.#released();
        break;
      case "stopped":
        this.#pump?.detach();
        this.#read = null;
        this.fate = output.append;
        follower.stopped(output.failure, this.#inFlight.map(numberedEntry), output.append, []);
        this.#inFlight = [];
        break;
    }
  }

  #released(): void {
    this.#isReleased = true;
    this.#follower.phase = "idle";
    this.#pump?.detach();
  }
}
