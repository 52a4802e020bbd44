// Lane measures: what a lane shows to Prometheus, each number with its name and its meaning.
// Owns: the list. Lanes' numbers are added up over the unit, where it is not said otherwise.
import { Gauge, type Registry } from "prom-client";
import { Histogram } from "../base/histogram.ts";
import type { LaneDatabaseStatus, LaneStatus } from "./unit-status.ts";

type Status = Omit<LaneStatus, "metrics">;

interface Measure {
  readonly name: string;
  readonly help: string;
  /** How lanes' numbers are joined; left out: added up. */
  readonly join?: "max" | "min";
  /** The label of each of its numbers, where it has several. */
  readonly label?: string;
  read(status: Status): number | Readonly<Record<string, number>>;
}

/** A number of the way to the database; 0 without one. */
function ofDatabase(read: (status: LaneDatabaseStatus) => number): Measure["read"] {
  return ({ database }) => (database === null ? 0 : read(database));
}

const measures: readonly Measure[] = [
  { name: "requests", help: "HTTP requests answered", read: (status) => status.requests },
  { name: "commands", help: "Commands that entered the grid", read: (status) => status.commands },
  { name: "log_appends", help: "Records journaled", read: (status) => status.appends },
  { name: "log_bytes", help: "Bytes journaled", read: (status) => status.journaledBytes },
  {
    name: "grid_bytes",
    help: "Bytes that logs and checkpoints take in the grid, about",
    read: (status) => status.partitions.reduce((sum, { gridBytes }) => sum + gridBytes, 0),
  },
  {
    name: "partitions_serving",
    help: "Partitions that serve",
    read: (status) => status.partitions.filter(({ phase }) => phase === "serving").length,
  },
  {
    name: "backlog_records",
    help: "Records journaled and not yet written to the database",
    read: ofDatabase((database) => database.backlogRecords),
  },
  {
    name: "backlog_bytes",
    help: "Bytes of records journaled and not yet written to the database, about",
    read: ofDatabase((database) => database.backlogBytes),
  },
  {
    name: "backlog_seconds",
    help: "Age of the oldest record that is not yet written to the database",
    join: "max",
    read: ofDatabase((database) => database.oldestUnwrittenMs / 1000),
  },
  {
    name: "backlog_room_seconds",
    help: "How long the room for the backlog lasts as it grows now; +Inf while it does not grow",
    join: "min",
    read: ({ database }) => (database?.room.msLeft ?? Infinity) / 1000,
  },
  {
    name: "backlog_full",
    help: "Lanes that refuse changes because the database is too far behind",
    read: ofDatabase(({ room }) => (room.records === 0 || room.bytes === 0 ? 1 : 0)),
  },
  {
    name: "database_away",
    help: "Lanes that cannot write to the database at the moment",
    read: ofDatabase(({ problem }) => (problem === null ? 0 : 1)),
  },
  {
    name: "database_breaker",
    help: "Lanes whose circuit breaker towards the database is in that state",
    label: "state",
    read: ({ database }) => {
      const states = { closed: 0, open: 0, "half-open": 0 };
      if (database !== null) states[database.breaker] = 1;
      return states;
    },
  },
  {
    name: "database_transactions",
    help: "Transactions written to the database",
    read: ofDatabase((database) => database.transactions),
  },
  {
    name: "database_rows",
    help: "Rows written to the database; divided by the transactions: rows of one",
    read: ofDatabase((database) => database.rows),
  },
  {
    name: "database_retries",
    help: "Calls of the database that had to be followed by another",
    read: ofDatabase((database) => database.retries),
  },
  {
    name: "database_reads",
    help: "How often progress was read from the database",
    read: ofDatabase((database) => database.databaseReads),
  },
  {
    name: "dead_letters",
    help: "Changes that the database has as dead letters only",
    read: ofDatabase((database) => database.deadLetters),
  },
  {
    name: "synchronization_ms",
    help: "Time from journaled to written since the lane started, of the slowest lane",
    join: "max",
    label: "quantile",
    read: ({ database }) => {
      const times = new Histogram();
      if (database !== null) times.addCounts(database.syncTime);
      const { p50, p90, p99, p999 } = times.summaryMs();
      return { "0.5": p50, "0.9": p90, "0.99": p99, "0.999": p999 };
    },
  },
];

export class LaneMeasures {
  readonly #gauges: readonly { readonly gauge: Gauge; readonly measure: Measure }[];

  constructor(registry: Registry) {
    this.#gauges = measures.map((measure) => ({
      measure,
      gauge: new Gauge({
        name: `orrery_${measure.name}`,
        help: measure.help,
        registers: [registry],
        labelNames: measure.label === undefined ? [] : [measure.label],
        ...(measure.join === undefined ? {} : { aggregator: measure.join }),
      }),
    }));
  }

  show(status: Status): void {
    for (const { gauge, measure } of this.#gauges) {
      const value = measure.read(status);
      if (typeof value === "number") gauge.set(value);
      else {
        const { label = "" } = measure;
        for (const [name, each] of Object.entries(value)) gauge.set({ [label]: name }, each);
      }
    }
  }
}
