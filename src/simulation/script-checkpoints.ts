// Script checkpoints: the checkpoints of a scripted lane: the engine's own machine, its calls
// executed by whoever writes the schedule.
// Owns: the machine's state and the memory beside it. What production does a little later, because
// others have their turn (encoding), is done at once: a schedule decides about calls.
// Does not own: the lane (script-lane.ts).
import { must } from "../base/assert.ts";
import {
  composeCheckpoint,
  encodeNext,
  mayBegin,
  stepCheckpoint,
} from "../grid/checkpoint-machine.ts";
import {
  initialCheckpointState,
  noFacts,
  withRecord,
  type CheckpointCall,
  type CheckpointEvent,
  type CheckpointFacts,
  type CheckpointOutput,
  type CheckpointState,
} from "../grid/checkpoint-state.ts";
import { entriesOf, type LogRecord } from "../grid/log-record.ts";
import type { LogConfig } from "../grid/log-state.ts";
import type { CheckpointParts } from "../grid/partition-log.ts";
import type { StoreValue } from "./replica-store.ts";
import { ScriptMemory } from "./script-memory.ts";

export class ScriptCheckpoints {
  readonly #config: LogConfig;
  /** Has the database's row read; null: `written` is the answer, at once. */
  readonly #askDatabase: (() => void) | null;
  #facts: CheckpointFacts | null = null;
  #state: CheckpointState | null = null;
  #last = 0;
  #trimDue = false;
  memory = new ScriptMemory();
  /** Entries in a segment. */
  segmentEntries = Infinity;
  /** What the database has. */
  written: number | null = Infinity;

  constructor(config: LogConfig, askDatabase: (() => void) | null) {
    this.#config = config;
    this.#askDatabase = askDatabase;
  }

  clone(askDatabase: (() => void) | null): ScriptCheckpoints {
    const copy = new ScriptCheckpoints(this.#config, askDatabase);
    copy.#facts = this.#facts;
    copy.#state = this.#state;
    copy.#last = this.#last;
    copy.#trimDue = this.#trimDue;
    copy.memory = this.memory.clone();
    copy.segmentEntries = this.segmentEntries;
    copy.written = this.written;
    return copy;
  }

  /** What its machine's state does not say. */
  get fingerprint(): string {
    return `${this.memory.fingerprint};${String(this.#trimDue)}`;
  }

  /** The machine's state; null before its lane serves. */
  get state(): CheckpointState | null {
    return this.#state;
  }

  /** What the call that is out is for; empty where none is. */
  get phase(): string {
    const state = this.#state;
    if (state === null || state.call === null) return "";
    const { phase } = state;
    return "write" in phase ? `${phase.name}.${phase.write.stage}` : phase.name;
  }

  /** The call that is out. */
  get call(): CheckpointCall {
    return must(this.#state?.call, "a call of a checkpoint is out");
  }

  get mayBegin(): boolean {
    return this.#state !== null && mayBegin(this.#state);
  }

  /** True while the record of a checkpoint has its turn. */
  get mayAppend(): boolean {
    return this.#state?.phase.name === "append";
  }

  reset(): void {
    this.#facts = null;
    this.memory = new ScriptMemory();
  }

  loaded({ position, epoch, body }: LogRecord): void {
    const { rules } = this.#config;
    const isBase = this.#facts === null || rules.baseFromLog;
    if (body.type === "checkpoint" && isBase) this.memory.loadCheckpoint(body.delta);
    else if (body.type === "checkpoint") this.memory.apply(body.delta);
    for (const { changes } of entriesOf(body)) this.memory.apply(changes);
    this.#facts = withRecord(this.#facts ?? noFacts(position), position, epoch, body, rules);
  }

  serving({ position: epoch, body }: LogRecord): void {
    const { partition, rules } = this.#config;
    const facts = withRecord(must(this.#facts, "it loaded"), epoch, epoch, body, rules);
    this.#last = epoch;
    this.#state = initialCheckpointState({ partition, epoch, rules }, facts);
    this.#trimDue = true;
    this.dispatch({ kind: "serve" });
  }

  durable({ position, body }: LogRecord): void {
    this.#last = position;
    if (body.type === "checkpoint") this.dispatch({ kind: "durable", position });
  }

  /** Begins one, of what changed since the last where there is one. */
  begin(everything = false): void {
    this.dispatch({ kind: "begin", everything });
  }

  /** What the record says that has its turn. */
  compose(): CheckpointParts {
    const parts = composeCheckpoint(must(this.#state, "it serves"), this.memory, Infinity);
    return { ...must(parts, "everything fits"), logBytes: 0 };
  }

  /** The call that is out was answered; undefined: with an unknown outcome. */
  answer(value: StoreValue | undefined): void {
    const answer =
      value === undefined ? { known: false as const } : { known: true as const, value };
    this.dispatch({ kind: "answer", answer });
  }

  dispatch(event: CheckpointEvent): void {
    const { state, outputs } = stepCheckpoint(must(this.#state, "it serves"), event);
    this.#state = state;
    for (const output of outputs) this.#handle(output);
    if (!this.#trimDue || this.#state.phase.name !== "idle" || !this.#state.isSettled) return;
    this.#trimDue = false;
    if (this.#state.trimmedTo < this.#state.head) this.dispatch({ kind: "trim" });
  }

  #handle(output: CheckpointOutput): void {
    switch (output.kind) {
      case "encode": {
        if (output.begins !== null) this.memory.beginRound(output.begins === "everything");
        const sizes = { segmentBytes: this.segmentEntries, deltaBytesMax: Infinity };
        this.dispatch(encodeNext(this.memory, this.#last, sizes));
        break;
      }
      case "encoded":
        this.memory.encoded();
        break;
      case "givenUp":
        this.memory.givenUp();
        break;
      case "moved":
        this.#trimDue = true;
        break;
      case "askWritten":
        if (this.#askDatabase !== null) this.#askDatabase();
        else this.dispatch({ kind: "written", position: this.written });
        break;
      case "call":
      case "append":
      case "trimmed":
      case "exhausted":
        break;
    }
  }
}
