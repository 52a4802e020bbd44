// Fsynced ledger: what a client knows of its commands, on disk before each is sent and after each
// is answered, so that no fault can take it away. It is read back as the oracle reads it.
// Owns: the file; what comes during one fsync shares the next. Does not own: the commands
// (src/load/command-load.ts), what is wrong with them (fault-ledger.ts).
import { fdatasync, openSync, readFileSync, writeSync, closeSync } from "node:fs";
import type { Outcome } from "../../../src/base/failure.ts";
import type { Value } from "../../../src/grid/log-record.ts";
import type { LoadedCommand } from "../../../src/load/command-load.ts";
import type { LedgerLine } from "./fault-ledger.ts";

interface Note {
  readonly id: string;
  readonly partition: number;
  readonly sentMs: number;
  readonly outcome: Outcome<Value> | null;
  readonly answeredMs: number;
}

export class FsyncedLedger {
  readonly #path: string;
  readonly #file: number;
  #waiting: { readonly line: string; readonly done: () => void }[] = [];
  #isSyncing = false;

  constructor(path: string) {
    this.#path = path;
    this.#file = openSync(path, "a");
  }

  /** Resolves when it is on disk. */
  note({ id, partition, sentMs, outcome, answeredMs }: LoadedCommand): Promise<void> {
    const line = JSON.stringify({ id, partition, sentMs, outcome, answeredMs });
    return new Promise((done) => {
      this.#waiting.push({ line, done });
      if (!this.#isSyncing) this.#sync();
    });
  }

  /** The file, as it is: one line for each command, with its answer where there is one. */
  read(): LedgerLine[] {
    const lines = new Map<string, LedgerLine>();
    for (const text of readFileSync(this.#path, "utf8").trimEnd().split("\n")) {
      const note = JSON.parse(text) as Note;
      const index = lines.get(note.id)?.index ?? lines.size;
      lines.set(note.id, { index, ...note });
    }
    return [...lines.values()];
  }

  close(): void {
    closeSync(this.#file);
  }

  #sync(): void {
    const group = this.#waiting.splice(0);
    this.#isSyncing = group.length > 0;
    if (!this.#isSyncing) return;
    writeSync(this.#file, group.map(({ line }) => `${line}\n`).join(""));
    fdatasync(this.#file, (error) => {
      if (error !== null) throw error;
      for (const { done } of group) done();
      this.#sync();
    });
  }
}
