// Manual time: a clock that stands still until a test moves it, and timers that follow it.
// Owns: the order of timers (by due time, then by age). Does not own: real I/O.
import type { Clock } from "../../src/base/clock.ts";
import type { TimerHandle, Timers } from "../../src/base/timers.ts";

interface Due {
  atMs: number;
  readonly everyMs: number | undefined;
  readonly callback: () => void;
}

export class ManualTime implements Clock, Timers {
  readonly #due = new Set<Due>();
  #nowMs = 0;

  wallMs(): number {
    return 1_700_000_000_000 + Math.floor(this.#nowMs);
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, callback: () => void): TimerHandle {
    return this.#add({ atMs: this.#nowMs + delayMs, everyMs: undefined, callback });
  }

  every(intervalMs: number, callback: () => void): TimerHandle {
    return this.#add({ atMs: this.#nowMs + intervalMs, everyMs: intervalMs, callback });
  }

  endOfTick(callback: () => void): void {
    this.after(0, callback);
  }

  get timersLeft(): number {
    return this.#due.size;
  }

  /** Moves on by `byMs`, calling back what becomes due, each at its moment. */
  advance(byMs: number): void {
    const untilMs = this.#nowMs + byMs;
    for (;;) {
      const next = this.#earliest();
      if (next === undefined || next.atMs > untilMs) break;
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      if (next.everyMs === undefined) this.#due.delete(next);
      else next.atMs += next.everyMs;
      next.callback();
    }
    this.#nowMs = untilMs;
  }

  #add(due: Due): TimerHandle {
    this.#due.add(due);
    return { cancel: () => this.#due.delete(due) };
  }

  #earliest(): Due | undefined {
    let earliest: Due | undefined;
    for (const due of this.#due) {
      if (earliest === undefined || due.atMs < earliest.atMs) earliest = due;
    }
    return earliest;
  }
}
