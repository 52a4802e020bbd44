// Process tree: who descends from a process, and the end of all of them.
// Owns: reading the system's table of processes. Does not own: starting any (processes.ts).
// A descendant may have left its parent's group (a database of its own), and lose its parent when
// that is killed: so a tree is remembered while it is whole, and a process is known by its number
// and its start, because numbers come again.
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";

export interface ProcessEntry {
  readonly pid: number;
  readonly parent: number;
  readonly group: number;
  /** Tells two processes of the same number apart. */
  readonly start: string;
}

/** Remembers the descendants of one process, and kills whichever of them are left. */
export class ProcessTree {
  readonly #root: number;
  readonly #known = new Map<number, ProcessEntry>();

  /** `root` is the process's number, and that of its group. */
  constructor(root: number) {
    this.#root = root;
    this.look();
  }

  /** Looks again who belongs to the tree; those that do and live, the root among them. */
  look(): ProcessEntry[] {
    const all = runningProcesses();
    const members = new Set<number>();
    for (const entry of all) {
      const known = this.#known.get(entry.pid);
      const isKnown = known !== undefined && known.start === entry.start;
      if (isKnown || entry.pid === this.#root || entry.group === this.#root) members.add(entry.pid);
    }
    // Children of members, until there are no more: parents may stand behind them in the table.
    for (let size = -1; size !== members.size;) {
      size = members.size;
      for (const { pid, parent } of all) if (members.has(parent)) members.add(pid);
    }
    const tree = all.filter(({ pid }) => members.has(pid));
    for (const entry of tree) this.#known.set(entry.pid, entry);
    return tree;
  }

  /** Kills all of the tree with SIGKILL; nobody in it gets to start another process first. */
  kill(): void {
    const stopped = new Set<number>();
    let tree = this.look();
    while (tree.some(({ pid }) => !stopped.has(pid))) {
      for (const { pid } of tree) {
        if (!stopped.has(pid)) signal(pid, "SIGSTOP");
        stopped.add(pid);
      }
      tree = this.look();
    }
    for (const { pid } of tree) signal(pid, "SIGKILL");
  }
}

/** True for a process that runs; one that has ended and was not asked about is not running. */
export function isRunning(pid: number): boolean {
  return runningProcesses().some((entry) => entry.pid === pid);
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error; // it ended by itself
  }
}

/** All processes but the dead ones that nobody has asked about yet. */
function runningProcesses(): ProcessEntry[] {
  return existsSync("/proc/self/stat") ? fromProc() : fromPs();
}

function fromProc(): ProcessEntry[] {
  const entries: ProcessEntry[] = [];
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    let stat: string;
    try {
      stat = readFileSync(`/proc/${name}/stat`, "utf8");
    } catch {
      continue; // it ended meanwhile
    }
    // proc(5): pid (name) state ppid pgrp … starttime (the 22nd); the name may hold spaces.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const [state, parent, group] = fields;
    if (state === "Z" || state === "X") continue;
    const start = fields[19] ?? "";
    entries.push({ pid: Number(name), parent: Number(parent), group: Number(group), start });
  }
  return entries;
}

function fromPs(): ProcessEntry[] {
  const table = execFileSync("ps", ["-A", "-o", "pid=,ppid=,pgid=,stat=,lstart="]).toString();
  const entries: ProcessEntry[] = [];
  for (const line of table.split("\n")) {
    const [pid, parent, group, state, ...start] = line.trim().split(/\s+/);
    if (pid === undefined || pid === "" || state?.startsWith("Z") === true) continue;
    const numbers = { pid: Number(pid), parent: Number(parent), group: Number(group) };
    entries.push({ ...numbers, start: start.join(" ") });
  }
  return entries;
}
