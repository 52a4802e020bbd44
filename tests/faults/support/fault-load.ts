// Fault load: commands that are sent to lanes all the time, whatever becomes of them; more of them
// at the moment of a fault; and waiting for what the answers tell.
// Owns: pacing, and what counts as an event. Does not own: the answers (fault-ledger.ts).
import { partitionOf } from "../../../src/base/murmur3.ts";
import { systemTimers, type TimerHandle } from "../../../src/base/timers.ts";
import type { FaultLanes } from "./fault-lanes.ts";
import type { FaultLedger, LedgerLine } from "./fault-ledger.ts";

const paceMs = 10;
const perPace = 3;
/** So many chains of commands press on a partition: while one is appended, another waits. */
const chains = 2;
const pressedAnswers = 3;
/** Every second command may wait so long, the others as long as commands do by default. */
const patientMs = 30_000;
const waitMsMax = 300_000;

export class FaultLoad {
  readonly #lanes: FaultLanes;
  readonly #ledger: FaultLedger;
  readonly #partitions: readonly number[];
  readonly #routes: readonly string[];
  #pacer: TimerHandle | null = null;
  #sent = 0;

  constructor(lanes: FaultLanes, ledger: FaultLedger) {
    this.#lanes = lanes;
    this.#ledger = ledger;
    this.#partitions = lanes.partitions;
    const { partitions } = lanes.identity;
    this.#routes = Array.from({ length: partitions }, (_, partition) =>
      routeTo(partition, partitions),
    );
  }

  start(): void {
    this.#pacer = systemTimers.every(paceMs, () => {
      for (let count = 0; count < perPace; count++) this.#sendNext();
    });
  }

  /** Sends nothing more. */
  pause(): void {
    this.#pacer?.cancel();
  }

  /** The same; resolves when every command is answered. */
  async stop(): Promise<void> {
    this.pause();
    if (this.#ledger.open === 0) return;
    await this.#event("every command is answered", () =>
      this.#ledger.open === 0 ? [] : [`${this.#ledger.open} commands are open`],
    );
  }

  /** One command for each partition, at its owner. */
  sendEverywhere(): void {
    for (const partition of this.#partitions) this.#send(partition, false, undefined);
  }

  /**
   * Does `fault` in the midst of answers, when every partition has appends in flight one after the
   * other. Resolves with what it gives, and in how many partitions one was in flight.
   */
  underPressure<T>(fault: () => T): Promise<{ readonly result: Awaited<T>; readonly hit: number }> {
    const answers = new Map(this.#partitions.map((partition) => [partition, 0]));
    let isPressing = true;
    let isStriking = false;
    return new Promise((resolve, reject) => {
      const strike = () => {
        isPressing = false;
        const hit = this.#lanes.appending.length;
        const struck = new Promise<Awaited<T>>((done) => {
          done(fault() as Awaited<T>);
        });
        struck.then((result) => {
          resolve({ result, hit });
        }, reject);
      };
      const press = (partition: number) => {
        this.#send(partition, false, patientMs, (isAcknowledged) => {
          if (!isPressing) return;
          if (!isAcknowledged) {
            systemTimers.after(paceMs, () => {
              press(partition); // a refusal comes at once, and so would the next one
            });
            return;
          }
          answers.set(partition, (answers.get(partition) ?? 0) + 1);
          press(partition);
          const all = [...answers.values()].every((count) => count >= chains * pressedAnswers);
          // What this tick brought leads to the next appends: behind them every partition has one.
          if (all && !isStriking) systemTimers.endOfTick(strike);
          isStriking ||= all;
        });
      };
      for (const partition of this.#partitions) {
        for (let chain = 0; chain < chains; chain++) press(partition);
      }
    });
  }

  /**
   * Resolves when every partition has acknowledged a command that was sent after this call, or has
   * halted.
   */
  async servesAgain(): Promise<void> {
    await this.#everywhere("every partition acknowledges again", ({ outcome }) =>
      outcome?.ok === true ? null : (outcome?.failure.message ?? ""),
    );
  }

  /** Resolves when every partition has refused, for that reason, a command sent after this call. */
  async failsEverywhere(reason = /./): Promise<void> {
    await this.#everywhere(`every partition refuses (${reason.source})`, ({ outcome }) => {
      if (outcome?.ok === true) return "it acknowledges";
      const message = outcome?.failure.message ?? "";
      return reason.test(message) ? null : message;
    });
  }

  /** Resolves when every partition has halted. */
  async halts(): Promise<void> {
    await this.#event("every partition has halted", () =>
      this.#partitions
        .filter((partition) => !this.#lanes.halted.has(partition))
        .map((partition) => `partition ${partition}`),
    );
  }

  #sendNext(): void {
    const number = this.#sent++;
    const partition = this.#partitions[number % this.#partitions.length] ?? 0;
    const round = Math.floor(number / this.#partitions.length);
    this.#send(partition, round % 2 === 0, round % 4 < 2 ? patientMs : undefined);
  }

  #send(
    partition: number,
    byWayOfAnother: boolean,
    deadlineMs: number | undefined,
    answered: (isAcknowledged: boolean) => void = () => undefined,
  ): void {
    const line = this.#ledger.send(partition);
    const lane = this.#lanes.entrance(partition, byWayOfAnother);
    const input = { route: this.#routes[partition] ?? "", id: line.id };
    const options = deadlineMs === undefined ? {} : { deadlineMs };
    lane.submit("enter", input, options, (outcome) => {
      this.#ledger.answer(line, outcome);
      answered(outcome.ok);
    });
  }

  /** Waits until each partition has given an answer, to a command of now or later, that is it. */
  async #everywhere(what: string, look: (line: LedgerLine) => string | null): Promise<void> {
    const missing = new Map(this.#partitions.map((partition) => [partition, "no answer"]));
    const from = this.#ledger.size;
    const hear = (line: LedgerLine) => {
      if (line.index < from || !missing.has(line.partition)) return;
      const problem = look(line);
      if (problem === null) missing.delete(line.partition);
      else missing.set(line.partition, problem);
    };
    const forget = this.#ledger.onAnswer(hear);
    await this.#event(what, () =>
      [...missing]
        .filter(([partition]) => !this.#lanes.halted.has(partition))
        .map(([partition, problem]) => `partition ${partition}: ${problem}`),
    ).finally(forget);
  }

  /** Looks at every answer; rejects, with what is missing, when it does not come. */
  #event(what: string, missing: () => string[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const patience = systemTimers.after(waitMsMax, () => {
        forget();
        const said = this.#lanes.notices.slice(-5).join("\n");
        reject(new Error(`waited in vain until ${what}:\n${missing().join("\n")}\n${said}`));
      });
      const look = () => {
        if (missing().length > 0) return;
        patience.cancel();
        forget();
        resolve();
      };
      const forget = this.#ledger.onAnswer(look);
      look();
    });
  }
}

/** A routing key that leads to a partition. */
function routeTo(partition: number, partitions: number): string {
  for (let number = 0; ; number++) {
    if (partitionOf(String(number), partitions) === partition) return String(number);
  }
}
