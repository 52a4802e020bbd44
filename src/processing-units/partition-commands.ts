// Partition commands: what becomes of each command that reaches a partition which serves.
// Owns: the partition's memory and the entries that wait for its log, from one opening of the log
// to its end; the decision whether a command runs, is known already, or is refused; whom an answer
// waits for. Does not own: when the partition serves (partition.ts), the log itself (grid), who
// waits for which entry (partition-pending.ts), how handlers run (command-run.ts).
// Invariants (docs/invariants.md):
//   P3. An answer leaves only when every change that it could have seen is journaled.
//   P5. A number takes effect at most once: a number that is known, or confirmed, is never run; a
//       repeat that meets its own command on its way into the log waits for it.
//   P8. A linearizable read is answered by an append that was first sent after it arrived.
//   P11. A command that poisonAttempts owners died of is refused, never run.
//   P13. "Written" is answered only when the database has the command's own changes.
//   P14. What waits for the database is bounded: then changes are refused, and nothing else is.
import { failed, ok, type Failure, type Outcome } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import type { Random } from "../base/random.ts";
import type { Change, Value } from "../grid/log-record.ts";
import type { AppendFate } from "../grid/log-state.ts";
import type { PartitionLog } from "../grid/partition-log.ts";
import type { Application } from "./application.ts";
import { runCommand, type CommandResult } from "./command-run.ts";
import type { PartitionDatabase } from "./partition-database.ts";
import { PendingEntries, type PendingEntry } from "./partition-pending.ts";
import type { PartitionRequest, Respond } from "./partition-request.ts";
import { PartitionState } from "./partition-state.ts";
import {
  UnwrittenAnswers,
  type DeadLetterNews,
  type UnwrittenAnswersOptions,
} from "./partition-unwritten.ts";
import { requestBytesMax } from "./requests.ts";
import { textProblem } from "./value.ts";

export interface PartitionCommandsOptions extends UnwrittenAnswersOptions, PartitionDatabase {
  readonly partition: number;
  readonly application: Application;
  readonly random: Random;
  /** Position of the last record that is journaled. */
  journaled(): number;
  /** False while the lane may be taken for dead: reads must prove that it still owns. */
  mayServeLocal(): boolean;
  /** True while nothing may be added to the grid. */
  isFull(): boolean;
}

const sendersForgottenAtOnce = 256;
const forgottenBytesMax = 256 * 1024;
const entryBytes = 64;

/** An entry that changes nothing: its place in the log is all that it says. */
const barrier: Omit<PendingEntry, "followers" | "firstChange"> = {
  sender: null,
  number: 0,
  confirmed: 0,
  attempt: 0,
  changes: [],
  reply: null,
  result: null,
  respond: null,
  idempotencyKey: null,
};

export class PartitionCommands {
  readonly #options: PartitionCommandsOptions;
  readonly #log: PartitionLog<PendingEntry>;
  /** The partition's time: it never goes back, whatever the wall clock does. */
  readonly #timeMs: () => number;
  readonly #pending = new PendingEntries();
  readonly #unwritten: UnwrittenAnswers;
  /** Not journaled yet: until it is, somebody else may have claimed the partition long ago. */
  #proof: PendingEntry | null = null;
  #state: PartitionState;

  constructor(
    options: PartitionCommandsOptions,
    log: PartitionLog<PendingEntry>,
    timeMs: () => number,
  ) {
    this.#options = options;
    this.#log = log;
    this.#timeMs = timeMs;
    this.#unwritten = new UnwrittenAnswers(options);
    this.#state = new PartitionState(options.application.spaces);
  }

  get state(): PartitionState {
    return this.#state;
  }

  /** True while something that ran is not journaled. */
  get isPending(): boolean {
    return this.#pending.length > 0;
  }

  /** Loading begins (anew), or what is in memory is not to be trusted any more. */
  forget(): void {
    this.#state = new PartitionState(this.#options.application.spaces);
  }

  /** Runs a command, or answers it otherwise. Responds exactly once. */
  run(request: PartitionRequest): void {
    const { application, clock, partition, random } = this.#options;
    if (clock.monotonicMs() > request.deadlineAtMs) {
      const passed = "the deadline passed before the command began";
      request.respond(failed("DEADLINE_EXCEEDED", passed));
      return;
    }
    const timeMs = this.#timeMs();
    if (this.#isKnown(request, timeMs)) return; // P5
    const command = application.commands[request.command];
    if (command === undefined) {
      request.respond(failed("COMMAND_UNKNOWN", `there is no command ${request.command}`));
      return;
    }
    const refusal = this.#refusal(request);
    if (refusal !== null) {
      request.respond(refusal);
      return;
    }
    const tx = { partition, timeMs, memory: this.#state.memory, random };
    const ran = runCommand(request.command, command, request.input, tx);
    if (!ran.ok) this.#answer(request, ran);
    // Under a client's key what changed nothing is kept, too: an earlier try of it, late on its
    // way, must not change something after this answer.
    else if (ran.value.changes.length === 0 && request.idempotencyKey === null) {
      this.#answer(request, ok(ran.value.answer));
    } else if (this.#options.isFull()) this.#answer(request, gridFull);
    else if (this.#options.isBacklogFull())
      this.#answer(request, backlogFull); // P14
    else this.#keep(request, ran.value, timeMs);
  }

  /** An empty entry behind all that ran so far: once it is journaled, nobody else owned before. */
  barrier(): PendingEntry {
    return this.#append({ ...barrier, followers: null, firstChange: 0 }, entryBytes);
  }

  /** P8: from here on nothing is answered from memory before the log has proven whose it is. */
  prove(): void {
    this.#proof = this.#unsent();
  }

  /** Forgets what was answered to senders that are gone for good, some of them at a time. */
  forgetSenders(isGone: (sender: string) => boolean): void {
    const changes = this.#state.replies.forget(isGone, sendersForgottenAtOnce);
    if (changes.length === 0) return;
    this.#append({ ...barrier, changes, followers: null, firstChange: 0 }, forgottenBytesMax);
  }

  /** The log's word: these, the oldest, are journaled, by the last record. */
  journaled(entries: readonly PendingEntry[]): void {
    this.#pending.journaled(entries);
    if (this.#proof !== null && entries.includes(this.#proof)) this.#proof = null;
  }

  /** The pump's word: the database has the records up to `position`. */
  written(position: number): void {
    this.#unwritten.written(position);
  }

  deadLettered(news: DeadLetterNews): void {
    this.#unwritten.deadLettered(news);
  }

  /** The partition was handed over: what is not written yet the next owner has to tell. */
  released(reason: Failure): void {
    this.forget();
    this.#unwritten.stopped(reason);
  }

  /** The log stopped: `inFlight` entries were under way in an append of that fate. */
  stopped(reason: Failure, inFlight: number, fate: AppendFate): void {
    this.forget();
    this.#pending.stopped(reason, inFlight, fate);
    this.#unwritten.stopped(reason);
  }

  /** True where a command took effect before, or may have: then it is answered. */
  #isKnown(request: PartitionRequest, timeMs: number): boolean {
    const { origin, idempotencyKey: key, respond } = request;
    if (origin !== null) {
      const judged = this.#state.replies.judge(origin);
      if (judged.kind === "stale") {
        respond(failed("COMMAND_STALE", "its sender said before that it has the answer"));
        return true;
      }
      if (judged.kind === "known") {
        const { sender, number } = origin;
        const known = judged.reply === null ? knownToSender : ok(replyIn(judged.reply));
        this.#repeat(request, known, (it) => it.number === number && it.sender === sender);
        return true;
      }
    }
    if (key === null) return false;
    const known = this.#state.requests.find(key, timeMs);
    if (known === null) return false;
    if (known.command === request.command) {
      this.#repeat(request, ok(known.reply), (it) => it.idempotencyKey === key);
    } else {
      const used = `this Idempotency-Key was used for the command ${known.command}`;
      this.#answer(request, failed("INPUT_INVALID", used));
    }
    return true;
  }

  /** Answers what an earlier try did, once that is journaled. */
  #repeat(
    request: PartitionRequest,
    outcome: Outcome<Value>,
    isIt: (entry: PendingEntry) => boolean,
  ): void {
    const { ack } = request;
    const first = this.#pending.find(isIt);
    const respond = ack === "written" ? this.#untilWritten(request, first) : request.respond;
    if (first === null || ack === "memory") respond(outcome);
    else this.#pending.follow(first, { respond, outcome: ok(first.result), repeats: true });
  }

  /**
   * P13: what answers a command once that its entry is journaled. null: an earlier owner journaled
   * it, somewhere in the log up to now.
   */
  #untilWritten(
    { respond, deadlineAtMs }: PartitionRequest,
    entry: Pick<PendingEntry, "firstChange" | "changes"> | null,
  ): Respond {
    return (outcome, computed) => {
      if (!outcome.ok && outcome.failure.code !== "COMMAND_KNOWN") {
        respond(outcome, computed);
        return;
      }
      const first = entry?.firstChange ?? 0;
      const changes = entry === null ? null : { first, end: first + entry.changes.length };
      const position = this.#options.journaled();
      this.#unwritten.wait({ position, changes, outcome, deadlineAtMs, respond });
    };
  }

  #refusal({ ack, origin, idempotencyKey: key }: PartitionRequest): Outcome<never> | null {
    if (ack === "written" && !this.#options.hasDatabase) {
      return failed("INPUT_INVALID", "nothing is written here: there is no database");
    }
    if (origin !== null && origin.attempt >= limits.poisonAttempts) {
      const owners = `${String(origin.attempt)} owners of its partition ended while they had it`;
      return failed("POISON", `the command is not run: ${owners}`); // P11
    }
    if (
      key !== null &&
      (key.length > limits.idempotencyKeyLengthMax || textProblem(key) !== null)
    ) {
      const most = `at most ${String(limits.idempotencyKeyLengthMax)} characters`;
      return failed("INPUT_INVALID", `an Idempotency-Key has ${most}, all of them whole`);
    }
    if (ack === "written" && this.#unwritten.length >= limits.partitionCommandsWaitingMax) {
      return failed("OVERLOADED", "too many commands wait for their partition's database");
    }
    if (this.#pending.waiting < limits.partitionCommandsWaitingMax) return null;
    return failed("OVERLOADED", "too many commands wait for their partition's journal");
  }

  /** P3: what an answer saw may still be on its way into the log; then it waits for that. */
  #answer({ read, respond }: PartitionRequest, outcome: Outcome<Value>): void {
    const mayBeLocal = this.#proof === null && this.#options.mayServeLocal();
    const isLocal = read === "local" && mayBeLocal;
    const seen = isLocal ? this.#pending.lastChange : this.#unsent();
    if (seen === null) respond(outcome);
    else this.#pending.follow(seen, { respond, outcome, repeats: false });
  }

  /** P8: an entry that has not left yet. One serves all that come until it leaves. */
  #unsent(): PendingEntry {
    const { last, length } = this.#pending;
    return last !== null && length > this.#log.inFlight ? last : this.barrier();
  }

  /** What a command changed takes effect here, and is answered when it is journaled. */
  #keep(request: PartitionRequest, ran: CommandResult, timeMs: number): void {
    const { ack, command, idempotencyKey: key, keepsReply, origin, respond } = request;
    const { answer } = ran;
    let changes: readonly Change[] = ran.changes;
    let bytes = ran.bytes + entryBytes;
    if (key !== null) {
      changes = [...changes, ...this.#state.requests.remember(key, timeMs, command, answer)];
      bytes += ran.answerBytes + requestBytesMax;
    }
    const entry: PendingEntry = {
      sender: origin?.sender ?? null,
      number: origin?.number ?? 0,
      confirmed: origin?.confirmed ?? 0,
      attempt: origin?.attempt ?? 0,
      changes,
      reply: origin !== null && keepsReply ? [answer] : null,
      respond: ack === "memory" ? null : respond,
      result: answer,
      idempotencyKey: key,
      followers: null,
      firstChange: 0,
    };
    if (ack === "written") entry.respond = this.#untilWritten(request, entry);
    this.#append(entry, bytes);
    if (ack === "memory") respond(ok(answer));
  }

  #append(entry: PendingEntry, bytes: number): PendingEntry {
    this.#state.apply(entry);
    this.#pending.push(entry);
    this.#log.append(entry, bytes);
    return entry;
  }
}

const gridFull = failed(
  "GRID_FULL",
  "the data grid holds as much of this partition as it may; nothing was changed",
);

const backlogFull = failed(
  "BACKLOG_FULL",
  "the database is as far behind as it may be; nothing was changed, try again when it caught up",
);

/** A number that took effect here, without its reply: its sender ran it itself, and has that. */
const knownToSender = failed("COMMAND_KNOWN", "this number took effect; its sender has the answer");

/** A kept reply is a list of one, so that it is never taken for one that was not kept. */
function replyIn(kept: Value): Value {
  return Array.isArray(kept) ? ((kept as readonly Value[])[0] ?? null) : null;
}
