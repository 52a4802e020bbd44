// Lane worker: the thread that hosts one lane, with its store, its pump and its HTTP server.
// Owns: putting a lane together, and taking it apart. Does not own: anything that a lane does.
// Piscina runs it as one endless task per thread, and replaces a thread that dies.
import { isMainThread } from "node:worker_threads";
import type { Logger } from "pino";
import { assert } from "../base/assert.ts";
import { systemClock } from "../base/clock.ts";
import { failure, FailureError, unwrap, type Failure } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import { systemRandom } from "../base/random.ts";
import { systemTimers } from "../base/timers.ts";
import { PostgresDatabase } from "../data-pump/postgres-database.ts";
import { Pump } from "../data-pump/pump.ts";
import { holdsGrid } from "../grid/grid-directory.ts";
import type { Store } from "../grid/store.ts";
import { openStore } from "../grid/stores/open-store.ts";
import { PortStore } from "../grid/stores/port-store.ts";
import { Messenger } from "../messaging-grid/messenger.ts";
import { staticOwners } from "../messaging-grid/owner-table.ts";
import { PortLink } from "../messaging-grid/port-link.ts";
import type { Application } from "./application.ts";
import type { EdgeHooks } from "./edge-context.ts";
import { Edge } from "./edge.ts";
import { openLog } from "./lane-log.ts";
import { LaneMonitor } from "./lane-monitor.ts";
import type { LaneEnd, LaneTask, MessageFromLane, MessageToLane } from "./lane-protocol.ts";
import { Lane, type LaneListener } from "./lane.ts";
import type { Respond } from "./partition-request.ts";
import { loadApplication, tablesOf } from "./load-application.ts";

/** One lane and all that it is made of; lives as long as its task. */
class LaneHost {
  readonly #task: LaneTask;
  readonly #log: Logger;
  readonly #application: Application;
  readonly #store: Store;
  readonly #database: PostgresDatabase | null;
  readonly #messenger: Messenger;
  readonly #lane: Lane;
  readonly #monitor: LaneMonitor;
  readonly #edge: Edge;
  readonly #hooks: EdgeHooks;
  /** Partitions that neither served nor halted yet. */
  readonly #starting: Set<number>;
  #databaseProblem: string | null = null;

  constructor(task: LaneTask, log: Logger, application: Application, store: Store) {
    this.#task = task;
    this.#log = log;
    this.#application = application;
    this.#store = store;
    this.#messenger = new Messenger({
      clock: systemClock,
      timers: systemTimers,
      onRequest: (peer, request, respond) => {
        const { command, correlationId } = request;
        this.#lane.receive(request, this.#followed({ command, correlationId, peer }, respond));
      },
    });
    this.#database = this.#newDatabase();
    const pump = this.#newPump();
    const owners = staticOwners(task.identity.partitions, task.lanes);
    this.#starting = new Set(owners.ownedBy(task.lane));
    this.#lane = new Lane({
      ...task,
      store,
      application,
      owners,
      messenger: this.#messenger,
      pump,
      clock: systemClock,
      timers: systemTimers,
      random: systemRandom(),
      listener: this.#listener(),
    });
    this.#monitor = new LaneMonitor({ number: task.lane, lane: this.#lane, pump });
    this.#edge = new Edge({
      application,
      incarnation: task.incarnation,
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
    this.#lane.open();
    this.#say({ kind: "ready" });
    if (this.#starting.size === 0) this.#report(); // there are more lanes than partitions
    await stopped;
    const written = await this.#lane.close();
    // The thread may be used again: nothing of this lane may stay.
    status.cancel();
    await this.#edge.close();
    this.#messenger.close();
    await this.#database?.close();
    await this.#store.close();
    control.close();
    this.#log.info({ written }, "lane stopped");
    return { written };
  }

  /** Something may have been lost behind the store: every partition looks at what it has. */
  checkLogs(): void {
    this.#lane.checkLogs();
  }

  #report(): void {
    void this.#monitor.status().then((laneStatus) => {
      this.#say({ kind: "status", status: laneStatus });
      this.#noteDatabase(laneStatus.databaseProblem);
    });
  }

  /** The unit waits for all partitions at its start: it is told at once when the last is there. */
  #settled(partition: number): void {
    if (this.#starting.delete(partition) && this.#starting.size === 0) this.#report();
  }

  #heard(message: MessageToLane, stop: () => void): void {
    switch (message.kind) {
      case "socket":
        this.#edge.connect(message.socket);
        break;
      case "peer":
        this.#messenger.connect(message.lane, new PortLink(message.port));
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

  /** A line when the database goes away, and one when it is back. */
  #noteDatabase(problem: string | null): void {
    if ((problem === null) === (this.#databaseProblem === null)) return;
    this.#databaseProblem = problem;
    if (problem === null) this.#log.info("the database is back; the backlog drains");
    else this.#log.warn({ problem }, "the database is away; the backlog grows");
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
      lane: this.#task.lane,
      submit: this.#submit,
      entries: (space) => this.#lane.entries(space),
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
        written: () => undefined,
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
        this.#settled(partition);
      },
      stopped: (partition, reason, halted) => {
        if (reason.code === "SHUTTING_DOWN") return;
        const what = { partition, failure: reason, halted };
        log[halted ? "error" : "warn"](what, "partition stopped");
        if (reason.code === "NOT_OWNER") this.#say({ kind: "fenced", failure: taken(reason) });
        if (halted) this.#settled(partition);
      },
    };
  }
}

function taken({ message }: Failure): Failure {
  return failure("GRID_TAKEN", `another processing unit has this grid now (${message})`);
}

/** What is retried, or was only slow, is counted by who asked: it would flood the log. */
function isWorthALine({ code, kind }: Failure): boolean {
  return kind !== "retryable" && code !== "DEADLINE_EXCEEDED";
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
  const log = openLog(task.logFile, task.logLevel, `lane-${String(task.lane)}`);
  try {
    const application = await loadApplication(task.application);
    let host: LaneHost | null = null;
    const store = await openLaneStore(task, log, () => host?.checkLogs());
    host = new LaneHost(task, log, application, store);
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
