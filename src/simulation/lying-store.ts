// Lying store: a store in virtual time that does to its callers what a data grid does when its
// members fail: delays, lost requests, answers lost after the fact, operations run twice and much
// later, changes that reached the primary alone, and a primary that dies with them.
// Owns: when a call is executed, how often, on which copies, and what its caller is told.
// Does not own: what the copies hold (replica-store.ts).
// It stays within the stated failure bound: a definite answer to a change means that every live
// copy has it; only `putIfAbsent` that found a value, and `replaceIfSame` that found another, are
// answered from the primary alone.
import { failed, ok, type Outcome } from "../base/failure.ts";
import type { Random } from "../base/random.ts";
import type { ByteMap, Store } from "../grid/store.ts";
import { ReplicaStore, type StoreCall, type StoreValue } from "./replica-store.ts";
import type { TraceHash } from "./trace-hash.ts";
import type { VirtualProcess } from "./virtual-process.ts";
import type { VirtualTime } from "./virtual-time.ts";

/** How often (0–1) and how long the store lies. */
export interface Lies {
  /** The request never arrives. */
  readonly lostRequest: number;
  /** It was executed; its answer never arrives. */
  readonly lostAnswer: number;
  /** A change misses a backup (each by itself): its answer is withheld. */
  readonly missedBackup: number;
  /** A second copy of a change is executed, up to `duplicateMsMax` later. */
  readonly duplicate: number;
  readonly duplicateMsMax: number;
  /** The request arrives only after its caller gave up, up to `duplicateMsMax` later. */
  readonly lateRequest: number;
  /** Of the withheld answers: how many end in a quick error, not at the deadline. */
  readonly quickError: number;
  /** One way through the network, at most. */
  readonly delayMsMax: number;
}

export const honest: Lies = {
  lostRequest: 0,
  lostAnswer: 0,
  missedBackup: 0,
  duplicate: 0,
  duplicateMsMax: 0,
  lateRequest: 0,
  quickError: 0,
  delayMsMax: 1,
};

export class LyingStore {
  readonly #time: VirtualTime;
  readonly #random: Random;
  readonly #trace: TraceHash;
  readonly #copies: ReplicaStore;
  /** What it does from now on; calls under way keep what was decided for them. */
  lies: Lies;
  /** Told when a change missed a backup: the moment at which losing the primary hurts. */
  onMissedBackup: () => void = () => undefined;
  /** Told each call that is executed, when it is, with its result. */
  onExecuted: (map: string, call: StoreCall, value: StoreValue) => void = () => undefined;
  /** While it is full no change is executed, and each is answered unknown. */
  isFull = false;
  readonly #unreachable = new Set<VirtualProcess>();

  constructor(options: {
    time: VirtualTime;
    random: Random;
    trace: TraceHash;
    copies: number;
    lies: Lies;
  }) {
    this.#time = options.time;
    this.#random = options.random;
    this.#trace = options.trace;
    this.#copies = new ReplicaStore(options.copies);
    this.lies = options.lies;
  }

  /** The members behind it: for the faults of a run, and for the oracle to look at. */
  get copies(): ReplicaStore {
    return this.#copies;
  }

  /** The store as one process sees it. */
  connect(process: VirtualProcess): Store {
    return {
      map: (name) => this.#map(process, name),
      close: () => Promise.resolve(),
    };
  }

  /** From now on nothing gets from this process to the store, nor an answer back, or it does. */
  reach(process: VirtualProcess, isReachable: boolean): void {
    if (isReachable) this.#unreachable.delete(process);
    else this.#unreachable.add(process);
  }

  #map(process: VirtualProcess, map: string): ByteMap {
    const call = <T extends StoreValue>(asked: StoreCall, deadlineMs: number) =>
      this.#call<T>(process, map, asked, deadlineMs);
    return {
      get: (key, deadlineMs) => call({ op: "get", key }, deadlineMs),
      getMany: (keys, deadlineMs) => call({ op: "getMany", keys }, deadlineMs),
      put: (key, value, deadlineMs) => call({ op: "put", key, value }, deadlineMs),
      putIfAbsent: (key, value, deadlineMs) => call({ op: "putIfAbsent", key, value }, deadlineMs),
      replaceIfSame: (key, expected, value, deadlineMs) =>
        call({ op: "replaceIfSame", key, expected, value }, deadlineMs),
      delete: (key, deadlineMs) => call({ op: "delete", key }, deadlineMs),
    };
  }

  #call<T extends StoreValue>(
    process: VirtualProcess,
    map: string,
    call: StoreCall,
    deadlineMs: number,
  ): Promise<Outcome<T>> {
    return new Promise((resolve) => {
      const { lies } = this;
      const random = this.#random;
      const thereMs = random.fraction() * lies.delayMsMax;
      const backMs = random.fraction() * lies.delayMsMax;
      let told = false;
      const giveUpMs = random.chance(lies.quickError) ? thereMs + backMs : deadlineMs;
      const unknown = failed("STORE_TIMEOUT", "the store gave no answer");
      const tell = (atMs: number, outcome: Outcome<T>): void => {
        if (told) return;
        told = true;
        patience.cancel();
        this.#time.after(atMs, () => {
          const isHeard = !this.#unreachable.has(process);
          process.deliver(() => resolve(isHeard ? outcome : unknown));
        });
      };
      // A slow store answers after the deadline; by then its caller was told.
      const patience = this.#time.after(deadlineMs, () => tell(0, unknown));
      const isRefused = this.isFull && call.op !== "get" && call.op !== "getMany";
      if (isRefused || this.#unreachable.has(process) || random.chance(lies.lostRequest)) {
        tell(giveUpMs, unknown);
        return;
      }
      let arrivesMs = thereMs;
      if (random.chance(lies.lateRequest)) {
        tell(giveUpMs, unknown);
        arrivesMs += random.fraction() * lies.duplicateMsMax;
      }
      const isAnswerLost = random.chance(lies.lostAnswer);
      this.#time.after(arrivesMs, () => {
        const { value, onAllCopies } = this.#execute(map, call);
        if (onAllCopies && !isAnswerLost) tell(backMs, ok(value as T));
        else tell(Math.max(0, giveUpMs - arrivesMs), unknown);
      });
      if (random.chance(lies.duplicate)) {
        const againMs = arrivesMs + random.fraction() * lies.duplicateMsMax;
        this.#time.after(againMs, () => void this.#execute(map, call));
      }
    });
  }

  #execute(map: string, call: StoreCall): { value: StoreValue; onAllCopies: boolean } {
    const done = this.#copies.execute(
      map,
      call,
      () => !this.#random.chance(this.lies.missedBackup),
    );
    if (!done.onAllCopies) this.onMissedBackup();
    this.onExecuted(map, call, done.value);
    this.#trace.number(this.#time.nowMs);
    this.#trace.text(call.op);
    this.#trace.bytes(call.op === "getMany" ? (call.keys[0] ?? Buffer.alloc(0)) : call.key);
    if (done.value instanceof Buffer) this.#trace.number(done.value.length);
    else this.#trace.text(String(done.onAllCopies));
    return done;
  }
}
