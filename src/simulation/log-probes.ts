// Log probes: how often the rare paths of the log's machines were reached, seen from their calls.
// Owns: the counters, and how a path is named: `phase → phase`, a Write with its stage.
// Does not own: what must be reached (tests/simulation/log-run.test.ts says so). A simulation
// that never reaches a path proves nothing about it.
import type { CheckpointPhase } from "../grid/checkpoint-state.ts";
import type { LogPhase } from "../grid/log-state.ts";
import type { ByteMap } from "../grid/store.ts";

type Phase = LogPhase | CheckpointPhase;

function nameOf(phase: Phase): string {
  return "write" in phase ? `${phase.name}.${phase.write.stage}` : phase.name;
}

/** The phase gone to; another record than before means that the first one was durable. */
function target(before: Phase, phase: Phase): string {
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

  /** A map that notes, at each call of one machine, which phase follows which. */
  watched(map: ByteMap, state: () => { readonly phase: Phase } | null): ByteMap {
    let before: Phase | null = null;
    const note = (): void => {
      const phase = state()?.phase ?? null;
      if (phase === null) return;
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
      // Many leave together.
      delete: (key, deadlineMs) =>
        (state()?.phase === before ? map : noted()).delete(key, deadlineMs),
    };
  }
}
