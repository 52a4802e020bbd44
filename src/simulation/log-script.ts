// Log script: a schedule written out by hand: lanes as bare state machines over explicit copies,
// where the writer of the schedule says what happens to each call, one after the other.
// Owns: the copies and the database, and what is executed on them. Does not own: the lanes
// (script-lane.ts); what is right (log-oracle.ts).
// For the shortest ways in which a wrong engine loses something, which chance seldom finds.
import { must } from "../base/assert.ts";
import type { CheckpointCall } from "../grid/checkpoint-state.ts";
import { generationMapName, headKey, recordKey } from "../grid/grid-keys.ts";
import { decodeHead, encodeHead, encodeRecord } from "../grid/log-record.ts";
import { everyRule, type LogRules } from "../grid/log-rules.ts";
import { initialLogState } from "../grid/log-state.ts";
import { LogOracle } from "./log-oracle.ts";
import { ReplicaStore, storedKey, type StoreCall, type StoreValue } from "./replica-store.ts";
import type { DatabaseCall, ScriptDatabase } from "./script-database.ts";
import type { LaneBug } from "./script-bugs.ts";
import { ScriptLane } from "./script-lane.ts";

const partition = 0;
const generation = 1;
const gridId = "scripted";
const map = generationMapName(generation);

const noBugs: ReadonlySet<LaneBug> = new Set();

interface LaneOptions {
  readonly rules?: LogRules;
  readonly token?: string;
  readonly bugs?: ReadonlySet<LaneBug>;
}

export class LogScript {
  readonly copies: ReplicaStore;
  readonly oracle: LogOracle;
  /** Null: there is none. */
  readonly database: ScriptDatabase | null;

  /** A fresh log on a primary and a backup; with an oracle, one that goes on from given ones. */
  constructor(from: Partial<Pick<LogScript, "copies" | "oracle" | "database">> = {}) {
    this.copies = from.copies ?? new ReplicaStore(2);
    this.oracle = from.oracle ?? new LogOracle(partition, generation, this.copies);
    this.database = from.database ?? null;
    if (from.oracle === undefined) this.#create();
  }

  /** The same moment once more, to go on from in another way; lanes are cloned into it. */
  clone(): LogScript {
    const copies = this.copies.clone();
    const oracle = this.oracle.clone(copies);
    return new LogScript({ copies, oracle, database: this.database?.clone() ?? null });
  }

  lane(name: string, options: LaneOptions = {}): ScriptLane {
    const { rules = everyRule, token = name, bugs = noBugs } = options;
    const config = { partition, gridId, generation, lane: name, token, rules };
    return new ScriptLane(this, initialLogState(config), bugs);
  }

  /** Executes a call on every copy. */
  everywhere(call: StoreCall | CheckpointCall): StoreValue {
    return this.#execute(call, true);
  }

  /** Executes a call on the primary alone; nobody is told. */
  onPrimaryAlone(call: StoreCall | CheckpointCall): StoreValue {
    return this.#execute(call, false);
  }

  /** Executes a call at the database; what it has then is judged. */
  atDatabase(call: DatabaseCall): ReturnType<ScriptDatabase["execute"]> {
    const database = must(this.database, "there is a database");
    const { row } = database;
    const answer = database.execute(call);
    if (answer !== "misfit" && call.op === "write") this.oracle.pumped(row, call);
    if (call.op !== "readRow") this.oracle.holds(database.row, database.digest);
    return answer;
  }

  /** The database goes back to a backup: to what it was after so many changes. */
  restoreDatabase(version: number): void {
    const database = must(this.database, "there is a database");
    database.restore(version);
    this.oracle.databaseRestored(database.row);
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
