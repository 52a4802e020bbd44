// Cluster fold: what a partition's entries are after a fold of changes, space by space.
// Owns: the fold (last write wins, a null value deletes) and the comparison of two.
// Does not own: which spaces count. The engine's rows for senders follow from numbers, not from
// changes alone, and of write-only spaces nothing is kept: both are left out.
import { isDeepStrictEqual } from "node:util";
import type { Change, Value } from "../grid/log-record.ts";
import type { Application } from "../processing-units/application.ts";
import { senderSpace } from "../processing-units/internal-spaces.ts";

/** The spaces of which no fold of changes says what is in memory. */
export function unfoldedSpaces({ spaces }: Application): ReadonlySet<string> {
  const writeOnly = spaces.filter((space) => space.writeOnly).map(({ name }) => name);
  return new Set([senderSpace, ...writeOnly]);
}

export class ClusterFold {
  readonly #spaces = new Map<string, Map<string, Value>>();
  readonly #unfolded: ReadonlySet<string>;

  constructor(unfolded: ReadonlySet<string>) {
    this.#unfolded = unfolded;
  }

  apply(changes: readonly Change[]): void {
    for (const { space, key, value } of changes) {
      if (this.#unfolded.has(space)) continue;
      let entries = this.#spaces.get(space);
      if (entries === undefined) this.#spaces.set(space, (entries = new Map<string, Value>()));
      if (value === null) entries.delete(key);
      else entries.set(key, value);
    }
  }

  /** Entries of a space, by key. */
  entries(space: string): ReadonlyMap<string, Value> {
    return this.#spaces.get(space) ?? new Map<string, Value>();
  }

  get spaces(): string[] {
    return [...this.#spaces.keys()];
  }

  /** Where another fold differs, in words; null: nowhere. */
  difference(other: ClusterFold): string | null {
    for (const space of new Set([...this.spaces, ...other.spaces])) {
      const [mine, others] = [this.entries(space), other.entries(space)];
      for (const key of new Set([...mine.keys(), ...others.keys()])) {
        const [one, two] = [mine.get(key), others.get(key)];
        if (!isDeepStrictEqual(one, two)) {
          return `${space}/${key} is ${JSON.stringify(two)}, and should be ${JSON.stringify(one)}`;
        }
      }
    }
    return null;
  }
}
