// Command sender: takes the commands that enter the grid in one lane to the owners of their
// partitions, and stays with each until it is answered: when a partition moves, or its owner
// dies, the same command goes to the next owner, under the same number.
// Owns: deadlines, the numbers of the lane's commands for each partition and what of them is
// confirmed, who waits for an owner. Does not own: who owns what (ownership.ts), running commands
// (partition.ts), frames (messaging-grid).
// Invariants (docs/invariants.md):
//   E1. Every command is answered exactly once, at its deadline at the latest.
//   E3. A command is sent again only under its own number, and never after it was answered.
import type { Clock } from "../base/clock.ts";
import { failed, failure, type Failure, type FailureCode, type Outcome } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import type { TimerHandle, Timers } from "../base/timers.ts";
import type { Value } from "../grid/log-record.ts";
import type { CommandOrigin } from "../messaging-grid/frames.ts";
import type { OwnerTable } from "../messaging-grid/owner-table.ts";
import type { Acknowledgement, ReadConsistency } from "./edge-context.ts";
import { SentNumbers } from "./sent-numbers.ts";

/** One command on its way, in this lane until it is answered. */
export interface SentCommand {
  readonly name: string;
  readonly input: Value;
  readonly partition: number;
  readonly ack: Acknowledgement;
  readonly read: ReadConsistency;
  readonly idempotencyKey: string | null;
  readonly correlationId: string | null;
  /** On the lane's monotonic clock. */
  readonly deadlineAtMs: number;
}

/** What became of one try. `computed`: what the handler answered, where the outcome is unknown. */
export type Settle = (outcome: Outcome<Value>, computed?: Value) => void;

export interface CommandSenderOptions {
  readonly incarnation: string;
  readonly owners: OwnerTable;
  readonly clock: Clock;
  readonly timers: Timers;
  /** Gives a command to the lane in that slot, which may be this one; settles once. */
  deliver(slot: number, command: SentCommand, origin: CommandOrigin, settle: Settle): void;
  /** Why the owner cannot be reached although it lives; null: it can, or will be replaced. */
  unreachable(slot: number): Failure | null;
}

interface Pending {
  readonly command: SentCommand;
  readonly number: number;
  readonly respond: (outcome: Outcome<Value>) => void;
  readonly timer: TimerHandle;
  /** Owners that were replaced while they had it. */
  attempt: number;
  /** Epoch of the owner that it was last given to; 0 before the first. */
  epoch: number;
  /** Given to an owner, which has not said anything yet. */
  underWay: boolean;
  /** The owner that was lost with it, by its epoch; 0: none since it was counted. */
  lostEpoch: number;
  /** True once a try ended with nobody knowing whether it had an effect. */
  maybe: boolean;
  /** What its handler answered in this lane, in a try whose outcome is unknown. */
  computed: Value | undefined;
  /** Why it was not taken last. */
  refusal: Failure | null;
  answered: boolean;
}

/** Nothing happened, and another owner, or the same one a little later, may take it. */
const passedOn: ReadonlySet<FailureCode> = new Set([
  "NOT_OWNER",
  "PARTITION_STARTING",
  "PARTITION_STOPPED",
  "PEER_UNREACHABLE",
  "SHUTTING_DOWN",
]);
/** Nobody knows; the next owner does, by the command's number. */
const askedAgain: ReadonlySet<FailureCode> = new Set(["LANE_LOST", "OUTCOME_UNKNOWN"]);

export class CommandSender {
  readonly #options: CommandSenderOptions;
  readonly #numbers: SentNumbers;
  /** Commands that wait for an owner, by partition. */
  readonly #waiting = new Map<number, Pending[]>();
  #inFlight = 0;
  #writtenInFlight = 0;
  #isRetrying = false;
  /** Called whenever nothing is in flight any more. */
  onIdle: () => void = () => undefined;

  constructor(options: CommandSenderOptions) {
    this.#options = options;
    this.#numbers = new SentNumbers();
  }

  /** Commands that are not answered yet. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Those of them whose callers wait for the database. */
  get writtenInFlight(): number {
    return this.#writtenInFlight;
  }

  /** Takes a command to its owner; responds exactly once, at its deadline at the latest. */
  send(command: SentCommand, respond: (outcome: Outcome<Value>) => void): void {
    const { clock, timers } = this.#options;
    this.#inFlight++;
    if (command.ack === "written") this.#writtenInFlight++;
    const delayMs = Math.max(0, command.deadlineAtMs - clock.monotonicMs());
    const pending: Pending = {
      command,
      number: this.#numbers.next(command.partition),
      respond,
      timer: timers.after(delayMs, () => {
        this.#expire(pending);
      }),
      attempt: 0,
      epoch: 0,
      underWay: false,
      lostEpoch: 0,
      maybe: false,
      computed: undefined,
      refusal: null,
      answered: false,
    };
    this.#try(pending);
  }

  /** The partition has an owner (again): what waits for it goes there. */
  ownerChanged(partition: number): void {
    const waiting = this.#waiting.get(partition);
    if (waiting === undefined) return;
    this.#waiting.delete(partition);
    for (const pending of waiting) if (!pending.answered) this.#try(pending);
  }

  #try(pending: Pending): void {
    const { command } = pending;
    const owner = this.#options.owners.ownerOf(command.partition);
    if (owner === null) {
      this.#wait(pending);
      return;
    }
    const unreachable = pending.maybe ? null : this.#options.unreachable(owner.slot);
    if (unreachable !== null) {
      this.#answer(pending, { ok: false, failure: unreachable });
      return;
    }
    if (pending.lostEpoch > 0 && owner.epoch > pending.lostEpoch) {
      pending.attempt++; // it was replaced: it died, perhaps of this command
      pending.lostEpoch = 0;
    }
    pending.epoch = owner.epoch;
    pending.underWay = true;
    const origin: CommandOrigin = {
      sender: this.#options.incarnation,
      number: pending.number,
      confirmed: this.#numbers.confirmed(command.partition),
      attempt: pending.attempt,
    };
    this.#options.deliver(owner.slot, command, origin, (outcome, computed) => {
      this.#settled(pending, outcome, computed);
    });
  }

  #settled(pending: Pending, outcome: Outcome<Value>, computed: Value | undefined): void {
    if (pending.answered) return; // the deadline was first
    pending.underWay = false;
    if (outcome.ok) {
      this.#answer(pending, outcome);
      return;
    }
    const { code } = outcome.failure;
    if (code === "COMMAND_KNOWN" && pending.computed !== undefined) {
      // The answer is the one that this lane's own handler gave.
      this.#answer(pending, { ok: true, value: pending.computed });
    } else if (code === "PARTITION_HALTED" && pending.maybe) {
      // This try did nothing; what an earlier one did nobody can say any more.
      this.#answer(pending, failed("OUTCOME_UNKNOWN", outcome.failure.message));
    } else if (passedOn.has(code)) {
      pending.refusal = outcome.failure;
      this.#wait(pending);
    } else if (askedAgain.has(code)) {
      pending.maybe = true;
      if (code === "LANE_LOST") pending.lostEpoch = pending.epoch;
      pending.refusal = outcome.failure;
      if (computed !== undefined) pending.computed = computed;
      this.#wait(pending);
    } else if (pending.maybe && outcome.failure.kind === "retryable") {
      // This try did nothing; an earlier one may have.
      this.#wait(pending);
    } else {
      this.#answer(pending, outcome);
    }
  }

  #wait(pending: Pending): void {
    const { partition } = pending.command;
    const waiting = this.#waiting.get(partition);
    if (waiting === undefined) this.#waiting.set(partition, [pending]);
    else waiting.push(pending);
    // The news of an owner may have been missed, or the same one takes it a little later.
    if (this.#isRetrying) return;
    this.#isRetrying = true;
    this.#options.timers.after(limits.commandRetryMs, () => {
      this.#isRetrying = false;
      for (const each of [...this.#waiting.keys()]) this.ownerChanged(each);
    });
  }

  #expire(pending: Pending): void {
    const { maybe, refusal, underWay } = pending;
    if (maybe || underWay) {
      const passed = "no answer within the deadline; the change may have happened";
      this.#answer(pending, failed("DEADLINE_EXCEEDED", passed));
      return;
    }
    // Every try was refused, or there was none: it has had no effect, and never will.
    const where = `partition ${String(pending.command.partition)}`;
    const nobody = failure("PARTITION_STARTING", `${where} has no owner at the moment; try again`);
    this.#answer(pending, { ok: false, failure: refusal ?? nobody });
  }

  #answer(pending: Pending, outcome: Outcome<Value>): void {
    pending.answered = true; // E1, E3
    pending.timer.cancel();
    this.#numbers.done(pending.command.partition, pending.number);
    this.#inFlight--;
    if (pending.command.ack === "written") this.#writtenInFlight--;
    pending.respond(outcome);
    if (this.#inFlight === 0) this.onIdle();
  }
}
