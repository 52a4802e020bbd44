// Virtual time: a clock and timers for any number of processes on one thread, in which nothing
// ever waits. A seed decides every delay, so it decides the order of everything.
// Owns: the event heap, ordered by (time, sequence), and the loop that runs it.
// Does not own: processes that pause and die (virtual-process.ts); what happens in an event.
// Between two events all microtasks run: an event is over when all that it set going rests.
import { assert, must } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import { afterMicrotasks } from "../base/microtasks.ts";
import { systemTimers, type TimerHandle, type Timers } from "../base/timers.ts";

interface Event extends TimerHandle {
  readonly atMs: number;
  readonly sequence: number;
  callback: (() => void) | null;
}

/** The wall clock's reading at virtual time 0: a fixed day, so that a trace repeats. */
const wallStartMs = 1_767_225_600_000;
/** So often the loop lets the system's own events in: a test runner wants to be heard. */
const eventsPerBreath = 50_000;

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.sequence < b.sequence);
}

export class VirtualTime {
  readonly #heap: Event[] = [];
  #nowMs = 0;
  #sequence = 0;
  #events = 0;
  #running = false;

  readonly clock: Clock = {
    wallMs: () => wallStartMs + Math.floor(this.#nowMs),
    monotonicMs: () => this.#nowMs,
  };

  readonly timers: Timers = {
    after: (delayMs, callback) => this.after(delayMs, callback),
    every: (intervalMs, callback) => this.#every(intervalMs, callback),
    endOfTick: (callback) => {
      this.after(0, callback);
    },
  };

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Events that were run so far. */
  get events(): number {
    return this.#events;
  }

  /** Calls back after exactly `delayMs`; calls for the same moment come in their order. */
  after(delayMs: number, callback: () => void): TimerHandle {
    assert(delayMs >= 0, () => `a delay of ${String(delayMs)} ms`);
    const event: Event = {
      atMs: this.#nowMs + delayMs,
      sequence: this.#sequence++,
      callback,
      cancel() {
        event.callback = null;
      },
    };
    this.#push(event);
    return event;
  }

  /**
   * Runs events in their order until none is left up to `untilMs`, or `isDone` says so.
   * Rejects with what an event threw; after `eventsMax` events, as something never comes to rest.
   */
  run(options: { untilMs: number; eventsMax: number; isDone?: () => boolean }): Promise<void> {
    assert(!this.#running, "one loop runs the events");
    this.#running = true;
    const eventsEnd = this.#events + options.eventsMax;
    return new Promise<void>((resolve, reject) => {
      const step = (): void => {
        try {
          if (options.isDone?.() === true || !this.#runNext(options.untilMs)) {
            this.#running = false;
            resolve();
            return;
          }
          assert(this.#events < eventsEnd, () => `no rest after ${String(this.#events)} events`);
        } catch (error) {
          this.#running = false;
          reject(error instanceof Error ? error : new Error(String(error)));
          return;
        }
        if (this.#events % eventsPerBreath === 0) systemTimers.endOfTick(step);
        else afterMicrotasks(step);
      };
      afterMicrotasks(step);
    });
  }

  /** False where no event is left up to that time; then it is that time. */
  #runNext(untilMs: number): boolean {
    for (;;) {
      const next = this.#heap[0];
      if (next === undefined || next.atMs > untilMs) {
        if (Number.isFinite(untilMs)) this.#nowMs = Math.max(this.#nowMs, untilMs);
        return false;
      }
      this.#pop();
      const { callback } = next;
      if (callback === null) continue; // cancelled
      this.#nowMs = next.atMs;
      this.#events++;
      next.callback = null;
      callback();
      return true;
    }
  }

  #every(intervalMs: number, callback: () => void): TimerHandle {
    const again = (): void => {
      timer = this.after(intervalMs, again);
      callback();
    };
    let timer = this.after(intervalMs, again);
    return {
      cancel: () => {
        timer.cancel();
      },
    };
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = must(heap[parent], "a heap has no holes");
      if (!isBefore(event, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = must(heap.pop(), "a heap that is not empty");
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      let smallest = heap[child];
      if (smallest === undefined) break;
      const right = heap[child + 1];
      if (right !== undefined && isBefore(right, smallest)) {
        child++;
        smallest = right;
      }
      if (!isBefore(smallest, last)) break;
      heap[at] = smallest;
      at = child;
    }
    heap[at] = last;
  }
}
