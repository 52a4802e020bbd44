// Held map: a byte map whose calls of one kind can be held back and let go, so that a test
// decides what happens between a call and its answer.
import type { Outcome } from "../../src/base/failure.ts";
import type { ByteMap } from "../../src/grid/store.ts";

type Operation = keyof ByteMap;

export class HeldMap implements ByteMap {
  readonly #map: ByteMap;
  readonly #held = new Map<Operation, (() => void)[]>();
  readonly #watchers: { readonly operation: Operation; readonly resolve: () => void }[] = [];

  constructor(map: ByteMap) {
    this.#map = map;
  }

  /** From here on calls of this kind wait. */
  hold(operation: Operation): void {
    this.#held.set(operation, []);
  }

  /** Resolves when a call of this kind waits. */
  waiting(operation: Operation): Promise<void> {
    if ((this.#held.get(operation)?.length ?? 0) > 0) return Promise.resolve();
    return new Promise((resolve) => this.#watchers.push({ operation, resolve }));
  }

  /** Lets go of those that wait, and of all that come. */
  release(operation: Operation): void {
    const calls = this.#held.get(operation) ?? [];
    this.#held.delete(operation);
    for (const call of calls) call();
  }

  get(key: Buffer, deadlineMs: number) {
    return this.#pass("get", () => this.#map.get(key, deadlineMs));
  }

  getMany(keys: readonly Buffer[], deadlineMs: number) {
    return this.#pass("getMany", () => this.#map.getMany(keys, deadlineMs));
  }

  put(key: Buffer, value: Buffer, deadlineMs: number) {
    return this.#pass("put", () => this.#map.put(key, value, deadlineMs));
  }

  putIfAbsent(key: Buffer, value: Buffer, deadlineMs: number) {
    return this.#pass("putIfAbsent", () => this.#map.putIfAbsent(key, value, deadlineMs));
  }

  replaceIfSame(key: Buffer, expected: Buffer, value: Buffer, deadlineMs: number) {
    return this.#pass("replaceIfSame", () =>
      this.#map.replaceIfSame(key, expected, value, deadlineMs),
    );
  }

  delete(key: Buffer, deadlineMs: number) {
    return this.#pass("delete", () => this.#map.delete(key, deadlineMs));
  }

  #pass<T>(operation: Operation, call: () => Promise<Outcome<T>>): Promise<Outcome<T>> {
    const held = this.#held.get(operation);
    if (held === undefined) return call();
    return new Promise((resolve, reject) => {
      held.push(() => {
        call().then(resolve, reject);
      });
      for (const watcher of this.#watchers) {
        if (watcher.operation === operation) watcher.resolve();
      }
    });
  }
}
