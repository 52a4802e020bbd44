// Process CPU: how much processor time another process has used, as Linux counts it.
// Owns: reading /proc, and which thread of a unit does what. Elsewhere than on Linux: nothing.
import { existsSync, readdirSync, readFileSync } from "node:fs";

/** Microseconds of processor time, user and system, since a process began. */
export interface ProcessCpu {
  readonly total: number;
  /** The thread that started the process; in a unit: acceptor, and the values of `memory:`. */
  readonly main: number;
  /** Worker threads of Node: in a unit its lanes. */
  readonly lane: number;
  /** The pool of libuv: LMDB's writes and flushes. */
  readonly pool: number;
  /** The rest: garbage collection and compilation beside the program. */
  readonly runtime: number;
}

// A tick of the counters. Linux gives them in USER_HZ, which is 100 on every common platform.
const tickUs = 10_000;

/** The processor time of a process until now; null where the system does not tell. */
export function processCpu(pid: number): ProcessCpu | null {
  const tasks = `/proc/${String(pid)}/task`;
  if (!existsSync(tasks)) return null;
  const cpu = { main: 0, lane: 0, pool: 0, runtime: 0 };
  for (const task of readdirSync(tasks)) {
    const { name, us } = readTask(`${tasks}/${task}/stat`);
    if (task === String(pid)) cpu.main += us;
    else if (name === "WorkerThread") cpu.lane += us;
    else if (name === "libuv-worker") cpu.pool += us;
    else cpu.runtime += us;
  }
  const total = readTask(`/proc/${String(pid)}/stat`).us;
  return { ...cpu, total };
}

/** A name in parentheses may hold anything; user and system time are fields 14 and 15. */
function readTask(file: string): { readonly name: string; readonly us: number } {
  const text = readFileSync(file, "utf8");
  const nameEnd = text.lastIndexOf(")");
  const fields = text.slice(nameEnd + 2).split(" ");
  const ticks = Number(fields[11]) + Number(fields[12]);
  return { name: text.slice(text.indexOf("(") + 1, nameEnd), us: ticks * tickUs };
}

/** What was used between two readings. */
export function cpuBetween(before: ProcessCpu, after: ProcessCpu): ProcessCpu {
  return {
    total: after.total - before.total,
    main: after.main - before.main,
    lane: after.lane - before.lane,
    pool: after.pool - before.pool,
    runtime: after.runtime - before.runtime,
  };
}
