// Throughput window: one candidate, in a fresh process, loaded until it is saturated.
// Owns: the kinds of traffic and their requests, one window, what is wrong with its answers. Does
// not own: which candidates there are (floor.ts, throughput.ts), the load (saturation.ts).
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { bidBody, noBidBody } from "./bid-bodies.ts";
import { readLaneProfile, stagesOf } from "./cpu-stages.ts";
import { emptyMembers } from "./rivals-hazelcast.ts";
import { probe, type Probes } from "./machine.ts";
import type { ProcessCpu } from "./process-cpu.ts";
import {
  saturate,
  type BodyVerdict,
  type PlannedRequest,
  type SaturationWindow,
} from "./saturation.ts";
import type { ScenarioOptions } from "./scenario.ts";
import { startBare, startUnit, type Server } from "./servers.ts";
import { unitCounts, type UnitCounts } from "./unit-counts.ts";

/**
 * `no bid`, `bid`: nothing else. `mix`: nine requests that get no bid, and one that gets one.
 * `notices`: each bid with its notices, four of five lost, the fifth won and billed.
 */
export type Traffic = "no bid" | "bid" | "mix" | "notices";

/** Where a unit journals. */
export type StoreName = "memory" | "lmdb" | "lmdb?sync=off" | "hazelcast";

export interface Candidate {
  readonly name: string;
  readonly traffic: Traffic;
  /** null: the bare server. */
  readonly store: StoreName | null;
  /** Its threads are profiled, which costs time: its figures are those of no other window. */
  readonly isProfiled: boolean;
}

/** One window of one candidate. */
export interface MeasuredWindow {
  readonly candidate: string;
  readonly round: number;
  readonly seconds: number;
  /** When it was, on the monotonic clock of the machine. */
  readonly fromUs: number;
  readonly toUs: number;
  /** Answers to bid requests; answers to notices are not counted. */
  readonly answers: number;
  readonly perSecond: number;
  /** Processor time of the server for each of them, in microseconds; null: not told. */
  readonly cpuUs: ProcessCpu | null;
  readonly generatorUs: number;
  /** Processors that the generator kept busy. */
  readonly generatorBusy: number;
  /** Requests that got no bid because there was no time left, or a failure of the unit's side. */
  readonly late: number;
  /** Answers that must not be; the run is invalid. */
  readonly wrong: readonly string[];
  readonly log: { readonly bidsPerRecord: number; readonly bytesPerBid: number } | null;
  /** Microseconds of the lane's thread for each answer, by stage; null: not profiled. */
  readonly stages: Readonly<Record<string, number>> | null;
  readonly probes: Probes;
}

// A unit is compiled, and its garbage collector has settled, after about four seconds of this.
const full = { connections: 64, warmUpMs: 5000, windowMs: 5000 };
const smoke = { connections: 8, warmUpMs: 300, windowMs: 500 };
const checkedAnswers = 8;
/** Each connection repeats so many of its own: a tenth of them gets a bid in a mix. */
const requestsPerConnection = 60;
const mixBidEvery = 10;
/** Of the bids with notices, so many are won: one of five. */
const wonEvery = 5;

export function sizeOf({ smoke: isSmoke }: ScenarioOptions): typeof full {
  return isSmoke ? smoke : full;
}

/** What all windows of a run have in common. */
export interface WindowSetting {
  readonly options: ScenarioOptions;
  /** The file with the campaigns of a unit. */
  readonly campaigns: string;
  /** null: there are no members. */
  readonly hazelcastUrl: string | null;
}

/** One window of a candidate, in a process of its own. */
export async function measureCandidate(
  candidate: Candidate,
  setting: WindowSetting,
  round: number,
): Promise<MeasuredWindow> {
  const profiles = mkdtempSync(join(setting.options.folder, "profiles-"));
  const window = await withServer(candidate, { ...setting, profiles }, (server) =>
    measureWindow(candidate, server, setting.options, round),
  );
  if (!candidate.isProfiled) return window;
  const stages = Object.fromEntries(stagesOf(readLaneProfile(profiles), window));
  return { ...window, stages: mapValues(stages, (us) => us / Math.max(window.answers, 1)) };
}

/** A fresh process and no data: all windows begin with the same, which is nothing. */
export async function withServer<T>(
  { store, isProfiled }: Candidate,
  setting: WindowSetting & { readonly profiles: string },
  work: (server: Server) => Promise<T>,
): Promise<T> {
  const { campaigns, hazelcastUrl, profiles } = setting;
  const data = mkdtempSync(join(setting.options.folder, "window-"));
  const grid = join(data, "grid");
  const urls: Readonly<Record<StoreName, string>> = {
    memory: "memory:",
    lmdb: `lmdb:${grid}`,
    "lmdb?sync=off": `lmdb:${grid}?sync=off`,
    hazelcast: hazelcastUrl ?? "",
  };
  const profiling = isProfiled ? { profiles } : {};
  if (store === "hazelcast") await emptyMembers(urls.hazelcast);
  const server = await (store === null
    ? startBare()
    : startUnit({ store: urls[store], campaigns, data, ...profiling }));
  try {
    return await work(server);
  } finally {
    await server.stop();
    rmSync(data, { recursive: true });
  }
}

async function measureWindow(
  candidate: Candidate,
  server: Server,
  options: ScenarioOptions,
  round: number,
): Promise<MeasuredWindow> {
  const { traffic, store } = candidate;
  const size = sizeOf(options);
  const badAnswers: string[] = [];
  for (let number = 0; number < checkedAnswers; number++) {
    const problem = await answerProblem(server.url, requestOf(candidate, number));
    if (problem !== null) badAnswers.push(problem);
  }
  const before = probe();
  const load = await saturate({
    url: server.url,
    pid: server.pid,
    ...size,
    requests: (connection) =>
      Array.from({ length: requestsPerConnection }, (_, place) =>
        requestOf(candidate, connection * requestsPerConnection + place),
      ),
    statuses: { "no bid": [204], bid: [200], mix: [200, 204], notices: [200] }[traffic],
    verify: (body) => bodyVerdict(traffic, body),
  });
  const after = probe();
  const answered = load.answersInAll + checkedAnswers;
  const counts = store === null ? null : await unitCounts(server.url, answered);
  const { serverCpu: cpu, answers, seconds, fromUs, toUs } = load;
  const each = (us: number) => us / Math.max(answers, 1);
  const hasLog = counts !== null && counts.bids > 0;
  return {
    candidate: candidate.name,
    round,
    seconds,
    fromUs,
    toUs,
    answers,
    perSecond: answers / seconds,
    cpuUs: cpu === null || answers === 0 ? null : mapValues(cpu, each),
    generatorUs: each(load.generatorCpuUs),
    generatorBusy: load.generatorCpuUs / seconds / 1_000_000,
    late: lateOf(counts),
    wrong: [
      ...badAnswers,
      ...wrongAnswers(load, traffic, counts),
      ...(counts === null ? [] : wrongCounts(counts, traffic, answered, size.connections)),
    ],
    log: hasLog
      ? { bidsPerRecord: counts.bids / counts.records, bytesPerBid: counts.logBytes / counts.bids }
      : null,
    stages: null,
    probes: { before, after },
  };
}

interface Request extends PlannedRequest {
  readonly getsBid: boolean;
}

function requestOf({ traffic, store }: Candidate, number: number): Request {
  const getsBid = traffic === "mix" ? number % mixBidEvery === 0 : traffic !== "no bid";
  const body = getsBid ? bidBody(number) : noBidBody(number);
  const path = store !== null ? "/openrtb2/bid" : getsBid ? "/bid" : "/none";
  if (traffic !== "notices") return { path, body, getsBid };
  const isWon = number % wonEvery === 0;
  const count = isWon ? 2 : 1;
  return { path, body, getsBid, followUps: { count, paths: (answer) => notices(answer, isWon) } };
}

interface BidAnswer {
  readonly id: string;
  readonly seatbid: readonly { readonly bid: readonly OfferedBid[] }[];
}

interface OfferedBid {
  readonly impid: string;
  readonly price: number;
  readonly nurl: string;
  readonly burl: string;
  readonly lurl: string;
}

/** The paths of the notices that follow a bid; none where there was no bid. */
function notices(answer: string, isWon: boolean): string[] {
  if (answer === "") return [];
  const bid = (JSON.parse(answer) as BidAnswer).seatbid[0]?.bid[0];
  if (bid === undefined) return [];
  const billing = bid.burl.replace("${AUCTION_PRICE}", String(bid.price));
  return (isWon ? [bid.nurl, billing] : [bid.lurl]).map((url) => url.slice(url.indexOf("/", 7)));
}

function bodyVerdict(traffic: Traffic, body: string): BodyVerdict {
  const isBid = body.startsWith('{"id":') && body.includes('"seatbid":[{"seat":"orrery"');
  if (isBid) return traffic === "no bid" ? "wrong" : "counted";
  if (body !== "" || traffic === "bid") return "wrong";
  return traffic === "notices" ? "fits" : "counted";
}

function mapValues<K extends string>(
  values: Readonly<Record<K, number>>,
  change: (value: number) => number,
): Record<K, number> {
  const entries = Object.entries<number>(values).map(([name, value]) => [name, change(value)]);
  return Object.fromEntries(entries) as Record<K, number>;
}

export function lateOf(counts: UnitCounts | null): number {
  return counts === null ? 0 : counts.shed + counts.failed;
}

/** What is wrong with the answers; `counts` explain 204s, which have no body, to who gets bids. */
function wrongAnswers(
  load: SaturationWindow,
  traffic: Traffic,
  counts: UnitCounts | null,
): string[] {
  const late = lateOf(counts);
  const wrong = Object.entries(load.otherStatus).flatMap(([status, count]) => {
    const rest = count - (status === "204" ? late : 0);
    return rest > 0 ? [`${String(rest)} answers with status ${status}`] : [];
  });
  const bodies = load.wrongBodies - (traffic === "bid" ? late : 0);
  if (bodies > 0) wrong.push(`${String(bodies)} answers with a wrong body`);
  if (load.errors > 0) wrong.push(`${String(load.errors)} broken connections`);
  return wrong;
}

/** Where the unit's own counts are not those of the answers: what the end cut off is unanswered. */
function wrongCounts(
  counts: UnitCounts,
  traffic: Traffic,
  answered: number,
  connections: number,
): string[] {
  const wrong: string[] = [];
  const { bids, noBids, settled, refusedNotices } = counts;
  const late = lateOf(counts);
  const expect = (what: string, count: number, least: number, most: number) => {
    const range = `${String(Math.floor(least))} to ${String(Math.ceil(most))}`;
    if (count < least || count > most) wrong.push(`${String(count)} ${what}, not ${range}`);
  };
  expect("answers by its own count", bids + noBids + late, answered, answered + connections + late);
  if (traffic === "no bid") expect("bids", bids, 0, 0);
  if (traffic === "bid" || traffic === "notices") expect("requests without a bid", noBids, 0, 0);
  if (traffic === "mix") {
    const share = (bids + noBids) / mixBidEvery;
    // At the end each connection stands somewhere in its list.
    expect("bids of a mix", bids, share - connections - late, share + connections + checkedAnswers);
  }
  if (traffic === "notices") {
    expect("settled bids", settled, bids - connections - checkedAnswers - late, bids);
    expect("refused notices", refusedNotices, 0, 0);
  }
  return wrong;
}

/** Sends one request and looks at its answer as an exchange would. */
async function answerProblem(url: string, request: Request): Promise<string | null> {
  const { path, body, getsBid } = request;
  const response = await post(url + path, body);
  const text = await response.text();
  // No bid for want of time, or because something failed: that is counted, it is not wrong.
  if (response.headers.has("x-orrery-nbr")) return null;
  if (response.status !== (getsBid ? 200 : 204)) return `status ${String(response.status)}`;
  if (!getsBid) return text === "" ? null : "a 204 with a body";
  const asked = JSON.parse(body) as { readonly id: string };
  const answer = JSON.parse(text) as BidAnswer;
  const bids = answer.seatbid.flatMap(({ bid }) => bid);
  const fits = answer.id === asked.id && bids.length === 1 && bids[0]?.impid === "1";
  return fits ? null : `no answer to request ${asked.id}: ${text}`;
}

function post(url: string, body: string): Promise<Response> {
  return fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body });
}

/** Bids of which each has a record of its own: the most that a bid costs in the log. */
export async function bidsOneByOne(server: Server, bids: number): Promise<UnitCounts> {
  for (let number = 0; number < bids; number++) {
    const response = await post(`${server.url}/openrtb2/bid`, bidBody(number));
    await response.text();
  }
  return unitCounts(server.url, bids);
}
