// Lane worker: the thread that hosts one lane, with its store, its pump and its HTTP server.
// Owns: putting a lane together, and taking it apart. Does not own: anything that a lane does.
// Piscina runs it as one endless task per thread, and replaces a thread that dies.
import { isMainThread } from "node:worker_threads";
import type { Logger } from "pino";
import { assert } from "../base/assert.ts";
import { systemClock } from "../base/clock.ts";
import { FailureError, unwrap, type Failure } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import { systemRandom } from "../base/random.ts";
import { systemTimers } from "../base/timers.ts";
import { PostgresDatabase } from "../data-pump/postgres-database.ts";
import { Pump } from "../data-pump/pump.ts";
import { deleteOldGenerations } from "../grid/generation-cleanup.ts";
import { watchGeneration } from "../grid/generation-pointer.ts";
import { holdsGrid } from "../grid/grid-directory.ts";
import type { Store } from "../grid/store.ts";
import { openStore } from "../grid/stores/open-store.ts";
import { PortStore } from "../grid/stores/port-store.ts";
import type { FrameLink } from "../messaging-grid/frame-link.ts";
import type { Hello } from "../messaging-grid/hello.ts";
import { PortLink } from "../messaging-grid/port-link.ts";
import { connectLink } from "../messaging-grid/ws-client.ts";
import {
  listenForLinks,
  type WsServer,
  type WsServerOptions,
} from "../messaging-grid/ws-server.ts";
import type { Application } from "./application.ts";
import type { EdgeHooks } from "./edge-context.ts";
import { Edge } from "./edge.ts";
import { openLog } from "./lane-log.ts";
import { LaneMonitor } from "./lane-monitor.ts";
import type { LaneEnd, LaneTask, MessageFromLane, MessageToLane } from "./lane-protocol.ts";
import type { LaneListener } from "./lane-options.ts";
import { Lane } from "./lane.ts";
import type { Respond } from "./partition-request.ts";
import { loadApplication, tablesOf } from "./load-application.ts";
import type { DatabaseAlarm } from "./unit-status.ts";

interface LaneParts {
  readonly task: LaneTask;
  readonly log: Logger;
  readonly application: Application;
  readonly store: Store;
  readonly door: WsServer;
}

/** One lane and all that it is made of; lives as long as its task. */
class LaneHost {
  readonly #task: LaneTask;
  readonly #log: Logger;
  readonly #application: Application;
  readonly #store: Store;
  readonly #database: PostgresDatabase | null;
  readonly #lane: Lane;
  readonly #monitor: LaneMonitor;
  readonly #edge: Edge;
  readonly #hooks: EdgeHooks;
  readonly #door: WsServer;
  /** Alarms that last, and when each was said last. */
  readonly #saidMs = new Map<DatabaseAlarm["kind"], number>();
  #wasSettled = false;
  #lost: (reason: Failure) => void = () => undefined;

  constructor(parts: LaneParts) {
    const { task, log, application, store, door } = parts;
    this.#door = door;
    this.#task = task;
    this.#log = log;
    this.#application = application;
    this.#store = store;
    this.#database = this.#newDatabase();
    const pump = this.#newPump();
    this.#lane = new Lane({
      ...task,
      lane: { ...task.lane, address: door.url },
      store,
      application,
      pump,
      clock: systemClock,
      timers: systemTimers,
      random: systemRandom(),
      listener: this.#listener(),
      connect: (url, hello, wanted) =>
        connectLink({
          url,
          hello,
          wanted,
          token: task.peers.token,
          timers: systemTimers,
          deadlineMs: limits.peerConnectMs,
        }),
    });
    this.#monitor = new LaneMonitor({ number: task.number, lane: this.#lane, pump });
    this.#edge = new Edge({
      application,
      incarnation: task.lane.incarnation,
      log,
      submit: this.#submit,
      unitStatus: () => this.#monitor.unitStatus,
      answered: (durationMs) => {
        this.#monitor.answered(durationMs);
      },
    });
    this.#hooks = this.#applicationEdge();
    this.#monitor.hooks = this.#hooks;
  }

  /** Runs until the unit says stop. */
  async run(): Promise<LaneEnd> {
    const { control } = this.#task;
    await this.#edge.ready();
    const status = systemTimers.every(limits.laneStatusMs, () => {
      this.#report();
    });
    const stopped = new Promise<void>((resolve) => {
      control.on("message", (message: MessageToLane) => {
        this.#heard(message, resolve);
      });
    });
    const lost = new Promise<Failure>((resolve) => (this.#lost = resolve));
    const settling = systemTimers.every(limits.heartbeatMs, () => {
      this.#reportSettled();
    });
    const watch = watchGeneration({
      store: this.#store,
      generation: this.#task.identity.generation,
      timers: systemTimers,
      ended: (reason) => {
        this.#lost(reason);
      },
    });
    const slot = unwrap(await this.#lane.join());
    this.#log.info({ slot }, "lane joined");
    this.#say({ kind: "ready", slot });
    const cleanup = systemTimers.after(limits.slotForgottenMs, () => {
      if (slot === 0) void this.#cleanUp();
    });
    const fault = await Promise.race([stopped, lost]);
    settling.cancel();
    watch.cancel();
    cleanup.cancel();
    if (fault !== undefined) throw new FailureError(fault);
    const written = await this.#lane.close();
    // The thread may be used again: nothing of this lane may stay.
    status.cancel();
    await this.#edge.close();
    await this.#door.close();
    await this.#database?.close();
    await this.#store.close();
    control.close();
    this.#log.info({ written }, "lane stopped");
    return { written };
  }

  /** What earlier generations of the grid left in the store: one lane does it for all. */
  async #cleanUp(): Promise<void> {
    const { generation } = this.#task.identity;
    const ports = { timers: systemTimers, clock: systemClock };
    const deleted = await deleteOldGenerations({ ...ports, store: this.#store, generation });
    if (!deleted.ok) this.#log.warn(deleted.failure, "old generations are cleaned up later");
    else if (deleted.value > 0)
      this.#log.info({ values: deleted.value }, "old generations deleted");
  }

  /** Something may have been lost behind the store: every partition looks at what it has. */
  checkLogs(): void {
    this.#lane.checkLogs();
  }

  #report(): void {
    void this.#monitor.status().then((laneStatus) => {
      this.#say({ kind: "status", status: laneStatus });
      this.#noteDatabase(laneStatus.database?.alarms ?? []);
    });
  }

  /** A link that a lane of another unit made. */
  accept(hello: Hello, link: FrameLink): void {
    this.#lane.accept(hello, link);
  }

  /** The unit waits for all partitions at its start: it is told soon when the last is there. */
  #reportSettled(): void {
    const { settled } = this.#lane.gridStatus();
    if (settled && !this.#wasSettled) this.#report();
    this.#wasSettled = settled;
  }

  #heard(message: MessageToLane, stop: () => void): void {
    switch (message.kind) {
      case "socket":
        this.#edge.connect(message.socket);
        break;
      case "peer":
        this.#lane.accept(message.hello, new PortLink(message.port));
        break;
      case "status":
        this.#monitor.unitStatus = message.status;
        this.#hooks.onUnitStatus?.(message.status);
        break;
      case "drain":
        this.#hooks.onStop?.();
        this.#edge.drain();
        void this.#lane.drain().then(() => {
          this.#say({ kind: "drained" });
        });
        break;
      case "stop":
        stop();
        break;
    }
  }

  /** A line when an alarm begins, one each minute that it lasts, and one when it is over. */
  #noteDatabase(alarms: readonly DatabaseAlarm[]): void {
    const nowMs = systemClock.monotonicMs();
    for (const { kind, message } of alarms) {
      if (nowMs - (this.#saidMs.get(kind) ?? -Infinity) < limits.alarmRepeatMs) continue;
      this.#saidMs.set(kind, nowMs);
      this.#log.warn({ alarm: kind }, message);
    }
    for (const kind of [...this.#saidMs.keys()]) {
      if (alarms.some((alarm) => alarm.kind === kind)) continue;
      this.#saidMs.delete(kind);
      this.#log.info({ alarm: kind }, "the alarm is over");
    }
  }

  #say(message: MessageFromLane): void {
    this.#task.control.postMessage(message);
  }

  readonly #submit: Lane["submit"] = (command, input, options, respond) => {
    const { correlationId } = options;
    this.#lane.submit(command, input, options, this.#followed({ command, correlationId }, respond));
  };

  /**
   * Follows a command through the logs of the lanes it passes, by its correlation id: each step at
   * level debug; where it failed, a warning.
   */
  #followed(what: object, respond: Respond): Respond {
    const isFollowed = this.#log.isLevelEnabled("debug");
    if (isFollowed) this.#log.debug(what, "command");
    return (outcome) => {
      if (!outcome.ok && isWorthALine(outcome.failure)) {
        this.#log.warn({ ...what, failure: outcome.failure }, "command failed");
      } else if (isFollowed) {
        this.#log.debug({ ...what, ok: outcome.ok }, "command answered");
      }
      respond(outcome);
    };
  }

  #applicationEdge(): EdgeHooks {
    const hooks = this.#application.edge?.({
      server: this.#edge.server,
      clock: systemClock,
      timers: systemTimers,
      random: systemRandom(),
      metrics: this.#monitor.registry,
      partitions: this.#task.identity.partitions,
      lane: this.#task.number,
      submit: this.#submit,
      entries: (space) => this.#lane.entries(space),
      elsewhere: () => this.#lane.elsewhere(),
    });
    return hooks ?? {};
  }

  #newDatabase(): PostgresDatabase | null {
    const { database: address, identity } = this.#task;
    if (address === null) return null;
    const tables = [...tablesOf(this.#application).values()];
    return new PostgresDatabase({ address, identity, tables, timers: systemTimers });
  }

  #newPump(): Pump | null {
    if (this.#database === null) return null;
    return new Pump({
      database: this.#database,
      identity: this.#task.identity,
      spaces: tablesOf(this.#application),
      clock: systemClock,
      timers: systemTimers,
      random: systemRandom(),
      listener: {
        deadLettered: (letter) => {
          this.#lane.deadLettered(letter);
          const { partition, position, space, reason } = letter;
          this.#log.error({ partition, position, space, reason }, "a change is a dead letter");
        },
        written: (partition, position) => {
          this.#lane.written(partition, position);
        },
        halted: (partition, reason) => {
          this.#lane.halt(partition, reason);
        },
      },
    });
  }

  #listener(): LaneListener {
    const log = this.#log;
    return {
      serving: (partition, epoch) => {
        log.info({ partition, epoch }, "partition serves");
      },
      released: (partition, epoch) => {
        log.info({ partition, epoch }, "partition handed over");
      },
      lost: (reason) => {
        this.#lost(reason);
      },
      received: (peer, { command, correlationId }, respond) =>
        this.#followed({ command, correlationId, peer }, respond),
      stopped: (partition, reason, halted) => {
        if (reason.code === "SHUTTING_DOWN") return;
        const what = { partition, failure: reason, halted };
        log[halted ? "error" : "warn"](what, "partition stopped");
      },
    };
  }
}

/** What is retried, or was only slow, is counted by who asked: it would flood the log. */
function isWorthALine({ code, kind }: Failure): boolean {
  return kind !== "retryable" && code !== "DEADLINE_EXCEEDED";
}

/** Where lanes of other units knock. */
async function openDoor(task: LaneTask, onLink: WsServerOptions["onLink"]): Promise<WsServer> {
  const { host, advertisedHost, token } = task.peers;
  const { incarnation } = task.lane;
  const opened = await listenForLinks({
    host,
    advertisedHost,
    port: 0,
    token,
    incarnation,
    timers: systemTimers,
    onLink,
  });
  return unwrap(opened);
}

/** An embedded store is behind a port; for any other, each lane has a client of its own. */
async function openLaneStore(
  { store, identity }: LaneTask,
  log: Logger,
  changed: () => void,
): Promise<Store> {
  if (typeof store !== "string") return new PortStore(store, systemTimers);
  const opened = await openStore(store, {
    admits: (behind) => holdsGrid(behind, identity),
    changed,
    log: (message) => {
      log.warn(message);
    },
  });
  return unwrap(opened);
}

/** A lane's whole life. Rejects where it cannot start; the unit has then been told why. */
export default async function runLane(task: LaneTask): Promise<LaneEnd> {
  assert(!isMainThread, "a lane runs in a thread of its own");
  const log = openLog(task.logFile, task.logLevel, `lane-${String(task.number)}`);
  try {
    const application = await loadApplication(task.application);
    let host: LaneHost | null = null;
    const store = await openLaneStore(task, log, () => host?.checkLogs());
    const door = await openDoor(task, (hello, link) => {
      if (host === null) link.close();
      else host.accept(hello, link);
    });
    host = new LaneHost({ task, log, application, store, door });
    return await host.run();
  } catch (error) {
    log.error({ error: error instanceof Error ? error.stack : String(error) }, "lane failed");
    if (error instanceof FailureError) {
      const message: MessageFromLane = { kind: "failed", failure: error.failure };
      task.control.postMessage(message);
    }
    task.control.close();
    throw error;
  }
}
