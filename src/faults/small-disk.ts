// Small disk: a file system in memory with room for so many bytes, and for more when somebody says
// so: what is full gives "no space left on device". Linux as root only.
// Owns: mounting it, its size, its end. Does not own: what lies on it.
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmdirSync, statfsSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Reaper } from "./reaper.ts";
import { runProgram } from "./run-program.ts";

/** Why there can be no such disk here; null: there can. */
export function missingForSmallDisk(): string | null {
  if (process.platform !== "linux") return "a file system in memory is Linux's";
  if (process.getuid?.() !== 0) return "mounting needs root";
  const place = mkdtempSync(join(tmpdir(), "orrery-disk-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", place], { stdio: "pipe" });
    execFileSync("umount", [place], { stdio: "pipe" });
    return null;
  } catch (error) {
    const why = error instanceof Error ? (error.message.split("\n").at(-1) ?? "") : "";
    return `nothing can be mounted (${why})`;
  } finally {
    rmdirSync(place);
  }
}

export class SmallDisk {
  readonly folder: string;
  readonly #reaper: Reaper;

  private constructor(folder: string, reaper: Reaper) {
    this.folder = folder;
    this.#reaper = reaper;
  }

  /** Mounts one at `folder`, which is made; it belongs to whom `like` belongs to. */
  static async mount(folder: string, bytes: number, like: string): Promise<SmallDisk> {
    mkdirSync(folder, { recursive: true });
    const { uid, gid } = statSync(like);
    // Lazily: also where something is still open on it.
    const reaper = new Reaper(`umount -l '${folder}'`);
    const options = `size=${bytes},uid=${uid},gid=${gid},mode=0700`;
    await runProgram("mount", ["-t", "tmpfs", "-o", options, "tmpfs", folder]);
    return new SmallDisk(folder, reaper);
  }

  /** It has room for so many bytes from now on. */
  async resize(bytes: number): Promise<void> {
    await runProgram("mount", ["-o", `remount,size=${bytes}`, this.folder]);
  }

  /** It has room for what lies on it, and for nothing else. */
  async fill(): Promise<void> {
    for (;;) {
      const { blocks, bfree, bsize } = statfsSync(this.folder);
      const used = (blocks - bfree) * bsize;
      try {
        await this.resize(used);
        return;
      } catch (error) {
        // A size below what is used is refused: somebody has written meanwhile.
        const { blocks: blocksThen, bfree: bfreeThen } = statfsSync(this.folder);
        if ((blocksThen - bfreeThen) * bsize === used) throw error;
      }
    }
  }

  /** Unmounts it: what lay on it is gone. */
  async close(): Promise<void> {
    await this.#reaper.close();
  }
}
