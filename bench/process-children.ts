// Process children: which processes other ones started, as Linux tells. Elsewhere: none.
import { existsSync, readdirSync, readFileSync } from "node:fs";

/** Numbers of the processes that these started and that still run. */
export function childrenOf(pids: readonly number[]): number[] {
  if (pids.length === 0 || !existsSync("/proc")) return [];
  const parents = new Set(pids);
  const numbers = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return numbers.filter((pid) => parents.has(parentOf(pid))).map(Number);
}

/** A name in parentheses may hold anything; the parent is the second field behind it. */
function parentOf(pid: string): number {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    return Number(text.slice(text.lastIndexOf(")") + 2).split(" ")[1]);
  } catch {
    return -1; // it has ended meanwhile
  }
}
