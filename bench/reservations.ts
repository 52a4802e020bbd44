// Scenario reservations: bids journaled on three Hazelcast members, beside the same reservations
// made with Hazelcast's client alone, and beside bids journaled in memory. No HTTP anywhere.
// Owns: the candidates, the members, one process for each window. Does not own: what happens in
// it (reservations-process.ts), the summary (reservations-report.ts).
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { HazelcastMembers, missingForHazelcast } from "../src/faults/hazelcast-members.ts";
import { interleave } from "../src/load/interleave.ts";
import { probe } from "./machine.ts";
import type { ReservationJob, ReservationWindow } from "./reservations-process.ts";
import {
  reservationsReport,
  type MeasuredReservations,
  type ReservationCandidate,
} from "./reservations-report.ts";
import type { Scenario, ScenarioOptions, ScenarioResult } from "./scenario.ts";

const candidates: readonly ReservationCandidate[] = [
  { name: "orrery, three members", engine: "lane", onMembers: true },
  { name: "direct", engine: "reads", onMembers: true },
  { name: "direct, remembers", engine: "remembers", onMembers: true },
  { name: "direct, purse only", engine: "purse only", onMembers: true },
  { name: "orrery, memory:", engine: "lane", onMembers: false },
];

/** Bids under way: eight for each partition, so that records hold several; and two. */
const full = { loads: [256, 64], warmUpMs: 3000, windowMs: 5000, differentInputs: 20_000 };
const smoke = { loads: [32], warmUpMs: 300, windowMs: 500, differentInputs: 500 };

/** For runs of minutes: compiled fully, a heap that holds the largest window three times. */
const javaOptions = ["-Xms1g", "-Xmx1g", "-XX:+UseSerialGC"];
/** Windows that do not count: the members compile what they do. */
const warmUpWindows = 2;
const warmUpLoad = 256;

const program = fileURLToPath(new URL("./reservations-process.ts", import.meta.url));

export const reservations: Scenario = {
  name: "reservations",
  summary: "journaled bids on three Hazelcast members, beside Hazelcast's client used directly",
  takes: "about 11 minutes",
  roundsDefault: 5,
  run: measureReservations,
};

async function measureReservations(options: ScenarioOptions): Promise<ScenarioResult> {
  const missing = missingForHazelcast();
  if (missing !== null) {
    const none = { report: "", figures: {}, goals: [], samples: [], charts: [] };
    return { problems: [`members cannot run here: ${missing}`], ...none };
  }
  options.progress("starting three members");
  const members = await HazelcastMembers.start({
    folder: options.folder,
    ...(options.smoke ? {} : { javaOptions }),
  });
  try {
    return await measureOn(members, options);
  } finally {
    await members.stop();
  }
}

async function measureOn(
  members: HazelcastMembers,
  options: ScenarioOptions,
): Promise<ScenarioResult> {
  const { loads, ...size } = options.smoke ? smoke : full;
  const memberPids = members.members.map(({ pid }) => pid);
  const jobOf = ({ engine, onMembers }: ReservationCandidate, load: number): ReservationJob => ({
    engine,
    store: onMembers ? members.url : "memory:",
    memberPids: onMembers ? memberPids : [],
    outstanding: load,
    ...size,
  });
  for (let window = 0; window < (options.smoke ? 0 : warmUpWindows); window++) {
    options.progress("warming the members up");
    for (const candidate of candidates.slice(0, 2)) await runProcess(jobOf(candidate, warmUpLoad));
  }
  const windows: MeasuredReservations[] = [];
  const total = String(loads.length * candidates.length * options.rounds);
  const measured = (candidate: ReservationCandidate, load: number) => async (round: number) => {
    const before = probe();
    const window = await runProcess(jobOf(candidate, load));
    const after = probe();
    const { name } = candidate;
    const probes = { before, after };
    windows.push({ candidate: name, round, outstanding: load, ...window, probes });
    const perSecond = window.bids / window.seconds;
    options.progress(
      `${String(windows.length)}/${total}  round ${String(round + 1)}  ${String(load)} under way  ` +
        `${name}: ${Math.round(perSecond).toLocaleString("en")}/s, ${window.cpuUs.toFixed(1)} µs`,
    );
    return perSecond;
  };
  // Only the order of windows is taken from here: ratios are made in the report.
  const inTurn = loads.flatMap((load) =>
    candidates.map((candidate) => ({
      name: candidate.name,
      measure: measured(candidate, load),
    })),
  );
  await interleave(inTurn, options.rounds);
  return reservationsReport({
    loads,
    warmUpMs: size.warmUpMs,
    windowMs: size.windowMs,
    candidates,
    windows,
  });
}

/** One window in a fresh process, set up as the launcher sets up a unit's (bin/orrery.cjs). */
async function runProcess(job: ReservationJob): Promise<ReservationWindow> {
  const child = spawn(process.execPath, [program, JSON.stringify(job)], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, MSGPACKR_NATIVE_ACCELERATION_DISABLED: "true" },
  });
  const kill = () => child.kill("SIGKILL");
  process.on("exit", kill);
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
  const [code] = (await once(child, "close")) as [number | null];
  process.off("exit", kill);
  if (code !== 0) throw new Error(`the process of ${job.engine} ended with ${String(code)}`);
  return JSON.parse(output) as ReservationWindow;
}
