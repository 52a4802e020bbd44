// Lane monitor: what one lane counts and measures, and the status made of it each second.
// Owns: the latency of the last second, the newest status of the unit.
// Does not own: which numbers are metrics (lane-measures.ts), what an application counts (its
// hooks), how statuses are joined (unit.ts).
import { Registry } from "prom-client";
import { utilizationMeter } from "../base/event-loop.ts";
import { Histogram } from "../base/histogram.ts";
import type { Pump } from "../data-pump/pump.ts";
import type { EdgeHooks } from "./edge-context.ts";
import { databaseStatus } from "./lane-database.ts";
import { LaneMeasures } from "./lane-measures.ts";
import type { Lane } from "./lane.ts";
import type { LaneStatus, UnitStatus } from "./unit-status.ts";

export class LaneMonitor {
  readonly registry = new Registry();
  hooks: EdgeHooks = {};
  unitStatus: UnitStatus | null = null;
  readonly #number: number;
  readonly #lane: Lane;
  readonly #pump: Pump | null;
  readonly #utilization = utilizationMeter();
  readonly #measures: LaneMeasures;
  #latency = new Histogram();
  #requests = 0;

  constructor(options: { number: number; lane: Lane; pump: Pump | null }) {
    this.#number = options.number;
    this.#lane = options.lane;
    this.#pump = options.pump;
    this.#measures = new LaneMeasures(this.registry);
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
      database: this.#pump === null ? null : databaseStatus(this.#pump.status()),
      latency: latency.toCounts(),
      utilization: this.#utilization(),
      partitions,
      application: this.hooks.status?.() ?? null,
    };
    this.#measures.show(status);
    return { ...status, metrics: await this.registry.getMetricsAsJSON() };
  }
}
