// A store with a layer above it that decides what becomes of each call: forwarded, lost, held
// back, or done without an answer.
import type { Outcome } from "../../src/base/failure.ts";
import type { ByteMap, Store } from "../../src/grid/store.ts";

export interface LayeredCall {
  readonly map: string;
  readonly op: keyof ByteMap;
  readonly key: Buffer | null;
}

/** What becomes of a call; `forward` hands it to the store below. */
export type Layer = <T>(
  call: LayeredCall,
  forward: () => Promise<Outcome<T>>,
) => Promise<Outcome<T>>;

export class LayeredStore implements Store {
  readonly #below: Store;
  readonly #layer: Layer;

  constructor(below: Store, layer: Layer) {
    this.#below = below;
    this.#layer = layer;
  }

  map(name: string): ByteMap {
    const below = this.#below.map(name);
    const layer = this.#layer;
    const call = (op: keyof ByteMap, key: Buffer | null): LayeredCall => ({ map: name, op, key });
    return {
      get: (key, ms) => layer(call("get", key), () => below.get(key, ms)),
      getMany: (keys, ms) => layer(call("getMany", null), () => below.getMany(keys, ms)),
      put: (key, value, ms) => layer(call("put", key), () => below.put(key, value, ms)),
      putIfAbsent: (key, value, ms) =>
        layer(call("putIfAbsent", key), () => below.putIfAbsent(key, value, ms)),
      replaceIfSame: (key, expected, value, ms) =>
        layer(call("replaceIfSame", key), () => below.replaceIfSame(key, expected, value, ms)),
      delete: (key, ms) => layer(call("delete", key), () => below.delete(key, ms)),
    };
  }

  close(): Promise<void> {
    return this.#below.close();
  }
}
