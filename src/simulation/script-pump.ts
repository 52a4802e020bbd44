// Script pump: a scripted lane's way to the database, one call at a time: it claims its row, reads
// it, compares it with the log, writes what follows, and begins again wherever it cannot know.
// Owns: the order of the pump's steps for one partition (docs/log-protocol.md, steps 9 and 10) as
// plain data that can be copied and compared. What a row means is the engine's own judgement
// (src/data-pump/progress-rules.ts); the engine's loop has the same steps, with time in between.
// Does not own: executing calls (log-script.ts); row and tables (script-database.ts).
import { assert, must } from "../base/assert.ts";
import { failed, failure, ok, type Failure } from "../base/failure.ts";
import type { WriteResult } from "../data-pump/database.ts";
import {
  chainWitness,
  judgeChain,
  judgeOvertaken,
  judgeRow,
  recordsMissing,
} from "../data-pump/progress-rules.ts";
import { checksum, decodeRecord } from "../grid/log-record.ts";
import type { ChainedRecord } from "../grid/partition-log.ts";
import type { DatabaseCall, PumpBug, ScriptRow } from "./script-database.ts";

/** What the log is read for: who overtook, whether the chain is the row's, what to write next. */
type LogRead =
  | { readonly why: "overtaken"; readonly claimAt: number }
  | { readonly why: "witness"; readonly row: ScriptRow }
  | { readonly why: "refill" };

export type PumpCall =
  | DatabaseCall
  | { readonly op: "log"; readonly from: number; readonly to: number; readonly read: LogRead };

export interface PumpState {
  readonly phase: "idle" | "claim" | "check" | "pump" | "halted";
  /** Position of the own claim. */
  readonly epoch: number;
  /** Position of the last durable record. */
  readonly tail: number;
  readonly written: number;
  readonly chain: Buffer | null;
  /** Records after `written`. */
  readonly held: readonly ChainedRecord[];
  readonly missedFrom: number | null;
  /** Somebody wants the row read; a read that began since then is under way. */
  readonly isAsked: boolean;
  readonly isReading: boolean;
  readonly call: PumpCall | null;
}

export interface PumpHost {
  /** The row, read as it was asked, stands at `seq`; null: this owner cannot say. */
  confirmed(seq: number | null): void;
  /** The row is its own, and fits the log: it goes on from there. */
  resumed(): void;
  halted(reason: Failure): void;
}

const before: PumpState = {
  phase: "idle",
  epoch: 0,
  tail: 0,
  written: 0,
  chain: null,
  held: [],
  missedFrom: null,
  isAsked: false,
  isReading: false,
  call: null,
};

export class ScriptPump {
  readonly #host: PumpHost;
  readonly #generation: number;
  readonly #bugs: ReadonlySet<PumpBug>;
  #state = before;

  constructor(host: PumpHost, generation: number, bugs: ReadonlySet<PumpBug>) {
    this.#host = host;
    this.#generation = generation;
    this.#bugs = bugs;
  }

  clone(host: PumpHost): ScriptPump {
    const copy = new ScriptPump(host, this.#generation, this.#bugs);
    copy.#state = this.#state;
    return copy;
  }

  get state(): PumpState {
    return this.#state;
  }

  /** Its partition is owned, and loaded. */
  attach(epoch: number): void {
    this.#become({ ...before, phase: "claim", epoch, tail: epoch });
    this.#go();
  }

  /** A record became durable. */
  durable(chained: ChainedRecord): void {
    if (!this.#isAttached) return;
    const { position } = chained.record;
    this.#become({ tail: Math.max(this.#state.tail, position) });
    this.#hold(chained);
    this.#go();
  }

  /** The partition is owned no longer; what the database was asked may still happen. */
  detach(): void {
    const { call } = this.#state;
    const stays = call !== null && (call.op === "write" || call.op === "claim");
    this.#become({ phase: "idle", call: stays ? call : null });
    this.#confirm(null, true);
  }

  /** Somebody is to be told what the database has now. */
  ask(): void {
    if (!this.#isAttached) this.#host.confirmed(null);
    else if (this.#bugs.has("trimsFromMemory")) this.#host.confirmed(this.#state.written);
    else this.#become({ isAsked: true });
    this.#go();
  }

  /** An idle owner looks at its row now and then. */
  look(): void {
    assert(this.#state.phase === "pump" && this.#state.call === null, "it is idle");
    this.#become({ phase: "check" });
    this.#go();
  }

  /** The database answered the call that is out; undefined: with an unknown outcome. */
  answered(value: ScriptRow | WriteResult | undefined): void {
    const { call, phase } = this.#state;
    assert(call !== null && call.op !== "log", "the database was asked");
    if (value === undefined && call.op !== "write") return; // it is asked the same again
    this.#become({ call: null });
    if (phase === "idle") return; // detached meanwhile
    if (call.op === "write") {
      const guessed = value === undefined && this.#bugs.has("unknownIsWritten");
      const last = must(call.records.at(-1), "a transaction has records");
      if (value === "written" || guessed) this.#moveTo(last.record.position, last.checksum);
      else this.#become({ phase: "check" }); // D4
    } else {
      assert(typeof value === "object", "a row was read");
      this.#judge(value);
    }
    this.#go();
  }

  /** The log was read. */
  logRead(values: readonly (Buffer | null)[]): void {
    const { call } = this.#state;
    assert(call?.op === "log", "the log was asked");
    this.#become({ call: null });
    const records = recordsIn(values);
    const { read, from } = call;
    switch (read.why) {
      case "overtaken": {
        const outcome =
          records === null ? failed("GRID_LOST", `record ${read.claimAt} is missing`) : ok(records);
        const reason = judgeOvertaken(this.#facts, read.claimAt, outcome);
        this.#halt(must(reason, "what was read decides"));
        break;
      }
      case "witness":
        this.#judgeWitness(read.row, records);
        break;
      case "refill":
        if (records === null) this.#become({ missedFrom: from, phase: "check" });
        for (const record of records ?? []) this.#hold(record);
        break;
    }
    this.#go();
  }

  get #isAttached(): boolean {
    const { phase } = this.#state;
    return phase !== "idle" && phase !== "halted";
  }

  get #facts() {
    const { epoch, tail } = this.#state;
    const known = this.#bugs.has("lossByClaim") ? epoch - 1 : tail;
    return { partition: 0, generation: this.#generation, epoch, tail: known };
  }

  #become(change: Partial<PumpState>): void {
    this.#state = { ...this.#state, ...change };
  }

  /** What is to be asked next, where nothing is. */
  #go(): void {
    if (this.#state.call !== null || !this.#isAttached) return;
    if (this.#state.phase === "pump" && this.#state.isAsked) this.#become({ phase: "check" });
    const { phase, epoch, written, tail, held, isAsked, isReading } = this.#state;
    if (phase === "claim") this.#become({ call: { op: "claim", epoch } });
    else if (phase === "check") {
      this.#become({ isReading: isReading || isAsked, isAsked: false, call: { op: "readRow" } });
    } else if (held.length > 0) {
      this.#become({ call: { op: "write", epoch, before: written, records: held } });
    } else if (written < tail) {
      const read = { why: "refill" } as const;
      this.#become({ call: { op: "log", from: written + 1, to: tail, read } });
    }
  }

  #judge(row: ScriptRow): void {
    const verdict = judgeRow(this.#progress(row), this.#facts);
    switch (verdict.kind) {
      case "halt":
        this.#halt(verdict.failure);
        break;
      case "claim":
        this.#become({ phase: "claim" });
        break;
      case "overtaken":
        this.#readOne(verdict.claimAt, { why: "overtaken", claimAt: verdict.claimAt });
        break;
      case "fits":
        this.#fits(row);
        break;
    }
  }

  #fits(row: ScriptRow): void {
    const { missedFrom, written, chain, tail } = this.#state;
    this.#become({ missedFrom: null });
    if (missedFrom !== null && row.seq < missedFrom) {
      this.#halt(recordsMissing(0, missedFrom, tail));
      return;
    }
    const isAsLeft = row.seq === written && row.chain !== null && chain?.equals(row.chain) === true;
    const at = chainWitness(this.#progress(row), tail);
    if (this.#bugs.has("chainUnchecked")) this.#resume({ ...row, chain: null });
    else if (at === null || isAsLeft) this.#resume(row);
    else this.#readOne(at, { why: "witness", row });
  }

  #judgeWitness(row: ScriptRow, records: readonly ChainedRecord[] | null): void {
    const witness = records?.[0];
    if (witness === undefined) {
      this.#become({ missedFrom: row.seq + 1, phase: "check" });
      return;
    }
    const problem = judgeChain(this.#progress(row), witness);
    if (problem === null) this.#resume(row);
    else this.#halt(problem);
  }

  #progress({ seq, epoch, chain }: ScriptRow): Parameters<typeof chainWitness>[0] {
    const letters = { complete: false, letters: 0, deadLetters: 0, parked: [], newest: [] };
    return { partition: 0, generation: this.#generation, seq, epoch, chain, ...letters };
  }

  #readOne(position: number, read: LogRead): void {
    this.#become({ call: { op: "log", from: position, to: position, read } });
  }

  #resume(row: ScriptRow): void {
    this.#become({ phase: "pump" });
    this.#host.resumed();
    this.#moveTo(row.seq, row.chain);
    this.#confirm(row.seq, false);
  }

  #confirm(seq: number | null, all: boolean): void {
    const { isReading, isAsked } = this.#state;
    this.#become({ isReading: false, isAsked: isAsked && !all });
    if (isReading || (all && isAsked)) this.#host.confirmed(seq);
  }

  #moveTo(seq: number, chain: Buffer | null): void {
    const { written, held } = this.#state;
    const isWithin = seq >= written && seq <= written + held.length;
    const left = isWithin ? held.slice(seq - written) : [];
    this.#become({ written: seq, chain, held: left });
  }

  #hold(chained: ChainedRecord): void {
    const { written, chain, held } = this.#state;
    const { record } = chained;
    if (record.position !== written + held.length + 1) return;
    const link = held.at(-1)?.checksum ?? chain;
    if (link === null || record.previous.equals(link)) {
      this.#become({ held: [...held, chained] });
      return;
    }
    const where = `record ${record.position}`;
    this.#halt(failure("GRID_LOST", `${where} does not continue the record before it`)); // D3
  }

  #halt(reason: Failure): void {
    this.#become({ phase: "halted", call: null, held: [] });
    this.#confirm(null, true);
    this.#host.halted(reason);
  }
}

/** Null where one of them is missing. */
function recordsIn(values: readonly (Buffer | null)[]): ChainedRecord[] | null {
  const records: ChainedRecord[] = [];
  for (const stored of values) {
    if (stored === null) return null;
    const record = must(decodeRecord(stored), "it is of this version");
    records.push({ record, checksum: checksum(stored) });
  }
  return records;
}
