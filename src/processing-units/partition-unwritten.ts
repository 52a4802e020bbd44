// Unwritten answers: commands that are journaled and whose callers wait for the database.
// Owns: who waits for which position, until when, and what each is told.
// Does not own: when a record is written (data-pump), who asked for it (partition-commands.ts).
// Invariants (docs/invariants.md):
//   P13. "Written" is answered only when the database has the command's own changes.
//   P4. A partition that stops answers all that waited; these are journaled, and no more is known.
import type { Clock } from "../base/clock.ts";
import { failed, type Failure, type Outcome } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import type { TimerHandle, Timers } from "../base/timers.ts";
import type { DeadLetter } from "../data-pump/database.ts";
import type { Value } from "../grid/log-record.ts";
import type { Respond } from "./partition-request.ts";

/** Where a command's changes stand in their record: from the first to before `end`. */
export interface ChangeRange {
  readonly first: number;
  readonly end: number;
}

export interface UnwrittenAnswer {
  /** The record that holds the command's changes, or a later one where nobody knows which does. */
  readonly position: number;
  /** null: the changes are those of an earlier try, somewhere up to `position`. */
  readonly changes: ChangeRange | null;
  readonly outcome: Outcome<Value>;
  /** On the lane's monotonic clock. */
  readonly deadlineAtMs: number;
  readonly respond: Respond;
}

interface Waiting extends UnwrittenAnswer {
  readonly timer: TimerHandle | null;
}

export type DeadLetterNews = Pick<DeadLetter, "position" | "change" | "reason">;

export interface UnwrittenAnswersOptions {
  readonly clock: Clock;
  readonly timers: Timers;
  /** True while the database has dead letters of this partition, as far as is known. */
  hasDeadLetters(): boolean;
}

export class UnwrittenAnswers {
  readonly #options: UnwrittenAnswersOptions;
  /** In the order of their positions. */
  readonly #waiting = new Set<Waiting>();
  #written = 0;

  constructor(options: UnwrittenAnswersOptions) {
    this.#options = options;
  }

  get length(): number {
    return this.#waiting.size;
  }

  /**
   * Gives the answer once its position is written; DEADLINE_EXCEEDED shortly before its deadline,
   * DEAD_LETTERED where the database refused it. Positions never go down from call to call.
   */
  wait(answer: UnwrittenAnswer): void {
    if (answer.position <= this.#written) {
      answer.respond(this.#outcomeOf(answer));
      return;
    }
    const { clock, timers } = this.#options;
    const leftMs = answer.deadlineAtMs - clock.monotonicMs() - limits.writtenAnswerMs;
    if (leftMs <= 0) {
      answer.respond(notWritten);
      return;
    }
    const expire = () => {
      this.#waiting.delete(waiting);
      answer.respond(notWritten);
    };
    const timer = Number.isFinite(leftMs) ? timers.after(leftMs, expire) : null;
    const waiting: Waiting = { ...answer, timer };
    this.#waiting.add(waiting);
  }

  /** The database has the records up to `position`; less than before: it was restored. */
  written(position: number): void {
    this.#written = position;
    for (const waiting of this.#waiting) {
      if (waiting.position > position) return;
      this.#answer(waiting, this.#outcomeOf(waiting)); // P13
    }
  }

  /** A change of a record became a dead letter; said before that record is written. */
  deadLettered({ position, change, reason }: DeadLetterNews): void {
    const why = reason ?? "it follows a dead letter of its entry";
    const outcome = failed("DEAD_LETTERED", `journaled, and not written: ${why}`);
    for (const waiting of this.#waiting) {
      if (waiting.position > position) return;
      const { changes } = waiting;
      if (waiting.position < position || changes === null) continue;
      if (changes.first <= change && change < changes.end) this.#answer(waiting, outcome);
    }
  }

  /** Nobody here hears of the database any more: the next owner does, by the command's number. */
  stopped(reason: Failure): void {
    const message = `${reason.message}; journaled, not known to be written`;
    for (const waiting of this.#waiting) {
      const { outcome } = waiting;
      this.#answer(
        waiting,
        failed("OUTCOME_UNKNOWN", message),
        outcome.ok ? outcome.value : undefined,
      );
    }
  }

  /** Its position is written: so are its changes, if none of them is a dead letter. */
  #outcomeOf({ changes, outcome }: UnwrittenAnswer): Outcome<Value> {
    return changes === null && this.#options.hasDeadLetters() ? mayBeLetter : outcome;
  }

  #answer(waiting: Waiting, outcome: Outcome<Value>, computed?: Value): void {
    this.#waiting.delete(waiting);
    waiting.timer?.cancel();
    waiting.respond(outcome, computed);
  }
}

const notWritten = failed(
  "DEADLINE_EXCEEDED",
  "journaled, and not known to be written to the database within the deadline",
);
const mayBeLetter = failed(
  "DEAD_LETTERED",
  "journaled; the partition has dead letters, and the change may be one of them",
);
