// Script memory: the memory of a scripted lane, which can be copied and compared as its states are.
// Owns: entries, marks and rounds, as src/processing-units/partition-memory.ts has them.
// Does not own: when what is encoded (log-script.ts).
import type { CheckpointMemory } from "../grid/checkpoint-memory.ts";
import { DirtyKeys, type KeySet } from "../grid/dirty-keys.ts";
import type { Change } from "../grid/log-record.ts";
import { FoldedState } from "./folded-state.ts";

type Place = readonly [space: string, key: string];

export class ScriptMemory implements CheckpointMemory {
  #state = new FoldedState();
  #dirty = new DirtyKeys();
  #round: readonly Place[] = [];

  clone(): ScriptMemory {
    const copy = new ScriptMemory();
    copy.#state = this.#state.clone();
    copy.#dirty = this.#dirty.clone();
    copy.#round = this.#round;
    return copy;
  }

  /** Equal for memories that go on alike. */
  get fingerprint(): string {
    return `${this.#state.digest};${this.#dirty.fingerprint};${this.#round.join()}`;
  }

  get digest(): string {
    return this.#state.digest;
  }

  /** One for each entry: sizes here are counts. */
  get bytes(): number {
    return this.#state.changes().length;
  }

  apply(changes: readonly Change[]): void {
    this.#state.apply(changes);
    for (const { space, key } of changes) this.#dirty.mark(space, key);
  }

  loadSegment(changes: readonly Change[]): void {
    this.#state.apply(changes);
  }

  loadCheckpoint(delta: readonly Change[]): void {
    this.#dirty.clear();
    this.apply(delta);
  }

  beginRound(everything: boolean): void {
    const marked = placesIn(this.#dirty.beginRound());
    this.#round = everything
      ? this.#state.changes().map(({ space, key }): Place => [space, key])
      : marked;
  }

  slice(count: number): readonly Change[] {
    const places = this.#round.slice(0, count);
    this.#round = this.#round.slice(count);
    return this.#now(places);
  }

  delta(): readonly Change[] {
    return this.#now(placesIn(this.#dirty.open));
  }

  encoded(): void {
    this.#dirty.encoded();
  }

  givenUp(): void {
    this.#dirty.giveUp();
  }

  #now(places: readonly Place[]): Change[] {
    return places.map(([space, key]) => this.#state.change(space, key));
  }
}

function placesIn(keys: KeySet): Place[] {
  return [...keys].flatMap(([space, names]) => [...names].map((key): Place => [space, key]));
}
