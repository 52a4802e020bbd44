// Port store: a store that lives in one thread, used by others over MessagePorts.
// Owns: both ends of a port: `serveStore` beside the store, `PortStore` in the other thread.
// Does not own: the store behind it; the ports' life (a port closes when its thread dies).
// Calls of one tick leave as one block, and so do answers. What waits here is bounded by its
// callers: a partition has one append in flight, and readers read in slices.
// Invariants (docs/invariants.md):
//   S2. Whatever happens to the port or to the other thread, each call is answered.
import type { MessagePort } from "node:worker_threads";
import { must, unreachable } from "../../base/assert.ts";
import { failpoint } from "../../base/failpoints.ts";
import { failed, failureKinds, ok, type FailureCode, type Outcome } from "../../base/failure.ts";
import { withDeadline, type Timers } from "../../base/timers.ts";
import type { ByteMap, Store } from "../store.ts";
import { decodeItems, encodeItems, type PortItem } from "./port-frames.ts";

const calls = ["get", "getMany", "put", "putIfAbsent", "replaceIfSame", "delete"] as const;
type CallName = (typeof calls)[number];

/** An answer's tag: failed (code, message), a boolean, a value or null, a list of them. */
const answers = { failed: 0, no: 1, yes: 2, value: 3, list: 4 } as const;

type Definite = null | boolean | Buffer | (Buffer | null)[];

/** Collects the items of one tick into one block. */
class PortWriter {
  readonly #port: MessagePort;
  readonly #timers: Timers;
  #items: PortItem[] = [];

  constructor(port: MessagePort, timers: Timers) {
    this.#port = port;
    this.#timers = timers;
  }

  add(item: PortItem): void {
    if (this.#items.length === 0) {
      this.#timers.endOfTick(() => {
        const block = encodeItems(this.#items);
        this.#items = [];
        this.#port.postMessage(block, [block.buffer]); // nothing, where the port has closed
      });
    }
    this.#items.push(item);
  }
}

class PortMap implements ByteMap {
  readonly #store: PortStore;
  readonly #name: Buffer;

  constructor(store: PortStore, name: string) {
    this.#store = store;
    this.#name = Buffer.from(name);
  }

  get(key: Buffer, deadlineMs: number): Promise<Outcome<Buffer | null>> {
    return this.#call("get", [key], deadlineMs);
  }

  getMany(keys: readonly Buffer[], deadlineMs: number): Promise<Outcome<(Buffer | null)[]>> {
    return this.#call("getMany", keys, deadlineMs);
  }

  put(key: Buffer, value: Buffer, deadlineMs: number): Promise<Outcome<null>> {
    return this.#call("put", [key, value], deadlineMs);
  }

  putIfAbsent(key: Buffer, value: Buffer, deadlineMs: number): Promise<Outcome<Buffer | null>> {
    return this.#call("putIfAbsent", [key, value], deadlineMs);
  }

  replaceIfSame(
    key: Buffer,
    expected: Buffer,
    value: Buffer,
    deadlineMs: number,
  ): Promise<Outcome<boolean>> {
    return this.#call("replaceIfSame", [key, expected, value], deadlineMs);
  }

  delete(key: Buffer, deadlineMs: number): Promise<Outcome<null>> {
    return this.#call("delete", [key], deadlineMs);
  }

  // The other end calls the method of the same name: its answer has that method's type.
  #call<T extends Definite>(
    name: CallName,
    parts: readonly Buffer[],
    deadlineMs: number,
  ): Promise<Outcome<T>> {
    const tag = calls.indexOf(name);
    return this.#store.call(tag, [this.#name, ...parts], deadlineMs) as Promise<Outcome<T>>;
  }
}

/** The store behind `port`, which another thread serves with `serveStore`. */
export class PortStore implements Store {
  readonly #port: MessagePort;
  readonly #timers: Timers;
  readonly #writer: PortWriter;
  readonly #pending = new Map<number, (outcome: Outcome<Definite>) => void>();
  #lastId = 0;
  #closed = false;

  constructor(port: MessagePort, timers: Timers) {
    this.#port = port;
    this.#timers = timers;
    this.#writer = new PortWriter(port, timers);
    port.on("message", (block: Uint8Array) => this.#answered(block));
    port.on("close", () => this.#portClosed());
  }

  map(name: string): ByteMap {
    return new PortMap(this, name);
  }

  close(): Promise<void> {
    this.#portClosed();
    this.#port.close();
    return Promise.resolve();
  }

  /** One call over the port; it settles by its deadline, or when the port closes. */
  call(tag: number, parts: readonly Buffer[], deadlineMs: number): Promise<Outcome<Definite>> {
    if (this.#closed) return Promise.resolve(this.#gone());
    const id = ++this.#lastId;
    const answered = new Promise<Outcome<Definite>>((resolve) => {
      this.#pending.set(id, resolve);
    });
    this.#writer.add({ id, tag, number: Math.ceil(deadlineMs), parts });
    return withDeadline(this.#timers, deadlineMs, answered, () => {
      this.#pending.delete(id);
      return failed("STORE_TIMEOUT", `the store did not answer within ${deadlineMs} ms`);
    });
  }

  #answered(block: Uint8Array): void {
    for (const item of decodeItems(block)) {
      const resolve = this.#pending.get(item.id);
      if (resolve === undefined) continue; // its deadline has passed
      this.#pending.delete(item.id);
      resolve(readAnswer(item));
    }
  }

  #portClosed(): void {
    this.#closed = true;
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const resolve of pending) resolve(this.#gone());
  }

  #gone(): Outcome<never> {
    return failed("STORE_UNAVAILABLE", "the thread that holds the store is gone, or closed it");
  }
}

function readAnswer(item: PortItem): Outcome<Definite> {
  switch (item.tag) {
    case answers.failed: {
      const [code = null, message = null] = item.parts;
      const named = String(code) as FailureCode;
      return failed(named in failureKinds ? named : "STORE_UNAVAILABLE", String(message));
    }
    case answers.no:
      return ok(false);
    case answers.yes:
      return ok(true);
    case answers.value:
      return ok(item.parts[0] ?? null);
    default:
      return ok([...item.parts]);
  }
}

function writeAnswer(id: number, outcome: Outcome<Definite>): PortItem {
  if (!outcome.ok) {
    const { code, message } = outcome.failure;
    const parts = [Buffer.from(code), Buffer.from(message)];
    return { id, tag: answers.failed, number: 0, parts };
  }
  const { value } = outcome;
  if (typeof value === "boolean") {
    return { id, tag: value ? answers.yes : answers.no, number: 0, parts: [] };
  }
  if (Array.isArray(value)) return { id, tag: answers.list, number: 0, parts: value };
  return { id, tag: answers.value, number: 0, parts: [value] };
}

function perform(store: Store, item: PortItem): Promise<Outcome<Definite>> {
  const [name, ...rest] = item.parts.map((part) => must(part, "a call has no empty parts"));
  const map = store.map(must(name, "a call names its map").toString());
  const part = (index: number): Buffer => must(rest[index], "a call has all its parts");
  const call = must(calls[item.tag], "a call of this version");
  switch (call) {
    case "get":
      return map.get(part(0), item.number);
    case "getMany":
      return map.getMany(rest, item.number);
    case "put":
      return map.put(part(0), part(1), item.number);
    case "putIfAbsent":
      return map.putIfAbsent(part(0), part(1), item.number);
    case "replaceIfSame":
      return map.replaceIfSame(part(0), part(1), part(2), item.number);
    case "delete":
      return map.delete(part(0), item.number);
    default:
      return unreachable(call);
  }
}

/** Serves a store to the thread at the other end of `port`, until either end closes it. */
export function serveStore(store: Store, port: MessagePort, timers: Timers): void {
  const writer = new PortWriter(port, timers);
  port.on("message", (block: Uint8Array) => {
    for (const item of decodeItems(block)) {
      void perform(store, item).then((outcome) => {
        if (calls[item.tag] === "putIfAbsent") failpoint("store.stored");
        writer.add(writeAnswer(item.id, outcome));
      });
    }
  });
}
