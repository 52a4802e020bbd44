// Lane: one event loop that owns partitions, routes commands to their owners and runs its own.
// Owns: its partitions, commands in flight that entered here, their deadlines.
// Does not own: threads and sockets (lane-worker.ts), HTTP (edge.ts), who owns what
// (messaging-grid). Nothing here knows whether it runs in a thread or in a simulation.
// Invariants (docs/invariants.md):
//   E1. Every command is answered exactly once, at its deadline at the latest.
//   E2. At a limit the answer is OVERLOADED, at once; nothing is dropped in silence.
import { assert, must } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import { failed, failure, type Failure, type Outcome } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import { partitionOf } from "../base/murmur3.ts";
import type { Random } from "../base/random.ts";
import { withDeadline, type Timers } from "../base/timers.ts";
import type { Pump } from "../data-pump/pump.ts";
import type { GridIdentity } from "../grid/grid-directory.ts";
import { generationMapName } from "../grid/grid-keys.ts";
import type { Value } from "../grid/log-record.ts";
import type { ChainedRecord } from "../grid/partition-log.ts";
import type { Store } from "../grid/store.ts";
import type { CommandRequest } from "../messaging-grid/frames.ts";
import type { Messenger } from "../messaging-grid/messenger.ts";
import type { OwnerTable } from "../messaging-grid/owner-table.ts";
import type { Application, Entry, Space } from "./application.ts";
import type { SubmitOptions } from "./edge-context.ts";
import { Partition } from "./partition.ts";
import type { Respond } from "./partition-request.ts";
import type { PartitionStatus } from "./unit-status.ts";

/** What happens in a lane, for its log and its supervisor. */
export interface LaneListener {
  serving(partition: number, epoch: number): void;
  stopped(partition: number, reason: Failure, halted: boolean): void;
}

export interface LaneOptions {
  readonly lane: number;
  /** Name of the lane in claims and logs. */
  readonly address: string;
  readonly incarnation: string;
  readonly identity: GridIdentity;
  readonly store: Store;
  readonly application: Application;
  readonly owners: OwnerTable;
  readonly messenger: Messenger;
  /** null: there is no database. */
  readonly pump: Pump | null;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly listener: LaneListener;
}

export interface LaneCounts {
  /** Commands that entered the grid in this lane. */
  commands: number;
  appends: number;
  journaledBytes: number;
}

const unnumbered = {
  read: "local",
  origin: null,
  keepsReply: false,
  idempotencyKey: null,
} as const;

export class Lane {
  readonly #options: LaneOptions;
  readonly #partitions = new Map<number, Partition>();
  readonly #counts: LaneCounts = { commands: 0, appends: 0, journaledBytes: 0 };
  #inFlight = 0;
  #draining = false;
  #drained: (() => void) | null = null;
  #settled: (() => void) | null = null;

  constructor(options: LaneOptions) {
    this.#options = options;
    const map = options.store.map(generationMapName(options.identity.generation));
    for (const number of options.owners.ownedBy(options.lane)) {
      const partition = new Partition({
        ...options,
        partition: number,
        lane: options.address,
        map,
        events: {
          serving: (which, claim) => {
            this.#serving(which, claim);
          },
          journaled: (which, record, bytes) => {
            this.#journaled(which, record, bytes);
          },
          released: () => undefined,
          stopped: (which, reason) => {
            this.#stopped(which, reason);
          },
        },
        acknowledged: () => 0,
        mayServeLocal: () => true,
        isFull: () => false,
      });
      this.#partitions.set(number, partition);
    }
  }

  get counts(): Readonly<LaneCounts> {
    return this.#counts;
  }

  /** Commands that entered here and are not answered yet. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Claims the partitions that this lane owns. */
  open(): void {
    for (const partition of this.#partitions.values()) partition.open();
  }

  /**
   * Runs a command in the lane that owns its partition; responds exactly once. Fails with
   * COMMAND_UNKNOWN, INPUT_INVALID (routing key), OVERLOADED, SHUTTING_DOWN, PARTITION_STARTING,
   * DEADLINE_EXCEEDED, LANE_LOST, or as the partition does.
   */
  submit(name: string, input: Value, options: SubmitOptions, respond: Respond): void {
    const { application, identity, owners, messenger, clock, timers, lane } = this.#options;
    const definition = application.commands[name];
    if (definition === undefined) {
      respond(failed("COMMAND_UNKNOWN", `there is no command ${name}`));
      return;
    }
    const refusal = this.#refusal();
    if (refusal !== null) {
      respond(refusal);
      return;
    }
    const key = definition.routeBy(input);
    if (typeof key !== "string" || Buffer.byteLength(key) > limits.keyBytesMax) {
      const most = `a string of at most ${String(limits.keyBytesMax)} bytes`;
      respond(failed("INPUT_INVALID", `the routing key of command ${name} must be ${most}`));
      return;
    }
    const partition = partitionOf(key, identity.partitions);
    const deadlineMs = Math.min(
      options.deadlineMs ?? limits.commandDeadlineMs,
      limits.commandDeadlineMsMax,
    );
    this.#inFlight++;
    this.#counts.commands++;
    let settled = false;
    const settle = (outcome: Outcome<Value>) => {
      if (settled) return; // the deadline was first, and has answered
      settled = true;
      timer.cancel();
      this.#inFlight--;
      respond(outcome); // E1
      if (this.#inFlight === 0) this.#drained?.();
    };
    const timer = timers.after(deadlineMs, () => {
      const passed = `no answer within ${String(deadlineMs)} ms; the change may have happened`;
      settle(failed("DEADLINE_EXCEEDED", passed));
    });
    const ack = options.ack ?? "journal";
    const correlationId = options.correlationId ?? null;
    const owner = owners.ownerOf(partition);
    if (owner !== lane && !messenger.reaches(owner)) {
      settle(failed("PARTITION_STARTING", `lane ${String(owner)} is being started; try again`));
      return;
    }
    if (owner === lane) {
      const deadlineAtMs = clock.monotonicMs() + deadlineMs;
      this.#partition(partition).execute({
        ...unnumbered,
        command: name,
        input,
        ack,
        deadlineAtMs,
        respond: settle,
      });
      return;
    }
    const request = { command: name, input, partition, deadlineMs, ack, correlationId };
    messenger.send(owner, request, settle);
  }

  /** A command that another lane sent here because this one owns its partition. */
  receive(request: CommandRequest, respond: Respond): void {
    const partition = this.#partitions.get(request.partition);
    if (partition === undefined) {
      const where = `lane ${String(this.#options.lane)}`;
      respond(failed("NOT_OWNER", `${where} does not own partition ${String(request.partition)}`));
      return;
    }
    const deadlineAtMs = this.#options.clock.monotonicMs() + request.deadlineMs;
    const { command, input, ack } = request;
    partition.execute({ ...unnumbered, command, input, ack, deadlineAtMs, respond });
  }

  /** Something may have been lost behind the store: every log confirms what it ends with. */
  checkLogs(): void {
    for (const { log } of this.#partitions.values()) log.check();
  }

  /** Entries of a space in the partitions that serve here, as they are in memory now. */
  *entries<V extends Entry>(space: Space<V>): Generator<readonly [string, V]> {
    assert(!space.writeOnly, () => `space ${space.name} is write-only: nothing can be read`);
    for (const partition of this.#partitions.values()) {
      for (const [key, value] of partition.entries(space.name)) yield [key, value as V];
    }
  }

  /** The state of each partition owned here. */
  partitionStatus(): PartitionStatus[] {
    const { pump } = this.#options;
    return [...this.#partitions.values()].map((partition) => ({
      partition: partition.number,
      phase: partition.phase,
      reason: partition.reason?.message ?? null,
      epoch: partition.epoch,
      journaled: partition.journaled,
      written: pump?.written(partition.number) ?? 0,
    }));
  }

  /** Takes no more commands; resolves when those in flight are answered. */
  drain(): Promise<void> {
    this.#draining = true;
    if (this.#inFlight === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const patience = this.#options.timers.after(limits.drainAnswersMsMax, resolve);
      this.#drained = () => {
        patience.cancel();
        resolve();
      };
    });
  }

  /** Stops all partitions, after `drain`. True when all that is journaled is written. */
  async close(): Promise<boolean> {
    const { pump, timers } = this.#options;
    // What was answered before it was journaled (`x-ack: memory`, a deadline) no longer counts as
    // in flight.
    if (this.#unsettled()) {
      const settled = new Promise<void>((resolve) => (this.#settled = resolve));
      await withDeadline(timers, limits.drainAnswersMsMax, settled, () => undefined);
    }
    const written = pump === null || (await pump.drain(limits.drainPumpMsMax));
    for (const partition of this.#partitions.values()) {
      pump?.detach(partition.number);
      partition.close(failure("SHUTTING_DOWN", "this processing unit is stopping"));
    }
    return written;
  }

  #unsettled(): boolean {
    return [...this.#partitions.values()].some(({ log }) => log.unsettled > 0);
  }

  #refusal(): Outcome<never> | null {
    if (this.#draining) return failed("SHUTTING_DOWN", "this processing unit is stopping");
    if (this.#inFlight < limits.laneCommandsInFlightMax) return null;
    return failed("OVERLOADED", "too many commands are in flight in this lane"); // E2
  }

  #partition(number: number): Partition {
    return must(this.#partitions.get(number), () => `partition ${String(number)} is owned here`);
  }

  #serving(partition: Partition, claim: ChainedRecord): void {
    this.#options.pump?.attach({
      partition: partition.number,
      epoch: partition.epoch,
      tail: () => partition.journaled,
      read: (from, to) => partition.log.read(from, to),
    });
    this.#options.listener.serving(partition.number, claim.record.epoch);
  }

  #journaled(partition: Partition, record: ChainedRecord, bytes: number): void {
    this.#counts.appends++;
    this.#counts.journaledBytes += bytes;
    this.#options.pump?.durable(partition.number, record, bytes);
    this.#settle();
  }

  #stopped(partition: Partition, reason: Failure): void {
    this.#options.pump?.detach(partition.number);
    this.#options.listener.stopped(partition.number, reason, partition.phase === "halted");
    this.#settle();
  }

  #settle(): void {
    if (this.#settled !== null && !this.#unsettled()) this.#settled();
  }

  /** The pump's word that a partition must stop: the database proves that something is wrong. */
  halt(number: number, reason: Failure): void {
    this.#partitions.get(number)?.close(reason);
  }
}
