// Unit: one processing unit, that is a process with a listener, lanes in threads, and what they
// need: a grid and a database.
// Owns: starting all of it in an order that leaves nothing half-started, and stopping it.
// Does not own: threads (lane-pool.ts), what a lane does (lane.ts), what the application is.
// Invariants (docs/invariants.md):
//   U2. A stop answers what is in flight, writes what is journaled, and only then ends.
import { randomBytes } from "node:crypto";
import { MessageChannel, type MessagePort } from "node:worker_threads";
import type { Logger } from "pino";
import { systemClock } from "../base/clock.ts";
import { ok, type Failure, type Outcome } from "../base/failure.ts";
import { newId } from "../base/ids.ts";
import { limits } from "../base/limits.ts";
import { systemRandom } from "../base/random.ts";
import { systemTimers } from "../base/timers.ts";
import { parseDatabaseUrl } from "../data-pump/database-url.ts";
import { gridSecret, openGrid, type GridIdentity } from "../grid/grid-directory.ts";
import type { Store } from "../grid/store.ts";
import { openStore, parseStoreUrl } from "../grid/stores/open-store.ts";
import { serveStore } from "../grid/stores/port-store.ts";
import type { RebuildReport } from "../grid/rebuild-ports.ts";
import { Acceptor } from "./acceptor.ts";
import { openComplete, rebuildSource } from "./grid-rebuild.ts";
import { openLog } from "./lane-log.ts";
import { LanePool, type TransferredTask } from "./lane-pool.ts";
import type { PeerSetting } from "./lane-protocol.ts";
import { loadApplication, tablesOf, type ApplicationSource } from "./load-application.ts";
import { UnitDatabase } from "./unit-database.ts";
import type { UnitStatus } from "./unit-status.ts";

export interface UnitOptions {
  /** memory:, lmdb:… or hazelcast://… */
  readonly store: string;
  /** none:, postgres://… or embedded:… */
  readonly database: string;
  readonly lanes: number;
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  /** null: those of the existing grid, or the default. */
  readonly partitions: number | null;
  /** What logs and checkpoints may take in the grid. */
  readonly gridBytesMax: number;
  /** Where lanes of other units reach those of this one. */
  readonly peers: Omit<PeerSetting, "token">;
  /** Version of the program, for people who look at the roster. */
  readonly release: string;
  /** null: standard output. */
  readonly logFile: string | null;
  readonly logLevel: string;
  /** The application; asked for when the database is open, since it may need a secret of it. */
  readonly application: (
    database: UnitDatabase,
    identity: GridIdentity,
  ) => Promise<ApplicationSource>;
  /**
   * What to do where the store has lost the grid and the database has it: `after-clean-stop`:
   * rebuild it from there if the database says that it is complete. Never, where left out.
   */
  readonly rebuild?: "never" | "after-clean-stop";
  /** It was rebuilt; spaces that lay in the grid only are empty. */
  readonly onRebuilt?: (report: RebuildReport, spacesLost: readonly string[]) => void;
  /** About once a second. */
  readonly onStatus?: (status: UnitStatus) => void;
}

/** What was acquired, to be released in the opposite order. */
class Acquired {
  readonly #releases: (() => Promise<void> | void)[] = [];

  add(release: () => Promise<void> | void): void {
    this.#releases.push(release);
  }

  async release(): Promise<void> {
    for (let next = this.#releases.pop(); next !== undefined; next = this.#releases.pop()) {
      await next();
    }
  }
}

export class Unit {
  readonly port: number;
  readonly identity: GridIdentity;
  readonly database: UnitDatabase;
  /** Resolves with why, when its generation of the grid has ended: it is to be stopped then. */
  readonly ended: Promise<Failure>;
  readonly #acceptor: Acceptor;
  readonly #pool: LanePool;
  readonly #acquired: Acquired;
  #stopping: Promise<boolean> | null = null;
  #status: UnitStatus | null = null;

  constructor(parts: {
    readonly acceptor: Acceptor;
    readonly identity: GridIdentity;
    readonly database: UnitDatabase;
    readonly pool: LanePool;
    readonly acquired: Acquired;
    readonly ended: Promise<Failure>;
  }) {
    this.#acceptor = parts.acceptor;
    this.port = parts.acceptor.port;
    this.identity = parts.identity;
    this.database = parts.database;
    this.ended = parts.ended;
    this.#pool = parts.pool;
    this.#acquired = parts.acquired;
  }

  /** The newest status; null before the first. */
  get status(): UnitStatus | null {
    return this.#status;
  }

  /** Ends a lane's thread at once, as a crash would: to see that nothing is lost. */
  killLane(lane: number): void {
    this.#pool.kill(lane);
  }

  /** Joins the lanes' newest statuses and gives every lane the whole. */
  refreshStatus(): UnitStatus {
    const status = {
      timeMs: systemClock.wallMs(),
      lanes: this.#pool.statuses,
      restarts: this.#pool.restarts,
    };
    this.#status = status;
    this.#pool.broadcast(status);
    return status;
  }

  /** Stops cleanly (U2). True when all that was journaled is written to the database. */
  stop(): Promise<boolean> {
    this.#stopping ??= (async () => {
      this.#acceptor.close();
      const written = await this.#pool.stop();
      await this.#acquired.release();
      return written;
    })();
    return this.#stopping;
  }
}

/**
 * Starts a processing unit; resolves when its partitions serve. Fails with one clear line,
 * and nothing left behind, where anything it needs cannot be had.
 */
export async function startUnit(options: UnitOptions): Promise<Outcome<Unit>> {
  const acquired = new Acquired();
  try {
    const outcome = await start(options, acquired);
    if (!outcome.ok) await acquired.release();
    return outcome;
  } catch (error) {
    await acquired.release();
    throw error;
  }
}

const system = { timers: systemTimers, clock: systemClock, random: systemRandom() };
const peerTokenBytes = 32;
const anyAddress: ReadonlySet<string> = new Set(["0.0.0.0", "::"]);

async function start(options: UnitOptions, acquired: Acquired): Promise<Outcome<Unit>> {
  // The cheap refusals first: nothing is made before the address and the folders are ours.
  const address = parseStoreUrl(options.store);
  if (!address.ok) return address;
  const databaseAddress = parseDatabaseUrl(options.database);
  if (!databaseAddress.ok) return databaseAddress;
  const listening = await Acceptor.listen(options.host, options.port);
  if (!listening.ok) return listening;
  const acceptor = listening.value;
  acquired.add(() => {
    acceptor.close();
  });
  const log = openLog(options.logFile, options.logLevel, "unit");
  const opened = await openStore(options.store);
  if (!opened.ok) return opened;
  const store = opened.value;
  acquired.add(() => store.close());
  const connected = await UnitDatabase.open(databaseAddress.value, log);
  if (!connected.ok) return connected;
  const database = connected.value;
  acquired.add(() => database.close());
  const grid = await openOrRebuild(options, store, database, log);
  if (!grid.ok) return grid;
  // Twice: the application may need a secret of the database, and the tables are the application's.
  const adopted = await database.adopt(grid.value, []);
  if (!adopted.ok) return adopted;
  const source = await options.application(database, grid.value);
  const tables = [...tablesOf(await loadApplication(source)).values()];
  const prepared = await database.adopt(grid.value, tables);
  if (!prepared.ok) return prepared;
  const identity = grid.value;
  const token = await gridSecret({ ...system, store }, identity, "peers", () =>
    randomBytes(peerTokenBytes).toString("hex"),
  );
  if (!token.ok) return token;
  // Lanes have clients of their own for members elsewhere.
  const embedded = address.value.engine === "hazelcast" ? null : store;
  if (embedded === null) await store.close();
  const peers = { ...options.peers, token: token.value };
  const databaseId = await database.id();
  const ended = Promise.withResolvers<Failure>();
  const onGridEnded = (reason: Failure) => {
    log.error(reason, "the unit has nothing to do any more");
    ended.resolve(reason);
  };
  const parts = { embedded, identity, database, databaseId, source, acceptor, log, peers };
  const pool = newPool(options, { ...parts, onGridEnded });
  const unit = new Unit({ acceptor, identity, database, pool, acquired, ended: ended.promise });
  const started = await pool.start();
  if (!started.ok) {
    await pool.stop();
    return started;
  }
  const status = systemTimers.every(limits.laneStatusMs, () => {
    const joined = unit.refreshStatus();
    options.onStatus?.(joined);
  });
  acquired.add(() => {
    status.cancel();
  });
  unit.refreshStatus(); // every lane knows that the unit is ready before anybody can ask it
  log.info({ port: unit.port, ...grid.value, lanes: options.lanes }, "unit serves");
  return ok(unit);
}

/** The grid in the store, perhaps rebuilt from the database. */
async function openOrRebuild(
  options: UnitOptions,
  store: Store,
  database: UnitDatabase,
  log: Logger,
): Promise<Outcome<GridIdentity>> {
  const open = () =>
    openGrid({
      ...system,
      store,
      partitions: options.partitions,
      partitionsDefault: limits.partitionsDefault,
      mayCreate: () => database.allowsNewGrid(),
    });
  const opened = await open();
  if (opened.ok || opened.failure.code !== "GRID_LOST") return opened;
  if (options.rebuild !== "after-clean-stop" || database.address === null) return opened;
  const source = await rebuildSource(database, (known) => options.application(database, known));
  if (!source.ok) return source;
  return openComplete({
    store,
    source: source.value,
    open,
    progress: (progress) => {
      log.info(progress, "the grid is rebuilt from the database");
    },
    rebuilt: (report) => {
      log.warn(report, "the grid was rebuilt from the database");
      options.onRebuilt?.(report, source.value.spacesLost);
    },
  });
}

/** The store stays in this thread, whatever becomes of a lane's (docs/decisions/0002). */
function servedPort(store: Store): MessagePort {
  const { port1, port2 } = new MessageChannel();
  serveStore(store, port1, systemTimers);
  return port2;
}

function newPool(
  options: UnitOptions,
  parts: {
    readonly embedded: Store | null;
    readonly identity: GridIdentity;
    readonly database: UnitDatabase;
    readonly databaseId: string | null;
    readonly source: ApplicationSource;
    readonly acceptor: Acceptor;
    readonly log: Logger;
    readonly peers: PeerSetting;
    readonly onGridEnded: (reason: Failure) => void;
  },
): LanePool {
  const { random } = system;
  const unit = newId(random);
  // Of all addresses at once, none tells it from another unit.
  const host = anyAddress.has(options.host) ? parts.peers.advertisedHost : options.host;
  const pool: LanePool = new LanePool({
    lanes: options.lanes,
    clock: systemClock,
    timers: systemTimers,
    log: parts.log,
    makeTask: (number, control, predecessor): TransferredTask => {
      const port = parts.embedded === null ? null : servedPort(parts.embedded);
      const task = {
        number,
        lane: {
          incarnation: newId(random),
          unit,
          name: `lane ${String(number)} of ${host}:${String(parts.acceptor.port)}`,
          release: options.release,
          database: parts.databaseId,
        },
        predecessor,
        peers: parts.peers,
        identity: parts.identity,
        application: parts.source,
        store: port ?? options.store,
        gridBytesMax: options.gridBytesMax,
        database: parts.database.address,
        logFile: options.logFile,
        logLevel: options.logLevel,
        control,
      };
      return { task, ports: port === null ? [] : [port] };
    },
    onReady: () => {
      parts.acceptor.open((socket) => pool.place(socket));
    },
    onGridEnded: parts.onGridEnded,
  });
  return pool;
}
