// A partition without an engine: enough to run the demo's handlers, which are pure.
// Owns: spaces as maps, rows of write-only spaces, all or nothing for each command.
import { must } from "../../src/base/assert.ts";
import { newId } from "../../src/base/ids.ts";
import { seededRandom } from "../../src/base/random.ts";
import type { Change, Value } from "../../src/grid/log-record.ts";
import type { Application, Entry, Space } from "../../src/processing-units/application.ts";

export interface Ran {
  readonly reply: Value;
  readonly changes: readonly Change[];
}

export class FakePartition {
  timeMs = 1_700_000_000_000;
  readonly #application: Application;
  readonly #partition: number;
  readonly #random;
  readonly #kept = new Map<string, Map<string, Entry>>();

  /** Names and dice differ with the seed, as those of two grids do. */
  constructor(application: Application, partition: number, seed = 0) {
    this.#application = application;
    this.#partition = partition;
    this.#random = seededRandom(seed).fork(String(partition));
  }

  /** Runs a command; what it throws is thrown here, and changes nothing. */
  run(name: string, input: Value): Ran {
    const command = must(this.#application.commands[name], `command ${name}`);
    const changes = new Map<string, Change>();
    const at = (space: Space, key: string) => `${space.name} ${key}`;
    const reply = command.handle(
      {
        partition: this.#partition,
        timeMs: this.timeMs,
        random: () => this.#random.fraction(),
        id: () => newId(this.#random),
        get: <V extends Entry>(space: Space<V>, key: string): V | undefined => {
          if (space.writeOnly) throw new Error(`${space.name} is write-only`);
          const changed = changes.get(at(space, key));
          if (changed !== undefined) return (changed.value ?? undefined) as V | undefined;
          return this.#kept.get(space.name)?.get(key) as V | undefined;
        },
        put: (space, key, value) => {
          changes.set(at(space, key), { space: space.name, key, value: freeze(value) });
        },
        delete: (space, key) => {
          changes.set(at(space, key), { space: space.name, key, value: null });
        },
      },
      input,
    );
    for (const change of changes.values()) this.#apply(change);
    return { reply, changes: [...changes.values()] };
  }

  /** Entries of a space; of a write-only one, its rows. */
  entries<V extends Entry>(space: Space<V>): ReadonlyMap<string, V> {
    const kept = this.#kept.get(space.name) ?? new Map<string, Entry>();
    return new Map([...kept].map(([key, value]) => [key, value as V]));
  }

  #apply({ space, key, value }: Change): void {
    const entries = this.#kept.get(space) ?? new Map<string, Entry>();
    this.#kept.set(space, entries);
    if (value === null) entries.delete(key);
    else entries.set(key, value as Entry);
  }
}

function freeze<V>(value: V): V {
  if (typeof value === "object" && value !== null) {
    Object.freeze(value);
    for (const inner of Object.values(value)) freeze(inner);
  }
  return value;
}
