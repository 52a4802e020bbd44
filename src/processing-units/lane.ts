// Lane: one event loop that owns partitions, takes commands to their owners and runs its own.
// Owns: its partitions and what becomes of them, its links, the refusal of commands at a limit.
// Does not own: threads and sockets (lane-worker.ts), HTTP (edge.ts), who should own what
// (ownership.ts), commands on their way (command-sender.ts). Nothing here knows whether it runs
// in a thread or in a simulation.
// Invariants (docs/invariants.md):
//   E1. Every command is answered exactly once, at its deadline at the latest.
//   E2. At a limit the answer is OVERLOADED, at once; nothing is dropped in silence.
import { assert } from "../base/assert.ts";
import { failpoint } from "../base/failpoints.ts";
import { failed, failure, type Failure, type Outcome } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import { partitionOf } from "../base/murmur3.ts";
import { withDeadline, type TimerHandle } from "../base/timers.ts";
import type { DeadLetter } from "../data-pump/database.ts";
import { generationMapName } from "../grid/grid-keys.ts";
import type { Value } from "../grid/log-record.ts";
import type { ChainedRecord } from "../grid/partition-log.ts";
import type { OwnedPartition } from "../grid/roster-card.ts";
import type { ByteMap } from "../grid/store.ts";
import type { FrameLink } from "../messaging-grid/frame-link.ts";
import type { CommandOrigin, CommandRequest, Notice } from "../messaging-grid/frames.ts";
import type { Hello } from "../messaging-grid/hello.ts";
import { Messenger } from "../messaging-grid/messenger.ts";
import { OwnerTable } from "../messaging-grid/owner-table.ts";
import { PeerLinks } from "../messaging-grid/peer-links.ts";
import type { Entry, Space } from "./application.ts";
import { CommandSender, type SentCommand } from "./command-sender.ts";
import type { Acknowledgement, SubmitOptions } from "./edge-context.ts";
import { GoneSenders } from "./gone-senders.ts";
import { LaneLeave } from "./lane-leave.ts";
import type { LaneOptions } from "./lane-options.ts";
import { Ownership } from "./ownership.ts";
import { databaseOf } from "./partition-database.ts";
import type { PartitionRequest, Respond } from "./partition-request.ts";
import { Partition } from "./partition.ts";
import type {
  LaneCounts,
  LaneGridStatus,
  PartitionElsewhere,
  PartitionStatus,
} from "./unit-status.ts";

export class Lane {
  readonly #options: LaneOptions;
  readonly #map: ByteMap;
  readonly #owners: OwnerTable;
  readonly #messenger: Messenger;
  readonly #ownership: Ownership;
  readonly #sender: CommandSender;
  readonly #partitions = new Map<number, Partition>();
  readonly #counts: LaneCounts = { commands: 0, appends: 0, journaledBytes: 0 };
  readonly #goneSenders = new GoneSenders();
  #forgetting: TimerHandle | null = null;
  #links: PeerLinks | null = null;
  readonly #leave: LaneLeave;
  #draining = false;

  constructor(options: LaneOptions) {
    this.#options = options;
    const { identity, store, lane, clock, timers } = options;
    this.#map = store.map(generationMapName(identity.generation));
    this.#owners = new OwnerTable(identity.partitions);
    this.#messenger = new Messenger({
      clock,
      timers,
      onRequest: (peer, request, respond) => {
        this.#receive(request, options.listener.received(peer, request, respond));
      },
      onNotice: (peer, notice) => {
        this.#hear(peer, notice);
      },
      onLost: () => undefined,
    });
    this.#sender = new CommandSender({
      incarnation: lane.incarnation,
      owners: this.#owners,
      clock,
      timers,
      deliver: (slot, command, origin, settle) => {
        this.#deliver(slot, command, origin, settle);
      },
      unreachable: (slot) => this.#ownership.unreachable(slot),
    });
    this.#owners.onChange = (partition) => {
      this.#giveWay(partition, this.#owners.epochOf(partition));
      this.#sender.ownerChanged(partition);
      this.#leave.changed();
    };
    this.#leave = new LaneLeave({
      ...options,
      partitions: this.#partitions,
      isWaitedFor: () => this.#ownership.isWaitedFor,
      decideSoon: () => {
        this.#ownership.decideSoon();
      },
    });
    this.#ownership = this.#newOwnership();
  }

  get counts(): Readonly<LaneCounts> {
    return this.#counts;
  }

  /** Commands that entered here and are not answered yet. */
  get inFlight(): number {
    return this.#sender.inFlight;
  }

  /**
   * Takes a slot in the roster; from then on it owns what it should. The slot's number, under
   * which other lanes know this one. Fails with ROSTER_FULL, or as the store does.
   */
  join(): Promise<Outcome<number>> {
    this.#forgetting = this.#options.timers.every(limits.senderCheckMs, () => {
      this.#forgetSenders();
    });
    return this.#ownership.join();
  }

  /** A link that another lane made, or that was made for both. */
  accept(hello: Hello, link: FrameLink): void {
    if (this.#links === null) link.close();
    else this.#links.accept(hello, link);
  }

  /**
   * Runs a command in the lane that owns its partition; responds exactly once. Fails with
   * COMMAND_UNKNOWN, INPUT_INVALID (routing key), OVERLOADED, SHUTTING_DOWN, PARTITION_STARTING,
   * PEER_UNREACHABLE, DEADLINE_EXCEEDED, or as the partition does.
   */
  submit(name: string, input: Value, options: SubmitOptions, respond: Respond): void {
    const { application, identity, clock } = this.#options;
    const definition = application.commands[name];
    if (definition === undefined) {
      respond(failed("COMMAND_UNKNOWN", `there is no command ${name}`));
      return;
    }
    const ack = options.ack ?? "journal";
    const refusal = this.#refusal(ack);
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
    const deadlineMs = Math.min(
      options.deadlineMs ?? limits.commandDeadlineMs,
      limits.commandDeadlineMsMax,
    );
    this.#counts.commands++;
    const command: SentCommand = {
      name,
      input,
      partition: partitionOf(key, identity.partitions),
      ack,
      read: options.read ?? "local",
      idempotencyKey: options.idempotencyKey ?? null,
      correlationId: options.correlationId ?? null,
      deadlineAtMs: clock.monotonicMs() + deadlineMs,
    };
    this.#sender.send(command, respond);
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

  /** The state of each partition that this lane has. */
  partitionStatus(): PartitionStatus[] {
    const { pump } = this.#options;
    return [...this.#partitions.values()].map((each) => ({
      ...each.status,
      written: pump?.written(each.number) ?? 0,
    }));
  }

  /** Partitions that lanes of other units have, as the roster said last. */
  elsewhere(): PartitionElsewhere[] {
    const { unit } = this.#options.lane;
    const others = this.#ownership.entries.filter(({ card }) => card.unit !== unit);
    return others.flatMap(({ card }) => card.owned.map((one) => ({ ...one, lane: card.name })));
  }

  /** This lane among all lanes of the grid. */
  gridStatus(): LaneGridStatus {
    const { slot, isReady, entries } = this.#ownership;
    const starting = [...this.#partitions.values()].some(({ phase }) => phase === "starting");
    return {
      slot,
      lanes: entries.length,
      settled: isReady && !starting && this.#ownership.unheld().length === 0,
      unheld: this.#ownership.unheld(),
      alarms: this.#ownership.alarms(),
    };
  }

  /** The pump's word that the records of a partition up to `position` are in the database. */
  written(number: number, position: number): void {
    this.#partitions.get(number)?.written(position);
    this.#leave.changed();
  }

  /** The pump's word that a change is in the database as a dead letter only. */
  deadLettered(letter: DeadLetter): void {
    this.#partitions.get(letter.partition)?.deadLettered(letter);
  }

  /** The pump's word that a partition cannot go on: the database proves that something is wrong. */
  halt(number: number, reason: Failure): void {
    this.#partitions.get(number)?.close(reason);
  }

  /** Takes no more commands; resolves when those that entered here are answered. */
  async drain(): Promise<void> {
    this.#draining = true;
    if (this.#sender.inFlight === 0) return;
    const idle = new Promise<void>((resolve) => (this.#sender.onIdle = resolve));
    await withDeadline(this.#options.timers, limits.drainAnswersMsMax, idle, () => undefined);
  }

  /**
   * Gives all partitions away and leaves, after `drain` (O4). True when all that is journaled is
   * written to the database.
   */
  async close(): Promise<boolean> {
    this.#ownership.leave();
    const written = await this.#leave.over();
    for (const partition of [...this.#partitions.values()]) {
      this.#options.pump?.detach(partition.number);
      partition.close(failure("SHUTTING_DOWN", "this processing unit is stopping"));
    }
    this.#forgetting?.cancel();
    this.#messenger.close(); // first: it lets out what tells the heirs that they may claim
    await this.#ownership.close();
    return written;
  }

  #forgetSenders(): void {
    const nowMs = this.#options.clock.monotonicMs();
    const alive = this.#ownership.entries.map(({ card }) => card.incarnation);
    this.#goneSenders.see(new Set(alive), nowMs);
    for (const partition of this.#partitions.values()) {
      partition.forgetSenders((sender) => this.#goneSenders.isGone(sender, nowMs));
    }
  }

  #refusal(ack: Acknowledgement): Outcome<never> | null {
    if (this.#draining) return failed("SHUTTING_DOWN", "this processing unit is stopping");
    const { inFlight, writtenInFlight } = this.#sender;
    if (inFlight >= limits.laneCommandsInFlightMax) {
      return failed("OVERLOADED", "too many commands are in flight in this lane"); // E2
    }
    if (ack === "written" && writtenInFlight >= limits.laneWrittenInFlightMax) {
      return failed("OVERLOADED", "too many commands in this lane wait for the database"); // E2
    }
    return null;
  }

  #deliver(slot: number, command: SentCommand, origin: CommandOrigin, settle: Respond): void {
    const { partition, deadlineAtMs } = command;
    if (slot === this.#ownership.slot) {
      const { name, input, ack, read, idempotencyKey } = command;
      this.#execute(partition, {
        command: name,
        input,
        ack,
        read,
        origin,
        keepsReply: false,
        idempotencyKey,
        deadlineAtMs,
        respond: settle,
      });
    } else if (!this.#messenger.reaches(slot)) {
      settle(failed("PEER_UNREACHABLE", `the owner of partition ${partition} is not connected`));
    } else {
      const { name, input, ack, read, idempotencyKey, correlationId } = command;
      const deadlineMs = Math.max(0, deadlineAtMs - this.#options.clock.monotonicMs());
      const rest = { partition, ack, read, idempotencyKey, correlationId };
      this.#messenger.send(slot, { command: name, input, deadlineMs, origin, ...rest }, settle);
    }
  }

  /** A command that another lane sent here because it thinks that this one owns its partition. */
  #receive(request: CommandRequest, respond: Respond): void {
    const deadlineAtMs = this.#options.clock.monotonicMs() + request.deadlineMs;
    this.#execute(request.partition, { ...request, deadlineAtMs, keepsReply: true, respond });
  }

  #execute(number: number, request: PartitionRequest): void {
    const partition = this.#partitions.get(number);
    if (partition === undefined) {
      const where = this.#options.lane.name;
      request.respond(failed("NOT_OWNER", `${where} does not own partition ${String(number)}`));
      return;
    }
    partition.execute(request);
  }

  /**
   * Somebody claimed a partition behind this lane's claim: it owns it no more, whether it has
   * anything to write, and would find out, or not. Who claimed may have released it since: as long
   * as this lane thinks that it has it, nobody would claim it.
   */
  #giveWay(number: number, epoch: number): void {
    const partition = this.#partitions.get(number);
    if (partition?.phase !== "serving" && partition?.phase !== "leaving") return;
    if (epoch <= partition.epoch) return;
    partition.close(failure("NOT_OWNER", `another lane claimed partition ${String(number)}`));
  }

  #hear(peer: number, notice: Notice): void {
    const { partition, epoch } = notice;
    if (partition >= this.#options.identity.partitions) return;
    if (notice.kind === "serving") this.#ownership.heardServing(peer, partition, epoch);
    else if (notice.kind === "overtaken") this.#giveWay(partition, epoch);
    else this.#ownership.heardReleased(partition, epoch);
  }

  #newOwnership(): Ownership {
    const { lane, listener, random } = this.#options;
    return new Ownership({
      ...this.#options,
      map: this.#map,
      owners: this.#owners,
      makeLinks: (slot) => {
        const { clock, timers } = this.#options;
        const hello = { slot, incarnation: lane.incarnation };
        const messenger = this.#messenger;
        const connect: LaneOptions["connect"] = (address, ...who) =>
          this.#options.connect(address, ...who);
        this.#links = new PeerLinks({ hello, clock, timers, random, connect, messenger });
        return this.#links;
      },
      events: {
        held: () => this.#held(),
        claim: (partition) => {
          this.#claim(partition);
        },
        handOver: (partition, to) => {
          this.#leave.handOver(partition, to);
        },
        overtaken: (slot, partition, epoch) => {
          this.#messenger.tell(slot, { kind: "overtaken", partition, epoch });
        },
        leaving: () => [...this.#partitions.values()].filter(({ isLeaving }) => isLeaving).length,
        stoodStill: () => {
          for (const partition of this.#partitions.values()) partition.prove();
        },
        lost: (reason) => {
          for (const partition of [...this.#partitions.values()]) partition.close(reason);
          listener.lost(reason);
        },
      },
    });
  }

  #held(): OwnedPartition[] {
    return [...this.#partitions.values()].map(({ number, phase, epoch, journaled }) => ({
      partition: number,
      epoch: phase === "starting" ? 0 : epoch,
      acknowledged: journaled,
    }));
  }

  #claim(number: number): void {
    const partition = new Partition({
      ...this.#options,
      partition: number,
      lane: this.#options.lane.name,
      incarnation: this.#options.lane.incarnation,
      map: this.#map,
      acknowledged: () => this.#ownership.acknowledged(number),
      mayServeLocal: () => this.#ownership.isFresh,
      ...databaseOf(this.#options.pump, number),
      gridBytesMax: Math.floor(this.#options.gridBytesMax / this.#options.identity.partitions),
      events: {
        loaded: (which, claim) => {
          this.#loaded(which, claim);
        },
        serving: (which, claim) => {
          this.#serving(which, claim);
        },
        journaled: (which, record, bytes) => {
          this.#journaled(which, record, bytes);
        },
        released: (which) => {
          this.#released(which);
        },
        stopped: (which, reason) => {
          this.#stopped(which, reason);
        },
      },
    });
    this.#partitions.set(number, partition);
    partition.open();
  }

  #loaded(partition: Partition, claim: ChainedRecord): void {
    this.#options.pump?.attach({
      partition: partition.number,
      epoch: claim.record.epoch,
      tail: () => partition.journaled,
      trimmedTo: () => partition.trimmedTo,
      bytesAfter: (position) => partition.bytesAfter(position),
      read: (from, to) => partition.log.read(from, to),
    });
  }

  #serving(partition: Partition, claim: ChainedRecord): void {
    const { listener } = this.#options;
    const { number } = partition;
    const { epoch } = claim.record;
    listener.serving(number, epoch);
    this.#owners.learn(number, this.#ownership.slot, epoch);
    this.#messenger.announce({ kind: "serving", partition: number, epoch });
    // A later claim may have been heard of while this one was being loaded.
    this.#options.timers.endOfTick(() => this.#giveWay(number, this.#owners.epochOf(number)));
    if (this.#draining) this.#ownership.decideSoon(); // it came too late: on to somebody else
  }

  #journaled(partition: Partition, record: ChainedRecord, bytes: number): void {
    this.#counts.appends++;
    this.#counts.journaledBytes += bytes;
    this.#options.pump?.durable(partition.number, record, bytes);
    this.#leave.changed();
  }

  #released(partition: Partition): void {
    failpoint("partition.released");
    const { number, epoch, journaled } = partition;
    const to = this.#leave.released(number);
    this.#partitions.delete(number);
    if (to !== "for good") this.#options.pump?.detach(number);
    this.#messenger.announce({ kind: "released", partition: number, epoch });
    this.#ownership.gaveAway({ partition: number, epoch, acknowledged: journaled }, to === "heir");
    this.#options.listener.released(number, epoch);
    this.#leave.changed();
  }

  #stopped(partition: Partition, reason: Failure): void {
    const { pump, listener } = this.#options;
    const { number, phase } = partition;
    pump?.detach(number);
    if (phase === "gone") {
      this.#partitions.delete(number);
      this.#owners.released(number, partition.epoch);
      this.#ownership.doubt(number); // whoever has it says so in a moment
    }
    listener.stopped(number, reason, phase === "halted");
    this.#leave.changed();
  }
}
