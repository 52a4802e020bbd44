// Co-runners: which other processes used this machine's processors while something was measured.
// Owns: reading the system's table of processes (Linux). Does not own: probes (machine.ts).
// Processes that we started are not among them; one that came or went meanwhile is not seen.
import { readFileSync, readdirSync } from "node:fs";
import { availableParallelism } from "node:os";

interface Usage {
  readonly name: string;
  readonly parent: number;
  readonly ticks: number;
}

/** Clock ticks a second, as Linux shows them to programs. */
const ticksPerSecond = 100;
const leastShare = 0.01;
const shownMost = 5;

export class CoRunners {
  readonly #before = usages();
  readonly #startMs = performance.now();

  /** The busiest others since then, by name, as shares of a processor; or "none", "not told". */
  summary(): string {
    const after = usages();
    if (after.size === 0) return "not told";
    const seconds = (performance.now() - this.#startMs) / 1000;
    const shares = new Map<string, number>();
    for (const [pid, { name, ticks }] of after) {
      const before = this.#before.get(pid);
      if (before?.name !== name || isOurs(pid, after)) continue;
      const share = (ticks - before.ticks) / ticksPerSecond / seconds;
      shares.set(name, (shares.get(name) ?? 0) + share);
    }
    const busy = [...shares].filter(([, share]) => share >= leastShare);
    const shown = busy.sort(([, left], [, right]) => right - left).slice(0, shownMost);
    const texts = shown.map(([name, share]) => `${name} ${String(Math.round(share * 100))} %`);
    return texts.length === 0 ? "none" : `${texts.join(", ")} (of ${cores()})`;
  }
}

function cores(): string {
  return `${String(availableParallelism() * 100)} %`;
}

/** This process, and what descends from it. */
function isOurs(pid: number, table: ReadonlyMap<number, Usage>): boolean {
  for (let at = pid; at > 1; at = table.get(at)?.parent ?? 0) if (at === process.pid) return true;
  return false;
}

function usages(): Map<number, Usage> {
  const table = new Map<number, Usage>();
  for (const pid of processNumbers()) {
    try {
      // "pid (name) state parent …": the name may hold anything, so count from its end.
      const stat = readFileSync(`/proc/${String(pid)}/stat`, "utf8");
      const end = stat.lastIndexOf(")");
      const fields = stat.slice(end + 2).split(" ");
      const [parent, user, system] = [fields[1], fields[11], fields[12]].map(Number);
      const name = stat.slice(stat.indexOf("(") + 1, end);
      table.set(pid, { name, parent: parent ?? 0, ticks: (user ?? 0) + (system ?? 0) });
    } catch {
      // It has ended since.
    }
  }
  return table;
}

function processNumbers(): number[] {
  try {
    return readdirSync("/proc").flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []));
  } catch {
    return []; // another system
  }
}
