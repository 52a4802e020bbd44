// Ledger: what the exchange knows to have happened, as JSON lines in a file.
// Owns: appending, the order of lines, when an event counts. Does not own: sums (tally.ts).
//
// An event counts only when its line was fsynced: what this file holds, whoever was killed, is at
// least what was counted. Lines that come together share one fsync. A line ends with a newline; a
// last one without it was torn by a crash, never counted, and is cut off when the file is opened.
import { type FileHandle, open } from "node:fs/promises";
import { dirname } from "node:path";
import { constants } from "node:fs";
import { must } from "../../base/assert.ts";
import { type Failure, FailureError, type Outcome, failure, ok } from "../../base/failure.ts";
import { limits } from "../../base/limits.ts";
import { delay, type Timers } from "../../base/timers.ts";

export type NoticeKind = "won" | "billed" | "lost";

export interface LedgerEvent {
  /** Wall clock, milliseconds since 1970. */
  readonly at: number;
  /**
   * `bid`: a bid was answered in time. `won`, `billed`, `lost`: the bidder acknowledged that
   * notice. `given-up`: a notice was sent and never acknowledged; it may have had its effect.
   */
  readonly event: "bid" | NoticeKind | "given-up";
  /** Which notice was given up. */
  readonly notice?: NoticeKind;
  readonly bidId: string;
  readonly requestId: string;
  readonly impressionId: string;
  readonly campaignId: string;
  /** Whole micros of one impression: what was bid, else the clearing price. */
  readonly priceMicros: number;
  /** The request was a test: nothing was sold. */
  readonly test?: true;
}

const newline = 10;
const tailBytes = 64 * 1024;

export class Ledger {
  readonly #file: FileHandle;
  readonly #path: string;
  readonly #timers: Timers;
  readonly #onCounted: (event: LedgerEvent) => void;
  #waiting: LedgerEvent[] = [];
  #flushing: Promise<void> | null = null;
  #closing = false;
  #failure: Failure | null = null;

  private constructor(file: FileHandle, options: LedgerOptions) {
    this.#file = file;
    this.#path = options.path;
    this.#timers = options.timers;
    this.#onCounted = options.onCounted;
  }

  /** Opens or makes the file, without a torn last line. DATA_UNUSABLE names path and reason. */
  static async open(options: LedgerOptions): Promise<Outcome<Ledger>> {
    try {
      const flags = constants.O_RDWR | constants.O_CREAT | constants.O_APPEND;
      const file = await open(options.path, flags, 0o644);
      await cutTornLine(file);
      await syncFolder(dirname(options.path));
      return ok(new Ledger(file, options));
    } catch (error) {
      return { ok: false, failure: unusable(options.path, error) };
    }
  }

  /** DATA_UNUSABLE once a write has failed: from then on nothing is written or counted. */
  get failure(): Failure | null {
    return this.#failure;
  }

  /** Adds a line. `onCounted` gets the event once it is durable, in the order of `append`. */
  append(event: LedgerEvent): void {
    if (this.#failure !== null) return;
    this.#waiting.push(event);
    this.#flushing ??= this.#flush();
  }

  /** Makes durable what is left, then closes the file. Nothing may be appended afterwards. */
  async close(): Promise<void> {
    this.#closing = true;
    await this.#flushing;
    try {
      await this.#file.close();
    } catch (error) {
      this.#failure ??= unusable(this.#path, error);
    }
  }

  async #flush(): Promise<void> {
    try {
      // What one turn of the loop brings goes together.
      await Promise.resolve();
      while (this.#waiting.length > 0) {
        const events = this.#waiting;
        this.#waiting = [];
        let lines = "";
        for (const event of events) lines += `${JSON.stringify(event)}\n`;
        await writeAll(this.#file, Buffer.from(lines));
        await this.#file.datasync();
        for (const event of events) this.#onCounted(event);
        if (!this.#closing) await delay(this.#timers, limits.ledgerGroupMs);
      }
    } catch (error) {
      // What was not counted never happened for the sums; going on would lose more of it.
      this.#failure = unusable(this.#path, error);
      this.#waiting = [];
    }
    this.#flushing = null;
  }
}

export interface LedgerOptions {
  readonly path: string;
  readonly timers: Timers;
  readonly onCounted: (event: LedgerEvent) => void;
}

/**
 * The events of a ledger, oldest first, without a torn last line. Throws FailureError with
 * DATA_UNUSABLE where the file cannot be read or another line is not an event.
 */
export async function* readLedger(path: string): AsyncGenerator<LedgerEvent> {
  let file: FileHandle;
  try {
    file = await open(path, "r");
  } catch (error) {
    throw new FailureError(unusable(path, error));
  }
  let rest = "";
  let line = 0;
  try {
    for await (const piece of file.createReadStream({ encoding: "utf8", autoClose: false })) {
      const lines = (rest + String(piece)).split("\n");
      rest = must(lines.pop(), "a split text has a last part");
      for (const text of lines) yield parseEvent(text, path, ++line);
    }
  } finally {
    await file.close();
  }
}

function parseEvent(text: string, path: string, line: number): LedgerEvent {
  try {
    const event: unknown = JSON.parse(text);
    if (isEvent(event)) return event;
  } catch {
    // Said below, with the line's number.
  }
  throw new FailureError(failure("DATA_UNUSABLE", `${path}: line ${line} is not an event`));
}

function isEvent(value: unknown): value is LedgerEvent {
  if (typeof value !== "object" || value === null) return false;
  const { event, bidId, priceMicros } = value as Partial<Record<keyof LedgerEvent, unknown>>;
  return (
    typeof bidId === "string" &&
    Number.isSafeInteger(priceMicros) &&
    (event === "bid" ||
      event === "won" ||
      event === "billed" ||
      event === "lost" ||
      event === "given-up")
  );
}

/** Cuts off what follows the last newline. */
async function cutTornLine(file: FileHandle): Promise<void> {
  const { size } = await file.stat();
  let end = size;
  const piece = Buffer.alloc(tailBytes);
  while (end > 0) {
    const start = Math.max(0, end - tailBytes);
    const { bytesRead } = await file.read(piece, 0, end - start, start);
    const last = piece.subarray(0, bytesRead).lastIndexOf(newline);
    if (last !== -1) {
      end = start + last + 1;
      break;
    }
    end = start;
  }
  if (end === size) return;
  await file.truncate(end);
  await file.datasync();
}

/** A write may take only a part: a full disk says so at the next one. */
async function writeAll(file: FileHandle, bytes: Buffer): Promise<void> {
  let at = 0;
  while (at < bytes.length) {
    const { bytesWritten } = await file.write(bytes, at);
    at += bytesWritten;
  }
}

/** Makes the file's name durable, too, where the system can do that with a folder. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === "win32") return;
  const handle = await open(folder, "r");
  await handle.sync();
  await handle.close();
}

function unusable(path: string, error: unknown): Failure {
  const why = error instanceof Error ? error.message : String(error);
  return failure("DATA_UNUSABLE", `the ledger ${path} cannot be used: ${why}`);
}
