// Lane monitor: what one lane counts and measures, and the status made of it each second.
// Owns: the engine's metrics, the latency of the last second, the newest status of the unit.
// Does not own: what an application counts (its hooks), how statuses are joined (unit.ts).
import { Gauge, Registry } from "prom-client";
import { utilizationMeter } from "../base/event-loop.ts";
import { Histogram } from "../base/histogram.ts";
import type { Pump } from "../data-pump/pump.ts";
import type { EdgeHooks } from "./edge-context.ts";
import type { Lane } from "./lane.ts";
import type { LaneStatus, UnitStatus } from "./unit-status.ts";

interface Measure {
  readonly name: string;
  readonly help: string;
  read(status: Omit<LaneStatus, "metrics">): number;
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
    name: "backlog_records",
    help: "Records journaled and not yet written to the database",
    read: (status) => status.backlog ?? 0,
  },
  {
    name: "database_away",
    help: "Lanes that cannot write to the database at the moment",
    read: (status) => (status.databaseProblem === null ? 0 : 1),
  },
  {
    name: "partitions_serving",
    help: "Partitions that serve",
    read: (status) => status.partitions.filter(({ phase }) => phase === "serving").length,
  },
];

export class LaneMonitor {
  readonly registry = new Registry();
  hooks: EdgeHooks = {};
  unitStatus: UnitStatus | null = null;
  readonly #number: number;
  readonly #lane: Lane;
  readonly #pump: Pump | null;
  readonly #utilization = utilizationMeter();
  readonly #gauges: readonly { readonly gauge: Gauge; readonly measure: Measure }[];
  #latency = new Histogram();
  #requests = 0;

  constructor(options: { number: number; lane: Lane; pump: Pump | null }) {
    this.#number = options.number;
    this.#lane = options.lane;
    this.#pump = options.pump;
    this.#gauges = measures.map((measure) => ({
      measure,
      gauge: new Gauge({
        name: `orrery_${measure.name}`,
        help: measure.help,
        registers: [this.registry],
      }),
    }));
  }

  /** One request was answered, after this long in this lane. */
  answered(durationMs: number): void {
    this.#requests++;
    this.#latency.recordMs(durationMs);
  }

  /** The lane's status; begins a new second of latencies. */
  async status(): Promise<LaneStatus> {
    const latency = this.#latency;
    this.#latency = new Histogram();
    const { commands, appends, journaledBytes } = this.#lane.counts;
    const partitions = this.#lane.partitionStatus();
    const status = {
      lane: this.#number,
      grid: this.#lane.gridStatus(),
      requests: this.#requests,
      commands,
      appends,
      journaledBytes,
      backlog: this.#pump === null ? null : backlogOf(partitions),
      databaseProblem: this.#pump?.problem?.message ?? null,
      latency: latency.toTransfer(),
      utilization: this.#utilization(),
      partitions,
      application: this.hooks.status?.() ?? null,
    };
    for (const { gauge, measure } of this.#gauges) gauge.set(measure.read(status));
    return { ...status, metrics: await this.registry.getMetricsAsJSON() };
  }
}

function backlogOf(partitions: LaneStatus["partitions"]): number {
  let records = 0;
  for (const { journaled, written } of partitions) records += Math.max(0, journaled - written);
  return records;
}
