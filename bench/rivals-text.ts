// Rivals' text: the tables of a run for a person, and what is to be known with them.
// Owns: the words. Does not own: the figures (rivals-report.ts).
import type { Spread } from "../src/base/spread.ts";
import { ofRawMin, type RivalsFigures, type Row } from "./rivals-figures.ts";
import { textTable } from "./scenario.ts";

export function rivalsText(figures: RivalsFigures, rows: readonly Row[]): string {
  const { loads, hotLoad, leftOut, windowMs } = figures;
  const tables = loads.map((load) => {
    const own = rows.filter(({ shape, outstanding }) => shape === "spread" && outstanding === load);
    return speedTable(`a hundred campaigns, ${String(load)} under way`, own);
  });
  const hot = rows.filter(({ shape }) => shape === "hot");
  tables.push(speedTable(`one hot campaign, ${String(hotLoad)} under way`, hot));
  tables.push(keptTable(figures));
  const missing = [...leftOut].map(([what, why]) => `Left out, for want of ${what}: ${why}`);
  const loopUs = rows[0]?.loopUs.toFixed(1) ?? "?";
  return [
    tables.join("\n\n"),
    "",
    ...rows.flatMap(notCounting),
    ...missing,
    `Medians over rounds, on this one machine, windows of ${String(windowMs / 1000)} s. A`,
    "reservation is asked for, and is made or refused: the rate is that of both.",
    "of raw: its rate ÷ that of PING (Redis) or SELECT 1 (PostgreSQL) on the same connections with",
    `as much under way, right behind it. counts: windows that reach ${String(ofRawMin)} of it.`,
    "CPU µs: processor time of the process that asks, for each answer; the loop and the plan in it",
    `take about ${loopUs}. servers: of all processes behind it. Orrery beside the code has none but`,
    "members: its time is all there is. busy: processors kept busy by the one and by the others.",
    "a record: answers for each record of the log. races: compare-and-sets that came too late.",
    "disturbed: windows beside which a probe took 15 % longer than usual.",
    "Orrery and Hazelcast refuse where a partition's share of a budget is gone, the others where",
    "all of it is. Redis on one server: its script cannot run in Redis Cluster, where a user's count",
    "and a campaign's budget have no common slot. Hazelcast direct is three writes, not one step.",
    "Not measured: expiry and settling of reservations, servers on machines of their own, latency",
    "under a given load (a closed loop: a slow rival lowers its own), recovery, a database behind.",
  ].join("\n");
}

function speedTable(title: string, rows: readonly Row[]): string {
  const head = [title, "per second", "(least–most)", "of raw", "counts", "CPU µs", "servers"];
  head.push("busy", "p50 ms", "p99 ms", "refused", "a record", "races", "disturbed");
  const lines = rows.map((row) => [
    row.rival,
    whole(row.perSecond.median),
    `${whole(row.perSecond.min)}–${whole(row.perSecond.max)}`,
    row.ofRaw?.median.toFixed(2) ?? "–",
    `${String(row.counting)}/${String(row.windows)}`,
    row.cpuUs.toFixed(1),
    row.serversCpuUs?.toFixed(1) ?? "?",
    `${row.busy.toFixed(2)} + ${row.serversBusy?.toFixed(2) ?? "?"}`,
    row.p50Ms.toFixed(2),
    row.p99Ms.toFixed(1),
    `${(row.refusedShare * 100).toFixed(0)} %`,
    row.perRecord?.toFixed(1) ?? "–",
    row.racesLost.toFixed(2),
    String(row.disturbed),
  ]);
  return textTable([head, ...lines]);
}

/** What was found in the rivals' own data after all windows, and what it survives. */
function keptTable({ rivals, windows }: RivalsFigures): string {
  const head = ["found afterwards", "kept", "refused: cap", "budget", "overspent", "over cap"];
  head.push("unaccounted", "lost at kill -9", "lost at power loss");
  const lines = rivals.map(({ name, lostAtKill, lostAtPowerLoss }) => {
    const own = windows.filter(({ rival }) => rival === name);
    const sum = (figure: (window: (typeof own)[number]) => number) =>
      whole(own.reduce((total, window) => total + figure(window), 0));
    return [
      name,
      sum(({ audit }) => audit.reservations),
      sum(({ overCap }) => overCap),
      sum(({ overBudget }) => overBudget),
      sum(({ audit }) => audit.overspentMicros),
      sum(({ audit }) => audit.overCap),
      sum(({ audit }) => audit.unaccountedMicros),
      lostAtKill,
      lostAtPowerLoss,
    ];
  });
  return textTable([head, ...lines]);
}

function notCounting(row: Row): string[] {
  if (row.ofRaw === null || row.counting === row.windows) return [];
  const which = row.counting === 0 ? "Does not count" : "Does not count in all rounds";
  const { rival, shape, outstanding, ofRaw, busy, serversBusy } = row;
  return [
    `${which}: ${rival}, ${shape}, ${String(outstanding)} under way: ${range(ofRaw)} of raw, ` +
      `${busy.toFixed(2)} processors busy asking, ${serversBusy?.toFixed(2) ?? "?"} serving.`,
  ];
}

function range({ min, max }: Spread): string {
  return `${min.toFixed(2)}–${max.toFixed(2)}`;
}

function whole(count: number): string {
  return Math.round(count).toLocaleString("en");
}
