// Statuses of a unit for tests of the page: made up, but of the shapes that lanes send.
// Owns: a lane that counts, ages and dies as the test wants it.
import { Histogram } from "../../src/base/histogram.ts";
import { newCounts, type CampaignSums } from "../../src/bidding-demo/demo-status.ts";
import type { PagedLaneStatus } from "../../src/bidding-demo/page/page-state.ts";
import type {
  LaneDatabaseStatus,
  LaneStatus,
  PartitionPhase,
  UnitStatus,
} from "../../src/processing-units/unit-status.ts";

export class FakeLane {
  readonly lane: number;
  readonly owned: readonly number[];
  incarnation: string;
  ageMs = 1000;
  requests = 0;
  utilization = 0.25;
  /** Latencies of the last second. */
  latenciesMs: readonly number[] = [];
  counts = newCounts();
  lost = newCounts();
  campaigns: CampaignSums[] = [];
  hasDatabase = true;
  /** From journaled to written. */
  syncTimesMs: readonly number[] = [];
  /** What is not as it should be on the way to the database. */
  trouble: Partial<LaneDatabaseStatus> = {};
  epoch = 1;
  journaled = 100;
  written = 90;
  phase: PartitionPhase = "serving";
  reason: string | null = null;
  unheld: readonly number[] = [];

  constructor(lane: number, owned: readonly number[]) {
    this.lane = lane;
    this.owned = owned;
    this.incarnation = `lane ${lane}, the first`;
  }

  /** Answers requests, `bids` of them with a bid, and grows older. */
  work(requests: number, bids: number, forMs = 1000): void {
    this.requests += requests;
    this.counts.answers.bid += bids;
    this.counts.answers.noBid += requests - bids;
    this.ageMs += forMs;
  }

  /** Dies, and is here again: all counts begin anew. */
  replace(incarnation: string): void {
    this.incarnation = incarnation;
    this.ageMs = 500;
    this.requests = 0;
    this.counts = newCounts();
    this.lost = newCounts();
    this.epoch += 10;
  }

  database(): LaneDatabaseStatus {
    const syncTime = new Histogram();
    for (const ms of this.syncTimesMs) syncTime.recordMs(ms);
    return {
      backlogRecords: (this.journaled - this.written) * this.owned.length,
      backlogBytes: 0,
      oldestUnwrittenMs: 40,
      room: { records: 1_000_000, bytes: 100_000_000, msLeft: null },
      problem: null,
      breaker: "closed",
      transactions: 0,
      rows: 0,
      retries: 0,
      databaseReads: 0,
      deadLetters: 0,
      syncTime: syncTime.toCounts(),
      newestLetters: [],
      alarms: [],
      ...this.trouble,
    };
  }

  status(): LaneStatus {
    const latency = new Histogram();
    for (const ms of this.latenciesMs) latency.recordMs(ms);
    const application: PagedLaneStatus = {
      ...structuredClone(this.counts),
      campaigns: this.campaigns,
      page: {
        incarnation: this.incarnation,
        ageMs: this.ageMs,
        lost: structuredClone(this.lost),
      },
    };
    const { lane, phase, reason, epoch, journaled, written } = this;
    const each = { phase, reason, epoch, journaled, written, gridBytes: 0 };
    return {
      lane,
      grid: { slot: lane, lanes: 1, settled: true, unheld: this.unheld, alarms: [] },
      requests: this.requests,
      commands: 0,
      appends: 0,
      journaledBytes: 0,
      database: this.hasDatabase ? this.database() : null,
      latency: latency.toCounts(),
      utilization: this.utilization,
      partitions: this.owned.map((partition) => ({ partition, ...each })),
      application,
      metrics: [],
    };
  }
}

/** The unit's status at this second. */
export function unitStatus(second: number, lanes: readonly FakeLane[], restarts = 0): UnitStatus {
  return { timeMs: second * 1000, lanes: lanes.map((lane) => lane.status()), restarts };
}
