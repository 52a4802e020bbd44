// Scenario bid-path: what a bid costs on one lane, beside a fastify that only parses and answers.
// Owns: the candidates, one window of each, what is wrong with a window. Does not own: the load
// (saturation.ts), the summary of all windows (bid-path-report.ts).
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { interleave } from "../src/load/interleave.ts";
import { benchCampaigns, bidBody, noBidBody } from "./bid-bodies.ts";
import { bidPathReport, type BidPathFigures, type MeasuredWindow } from "./bid-path-report.ts";
import { probe } from "./machine.ts";
import { saturate, type SaturationWindow } from "./saturation.ts";
import type { Scenario, ScenarioOptions, ScenarioResult } from "./scenario.ts";
import { startBare, startUnit, type Server } from "./servers.ts";
import { unitCounts, type UnitCounts } from "./unit-counts.ts";

interface Candidate {
  readonly name: string;
  readonly kind: "bid" | "no bid";
  /** null: the bare server. */
  readonly store: "memory" | "lmdb" | "lmdb?sync=off" | null;
  readonly inSmoke: boolean;
}

const candidates: readonly Candidate[] = [
  { name: "bare fastify, 204", kind: "no bid", store: null, inSmoke: true },
  { name: "no bid", kind: "no bid", store: "memory", inSmoke: true },
  { name: "bare fastify, 200 of 1 kB", kind: "bid", store: null, inSmoke: true },
  { name: "bid, memory:", kind: "bid", store: "memory", inSmoke: true },
  { name: "bid, lmdb: without sync", kind: "bid", store: "lmdb?sync=off", inSmoke: false },
  { name: "bid, lmdb: synced", kind: "bid", store: "lmdb", inSmoke: true },
];

const full = { connections: 64, warmUpMs: 2000, windowMs: 3000, singleBids: 500 };
const smoke = { connections: 8, warmUpMs: 300, windowMs: 500, singleBids: 20 };
const checkedAnswers = 8;

export const bidPath: Scenario = {
  name: "bid-path",
  summary: "no bid and journaled bid on one lane, on each store, beside a bare fastify POST",
  takes: "about 4 minutes",
  roundsDefault: 5,
  run: measureBidPath,
};

async function measureBidPath(options: ScenarioOptions): Promise<ScenarioResult> {
  const campaigns = join(options.folder, "campaigns.json");
  writeFileSync(campaigns, JSON.stringify(benchCampaigns({ capped: false })));
  const windows: MeasuredWindow[] = [];
  const chosen = candidates.filter(({ inSmoke }) => inSmoke || !options.smoke);
  const total = chosen.length * options.rounds;
  // Only the order of windows is taken from here: there are two baselines, so ratios come later.
  await interleave(
    chosen.map((candidate) => ({
      name: candidate.name,
      measure: async (round: number) => {
        const window = await withServer(candidate, options.folder, (server) =>
          measureWindow(candidate, server, options, round),
        );
        windows.push(window);
        const rate = Math.round(window.perSecond).toLocaleString("en");
        options.progress(
          `${String(windows.length)}/${String(total)}  round ${String(round + 1)}  ` +
            `${candidate.name}: ${rate}/s, ${window.cpuUs?.total.toFixed(1) ?? "?"} µs`,
        );
        return window.perSecond;
      },
    })),
    options.rounds,
  );
  // The most that a bid can need: a record of its own, and the count for its user's frequency.
  writeFileSync(campaigns, JSON.stringify(benchCampaigns({ capped: true })));
  const alone: Candidate = { name: "one at a time", kind: "bid", store: "memory", inSmoke: true };
  const single = await withServer(alone, options.folder, (server) =>
    bidsOneByOne(server, options.smoke ? smoke.singleBids : full.singleBids),
  );
  const figures: BidPathFigures = {
    connections: sizeOf(options).connections,
    windowMs: sizeOf(options).windowMs,
    singleBidBytes: single.logBytes / single.bids,
    candidates: chosen.map(({ name, kind, store }) => ({ name, kind, isBare: store === null })),
    windows,
  };
  return bidPathReport(figures);
}

function sizeOf({ smoke: isSmoke }: ScenarioOptions): typeof full {
  return isSmoke ? smoke : full;
}

/** A fresh process for each window: all begin with the same, which is nothing. */
async function withServer<T>(
  { store }: Candidate,
  folder: string,
  work: (server: Server) => Promise<T>,
): Promise<T> {
  const data = join(folder, "data");
  mkdirSync(data, { recursive: true });
  const grid = join(data, "grid");
  const urls = {
    memory: "memory:",
    lmdb: `lmdb:${grid}`,
    "lmdb?sync=off": `lmdb:${grid}?sync=off`,
  };
  const server =
    store === null
      ? await startBare()
      : await startUnit({ store: urls[store], campaigns: join(folder, "campaigns.json"), data });
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
  const isBid = candidate.kind === "bid";
  const paths = isBid ? "/bid" : "/none";
  const url = server.url + (candidate.store === null ? paths : "/openrtb2/bid");
  const body = isBid ? bidBody : noBidBody;
  const badAnswers: string[] = [];
  for (let number = 0; number < checkedAnswers; number++) {
    const problem = await answerProblem(url, body(number), isBid);
    if (problem !== null) badAnswers.push(problem);
  }
  const { connections, warmUpMs, windowMs } = sizeOf(options);
  const before = probe();
  const load = await saturate({
    url,
    pid: server.pid,
    connections,
    warmUpMs,
    windowMs,
    body,
    status: isBid ? 200 : 204,
    verify: isBid ? isBidResponse : (text) => text === "",
  });
  const after = probe();
  const answered = load.answersInAll + checkedAnswers;
  const counts = candidate.store === null ? null : await unitCounts(server.url, answered);
  const { serverCpu: cpu, answers, seconds } = load;
  const each = (us: number) => us / answers;
  return {
    candidate: candidate.name,
    round,
    seconds,
    answers,
    perSecond: answers / seconds,
    cpuUs: cpu === null ? null : mapValues(cpu, each),
    generatorUs: each(load.generatorCpuUs),
    generatorBusy: load.generatorCpuUs / seconds / 1_000_000,
    late: isBid ? (counts?.shed ?? 0) : 0,
    wrong: [...badAnswers, ...wrongAnswers(load, isBid ? counts : null)],
    log:
      !isBid || counts === null
        ? null
        : {
            bidsPerRecord: counts.bids / counts.records,
            bytesPerBid: counts.logBytes / counts.bids,
          },
    probes: { before, after },
  };
}

function isBidResponse(text: string): boolean {
  return text.startsWith('{"id":') && text.includes('"seatbid":[{"seat":"orrery"');
}

function mapValues<K extends string>(
  values: Readonly<Record<K, number>>,
  change: (value: number) => number,
): Record<K, number> {
  const entries = Object.entries<number>(values).map(([name, value]) => [name, change(value)]);
  return Object.fromEntries(entries) as Record<K, number>;
}

/** What is wrong with the answers of a window; `counts` explain 204s to requests that get bids. */
function wrongAnswers(load: SaturationWindow, counts: UnitCounts | null): string[] {
  const wrong = Object.entries(load.otherStatus).flatMap(([status, count]) => {
    const explained = status === "204" ? (counts?.shed ?? 0) : 0;
    const rest = count - explained;
    return rest > 0 ? [`${String(rest)} answers with status ${status}`] : [];
  });
  if (load.wrongBodies > 0) wrong.push(`${String(load.wrongBodies)} answers with a wrong body`);
  if (load.errors > 0) wrong.push(`${String(load.errors)} broken connections`);
  return wrong;
}

/** Sends one request and looks at its answer as an exchange would. */
async function answerProblem(url: string, body: string, isBid: boolean): Promise<string | null> {
  const response = await post(url, body);
  const text = await response.text();
  if (response.status !== (isBid ? 200 : 204)) return `status ${String(response.status)}`;
  if (!isBid) return text === "" ? null : "a 204 with a body";
  const request = JSON.parse(body) as { readonly id: string };
  const answer = JSON.parse(text) as {
    readonly id: string;
    readonly seatbid: readonly { readonly bid: readonly { readonly impid: string }[] }[];
  };
  const bids = answer.seatbid.flatMap(({ bid }) => bid);
  const fits = answer.id === request.id && bids.length === 1 && bids[0]?.impid === "1";
  return fits ? null : `no answer to request ${request.id}: ${text}`;
}

function post(url: string, body: string): Promise<Response> {
  return fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body });
}

/** Bids of which each has a record of its own: the most that a bid costs in the log. */
async function bidsOneByOne(server: Server, bids: number): Promise<UnitCounts> {
  for (let number = 0; number < bids; number++) {
    const response = await post(`${server.url}/openrtb2/bid`, bidBody(number));
    await response.text();
  }
  return unitCounts(server.url, bids);
}
