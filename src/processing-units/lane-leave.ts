// Lane leave: the end of a lane: how each of its partitions is given away, and what is waited for.
// Owns: which partitions are released for good, because nobody is there who would take them; how
// long a lane that leaves is patient. Does not own: who could take them (ownership.ts), the release
// itself (partition.ts), telling the others (lane.ts).
// Invariants (docs/invariants.md):
//   O4. What a lane gives away as it leaves is served by somebody before the lane is gone; where
//       all leave, it is written, and released for good.
import { limits } from "../base/limits.ts";
import { withDeadline, type Timers } from "../base/timers.ts";
import type { Pump } from "../data-pump/pump.ts";
import type { Partition } from "./partition.ts";

export interface LaneLeaveOptions {
  readonly pump: Pump | null;
  readonly timers: Timers;
  /** Those that the lane has at the moment. */
  readonly partitions: ReadonlyMap<number, Partition>;
  /** True while nobody has taken what the lane gave away. */
  isWaitedFor(): boolean;
  /** To whom the partitions should go is to be looked at again. */
  decideSoon(): void;
}

export class LaneLeave {
  readonly #options: LaneLeaveOptions;
  #isOn = false;
  #isPatient = true;
  /** Everything that was given away since it leaves was written. */
  #isWritten = true;
  /** Partitions that go to nobody; true: for good, as everything of them is written. */
  readonly #forNobody = new Map<number, boolean>();
  /** Partitions that were released for good: the database is still to be told. */
  readonly #finished: number[] = [];
  /** Called whenever a partition has come to rest or is gone. */
  #onRest: () => void = () => undefined;

  constructor(options: LaneLeaveOptions) {
    this.#options = options;
  }

  /**
   * A partition should go to the lane in that slot; null: there is nobody. Then it is written
   * first, as long as there is patience; until it is, this is asked again and again.
   */
  handOver(number: number, to: number | null): void {
    const partition = this.#options.partitions.get(number);
    if (partition === undefined || partition.phase === "leaving") return; // its release is written
    const written = this.#written(partition);
    if (to === null && !written && this.#isPatient) return;
    // The next owner writes the rest: to be said only of what is given away at the end.
    if (!written && !partition.isLeaving && this.#isOn) this.#isWritten = false;
    const isForGood = to === null && written && this.#options.pump !== null;
    if (to === null) this.#forNobody.set(number, isForGood);
    else this.#forNobody.delete(number);
    partition.leave(isForGood);
  }

  /** A partition was released: to somebody, to nobody, or to nobody for good. */
  released(number: number): "heir" | "nobody" | "for good" {
    const isForGood = this.#forNobody.get(number);
    if (isForGood === undefined) return "heir";
    this.#forNobody.delete(number); // it may come back
    if (!isForGood) return "nobody";
    this.#finished.push(number);
    return "for good";
  }

  /** Something was journaled, written, released or taken by somebody else. */
  changed(): void {
    if (!this.#isOn) return;
    this.#options.decideSoon();
    this.#onRest();
  }

  /**
   * Resolves when every partition is served by somebody else, or written and released for good; or
   * when there is no patience left. True when everything is written.
   */
  async over(): Promise<boolean> {
    const { pump, timers, partitions } = this.#options;
    this.#isOn = true;
    const patience = timers.after(limits.drainPumpMsMax, () => {
      this.#isPatient = false;
      this.changed();
    });
    const resting = new Promise<void>((resolve) => {
      this.#onRest = () => {
        if (this.#isOver()) resolve();
      };
    });
    this.#onRest();
    const restMsMax = limits.drainPumpMsMax + limits.drainAnswersMsMax;
    await withDeadline(timers, restMsMax, resting, () => undefined);
    patience.cancel();
    this.#isOn = false;
    if (this.#finished.length > 0 && (await pump?.drain(limits.drainFinalMsMax)) === false)
      this.#isWritten = false;
    for (const number of this.#finished) pump?.detach(number);
    return this.#isWritten && [...partitions.values()].every((each) => this.#written(each));
  }

  /** One that halted, or that is gone, is nobody's to wait for. */
  #isOver(): boolean {
    const isAtRest = ({ phase }: Partition) => phase === "halted" || phase === "gone";
    const partitions = [...this.#options.partitions.values()];
    return partitions.every(isAtRest) && !this.#options.isWaitedFor();
  }

  #written({ number, journaled, log }: Partition): boolean {
    const { pump } = this.#options;
    return pump === null || (log.unsettled === 0 && pump.written(number) >= journaled);
  }
}
