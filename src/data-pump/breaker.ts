// Breaker: how long to leave a database alone that does not do what it is asked.
// Owns: the three states, the pauses, their jitter. Does not own: timers, what is tried (pump.ts).
// A pure state machine over a seeded random: it replays.
// Invariants (docs/invariants.md):
//   D11. While it is open nothing is asked; then one small call decides for all.
import { limits } from "../base/limits.ts";
import type { Random } from "../base/random.ts";

/**
 * - `closed`: all goes on; a failure is followed by a short pause, longer each time.
 * - `open`: it failed too often in a row: nothing is asked until the pause is over.
 * - `half-open`: one small call is made; it closes the breaker, or opens it again.
 */
export type BreakerState = "closed" | "open" | "half-open";

export class Breaker {
  readonly #random: Random;
  #state: BreakerState = "closed";
  #failures = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  get state(): BreakerState {
    return this.#state;
  }

  /** A call failed. Returns the pause before the next one, in milliseconds. */
  failed(): number {
    this.#failures++;
    if (this.#failures >= limits.breakerFailures) this.#state = "open";
    const doubled = limits.pumpBackoffMsMin * 2 ** Math.min(this.#failures - 1, 20);
    // Lanes that lost the database together must not all come back in the same moment.
    const spread = 0.5 + this.#random.fraction() / 2;
    return Math.min(doubled, limits.pumpBackoffMsMax) * spread;
  }

  /** The pause is over, or somebody cannot wait for its end. */
  resume(): void {
    if (this.#state === "open") this.#state = "half-open";
  }

  /** A call did what it was to do. */
  succeeded(): void {
    this.#state = "closed";
    this.#failures = 0;
  }
}
