// Machine: what it is, and how quiet it was while something was measured.
// Owns: the environment of a result, the probes around each window. Does not own: what is measured.
// A quiet machine still lies: the same work costs 5 % more or five times as much a minute later. So
// a small fixed piece of work is timed before and after each window, and a window beside which it
// took clearly longer than usual is marked.
import { execFileSync } from "node:child_process";
import { readFileSync, statfsSync } from "node:fs";
import { availableParallelism, cpus, loadavg, release, totalmem } from "node:os";
import { fileURLToPath } from "node:url";
import { spread } from "../src/base/spread.ts";
import type { ReportedProbe } from "../src/report/report.ts";
import packageJson from "../package.json" with { type: "json" };

export type Environment = Readonly<Record<string, string | number>>;

/** How long a fixed piece of work took just now. */
export type Probe = ReportedProbe;

/** Probes beside a window. */
export interface Probes {
  readonly before: Probe;
  readonly after: Probe;
}

const root = fileURLToPath(new URL("..", import.meta.url));
const probeOff = 0.15;
const aluRounds = 20_000_000;
const memoryKeys = 300_000;
const memoryReads = 100_000;

const scattered = new Map<number, number>();
/** Every probe of this process, for the report. */
const probes: Probe[] = [];
let ticksBefore = cpuTicks();

/** Probes the machine now; the report of the run will have it. */
export function probe(): Probe {
  if (scattered.size === 0) {
    for (let key = 0; key < memoryKeys; key++) scattered.set(scatter(key), key);
  }
  const ticks = cpuTicks();
  const total = ticks.total - ticksBefore.total;
  const percent = (now: number, before: number) =>
    total > 0 ? ((now - before) / total) * 100 : null;
  const made = {
    atMs: Math.round(performance.now()),
    aluMs: timed(alu),
    memoryMs: timed(memory),
    load1: loadavg()[0] ?? 0,
    cpuPressurePercent: cpuPressure(),
    idlePercent: percent(ticks.idle, ticksBefore.idle),
    stealPercent: percent(ticks.steal, ticksBefore.steal),
  };
  ticksBefore = ticks;
  probes.push(made);
  return made;
}

/** All that was probed in this process so far. */
export function probesTaken(): readonly Probe[] {
  return probes;
}

/** What `measure` measured, and the probes beside it. */
export async function probed<W extends object>(
  measure: () => Promise<W>,
): Promise<W & { readonly probes: Probes }> {
  const before = probe();
  const measured = await measure();
  return { ...measured, probes: { before, after: probe() } };
}

function timed(work: () => number): number {
  const startMs = performance.now();
  // Used, so that it cannot be left out as dead.
  if (Number.isNaN(work())) throw new Error("a probe gives a number");
  return performance.now() - startMs;
}

function alu(): number {
  let mixed = 1;
  for (let round = 0; round < aluRounds; round++) mixed = (Math.imul(mixed, 48271) + round) | 0;
  return mixed;
}

function memory(): number {
  let sum = 0;
  for (let read = 0; read < memoryReads; read++) sum += scattered.get(scatter(read * 7)) ?? 0;
  return sum;
}

function scatter(number: number): number {
  return Math.imul(number, 0x9e3779b1) >>> 0;
}

function cpuPressure(): number | null {
  const match = /some avg10=([\d.]+)/.exec(readText("/proc/pressure/cpu"));
  return match === null ? null : Number(match[1]);
}

/** Of all processors, since the machine started; zeroes on another system. */
function cpuTicks(): { readonly total: number; readonly idle: number; readonly steal: number } {
  const line = /^cpu +(.+)/.exec(readText("/proc/stat"))?.[1] ?? "";
  const [user = 0, nice = 0, system = 0, idle = 0, waiting = 0, irq = 0, softIrq = 0, steal = 0] =
    line.split(" ").map(Number);
  const total = user + nice + system + idle + waiting + irq + softIrq + steal;
  return { total, idle: idle + waiting, steal };
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return ""; // another system, or a kernel without it
  }
}

/** Windows with a probe beside them that took clearly longer than the median of all probes. */
export function disturbedWindows<W extends { readonly probes: Probes }>(
  windows: readonly W[],
): Set<W> {
  const all = windows.flatMap(({ probes }) => [probes.before, probes.after]);
  const aluMs = spread(all.map((one) => one.aluMs)).median * (1 + probeOff);
  const memoryMs = spread(all.map((one) => one.memoryMs)).median * (1 + probeOff);
  const isOff = (one: Probe) => one.aluMs > aluMs || one.memoryMs > memoryMs;
  return new Set(windows.filter(({ probes }) => isOff(probes.before) || isOff(probes.after)));
}

/** A line for a report: how many of the windows were disturbed. */
export function disturbedLine(windows: readonly { readonly probes: Probes }[]): string {
  const disturbed = String(disturbedWindows(windows).size);
  return `Beside ${disturbed} of ${String(windows.length)} windows a probe took 15 % longer than usual.`;
}

/** What figures were measured on; `folder` is where stores lay. */
export function environment(folder: string): Environment {
  return {
    orrery: packageJson.version,
    commit: commit(),
    node: process.version,
    platform: `${process.platform} ${process.arch} ${release()}`,
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    fileSystem: fileSystem(folder),
  };
}

function commit(): string {
  try {
    // "pipe": what git complains of is of no use to who measures.
    const options = { cwd: root, encoding: "utf8", stdio: "pipe" } as const;
    const git = (...args: string[]) => execFileSync("git", args, options).trim();
    const changed = git("status", "--porcelain", "--", "src", "bench") !== "";
    return git("rev-parse", "--short", "HEAD") + (changed ? " and changes" : "");
  } catch {
    return "unknown";
  }
}

const fileSystems: Readonly<Record<number, string>> = {
  0xef53: "ext4",
  0x58465342: "xfs",
  0x9123683e: "btrfs",
  0x01021994: "tmpfs (memory: a flush costs nothing)",
  0x794c7630: "overlay",
};

function fileSystem(folder: string): string {
  const { type } = statfsSync(folder);
  return fileSystems[type] ?? `0x${type.toString(16)}`;
}
