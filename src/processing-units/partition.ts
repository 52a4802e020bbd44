// Partition: runs the commands of one partition in memory, and answers when they are journaled.
// Owns: one partition's life in one lane, from claim to hand-over; its memory and its log.
// Does not own: which lane owns it (ownership.ts), the log's protocol (grid), SQL (data-pump); who
// waits for which entry (partition-pending.ts), how handlers run (command-run.ts), what is known
// of repeated commands (replies.ts, requests.ts), whether what was loaded may be served
// (partition-doubt.ts).
// Invariants (docs/invariants.md):
//   P2. Memory is the fold of the partition's changes in order.
//   P3. An answer leaves only when every change that it could have seen is journaled.
//   P4. A partition that stops forgets its memory, and answers all that waited.
//   P5. A number takes effect at most once; a repeat that meets its own command waits for it.
//   P8. A linearizable read is answered by an append that was first sent after it arrived.
//   P9. After its release nothing is written under an epoch, and before it all that ran is.
//   P10. What was loaded is served only if it can be all that was acknowledged, and if the lanes
//        before did not die of it (partition-doubt.ts).
//   P11. A command that poisonAttempts owners died of is refused, never run.
import { AssertionError } from "../base/assert.ts";
import { BoundedQueue } from "../base/bounded-queue.ts";
import type { Clock } from "../base/clock.ts";
import { failed, failure, FailureError, ok, type Failure, type Outcome } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import type { Random } from "../base/random.ts";
import type { Timers } from "../base/timers.ts";
import type { GridIdentity } from "../grid/grid-directory.ts";
import { entriesOf, type Change, type CommandEntry, type Value } from "../grid/log-record.ts";
import { everyRule } from "../grid/log-rules.ts";
import type { AppendFate } from "../grid/log-state.ts";
import {
  PartitionLog,
  type ChainedRecord,
  type PartitionLogListener,
} from "../grid/partition-log.ts";
import type { ByteMap } from "../grid/store.ts";
import type { Application } from "./application.ts";
import { PartitionMemory } from "./partition-memory.ts";
import type { PartitionRequest, Respond } from "./partition-request.ts";
import { BufferedTransaction } from "./transaction.ts";
import type { PartitionPhase } from "./unit-status.ts";

/** An answer that may tell of changes which are not journaled yet. */
interface Follower {
  readonly respond: Respond;
  readonly outcome: Outcome<Value>;
}

/** A command that ran and is not yet journaled, with those behind it that changed nothing. */
interface PendingEntry extends CommandEntry {
  readonly respond: Respond | null;
  readonly result: Value;
  followers: Follower[] | null;
}

/** What the lane is told of a partition. */
export interface PartitionEvents {
  /** Serving: everything up to and with the claim is folded. */
  serving(partition: Partition, claim: ChainedRecord): void;
  journaled(partition: Partition, record: ChainedRecord, bytes: number): void;
  /** It was handed over: nothing is written under its epoch any more. */
  released(partition: Partition): void;
  /** It stopped. Its phase says what now: it opens again (starting), is gone, or halted. */
  stopped(partition: Partition, reason: Failure): void;
}

export interface PartitionOptions {
  readonly partition: number;
  readonly application: Application;
  readonly identity: GridIdentity;
  readonly lane: string;
  /** Unique among all lanes that ever lived. */
  readonly incarnation: string;
  readonly map: ByteMap;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly events: PartitionEvents;
  /** The last position that the roster says was acknowledged; 0 where it says nothing. */
  acknowledged(): number;
  /** False while the lane may be taken for dead: reads must prove that it still owns. */
  mayServeLocal(): boolean;
  /** True while nothing may be added to the grid. */
  isFull(): boolean;
}

// A partition that stops this often without serving a minute in between halts, with an alarm:
// whatever stops it would stop it again.
const stopsMax = 4;
const stopsForgottenMs = 60_000;
const reopenMsMin = 20;

export class Partition {
  readonly number: number;
  readonly #options: PartitionOptions;
  readonly #starting = new BoundedQueue<PartitionRequest>(limits.partitionCommandsWaitingMax);
  #memory: PartitionMemory;
  #log: PartitionLog<PendingEntry>;
  #phase: PartitionPhase = "starting";
  #reason: Failure | null = null;
  #attempt = 0;
  #stops = 0;
  #servingSinceMs = 0;
  #timeMs = 0;
  #epoch = 0;
  #journaled = 0;
  #last: PendingEntry | null = null;
  #followers = 0;
  #closed = false;

  constructor(options: PartitionOptions) {
    this.number = options.partition;
    this.#options = options;
    this.#memory = new PartitionMemory(options.application.spaces);
    this.#log = this.#newLog();
  }

  get phase(): PartitionPhase {
    return this.#phase;
  }

  /** Why it takes no commands; null while it does or starts for the first time. */
  get reason(): Failure | null {
    return this.#reason ?? this.#silence();
  }

  get epoch(): number {
    return this.#epoch;
  }

  /** Position of the last record that is journaled and known to be. */
  get journaled(): number {
    return this.#journaled;
  }

  /** The log, for whoever reads journaled records again. */
  get log(): PartitionLog<PendingEntry> {
    return this.#log;
  }

  /** Begins to take over; commands wait meanwhile. */
  open(): void {
    this.#log.open();
  }

  /** Entries of a space as they are in memory now. */
  entries(space: string): Iterable<[string, Value]> {
    return this.#phase === "serving" ? this.#memory.entries(space) : [];
  }

  /** Runs a command, or lets it wait while the partition starts. Responds exactly once. */
  execute(request: PartitionRequest): void {
    const silence = this.#phase === "halted" ? null : this.#silence();
    if (silence !== null) {
      request.respond({ ok: false, failure: silence });
      return;
    }
    switch (this.#phase) {
      case "serving":
        this.#guard(() => {
          this.#run(request);
        });
        break;
      case "starting":
        if (!this.#starting.push(request)) {
          const where = `partition ${String(this.number)}`;
          request.respond(failed("OVERLOADED", `too many commands wait for ${where} to start`));
        }
        break;
      case "leaving":
      case "gone":
      case "halted":
        request.respond(this.#halted());
        break;
    }
  }

  /** Stops for good: what is in flight becomes unknown, what waits is refused. */
  close(reason: Failure): void {
    if (this.#phase === "halted") return;
    this.#closed = true;
    this.#log.close(reason);
    if (this.#phase !== "starting") return;
    // Between two logs: none is open that could say that it stopped.
    this.#phase = "halted";
    this.#reason = reason;
    this.#refuseStarting();
  }

  /** A store that is silent for long: what came now would only wait until its deadline. */
  #silence(): Failure | null {
    const { silence } = this.#log;
    if (silence === null) return null;
    const silentMs = this.#options.clock.monotonicMs() - silence.sinceMs;
    if (silentMs < limits.storeSilenceMsMax) return null;
    const where = `partition ${String(this.number)}`;
    const message = `the data grid does not answer (${silence.why}); nothing was changed in ${where}`;
    return failure("GRID_UNAVAILABLE", message);
  }

  #newLog(): PartitionLog<PendingEntry> {
    const { partition, identity, lane, incarnation, map, timers, clock } = this.#options;
    this.#attempt++;
    return new PartitionLog<PendingEntry>({
      map,
      timers,
      // One time for handlers and records: no handler saw a later one than a new owner starts at.
      clock: {
        wallMs: () => this.#reach(clock.wallMs()),
        monotonicMs: () => clock.monotonicMs(),
      },
      config: {
        partition,
        gridId: identity.gridId,
        generation: identity.generation,
        lane,
        token: `${incarnation}:${String(this.#attempt)}`,
        rules: everyRule,
      },
      listener: this.#listener(),
    });
  }

  #listener(): PartitionLogListener<PendingEntry> {
    return {
      reset: () => {
        this.#memory = new PartitionMemory(this.#options.application.spaces);
      },
      segment: (changes) => {
        this.#memory.load(changes);
      },
      loaded: ({ record }) => {
        this.#reach(record.timeMs);
        if (record.body.type === "checkpoint") this.#memory.load(record.body.delta);
        this.#memory.fold(entriesOf(record.body));
      },
      serving: (claim) => {
        this.#guard(() => {
          this.#serve(claim);
        });
      },
      durable: (record, entries, bytes) => {
        this.#guard(() => {
          this.#journal(record, entries, bytes);
        });
      },
      stopped: (reason, inFlight, fate, waiting) => {
        this.#stopped(reason, inFlight, fate, waiting);
      },
    };
  }

  #serve(claim: ChainedRecord): void {
    this.#phase = "serving";
    this.#reason = null;
    this.#epoch = claim.record.epoch;
    this.#journaled = claim.record.position;
    this.#servingSinceMs = this.#options.clock.monotonicMs();
    this.#options.events.serving(this, claim);
    for (let next = this.#starting.shift(); next !== undefined; next = this.#starting.shift()) {
      this.#run(next);
    }
  }

  #run(request: PartitionRequest): void {
    const { clock, application, random } = this.#options;
    if (clock.monotonicMs() > request.deadlineAtMs) {
      request.respond(failed("DEADLINE_EXCEEDED", "the deadline passed before the command began"));
      return;
    }
    const command = application.commands[request.command];
    if (command === undefined) {
      request.respond(failed("COMMAND_UNKNOWN", `there is no command ${request.command}`));
      return;
    }
    if (this.#log.unsettled + this.#followers >= limits.partitionCommandsWaitingMax) {
      request.respond(failed("OVERLOADED", "too many commands wait for their partition's journal"));
      return;
    }
    const tx = new BufferedTransaction({
      partition: this.number,
      timeMs: this.#reach(clock.wallMs()),
      memory: this.#memory,
      random,
    });
    let result: Value;
    try {
      result = command.handle(tx, request.input);
      if (isPromise(result)) {
        result.then(undefined, () => undefined); // what the rest of it does is void
        throw new Error("a handler must be synchronous, it gave a promise");
      }
    } catch (error) {
      tx.close(); // P1
      const outcome = { ok: false, failure: handlerFailure(request.command, error) } as const;
      this.#follow({ respond: request.respond, outcome });
      return;
    }
    const { changes, bytes } = tx.close();
    if (changes.length === 0) this.#follow({ respond: request.respond, outcome: ok(result) });
    else this.#append(request, changes, bytes, result);
  }

  /** The partition's time: it never goes back, whatever the wall clock does. */
  #reach(timeMs: number): number {
    this.#timeMs = Math.max(this.#timeMs, timeMs);
    return this.#timeMs;
  }

  #append(
    request: PartitionRequest,
    changes: readonly Change[],
    bytes: number,
    result: Value,
  ): void {
    this.#memory.apply(changes);
    const early = request.ack === "memory";
    const entry: PendingEntry = {
      sender: null,
      number: 0,
      confirmed: 0,
      attempt: 0,
      changes,
      reply: null,
      respond: early ? null : request.respond,
      result,
      followers: null,
    };
    this.#last = entry;
    this.#log.append(entry, bytes);
    if (early) request.respond(ok(result));
  }

  /** P3: what it saw may still be on its way into the log; then the answer waits for it. */
  #follow(follower: Follower): void {
    if (this.#last === null) {
      follower.respond(follower.outcome);
      return;
    }
    (this.#last.followers ??= []).push(follower);
    this.#followers++;
  }

  #journal(record: ChainedRecord, entries: readonly PendingEntry[], bytes: number): void {
    this.#journaled = record.record.position;
    if (entries.at(-1) === this.#last) this.#last = null;
    for (const entry of entries) {
      entry.respond?.(ok(entry.result));
      if (entry.followers === null) continue;
      this.#followers -= entry.followers.length;
      for (const { respond, outcome } of entry.followers) respond(outcome);
    }
    this.#options.events.journaled(this, record, bytes);
  }

  #stopped(
    reason: Failure,
    inFlight: readonly PendingEntry[],
    fate: AppendFate,
    waiting: readonly PendingEntry[],
  ): void {
    const wasServing = this.#phase === "serving";
    this.#memory = new PartitionMemory(this.#options.application.spaces); // P4
    this.#last = null;
    this.#followers = 0;
    this.#reason = reason;
    this.#phase = this.#opensAgain(reason, wasServing) ? "starting" : "halted";
    const notApplied = failed("NOT_OWNER", `${reason.message}; nothing was changed, try again`);
    const unknown = failed("OUTCOME_UNKNOWN", `${reason.message}; the change may have happened`);
    for (const entry of inFlight) answerStopped(entry, fate === "unknown" ? unknown : notApplied);
    for (const entry of waiting) answerStopped(entry, notApplied);
    this.#options.events.stopped(this, reason);
    if (this.#phase === "starting") this.#openAgain();
    else this.#refuseStarting();
  }

  #opensAgain(reason: Failure, wasServing: boolean): boolean {
    if (this.#closed) return false;
    const { clock } = this.#options;
    const servedMs = wasServing ? clock.monotonicMs() - this.#servingSinceMs : 0;
    this.#stops = servedMs > stopsForgottenMs ? 1 : this.#stops + 1;
    if (reason.code === "CLAIM_BEATEN") return true; // a race that somebody wins
    return reason.code === "PARTITION_STOPPED" && this.#stops < stopsMax;
  }

  #openAgain(): void {
    const delayMs = reopenMsMin * 2 ** Math.min(this.#stops, 6);
    this.#options.timers.after(delayMs, () => {
      if (this.#closed) return;
      this.#log = this.#newLog();
      this.#log.open();
    });
  }

  #refuseStarting(): void {
    for (let next = this.#starting.shift(); next !== undefined; next = this.#starting.shift()) {
      next.respond(this.#halted());
    }
  }

  #halted(): Outcome<never> {
    if (this.#reason?.code === "SHUTTING_DOWN") return { ok: false, failure: this.#reason };
    const why = this.#reason?.message ?? "";
    return failed("PARTITION_HALTED", `partition ${String(this.number)} does not serve: ${why}`);
  }

  /** A broken assertion stops this partition, not the lane: its memory is not to be trusted. */
  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof AssertionError)) throw error;
      const message = `partition ${String(this.number)} stopped: ${error.message}`;
      this.#log.close(failure("PARTITION_STOPPED", message));
    }
  }
}

function answerStopped(entry: PendingEntry, outcome: Outcome<never>): void {
  entry.respond?.(outcome);
  if (entry.followers === null) return;
  const nothing = failed("NOT_OWNER", "the partition stopped before what was read was journaled");
  for (const follower of entry.followers) follower.respond(nothing);
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === "object" &&
    value !== null &&
    "then" in value &&
    typeof value.then === "function"
  );
}

function handlerFailure(command: string, error: unknown): Failure {
  if (error instanceof FailureError) return error.failure;
  const message = error instanceof Error ? error.message : String(error);
  return failure("HANDLER_FAILED", `command ${command} failed: ${message}`);
}
