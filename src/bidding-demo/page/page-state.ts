// Page state: turns the unit's statuses, one each second, into what the page is told.
// Owns: rates, totals and sums that stay true while lanes die and are replaced. Does not own: the
// shapes of the messages (page-message.ts), sending them (page-routes.ts).
// Keeps: no rate is below zero, and no total falls. A lane that was replaced counts from 0 again,
// so what its dead incarnation had counted is kept (`lost`), and every lane tells the others what
// it keeps: a lane that comes late, or is itself the replaced one, learns it from them.
import { Histogram } from "../../base/histogram.ts";
import type { Value } from "../../grid/log-record.ts";
import type {
  LaneStatus,
  PartitionElsewhere,
  UnitStatus,
} from "../../processing-units/unit-status.ts";
import { mergeStatus, newCounts } from "../demo-status.ts";
import type { CampaignStatus, DemoLaneStatus, LaneCounts } from "../demo-status.ts";
import { viewDatabase } from "./page-database.ts";
import type { PageLane, PagePartition, StatusMessage, TrendPoint } from "./page-message.ts";

/** What a lane adds to its part of the application's status, for the pages of all lanes. */
export type PageLaneStatus = {
  /** Differs for each lane that ever ran. */
  readonly incarnation: string;
  /** Milliseconds since the lane set up its page, when this was said. */
  readonly ageMs: number;
  /** What it knows to have been counted by lanes that are gone. */
  readonly lost: LaneCounts;
};

/** The application's status of a lane. */
export type PagedLaneStatus = DemoLaneStatus & { readonly page: PageLaneStatus };

/** What is remembered of a lane: the newest it said, and the rates that came of it. */
interface LaneView {
  readonly demo: PagedLaneStatus;
  readonly requests: number;
  /** When the unit first showed this. */
  readonly heardMs: number;
  readonly rates: { readonly requests: number; readonly bids: number; readonly http: number };
  readonly utilization: number;
  readonly present: boolean;
}

interface PartitionView extends PagePartition {
  readonly journaled: number;
  readonly written: number;
}

/** Where the page is served, and what is around it. */
export interface PagePlace {
  /** The lane that asks. */
  readonly lane: number;
  /** The number of partitions in the grid. */
  readonly partitions: number;
  readonly elsewhere: readonly PartitionElsewhere[];
}

/** All that one lane knows for its pages; a new value each second. */
export interface PageState {
  readonly lost: LaneCounts;
  readonly trend: readonly TrendPoint[];
  readonly message: StatusMessage;
  readonly lanes: ReadonlyMap<number, LaneView>;
  readonly partitions: readonly PartitionView[];
  readonly campaigns: ReadonlyMap<string, CampaignStatus>;
}

const trendPoints = 120;
/** More would make the message large; a page with more rows would be read by nobody. */
const campaignsShown = 200;
/** A lane that says nothing new for so long does nothing; one that is so young began just now. */
const staleMs = 3000;
const noRates = { requests: 0, bids: 0, http: 0 };

/** The state after one more status of the unit. `before` is null for the first. */
export function advance(before: PageState | null, status: UnitStatus, place: PagePlace): PageState {
  const lanes = viewLanes(before, status);
  const lost = sumLost(before, lanes);
  const all = viewPartitions(before, status, place);
  // What a dead lane had may be another's by now, whose sums it is in; its counts are nobody's.
  const parts = [...lanes.values()].map(({ demo, present }) => {
    return present ? demo : { ...demo, campaigns: [] };
  });
  const { answers, noBids, notices, ...merged } = mergeStatus([
    ...parts,
    { ...lost, campaigns: [] },
  ]);
  const isTwice = isAnyServedTwice(status);
  const campaigns = isTwice
    ? merged.campaigns.map((campaign) => before?.campaigns.get(campaign.id) ?? campaign)
    : viewCampaigns(before, merged.campaigns, all);
  const rates = before === null ? null : sumRates(lanes);
  const latency = mergeLatency(status, lanes);
  const message: StatusMessage = {
    kind: "status",
    timeMs: status.timeMs,
    servedBy: place.lane,
    restarts: status.restarts,
    rates,
    latencyMs: latency,
    backlog: sumBacklog(all),
    database: viewDatabase(status.lanes),
    money: {
      budgetMicros: sum(campaigns, ({ budgetMicros }) => budgetMicros),
      spentMicros: sum(campaigns, ({ spentMicros }) => spentMicros),
      reservedMicros: sum(campaigns, ({ reservedMicros }) => reservedMicros),
    },
    answers,
    noBids,
    notices,
    campaigns: campaigns.slice(0, campaignsShown),
    campaignsNotShown: Math.max(0, campaigns.length - campaignsShown),
    lanes: [...lanes].sort(([a], [b]) => a - b).map(([number, view]) => pageLane(number, view)),
    partitions: all.map(({ journaled: _journaled, written: _written, ...shown }) => shown),
  };
  const point = rates === null ? [] : [trendPoint(message, rates)];
  return {
    lost,
    trend: [...(before?.trend ?? []), ...point].slice(-trendPoints),
    message,
    lanes,
    partitions: all,
    campaigns: isTwice
      ? (before?.campaigns ?? new Map<string, CampaignStatus>())
      : new Map(campaigns.map((campaign) => [campaign.id, campaign])),
  };
}

function viewLanes(before: PageState | null, status: UnitStatus): Map<number, LaneView> {
  const views = new Map<number, LaneView>();
  for (const [number, view] of before?.lanes ?? []) {
    views.set(number, { ...view, present: false, rates: noRates, utilization: 0 });
  }
  for (const lane of status.lanes) {
    if (!hasPage(lane.application)) continue;
    const previous = before?.lanes.get(lane.lane);
    views.set(lane.lane, viewLane(previous, lane, lane.application, status.timeMs));
  }
  return views;
}

/** Lanes run this application; one whose routes are not set up yet has no status of it. */
function hasPage(application: Value): application is PagedLaneStatus {
  return typeof application === "object" && application !== null && "page" in application;
}

function viewLane(
  previous: LaneView | undefined,
  status: LaneStatus,
  demo: PagedLaneStatus,
  timeMs: number,
): LaneView {
  const { requests, utilization } = status;
  const same = previous?.demo.page.incarnation === demo.page.incarnation ? previous : undefined;
  if (same !== undefined && demo.page.ageMs <= same.demo.page.ageMs) {
    // The unit joined twice before this lane spoke again.
    const stale = timeMs - same.heardMs > staleMs;
    return { ...same, present: true, utilization, rates: stale ? noRates : same.rates };
  }
  const fresh = { demo, requests, heardMs: timeMs, utilization, present: true };
  if (same === undefined && demo.page.ageMs > staleMs) return { ...fresh, rates: noRates };
  const seconds = (demo.page.ageMs - (same?.demo.page.ageMs ?? 0)) / 1000;
  const rate = (now: number, then: number | undefined) => (now - (then ?? 0)) / seconds;
  return {
    ...fresh,
    rates: {
      requests: rate(answered(demo), same && answered(same.demo)),
      bids: rate(demo.answers.bid, same?.demo.answers.bid),
      http: rate(requests, same?.requests),
    },
  };
}

function answered({ answers }: LaneCounts): number {
  return Object.values(answers).reduce((all, count) => all + count, 0);
}

/** What was lost before, what other lanes know of, and the lanes that were replaced just now. */
function sumLost(before: PageState | null, lanes: ReadonlyMap<number, LaneView>): LaneCounts {
  let lost = before?.lost ?? newCounts();
  // Other lanes saw the same statuses in the same order: of two sums the larger is the later one.
  for (const { demo } of lanes.values()) lost = combine(lost, demo.page.lost, Math.max);
  for (const [number, { demo }] of before?.lanes ?? []) {
    const now = lanes.get(number)?.demo.page.incarnation;
    if (now !== demo.page.incarnation) lost = combine(lost, demo, (a, b) => a + b);
  }
  return lost;
}

function combine(a: LaneCounts, b: LaneCounts, join: (a: number, b: number) => number): LaneCounts {
  const each = <K extends string>(
    x: Readonly<Record<K, number>>,
    y: typeof x,
  ): Record<K, number> => {
    const joined: Record<K, number> = { ...x };
    for (const name of Object.keys(x) as K[]) joined[name] = join(x[name], y[name]);
    return joined;
  };
  return {
    answers: each(a.answers, b.answers),
    noBids: each(a.noBids, b.noBids),
    notices: each(a.notices, b.notices),
  };
}

function viewPartitions(
  before: PageState | null,
  status: UnitStatus,
  { partitions, elsewhere }: PagePlace,
): PartitionView[] {
  const heard = new Map<number, PartitionView>();
  for (const { lane, database, partitions: owned } of status.lanes) {
    for (const { partition, phase, reason, epoch, ...positions } of owned) {
      const other = heard.get(partition);
      if (other !== undefined && other.epoch >= epoch) continue; // a later owner has spoken
      const previous = before?.partitions[partition];
      // A new owner knows neither before it has read the log, and asked the database.
      const journaled = Math.max(positions.journaled, previous?.journaled ?? 0);
      const written = Math.max(positions.written, previous?.written ?? 0);
      heard.set(partition, {
        partition,
        lane,
        elsewhere: null,
        phase,
        reason,
        epoch: Math.max(epoch, previous?.epoch ?? 0),
        backlog: database === null ? null : Math.max(0, journaled - written),
        journaled,
        written,
      });
    }
  }
  const unheld = new Set(status.lanes.flatMap(({ grid }) => grid.unheld));
  const others = ownersElsewhere(elsewhere);
  return Array.from({ length: partitions }, (_, partition) => {
    const own = heard.get(partition);
    if (own !== undefined) return own;
    const known = before?.partitions[partition] ?? unknownPartition(partition);
    const other = unheld.has(partition) ? undefined : others.get(partition);
    if (other === undefined) return { ...known, elsewhere: null, phase: "away", reason: null };
    const { epoch, lane } = other;
    return { ...unknownPartition(partition), elsewhere: lane, phase: "elsewhere", epoch };
  });
}

/** The newest owner of each partition in other units, by partition. */
function ownersElsewhere(
  elsewhere: readonly PartitionElsewhere[],
): ReadonlyMap<number, PartitionElsewhere> {
  const owners = new Map<number, PartitionElsewhere>();
  for (const each of elsewhere) {
    const other = owners.get(each.partition);
    if (other === undefined || other.epoch < each.epoch) owners.set(each.partition, each);
  }
  return owners;
}

function unknownPartition(partition: number): PartitionView {
  const positions = { epoch: 0, backlog: null, journaled: 0, written: 0 };
  const nobody = { lane: null, elsewhere: null, phase: "away", reason: null } as const;
  return { partition, ...nobody, ...positions };
}

/**
 * True where a lane spoke before it gave a partition away, and the next owner after it: its money
 * is in the sums of both, and the highest sum would hold for ever.
 */
function isAnyServedTwice({ lanes }: UnitStatus): boolean {
  const served = lanes.flatMap(({ partitions }) => {
    return partitions.flatMap(({ partition, phase }) => (phase === "serving" ? [partition] : []));
  });
  return new Set(served).size < served.length;
}

/**
 * What a lane sees is only what it has loaded. Money that was spent stays spent, so the highest
 * sum holds; what is reserved holds from the last moment at which all partitions were seen. Among
 * other units, partitions take their money with them: there the sums are those of this moment.
 */
function viewCampaigns(
  before: PageState | null,
  campaigns: readonly CampaignStatus[],
  partitions: readonly PartitionView[],
): CampaignStatus[] {
  const isElsewhere = ({ phase }: PartitionView) => phase === "elsewhere";
  const isShared = partitions.some(isElsewhere) || before?.partitions.some(isElsewhere) === true;
  const allServe = partitions.every(({ phase }) => phase === "serving");
  return campaigns.map((campaign) => {
    const previous = before?.campaigns.get(campaign.id);
    if (previous === undefined || isShared) return campaign;
    const spentMicros = Math.max(campaign.spentMicros, previous.spentMicros);
    const reservedMicros = allServe
      ? campaign.reservedMicros
      : Math.min(previous.reservedMicros, campaign.budgetMicros - spentMicros);
    const exhausted = campaign.exhausted || previous.exhausted;
    return { ...campaign, spentMicros, reservedMicros, exhausted };
  });
}

/** Percentiles over the answers of all lanes: merged, never averaged. */
function mergeLatency(
  status: UnitStatus,
  lanes: ReadonlyMap<number, LaneView>,
): StatusMessage["latencyMs"] {
  const merged = new Histogram();
  for (const { lane, latency } of status.lanes) {
    const heardMs = lanes.get(lane)?.heardMs ?? status.timeMs;
    if (status.timeMs - heardMs <= staleMs) merged.addCounts(latency);
  }
  const { count, p50, p99, p999 } = merged.summaryMs();
  return count === 0 ? null : { p50, p99, p999 };
}

function sumRates(lanes: ReadonlyMap<number, LaneView>): NonNullable<StatusMessage["rates"]> {
  const all = [...lanes.values()];
  return {
    requests: rounded(sum(all, ({ rates }) => rates.requests)),
    bids: rounded(sum(all, ({ rates }) => rates.bids)),
  };
}

function sumBacklog(partitions: readonly PartitionView[]): number | null {
  const known = partitions.flatMap(({ backlog }) => (backlog === null ? [] : [backlog]));
  return known.length === 0 ? null : sum(known, (backlog) => backlog);
}

function pageLane(lane: number, { present, utilization, rates }: LaneView): PageLane {
  return { lane, present, utilization: rounded(utilization), requests: rounded(rates.http) };
}

function trendPoint(
  { timeMs, latencyMs }: StatusMessage,
  rates: NonNullable<StatusMessage["rates"]>,
): TrendPoint {
  return { timeMs, ...rates, p50Ms: latencyMs?.p50 ?? null, p99Ms: latencyMs?.p99 ?? null };
}

/** Three decimals: what is shown needs no more, and the message stays small. */
function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((all, item) => all + of(item), 0);
}
