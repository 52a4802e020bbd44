// Reaper: a small process of its own that ends what this process started, when this process ends
// without doing so itself (kill -9 included).
// Owns: the list of process numbers, and a command that clears up behind them.
// Does not own: starting them. Linux and macOS: it is a shell script.
// It holds a pipe from us; nothing else ends that pipe but our end.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import type { Writable } from "node:stream";

// Signals of a terminal reach the whole group: the reaper outlives them, as long as we do.
const script = `
trap '' INT TERM HUP
pids=" "
while read -r what pid; do
  case $what in
    add) pids="$pids$pid " ;;
    remove) case $pids in *" $pid "*) pids="\${pids%% $pid *} \${pids#* $pid }" ;; esac ;;
  esac
done
for pid in $pids; do kill -9 "$pid"; done
eval "$1"
`;

export class Reaper {
  readonly #child: ChildProcess;
  readonly #pipe: Writable;
  readonly #ended: Promise<unknown>;

  /** `clearUp` is a shell command that runs behind the last kill; an error in it shows nowhere. */
  constructor(clearUp = "") {
    const child = spawn("sh", ["-c", script, "reaper", clearUp], {
      detached: true,
      stdio: ["pipe", "ignore", "ignore"],
    });
    this.#child = child;
    this.#pipe = child.stdin;
    this.#pipe.on("error", () => undefined); // killed itself: the end of us all is somebody's work
    this.#ended = once(child, "close");
    child.unref();
  }

  /** From now on the process is killed when we end. */
  add(pid: number): void {
    this.#pipe.write(`add ${pid}\n`);
  }

  /** The process has ended: its number may be given to another one. */
  remove(pid: number): void {
    this.#pipe.write(`remove ${pid}\n`);
  }

  /** Kills what is left, clears up, and resolves when all that is done. */
  async close(): Promise<void> {
    this.#child.ref();
    this.#pipe.end();
    await this.#ended;
  }
}
