// A log of one partition with a listener that keeps everything it is told, for the tests of
// partition-log.ts.
import { expect } from "vitest";
import type { Clock } from "../../src/base/clock.ts";
import { failed, type Failure } from "../../src/base/failure.ts";
import type { Timers } from "../../src/base/timers.ts";
import type { GridIdentity } from "../../src/grid/grid-directory.ts";
import { generationMapName } from "../../src/grid/grid-keys.ts";
import type { CommandEntry } from "../../src/grid/log-record.ts";
import { everyRule } from "../../src/grid/log-rules.ts";
import type { AppendFate } from "../../src/grid/log-state.ts";
import { PartitionLog, type ChainedRecord } from "../../src/grid/partition-log.ts";
import type { ByteMap, Store } from "../../src/grid/store.ts";
import { newMemoryGrid } from "../support/memory-grid.ts";
import { InstantTime } from "./manual-timers.ts";

export const partition = 1;
export const unknown = failed("STORE_TIMEOUT", "no answer");

/** An entry's name is the key that it changes. */
export function entry(name: string): CommandEntry {
  const changes = [{ space: "s", key: name, value: 1 }];
  return { sender: null, number: 0, confirmed: 0, attempt: 0, changes, reply: null };
}

function names(entries: readonly CommandEntry[]): string[] {
  return entries.flatMap(({ changes }) => changes.map(({ key }) => key));
}

export function namesIn(records: readonly ChainedRecord[]): string[] {
  return records.flatMap(({ record: { body } }) =>
    body.type === "changes" ? names(body.entries) : [],
  );
}

interface Stop {
  readonly reason: Failure;
  readonly inFlight: string[];
  readonly fate: AppendFate;
  readonly waiting: string[];
}

/** A log, and everything that it told its listener. */
export class Owner {
  readonly loaded: ChainedRecord[] = [];
  readonly durable: ChainedRecord[] = [];
  readonly batches: string[][] = [];
  readonly serving = Promise.withResolvers<ChainedRecord>();
  readonly ended = Promise.withResolvers<Stop>();
  readonly log: PartitionLog<CommandEntry>;
  stops = 0;
  #settled = 0;
  #watch: { readonly count: number; readonly resolve: () => void } | null = null;

  constructor(
    map: ByteMap,
    identity: GridIdentity,
    token: string,
    time: Timers & Clock = new InstantTime(),
    /** Called in each of the listener's functions, under its name. */
    told: (what: string) => void = () => undefined,
  ) {
    this.log = new PartitionLog<CommandEntry>({
      map,
      timers: time,
      clock: time,
      config: { ...identity, partition, lane: token, token, rules: everyRule },
      listener: {
        reset: () => {
          told("reset");
          this.loaded.splice(0);
        },
        segment: () => told("segment"),
        loaded: (record) => {
          told("loaded");
          this.loaded.push(record);
        },
        serving: (claim) => {
          told("serving");
          this.serving.resolve(claim);
        },
        durable: (record, entries) => {
          told("durable");
          this.durable.push(record);
          this.batches.push(names(entries));
          this.#settle(entries.length);
        },
        stopped: (reason, inFlight, fate, waiting) => {
          this.stops++;
          const stop = { reason, inFlight: names(inFlight), fate, waiting: names(waiting) };
          this.ended.resolve(stop);
          this.#settle(inFlight.length + waiting.length);
        },
      },
    });
  }

  append(...given: string[]): void {
    for (const name of given) this.log.append(entry(name), 100);
  }

  /** Resolves once so many entries were settled in all. */
  settled(count: number): Promise<void> {
    return new Promise((resolve) => {
      this.#watch = { count, resolve };
      this.#settle(0);
    });
  }

  #settle(count: number): void {
    this.#settled += count;
    if (this.#watch !== null && this.#settled >= this.#watch.count) this.#watch.resolve();
  }
}

export async function newGrid(): Promise<{ store: Store; identity: GridIdentity; map: ByteMap }> {
  const { store, identity } = await newMemoryGrid(2);
  return { store, identity, map: store.map(generationMapName(identity.generation)) };
}

/** An owner that serves; a claim that another record beat is tried again, as a lane does. */
export async function newOwner(
  map: ByteMap,
  identity: GridIdentity,
  token: string,
): Promise<Owner> {
  for (let attempt = 1; ; attempt++) {
    const owner = new Owner(map, identity, `${token}.${attempt}`);
    owner.log.open();
    const stop = await Promise.race([owner.serving.promise, owner.ended.promise]);
    if (!("reason" in stop)) return owner;
    expect(stop.reason.code).toBe("CLAIM_BEATEN");
  }
}

/** What the log says, as a later owner loads it. */
export async function journaledNames(map: ByteMap, identity: GridIdentity): Promise<string[]> {
  return namesIn((await newOwner(map, identity, "reader")).loaded);
}
