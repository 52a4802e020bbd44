// Partition world: one partition that any number of owners claim over one store in virtual time,
// and senders that number their commands, repeat them at any owner, and write down every answer.
// The store delays calls, loses them, or does them without a word; owners crash at any moment.
import { expect } from "vitest";
import { Type } from "typebox";
import { failed, failure, type Outcome } from "../../src/base/failure.ts";
import { seededRandom, type Random } from "../../src/base/random.ts";
import { entriesOf, type Value } from "../../src/grid/log-record.ts";
import type { ChainedRecord } from "../../src/grid/partition-log.ts";
import type { ByteMap } from "../../src/grid/store.ts";
import { command, space, type Application } from "../../src/processing-units/application.ts";
import { requestSpace, senderSpace } from "../../src/processing-units/internal-spaces.ts";
import type { Partition } from "../../src/processing-units/partition.ts";
import { VirtualTime } from "../../src/simulation/virtual-time.ts";
import { checkpointByHand } from "./hand-checkpoint.ts";
import { newPartitionGrid, openPartition, type PartitionGrid } from "./partition-kit.ts";

const effects = space<{ readonly count: number }>({ name: "effects" });
const byId = Type.Object({ id: Type.String() });

/** `take` counts an effect under its id, and answers what no other effect is answered with. */
const effectApplication: Application = {
  name: "effects",
  spaces: [effects],
  commands: {
    take: command({
      input: byId,
      routeBy: ({ id }) => id,
      handle(tx, { id }) {
        const nth = (tx.get(effects, "all")?.count ?? 0) + 1;
        tx.put(effects, "all", { count: nth });
        tx.put(effects, id, { count: (tx.get(effects, id)?.count ?? 0) + 1 });
        return nth;
      },
    }),
    look: command({
      input: byId,
      routeBy: ({ id }) => id,
      handle: (tx, { id }) => tx.get(effects, id)?.count ?? 0,
    }),
  },
};

export type StoreFault = "lost" | "silent" | "late";

/** What one owner has of the store. */
class UnrulyMap implements ByteMap {
  readonly #map: ByteMap;
  readonly #time: VirtualTime;
  readonly #random: Random;
  /** What happens to the next writes. */
  readonly faults: StoreFault[] = [];
  crashed = false;

  constructor(map: ByteMap, time: VirtualTime, random: Random) {
    this.#map = map;
    this.#time = time;
    this.#random = random;
  }

  get(key: Buffer, deadlineMs: number) {
    return this.#call(undefined, () => this.#map.get(key, deadlineMs));
  }

  getMany(keys: readonly Buffer[], deadlineMs: number) {
    return this.#call(undefined, () => this.#map.getMany(keys, deadlineMs));
  }

  put(key: Buffer, value: Buffer, deadlineMs: number) {
    return this.#call(this.faults.shift(), () => this.#map.put(key, value, deadlineMs));
  }

  putIfAbsent(key: Buffer, value: Buffer, deadlineMs: number) {
    return this.#call(this.faults.shift(), () => this.#map.putIfAbsent(key, value, deadlineMs));
  }

  replaceIfSame(key: Buffer, expected: Buffer, value: Buffer, deadlineMs: number) {
    return this.#call(this.faults.shift(), () =>
      this.#map.replaceIfSame(key, expected, value, deadlineMs),
    );
  }

  delete(key: Buffer, deadlineMs: number) {
    return this.#call(this.faults.shift(), () => this.#map.delete(key, deadlineMs));
  }

  #call<T>(
    fault: StoreFault | undefined,
    operation: () => Promise<Outcome<T>>,
  ): Promise<Outcome<T>> {
    return new Promise((resolve) => {
      if (this.crashed) return; // nobody is there to call
      const answer = (outcome: Outcome<T>) => {
        if (!this.crashed) resolve(outcome);
      };
      // What was sent arrives, whatever became of the sender.
      const thereMs = this.#random.fraction() * 3 + (fault === "late" ? 40 : 0);
      const backMs = this.#random.fraction() * 3;
      if (fault !== "lost") {
        this.#time.after(thereMs, () => {
          void operation().then((outcome) => {
            if (fault === undefined) this.#time.after(backMs, () => answer(outcome));
          });
        });
      }
      if (fault === undefined) return;
      this.#time.after(10, () => answer(failed("STORE_TIMEOUT", fault)));
    });
  }
}

interface Owner {
  readonly partition: Partition;
  readonly map: UnrulyMap;
}

interface Sent {
  readonly sender: string;
  readonly number: number;
  readonly key: string | null;
  readonly keepsReply: boolean;
  readonly ack: "journal" | "written";
  /** Tries that are not answered, and what those that are were told. */
  underWay: number;
  readonly told: Outcome<Value>[];
  done: boolean;
}

/** What a number is answered whose reply only its sender has. */
const known = "COMMAND_KNOWN";

export class PartitionWorld {
  readonly time: VirtualTime;
  readonly #grid: PartitionGrid;
  readonly #random: Random;
  readonly #owners: Owner[] = [];
  readonly #sent: Sent[] = [];
  /** Records that the database has. */
  #written = 0;
  /** Where each effect is journaled, as far as an owner lived to say so. */
  readonly #positions = new Map<string, number>();
  /** What was answered as written, and up to where the database had the records then. */
  readonly #answeredWritten: { readonly id: string; readonly written: number }[] = [];

  private constructor(time: VirtualTime, grid: PartitionGrid, random: Random) {
    this.time = time;
    this.#grid = grid;
    this.#random = random;
  }

  static async open(seed: number): Promise<PartitionWorld> {
    const time = new VirtualTime();
    return new PartitionWorld(time, await newPartitionGrid(time.clock), seededRandom(seed));
  }

  pass(ms: number): Promise<void> {
    return this.time.run({ untilMs: this.time.nowMs + ms, eventsMax: 100_000 });
  }

  /** Another lane takes over; the owners before it know nothing of it. */
  takeOver(): void {
    const map = new UnrulyMap(this.#grid.map, this.time, this.#random);
    const { clock, timers } = this.time;
    const options = { application: effectApplication, clock, timers, random: this.#random };
    const events = {
      journaled: (_partition: Partition, { record }: ChainedRecord) => {
        for (const change of entriesOf(record.body).flatMap(({ changes }) => changes)) {
          if (change.space === effects.name) this.#positions.set(change.key, record.position);
        }
      },
    };
    const { partition } = openPartition({ ...this.#grid, map }, events, options);
    this.#owners.push({ partition, map });
  }

  handOver(which: number): void {
    this.#owner(which)?.partition.leave();
    this.takeOver();
  }

  /** It stops at an assertion, with whatever is in flight, and opens again. */
  stop(which: number): void {
    this.#owner(which)?.partition.log.close(failure("PARTITION_STOPPED", "planted"));
  }

  crash(which: number): void {
    const owner = this.#owner(which);
    if (owner === undefined) return;
    owner.map.crashed = true;
    this.#owners.splice(this.#owners.indexOf(owner), 1);
  }

  fault(which: number, fault: StoreFault): void {
    this.#owner(which)?.map.faults.push(fault);
  }

  /** The database gets what an owner knows to be journaled. */
  write(which: number): void {
    this.#written = Math.max(this.#written, this.#owner(which)?.partition.journaled ?? 0);
  }

  /** An owner, perhaps one of before, hears what the database has. */
  hear(which: number): void {
    this.#owner(which)?.partition.written(this.#written);
  }

  send(which: number, sender: string, key: string | null, reply: boolean, ack: Sent["ack"]): void {
    const before = this.#sent.filter((sent) => sent.sender === sender).length;
    const told: Outcome<Value>[] = [];
    const rest = { key, keepsReply: reply, ack, underWay: 0, told, done: false };
    const sent = { sender, number: before + 1, ...rest };
    this.#sent.push(sent);
    this.#give(sent, which);
  }

  /** Sends a command once more, perhaps one that was answered, perhaps to an owner of before. */
  repeat(which: number, command: number): void {
    const sent = this.#sent[command % Math.max(1, this.#sent.length)];
    if (sent !== undefined) this.#give(sent, which);
  }

  /** Its sender waits no longer; whatever comes is too late. */
  giveUp(command: number): void {
    const sent = this.#sent[command % Math.max(1, this.#sent.length)];
    if (sent !== undefined) sent.done = true;
  }

  /** Somebody takes over, checkpoints, trims, and goes; the owners know nothing of it. */
  async checkpoint(): Promise<void> {
    await checkpointByHand(this.#grid, this.time, effectApplication.spaces);
  }

  /** All faults end, and everybody asks once more: what must hold of every command. */
  async settle(): Promise<void> {
    await this.pass(120_000); // claims with nothing between them count for a minute
    for (const { map } of this.#owners) map.faults.length = 0;
    this.takeOver();
    await this.pass(5000);
    const last = this.#owners.length - 1;
    this.#checkRefused();
    for (const sent of this.#sent) if (!sent.done) this.#give(sent, last);
    await this.pass(5000);
    this.write(last);
    this.hear(last);
    this.takeOver();
    await this.pass(5000);
    this.#check();
  }

  #check(): void {
    const [before, after] = this.#owners.slice(-2).map(({ partition }) => partition) as [
      Partition,
      Partition,
    ];
    expect([after.phase, after.reason]).toEqual(["serving", null]);
    const rows = (partition: Partition) =>
      ["effects", senderSpace, requestSpace].map((name) =>
        [...partition.memory.entries(name)].sort(([a], [b]) => (a < b ? -1 : 1)),
      );
    expect(rows(after)).toEqual(rows(before)); // P2
    for (const { id, written } of this.#answeredWritten) {
      expect(written).toBeGreaterThanOrEqual(this.#positions.get(id) ?? 0); // P13
    }
    const counts = new Map(after.memory.entries("effects"));
    for (const sent of this.#sent) {
      const { done, keepsReply, told } = sent;
      const count = (counts.get(idOf(sent)) as { count: number } | undefined)?.count ?? 0;
      expect(count).toBeLessThanOrEqual(1); // P5, P7
      const values = told.flatMap((outcome) => (outcome.ok ? [outcome.value] : []));
      const isKnown = told.some((outcome) => !outcome.ok && outcome.failure.code === known);
      const isSure = values.length > 0 || isKnown;
      if (!done || isSure) expect([isSure, count]).toEqual([true, 1]);
      expect(isKnown && keepsReply).toBe(false);
      expect(new Set(values).size).toBeLessThanOrEqual(1);
    }
  }

  /** P4: who was told, by every owner that had a command, that nothing happened, was told so. */
  #checkRefused(): void {
    const serving = this.#owners.at(-1)?.partition;
    const counts = new Map(serving?.memory.entries("effects"));
    for (const sent of this.#sent) {
      const isRefused = sent.told.every(({ ok }) => !ok) && sent.told.every(isDefinite);
      if (sent.key !== null || sent.underWay > 0 || !isRefused) continue;
      expect(counts.get(idOf(sent))).toBeUndefined();
    }
  }

  #owner(which: number): Owner | undefined {
    return this.#owners[which % Math.max(1, this.#owners.length)];
  }

  #give(sent: Sent, which: number): void {
    const owner = this.#owner(which);
    if (owner === undefined) return;
    const { sender, number, key, keepsReply, ack } = sent;
    sent.underWay++;
    owner.partition.execute({
      command: "take",
      input: { id: idOf(sent) },
      ack,
      read: "local",
      origin: { sender, number, confirmed: this.#confirmed(sender), attempt: 0 },
      keepsReply,
      idempotencyKey: key,
      deadlineAtMs: Number.POSITIVE_INFINITY,
      respond: (outcome) => {
        if (owner.map.crashed) return; // the answer never left
        sent.underWay--;
        sent.told.push(outcome);
        const isKnown = !outcome.ok && outcome.failure.code === known;
        if (ack === "written" && (outcome.ok || isKnown)) {
          this.#answeredWritten.push({ id: idOf(sent), written: this.#written });
        }
        if (outcome.ok) sent.done = true;
      },
    });
  }

  #confirmed(sender: string): number {
    let confirmed = 0;
    for (const sent of this.#sent) {
      if (sent.sender !== sender) continue;
      if (!sent.done) break;
      confirmed = sent.number;
    }
    return confirmed;
  }
}

function idOf({ sender, number, key }: Sent): string {
  return key === null ? `${sender}${String(number)}` : `key ${key}`;
}

function isDefinite(outcome: Outcome<Value>): boolean {
  return outcome.ok || outcome.failure.kind !== "unknown";
}
