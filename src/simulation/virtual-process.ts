// Virtual process: something that lives in virtual time and can pause and die, as a thread or a
// machine does. Everything that reaches it (a timer, an answer) comes through `deliver`.
// Owns: that gate, and the process's wall clock, which may be wrong and may jump.
// Does not own: what runs inside; what it has sent away already, which goes on without it.
import type { Clock } from "../base/clock.ts";
import type { TimerHandle, Timers } from "../base/timers.ts";
import type { VirtualTime } from "./virtual-time.ts";

export class VirtualProcess {
  readonly #time: VirtualTime;
  #state: "running" | "paused" | "dead" = "running";
  #held: (() => void)[] = [];
  readonly #whenKilled: (() => void)[] = [];
  /** How far its wall clock is off, in milliseconds; whoever plays with it sets it. */
  wallOffsetMs = 0;

  readonly clock: Clock = {
    wallMs: () => this.#time.clock.wallMs() + this.wallOffsetMs,
    monotonicMs: () => this.#time.nowMs,
  };

  readonly timers: Timers = {
    after: (delayMs, callback) => this.#after(delayMs, callback),
    every: (intervalMs, callback) => {
      // However many times it would have come during a pause, it comes once after it.
      let due = false;
      let live = true;
      const timer = this.#time.timers.every(intervalMs, () => {
        if (due) return;
        due = true;
        this.deliver(() => {
          due = false;
          if (live) callback();
        });
      });
      return {
        cancel: () => {
          live = false; // it may be held already
          timer.cancel();
        },
      };
    },
    endOfTick: (callback) => {
      this.#after(0, callback);
    },
  };

  constructor(time: VirtualTime) {
    this.#time = time;
  }

  get state(): "running" | "paused" | "dead" {
    return this.#state;
  }

  /** Runs `callback` now, or once it goes on, or never. */
  deliver(callback: () => void): void {
    if (this.#state === "running") callback();
    else if (this.#state === "paused") this.#held.push(callback);
  }

  pause(): void {
    if (this.#state === "running") this.#state = "paused";
  }

  /** Goes on; what was held meanwhile arrives in its order, each as an event of its own. */
  resume(): void {
    if (this.#state !== "paused") return;
    this.#state = "running";
    const held = this.#held;
    this.#held = [];
    for (const callback of held) this.#after(0, callback);
  }

  /** Ends it, as kill -9 does: nothing runs in it any more. */
  kill(): void {
    if (this.#state === "dead") return;
    this.#state = "dead";
    this.#held = [];
    for (const callback of this.#whenKilled) callback();
  }

  /** Calls back when it dies: what an operating system does for its dead, not the process. */
  whenKilled(callback: () => void): void {
    this.#whenKilled.push(callback);
  }

  #after(delayMs: number, callback: () => void): TimerHandle {
    let live = true;
    const timer = this.#time.after(delayMs, () => {
      this.deliver(() => {
        if (live) callback();
      });
    });
    return {
      cancel: () => {
        live = false; // it may be held already
        timer.cancel();
      },
    };
  }
}
