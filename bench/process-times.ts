// Process times: how much processor time servers have used, with the processes they started, as
// Linux counts it. Owns: reading /proc. Elsewhere than on Linux: nothing. Threads are not told
// apart (process-cpu.ts does).
import { existsSync, readdirSync, readFileSync } from "node:fs";

// A tick of the counters. Linux gives them in USER_HZ, which is 100 on every common platform.
const tickUs = 10_000;

/** Microseconds, user and system, since each began: of these processes and their children. */
export function processTimes(pids: readonly number[]): ReadonlyMap<number, number> {
  const times = new Map<number, number>();
  if (pids.length === 0 || !existsSync("/proc")) return times;
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const stat = readStat(name);
    if (stat === null) continue;
    const pid = Number(name);
    if (pids.includes(pid) || pids.includes(stat.parent)) times.set(pid, stat.us);
  }
  return times;
}

/** Null: it has ended meanwhile. */
function readStat(pid: string): { readonly parent: number; readonly us: number } | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    // A name in parentheses may hold anything; behind it the parent is second, times 12th, 13th.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return { parent: Number(fields[1]), us: (Number(fields[11]) + Number(fields[12])) * tickUs };
  } catch {
    return null;
  }
}
