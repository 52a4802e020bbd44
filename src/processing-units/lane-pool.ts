// Lane pool: the threads of one processing unit, one lane each.
// Owns: starting lanes, the links between them, giving them connections in turn, replacing those
// that die, stopping them. Does not own: what they need to start (unit.ts gives each its task).
// Piscina hosts the threads: it starts, watches and replaces them. It is not the request path.
// Invariants (docs/invariants.md):
//   U1. A lane that dies is replaced, in its slot of the roster; its partitions come back from the
//       log.
//   U3. A lane that is stuck is ended, while the unit serves and when it stops.
import type { Socket } from "node:net";
import {
  MessageChannel,
  receiveMessageOnPort,
  type MessagePort,
  type Transferable,
} from "node:worker_threads";
import { Piscina } from "piscina";
import type { Logger } from "pino";
import { must } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import { failed, ok, type Failure, type Outcome } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import type { TimerHandle, Timers } from "../base/timers.ts";
import type { Hello } from "../messaging-grid/hello.ts";
import type { LaneEnd, LaneTask, MessageFromLane, MessageToLane } from "./lane-protocol.ts";
import type { Predecessor } from "./ownership.ts";
import type { LaneStatus, UnitStatus } from "./unit-status.ts";
import { keepRequestsYoung } from "./young-requests.ts";

/** A lane's task with the ports in it, which move to the lane's thread. */
export interface TransferredTask {
  readonly task: LaneTask;
  readonly ports: readonly MessagePort[];
}

export interface LanePoolOptions {
  readonly lanes: number;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Logger;
  /** `predecessor`: the lane that this one replaces, where it had joined the grid. */
  makeTask(lane: number, control: MessagePort, predecessor: Predecessor | null): TransferredTask;
  /** A lane can take connections (again). */
  onReady(): void;
  /** The generation of the grid has ended: no lane of this unit has anything to do any more. */
  onGridEnded(reason: Failure): void;
}

// Piscina derives this from an overload of postMessage that does not take a list.
type TransferList = NonNullable<NonNullable<Parameters<Piscina["run"]>[1]>["transferList"]>;

interface LaneThread {
  readonly lane: number;
  readonly incarnation: string;
  readonly control: MessagePort;
  readonly abort: AbortController;
  readonly startedMs: number;
  ready: boolean;
  /** Its number in the grid; null before it joined. */
  slot: number | null;
  readonly predecessor: Predecessor | null;
  status: LaneStatus | null;
  /** Status intervals since it was last heard of. */
  silentFor: number;
  drained: () => void;
  readonly end: Promise<LaneEnd | null>;
}

// A lane that keeps dying within moments of its start is not replaced for ever at full speed.
const restartDelayMsMin = 10;
const restartDelayMsMax = 5000;
const startedWellMs = 10_000;

export class LanePool {
  readonly #options: LanePoolOptions;
  readonly #pool: Piscina<LaneTask, LaneEnd>;
  readonly #threads = new Map<number, LaneThread>();
  readonly #quickDeaths = new Map<number, number>();
  #next = 0;
  #restarts = 0;
  #stopping = false;
  #started: ((outcome: Outcome<null>) => void) | null = null;
  readonly #watch: TimerHandle;

  constructor(options: LanePoolOptions) {
    this.#options = options;
    keepRequestsYoung();
    this.#pool = new Piscina<LaneTask, LaneEnd>({
      filename: new URL("./lane-worker.ts", import.meta.url).href,
      minThreads: options.lanes,
      maxThreads: options.lanes,
      idleTimeout: Number.POSITIVE_INFINITY,
      atomics: "disabled",
    });
    // A thread may break after its lane ended: there is no task then whose promise would say so.
    this.#pool.on("error", (error: Error) => {
      options.log.error({ error: error.stack }, "a thread broke");
    });
    this.#watch = options.timers.every(limits.laneStatusMs, () => {
      this.#endSilent();
    });
  }

  get restarts(): number {
    return this.#restarts;
  }

  /** The newest status of each lane that has given one. */
  get statuses(): LaneStatus[] {
    const all = [...this.#threads.values()].sort((a, b) => a.lane - b.lane);
    return all.flatMap((thread) => (thread.status === null ? [] : [thread.status]));
  }

  /** Starts all lanes; resolves when no partition is starting any more, or with why one cannot. */
  start(): Promise<Outcome<null>> {
    return new Promise((resolve) => {
      this.#started = resolve;
      for (let lane = 0; lane < this.#options.lanes; lane++) this.#startLane(lane);
    });
  }

  /** Gives a connection to the next lane in turn; false while no lane is ready. */
  place(socket: Socket): boolean {
    for (let tried = 0; tried < this.#options.lanes; tried++) {
      const thread = this.#threads.get(this.#next);
      this.#next = (this.#next + 1) % this.#options.lanes;
      if (thread?.ready !== true) continue;
      const message: MessageToLane = { kind: "socket", socket };
      // Node moves sockets between threads (since 24); its type list does not know it yet.
      thread.control.postMessage(message, [socket as Socket & Transferable]);
      return true;
    }
    return false;
  }

  broadcast(status: UnitStatus): void {
    for (const thread of this.#threads.values()) send(thread, { kind: "status", status });
  }

  /** Ends a lane's thread at once, as a crash would: to see that nothing is lost. */
  kill(lane: number): void {
    this.#threads.get(lane)?.abort.abort();
  }

  /** Drains all lanes, then ends them; true when all that was journaled is written. */
  async stop(): Promise<boolean> {
    this.#stopping = true;
    const threads = [...this.#threads.values()];
    await Promise.all(
      threads.map((thread) => {
        const drained = new Promise<void>((resolve) => {
          thread.drained = resolve;
        });
        send(thread, { kind: "drain" });
        return this.#expect(thread, drained, limits.drainAnswersMsMax + limits.laneEndMsMax);
      }),
    );
    const drainMsMax = limits.drainPumpMsMax + limits.drainFinalMsMax;
    const endMsMax = limits.drainAnswersMsMax + drainMsMax + limits.laneEndMsMax;
    const ends = await Promise.all(
      threads.map((thread) => {
        send(thread, { kind: "stop" });
        return this.#expect(thread, thread.end, endMsMax);
      }),
    );
    this.#watch.cancel();
    await this.#pool.destroy();
    return ends.every((end) => end?.written === true);
  }

  /** What a lane does, or null when it ends; it is ended if it does neither in time (U3). */
  async #expect<T>(thread: LaneThread, sign: Promise<T>, patienceMs: number): Promise<T | null> {
    const patience = this.#options.timers.after(patienceMs, () => {
      this.#endStuck(thread);
    });
    const first = await Promise.race([sign, thread.end.then(() => null)]);
    patience.cancel();
    return first;
  }

  /** Intervals are counted, not time: after a pause of this process no lane is to blame. */
  #endSilent(): void {
    for (const thread of this.#threads.values()) {
      if (!thread.ready) continue;
      thread.silentFor++;
      if (thread.silentFor * limits.laneStatusMs === limits.laneSilenceMsMax)
        this.#endStuck(thread);
    }
  }

  #endStuck(thread: LaneThread): void {
    this.#options.log.error({ lane: thread.lane }, "lane is stuck; its thread is ended");
    thread.abort.abort();
  }

  #startLane(lane: number, predecessor: Predecessor | null = null): void {
    const { clock, log } = this.#options;
    const channel = new MessageChannel();
    const { task, ports } = this.#options.makeTask(lane, channel.port2, predecessor);
    const abort = new AbortController();
    const run = this.#pool.run(task, {
      signal: abort.signal,
      transferList: [channel.port2, ...ports] as MessagePort[] & TransferList,
    });
    const thread: LaneThread = {
      lane,
      incarnation: task.lane.incarnation,
      control: channel.port1,
      abort,
      startedMs: clock.monotonicMs(),
      ready: false,
      slot: null,
      predecessor,
      status: null,
      silentFor: 0,
      drained: () => undefined,
      end: run.then(
        (end) => end,
        (error: unknown) => {
          const what = error instanceof Error ? error.stack : String(error);
          log.error({ lane, error: what }, "lane died");
          return null;
        },
      ),
    };
    channel.port1.on("message", (message: MessageFromLane) => {
      this.#heard(thread, message);
    });
    this.#threads.set(lane, thread);
    void thread.end.then((end) => {
      this.#ended(thread, end);
    });
  }

  #heard(thread: LaneThread, message: MessageFromLane): void {
    switch (message.kind) {
      case "ready":
        thread.ready = true;
        thread.slot = message.slot;
        for (const other of this.#threads.values()) {
          if (other !== thread && other.slot !== null) connect(thread, other);
        }
        this.#options.onReady();
        break;
      case "status":
        thread.status = message.status;
        thread.silentFor = 0;
        if ([...this.#threads.values()].every(isSettled)) this.#settle(ok(null));
        break;
      case "drained":
        thread.drained();
        break;
      case "failed":
        this.#failed(message.failure);
        break;
    }
  }

  #failed(reason: Failure): void {
    const wasStarting = this.#started !== null;
    this.#settle({ ok: false, failure: reason });
    if (wasStarting || reason.code !== "GRID_ENDED" || this.#stopping) return;
    this.#stopping = true; // another thread would only say the same
    this.#options.onGridEnded(reason);
  }

  #ended(thread: LaneThread, end: LaneEnd | null): void {
    thread.ready = false;
    this.#hearLastWords(thread.control);
    thread.control.close();
    if (this.#stopping || end !== null) return;
    const { clock, timers } = this.#options;
    if (this.#started !== null) {
      this.#settle(failed("LANE_FAILED", "a lane died while it started; the log says why"));
      return;
    }
    this.#restarts++;
    const quick = clock.monotonicMs() - thread.startedMs < startedWellMs;
    const deaths = quick ? (this.#quickDeaths.get(thread.lane) ?? 0) + 1 : 0;
    this.#quickDeaths.set(thread.lane, deaths);
    const delayMs = Math.min(restartDelayMsMax, restartDelayMsMin * 2 ** deaths);
    const { slot, incarnation } = thread;
    const dead = slot === null ? thread.predecessor : { slot, incarnation };
    thread.slot = null;
    timers.after(delayMs, () => {
      if (!this.#stopping) this.#startLane(thread.lane, dead);
    });
  }

  /** Why it could not start may still lie in the port when its end is known. */
  #hearLastWords(control: MessagePort): void {
    for (;;) {
      const last = receiveMessageOnPort(control) as { message: MessageFromLane } | undefined;
      if (last === undefined) return;
      if (last.message.kind === "failed") this.#failed(last.message.failure);
    }
  }

  #settle(outcome: Outcome<null>): void {
    this.#started?.(outcome);
    this.#started = null;
  }
}

/** Every partition of the lane serves, or has halted and says why; somebody has the others. */
function isSettled({ status }: LaneThread): boolean {
  return status?.grid.settled === true;
}

function send(thread: LaneThread, message: MessageToLane): void {
  thread.control.postMessage(message);
}

/** A link between two lanes that joined; a lane that was replaced gets new ones. */
function connect(one: LaneThread, other: LaneThread): void {
  const { port1, port2 } = new MessageChannel();
  const toOne: MessageToLane = { kind: "peer", hello: helloOf(other), port: port1 };
  const toOther: MessageToLane = { kind: "peer", hello: helloOf(one), port: port2 };
  one.control.postMessage(toOne, [port1]);
  other.control.postMessage(toOther, [port2]);
}

function helloOf({ slot, incarnation }: LaneThread): Hello {
  return { slot: must(slot, "a lane that joined has a slot"), incarnation };
}
