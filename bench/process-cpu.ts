// Process CPU: how much processor time another process has used, as Linux counts it.
// Owns: reading /proc, and which thread of a unit does what. Elsewhere than on Linux: nothing.
import { readdirSync, readFileSync } from "node:fs";

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

/**
 * The processor time of a process until now; null where the system does not tell, or the process
 * has ended. A thread that has ended is in the total alone.
 */
export function processCpu(pid: number): ProcessCpu | null {
  const folder = `/proc/${String(pid)}`;
  const tasks = unlessEnded(() => readdirSync(`${folder}/task`));
  const whole = readTask(folder);
  if (tasks === null || whole === null) return null;
  const cpu = { main: 0, lane: 0, pool: 0, runtime: 0 };
  for (const task of tasks) {
    const read = readTask(`${folder}/task/${task}`);
    if (read === null) continue;
    const { name, us } = read;
    if (task === String(pid)) cpu.main += us;
    else if (name === "WorkerThread") cpu.lane += us;
    else if (name === "libuv-worker") cpu.pool += us;
    else cpu.runtime += us;
  }
  return { ...cpu, total: whole.us };
}

/** A name in parentheses may hold anything; user and system time are fields 14 and 15. */
function readTask(folder: string): { readonly name: string; readonly us: number } | null {
  const text = unlessEnded(() => readFileSync(`${folder}/stat`, "utf8"));
  if (text === null) return null;
  const nameEnd = text.lastIndexOf(")");
  const fields = text.slice(nameEnd + 2).split(" ");
  const ticks = Number(fields[11]) + Number(fields[12]);
  return { name: text.slice(text.indexOf("(") + 1, nameEnd), us: ticks * tickUs };
}

/** Null where what is read has ended, which may be after its folder was listed or opened. */
function unlessEnded<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOENT" || code === "ESRCH") return null;
    throw error;
  }
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
