// Demo metrics: the bidder's counts for Prometheus.
// Owns: their names. Does not own: the counts (demo-status.ts); they are read when they are asked
// for, so that a request pays nothing for them.
import { Counter, type Registry } from "prom-client";
import type { LaneCounts } from "./demo-status.ts";

/** Registers the counts of a lane. */
export function exportCounts(registry: Registry, counts: LaneCounts): void {
  const { answers, noBids, notices } = counts;
  exportOne(registry, "answers", "answer", "Bid requests by their answer", answers);
  exportOne(registry, "no_bids", "reason", "Requests without a bid by the reason", noBids);
  exportOne(registry, "notices", "effect", "Notices by what they did", notices);
}

function exportOne(
  registry: Registry,
  name: string,
  label: string,
  help: string,
  values: Readonly<Record<string, number>>,
): void {
  new Counter({
    name: `orrery_bidding_${name}_total`,
    help,
    labelNames: [label],
    registers: [registry],
    collect() {
      this.reset();
      for (const [value, count] of Object.entries(values)) this.inc({ [label]: value }, count);
    },
  });
}
