// Log follower: what a lane makes of its log: the fold of it, and what it tells its callers, which
// is what it tells the oracle.
// Owns: the folded state of one tenure.
// Does not own: the log.
import type { Failure } from "../base/failure.ts";
import { entriesOf, type Change, type CommandEntry } from "../grid/log-record.ts";
import type { AppendFate } from "../grid/log-state.ts";
import type { ChainedRecord, PartitionLogListener } from "../grid/partition-log.ts";
import { FoldedState } from "./folded-state.ts";
import { numberSpace, type LogOracle } from "./log-oracle.ts";

/** A command's entry that leaves its number for ever, and shows by `last` in what order. */
export function numberedEntry(number: number): CommandEntry {
  const changes = [
    { space: numberSpace, key: String(number), value: number },
    { space: "last", key: String(number % 3), value: number % 7 === 0 ? null : number },
  ];
  return { sender: null, number, confirmed: 0, attempt: 0, changes, reply: null };
}

export class LogFollower implements PartitionLogListener<CommandEntry> {
  #state = new FoldedState();
  readonly #oracle: LogOracle;
  readonly #token: string;
  #loaded: ChainedRecord[] = [];
  epoch = 0;
  /** Position of the last durable record. */
  last = 0;
  durableRecords = 0;
  phase: "idle" | "opening" | "serving" = "opening";

  constructor(oracle: LogOracle, token: string) {
    this.#oracle = oracle;
    this.#token = token;
  }

  /** True before the first record is loaded. */
  get isFirst(): boolean {
    return this.#loaded.length === 0;
  }

  get state(): FoldedState {
    return this.#state;
  }

  /** A follower in the same state that tells another oracle. */
  clone(oracle: LogOracle): LogFollower {
    const copy = new LogFollower(oracle, this.#token);
    copy.#state = this.#state.clone();
    copy.#loaded = [...this.#loaded];
    copy.epoch = this.epoch;
    copy.last = this.last;
    copy.durableRecords = this.durableRecords;
    copy.phase = this.phase;
    return copy;
  }

  /** Equal for followers that know the same. */
  get fingerprint(): string {
    const loaded = this.#loaded.map(({ checksum }) => checksum.toString("hex", 0, 4));
    return `${this.phase},${this.last},${this.state.digest},${loaded.join()}`;
  }

  /** It is about to learn that members changed. */
  warned(): void {
    this.#oracle.warned(this.#token);
  }

  reset(): void {
    this.state.clear();
    this.#loaded = [];
  }

  segment(changes: readonly Change[]): void {
    this.state.apply(changes);
  }

  loaded(record: ChainedRecord): void {
    const { body } = record.record;
    if (body.type === "checkpoint" && this.#loaded.length === 0) this.state.apply(body.delta);
    this.#loaded.push(record);
    this.#remember(record);
  }

  serving(claim: ChainedRecord): void {
    this.phase = "serving";
    this.epoch = claim.record.position;
    this.#oracle.serving(claim, this.#loaded, this.state);
    this.#remember(claim);
    this.#loaded = [];
  }

  durable(record: ChainedRecord, entries: readonly CommandEntry[]): void {
    this.#oracle.acknowledged(record);
    this.durableRecords++;
    this.#remember(record);
    for (const entry of entries) this.#oracle.settled(entry.number, "durable");
  }

  stopped(
    reason: Failure,
    inFlight: readonly CommandEntry[],
    fate: AppendFate,
    waiting: readonly CommandEntry[],
  ): void {
    this.phase = "idle";
    this.#oracle.stopped(this.#token, reason);
    for (const entry of inFlight) this.#oracle.settled(entry.number, fate);
    for (const entry of waiting) this.#oracle.settled(entry.number, "notApplied");
  }

  #remember({ record }: ChainedRecord): void {
    this.last = record.position;
    this.state.applyEntries(entriesOf(record.body));
  }
}
