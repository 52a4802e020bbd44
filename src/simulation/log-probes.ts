// Log probes: how often the rare paths of the log's machine were reached, seen from its calls.
// Owns: the counters, and how a path is named: `phase → phase`, a Write with its stage.
// Does not own: what must be reached (tests/simulation/log-run.test.ts says so). A simulation
// that never reaches a path proves nothing about it.
import type { LogPhase, LogState } from "../grid/log-state.ts";
import type { ByteMap } from "../grid/store.ts";

function nameOf(phase: LogPhase): string {
  return "write" in phase ? `${phase.name}.${phase.write.stage}` : phase.name;
}

/** The phase gone to; another record than before means that the first one was durable. */
function target(before: LogPhase, phase: LogPhase): string {
  const isNext = "write" in before && "write" in phase && before.write.value !== phase.write.value;
  return isNext ? "the next" : nameOf(phase);
}

export class LogProbes {
  readonly #counts = new Map<string, number>();

  /** How often each path was reached. */
  get counts(): ReadonlyMap<string, number> {
    return this.#counts;
  }

  reached(path: string): void {
    this.#counts.set(path, (this.#counts.get(path) ?? 0) + 1);
  }

  /** Adds another run's counts. */
  add(other: LogProbes): void {
    for (const [path, count] of other.#counts) {
      this.#counts.set(path, (this.#counts.get(path) ?? 0) + count);
    }
  }

  /** A map that notes, at each call of one log, which phase follows which. */
  watched(map: ByteMap, state: () => LogState): ByteMap {
    let before: LogPhase | null = null;
    const note = (): void => {
      const { phase } = state();
      if (before === phase) this.reached(`${nameOf(phase)} repeated`);
      else if (before !== null) this.reached(`${nameOf(before)} → ${target(before, phase)}`);
      before = phase;
    };
    const noted = (): ByteMap => {
      note();
      return map;
    };
    return {
      get: (key, deadlineMs) => noted().get(key, deadlineMs),
      getMany: (keys, deadlineMs) => noted().getMany(keys, deadlineMs),
      put: (key, value, deadlineMs) => map.put(key, value, deadlineMs),
      putIfAbsent: (key, value, deadlineMs) => noted().putIfAbsent(key, value, deadlineMs),
      replaceIfSame: (key, expected, value, deadlineMs) =>
        noted().replaceIfSame(key, expected, value, deadlineMs),
      delete: (key, deadlineMs) => map.delete(key, deadlineMs),
    };
  }
}
