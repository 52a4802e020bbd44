// Virtual database: connections to a database in virtual time, which do to their callers what a
// server and the network before it do: delays, commits of unknown outcome, transactions that are
// refused or come through late, a server that crashes, hangs, or cannot be reached.
// Owns: when a call is executed, and what its caller is told. Does not own: what the server holds
// (database-server.ts).
// What was answered "written" survives every crash: the server flushes before it answers.
import { failed, ok, type Outcome } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import type { Random } from "../base/random.ts";
import type { Database } from "../data-pump/database.ts";
import type { DatabaseServer } from "./database-server.ts";
import type { TraceHash } from "./trace-hash.ts";
import type { VirtualProcess } from "./virtual-process.ts";
import type { VirtualTime } from "./virtual-time.ts";

/** How often (0–1) and how long a database is bad; crashes are made by whoever runs it. */
export interface DatabaseFaults {
  /** One way, and the work, at most. */
  readonly delayMsMax: number;
  /** The connection breaks before the server has the call. */
  readonly lostRequest: number;
  /** It breaks when the work is done: nobody knows. */
  readonly lostAnswer: number;
  /** It breaks, and the server does the work up to `lateMsMax` later. */
  readonly late: number;
  readonly lateMsMax: number;
  /** The server refuses for now, as for a conflict with another transaction. */
  readonly refused: number;
}

export const healthyDatabase: DatabaseFaults = {
  delayMsMax: 2,
  lostRequest: 0,
  lostAnswer: 0,
  late: 0,
  lateMsMax: 0,
  refused: 0,
};

/** What becomes of the calls on a connection, from some call on. */
type Fate = "well" | "lost" | "mute" | "late";

/** One connection of a process: its calls and their answers keep their order. */
class Line {
  /** Its caller was told that it is gone: the next call is made on another. */
  isBroken = false;
  fate: Fate = "well";
  lateByMs = 0;
  #thereAtMs = 0;
  #backAtMs = 0;

  /** When a call is there that would be there at `atMs` by itself. */
  there(atMs: number): number {
    this.#thereAtMs = Math.max(atMs, this.#thereAtMs + orderMs);
    return this.#thereAtMs;
  }

  back(atMs: number): number {
    this.#backAtMs = Math.max(atMs, this.#backAtMs + orderMs);
    return this.#backAtMs;
  }
}

/** Between two calls that keep their order, at least: more than sums of times are rounded by. */
const orderMs = 1e-6;

interface Call<T> {
  readonly process: VirtualProcess;
  readonly line: Line;
  readonly name: string;
  readonly work: () => Outcome<T>;
  /** What its caller is told where nobody knows what happened. */
  readonly unknown: Outcome<never>;
}

const away = failed("DATABASE_UNREACHABLE", "the database is away");
const refusal = failed("DATABASE_UNREACHABLE", "the database refused the transaction for now");

export class VirtualDatabase {
  readonly server: DatabaseServer;
  readonly #time: VirtualTime;
  readonly #random: Random;
  readonly #trace: TraceHash;
  readonly #unreachable = new Set<VirtualProcess>();
  #state: "up" | "hung" | "down" = "up";
  /** Counts its lives: a connection ends with the life that it began in. */
  #life = 0;
  #held: (() => void)[] = [];
  /** What it does from now on; calls under way keep what was decided for them. */
  faults: DatabaseFaults;

  constructor(options: {
    server: DatabaseServer;
    time: VirtualTime;
    random: Random;
    trace: TraceHash;
    faults: DatabaseFaults;
  }) {
    this.server = options.server;
    this.#time = options.time;
    this.#random = options.random;
    this.#trace = options.trace;
    this.faults = options.faults;
  }

  get state(): "up" | "hung" | "down" {
    return this.#state;
  }

  /** The database as one process sees it. */
  connect(process: VirtualProcess): Database {
    let line = new Line();
    const over = (): Line => (line.isBroken ? (line = new Line()) : line);
    const lost = failed("OUTCOME_UNKNOWN", "the connection was lost after COMMIT");
    return {
      claim: (generation, claims) =>
        this.#call({
          process,
          line: over(),
          name: "claim",
          unknown: away, // the same epochs again change nothing
          work: () => {
            this.server.claim(generation, claims);
            return ok(this.server.read(claims.map(({ partition }) => partition)));
          },
        }),
      read: (partitions) =>
        this.#call({
          process,
          line: over(),
          name: "read",
          unknown: away,
          work: () => ok(this.server.read(partitions)),
        }),
      write: (transaction) =>
        this.#call({
          process,
          line: over(),
          name: "write",
          unknown: lost,
          work: () => this.server.attempt(transaction),
        }),
      rehearse: (transaction) =>
        this.#call({
          process,
          line: over(),
          name: "rehearse",
          unknown: away, // nothing of it stays
          work: () => this.server.attempt(transaction, false),
        }),
      close: () => Promise.resolve(),
    };
  }

  /** The server is gone: what it has not done is not done, what it did stays. */
  crash(): void {
    this.#state = "down";
    this.#life++;
    this.#held = [];
  }

  /** It stands still: connections are taken, nothing is answered. */
  hang(): void {
    if (this.#state === "up") this.#state = "hung";
  }

  /** It is there again, after a crash or a standstill; what it held then is done now. */
  start(): void {
    this.#state = "up";
    const held = this.#held;
    this.#held = [];
    for (const work of held) this.#time.after(0, work);
  }

  /** From now on this process cannot reach it, or can again. */
  reach(process: VirtualProcess, isReachable: boolean): void {
    if (isReachable) this.#unreachable.delete(process);
    else this.#unreachable.add(process);
  }

  /** What becomes of a call on a connection; it is so for all behind it. */
  #fate(line: Line): Fate {
    const random = this.#random;
    const { faults } = this;
    if (line.fate !== "well") return line.fate;
    if (random.chance(faults.lostRequest)) line.fate = "lost";
    else if (random.chance(faults.late)) {
      line.fate = "late";
      line.lateByMs = random.fraction() * faults.lateMsMax;
    } else if (random.chance(faults.lostAnswer)) line.fate = "mute";
    return line.fate;
  }

  #call<T>({ process, line, name, work, unknown }: Call<T>): Promise<Outcome<T>> {
    return new Promise((resolve) => {
      const random = this.#random;
      const { faults } = this;
      const { nowMs } = this.#time;
      let told = false;
      const tell = (afterMs: number, outcome: Outcome<T>): void => {
        if (told) return;
        told = true;
        patience.cancel();
        this.#time.after(afterMs, () => {
          line.isBroken ||= outcome === unknown;
          process.deliver(() => resolve(outcome));
        });
      };
      const patience = this.#time.after(limits.databaseTransactionMs, () => tell(0, unknown));
      const thereMs = line.there(nowMs + random.fraction() * faults.delayMsMax) - nowMs;
      const backMs = random.fraction() * faults.delayMsMax;
      const execute = (): Outcome<T> => {
        const result = work();
        this.#trace.number(this.#time.nowMs);
        this.#trace.text(`${name} ${JSON.stringify(result).slice(0, 100)}`);
        return result;
      };
      if (this.#state === "down" || this.#unreachable.has(process)) {
        line.isBroken = true;
        tell(thereMs, away);
        return;
      }
      const life = this.#life;
      const fate = this.#fate(line);
      const arrive = (): void => {
        if (this.#life !== life || this.#unreachable.has(process)) tell(backMs, unknown);
        else if (this.#state === "hung") this.#held.push(arrive);
        else if (random.chance(faults.refused)) tell(backMs, refusal);
        else if (fate === "mute") {
          execute();
          tell(backMs, unknown);
        } else {
          const done = execute();
          const atMs = this.#time.nowMs;
          const answerMs = line.back(atMs + backMs) - atMs;
          // A crash now, and the answer never leaves.
          this.#time.after(answerMs, () => tell(0, this.#life === life ? done : unknown));
        }
      };
      if (fate === "lost" || fate === "late") tell(thereMs, unknown);
      const lateMs = fate === "late" ? line.lateByMs : 0;
      if (fate !== "lost") this.#time.after(thereMs + lateMs, arrive);
    });
  }
}
