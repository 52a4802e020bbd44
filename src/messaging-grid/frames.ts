// Frames: the bytes that lanes exchange, one batch at a time. Both ends may be of different
// versions: tests/messaging-grid/frames.test.ts reads bytes that earlier versions wrote.
// Owns: the messages, their encoding, the size of a batch. Does not own: when a batch leaves and
// whom an answer belongs to (peer-channel.ts).
//
// A batch is one format byte, then plain msgpack values (any library reads them): first the time
// that the batch waited (u32, microseconds, always 5 bytes), then messages, each an array:
//   [0, number, partition, deadlineUs, ack, correlationId, command, input,
//       read, idempotencyKey, sender, senderNumber, confirmed, attempt]       request
//   [1, number, value]                                                        answer
//   [2, number, code, message]                                                failure
//   [3, kind, partition, epoch]                                               notice
// `ack` is 0 (memory), 1 (journal) or 2 (written; earlier versions refuse a batch with it).
// A request may end behind `input` (the first version's did) or behind `idempotencyKey` (it has no
// origin then).
// A deadline counts from the first message of the batch, so that the waiting time, which is known
// only when the batch leaves, is stated once for all of them.
// Invariants (docs/invariants.md):
//   M4. At a limit there is an answer, and nothing else is harmed: what does not fit is not added.
//   M5. Nothing of a malformed batch takes effect: it is read as a whole before anything is used.
import { Packr, RESET_BUFFER_MODE, REUSE_BUFFER_MODE } from "msgpackr";
import { failed, failureKinds, ok, type FailureCode, type Outcome } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import type { Value } from "../grid/log-record.ts";

/** Who numbered a command, and how often it was tried. */
export interface CommandOrigin {
  /** Incarnation of the sending lane. */
  readonly sender: string;
  /** Rises with each command of this sender to this partition; a repeat has the same number. */
  readonly number: number;
  /** Every number up to this one is answered, and never sent again. */
  readonly confirmed: number;
  /** Owners that died while they had the command. */
  readonly attempt: number;
}

/** One command on its way to the lane that owns its partition. */
export interface CommandRequest {
  readonly command: string;
  readonly input: Value;
  readonly partition: number;
  /** What remains until the caller stops waiting. */
  readonly deadlineMs: number;
  readonly ack: "memory" | "journal" | "written";
  readonly read: "local" | "linearizable";
  /** null: the command has no number, and a repeat of it would be another command. */
  readonly origin: CommandOrigin | null;
  /** The client's own name for this request. */
  readonly idempotencyKey: string | null;
  readonly correlationId: string | null;
}

/**
 * What a lane tells others of a partition of its own, so that they need not wait for its card; or
 * (`overtaken`) one other of a partition of that one's, that somebody claimed it under `epoch`.
 */
export interface Notice {
  readonly kind: "serving" | "released" | "overtaken";
  readonly partition: number;
  readonly epoch: number;
}

export type Message =
  | { readonly kind: "request"; readonly number: number; readonly request: CommandRequest }
  | { readonly kind: "answer"; readonly number: number; readonly outcome: Outcome<Value> }
  | { readonly kind: "notice"; readonly notice: Notice };

export type AddResult = "added" | "full" | "tooLarge" | "unencodable";

const batchFormat = 1;
const batchHeaderBytes = 6;
const uint32Token = 0xce;
const uint32Max = 0xffff_ffff;
const kinds = { request: 0, answer: 1, failure: 2, notice: 3 } as const;
const noticeKinds = ["serving", "released", "overtaken"] as const;
const acknowledgements = ["memory", "journal", "written"] as const;
const failureMessageLengthMax = 1024;
/** A writer's buffer begins so, and does not stay larger than this between two batches. */
const writerBytesMin = 4 * 1024;
const writerBytesKept = 256 * 1024;

const packr = new Packr({ useRecords: false, variableMapSize: true });

/** With REUSE_BUFFER_MODE msgpackr returns its own buffer, and where the message lies in it. */
interface PackedBuffer extends Buffer {
  readonly start: number;
  readonly end: number;
}

/** Collects the messages to one peer, in order, into batches of at most `frameBytesMax`. */
export class BatchWriter {
  #bytes: Buffer = Buffer.allocUnsafeSlow(writerBytesMin);
  #length = batchHeaderBytes;
  #sealed: Buffer<ArrayBuffer>[] = [];
  #sealedBytes = 0;

  /** Bytes that wait here for `take`. */
  get waitingBytes(): number {
    const open = this.#length === batchHeaderBytes ? 0 : this.#length;
    return this.#sealedBytes + open;
  }

  /**
   * Adds a request whose deadline counts from the first message of this batch. "full": it takes
   * more than `roomBytes`. Where the result is not "added", nothing was.
   */
  addRequest(
    number: number,
    deadlineMs: number,
    request: CommandRequest,
    roomBytes: number,
  ): AddResult {
    if (roomBytes <= 0) return "full"; // not worth encoding
    const message: unknown[] = [
      kinds.request,
      number,
      request.partition,
      Math.min(Math.round(deadlineMs * 1000), uint32Max),
      acknowledgements.indexOf(request.ack),
      request.correlationId,
      request.command,
      request.input,
      request.read === "local" ? 0 : 1,
      request.idempotencyKey,
    ];
    const { origin } = request;
    if (origin !== null) {
      message.push(origin.sender, origin.number, origin.confirmed, origin.attempt);
    }
    return this.#add(message, roomBytes);
  }

  /** Adds a notice; it is small, and always gets there. */
  addNotice({ kind, partition, epoch }: Notice): void {
    const message = [kinds.notice, noticeKinds.indexOf(kind), partition, epoch];
    this.#add(message, Infinity);
  }

  /**
   * Adds an answer; it always gets there. One that cannot be carried becomes OUTCOME_UNKNOWN:
   * the command has run, so "nothing happened" would be wrong.
   */
  addAnswer(number: number, outcome: Outcome<Value>): void {
    if (!outcome.ok) {
      const { code, message } = outcome.failure;
      const line = message.slice(0, failureMessageLengthMax);
      this.#add([kinds.failure, number, code, line], Infinity);
      return;
    }
    const result = this.#add([kinds.answer, number, outcome.value], Infinity);
    if (result === "added") return;
    const why = result === "tooLarge" ? "is too large" : "holds what msgpack cannot carry";
    const line = `the command has run, but its answer ${why}`;
    this.#add([kinds.failure, number, "OUTCOME_UNKNOWN", line], Infinity);
  }

  /** The batches, each with its own ArrayBuffer, in order; the writer is empty afterwards. */
  take(waitedMs: number): Buffer<ArrayBuffer>[] {
    this.#seal();
    const batches = this.#sealed;
    const waitedUs = Math.max(0, Math.min(Math.round(waitedMs * 1000), uint32Max));
    for (const batch of batches) batch.writeUInt32BE(waitedUs, 2);
    this.#sealed = [];
    this.#sealedBytes = 0;
    if (this.#bytes.length > writerBytesKept) {
      this.#bytes = Buffer.allocUnsafeSlow(writerBytesMin);
    }
    return batches;
  }

  #add(message: readonly unknown[], roomBytes: number): AddResult {
    let packed: PackedBuffer;
    try {
      packed = packr.pack(message, REUSE_BUFFER_MODE | RESET_BUFFER_MODE) as PackedBuffer;
    } catch {
      return "unencodable"; // a bigint beyond 64 bits, or a value that holds itself
    }
    const size = packed.end - packed.start;
    if (size > limits.frameBytesMax - batchHeaderBytes) return "tooLarge";
    if (size > roomBytes) return "full";
    if (this.#length + size > limits.frameBytesMax) this.#seal();
    if (this.#length + size > this.#bytes.length) this.#grow(this.#length + size);
    packed.copy(this.#bytes, this.#length, packed.start, packed.end);
    this.#length += size;
    return "added";
  }

  #grow(bytes: number): void {
    const grown = Buffer.allocUnsafeSlow(Math.max(bytes, this.#bytes.length * 2));
    this.#bytes.copy(grown, 0, 0, this.#length);
    this.#bytes = grown;
  }

  #seal(): void {
    if (this.#length === batchHeaderBytes) return;
    // The one copy: exactly as long as the batch, so that a thread can be given the memory itself.
    const batch = Buffer.allocUnsafeSlow(this.#length);
    this.#bytes.copy(batch, 0, 0, this.#length);
    batch[0] = batchFormat;
    batch[1] = uint32Token;
    this.#sealed.push(batch);
    this.#sealedBytes += this.#length;
    this.#length = batchHeaderBytes;
  }
}

/** The messages of a batch, in order; null where anything in it is malformed (M5). */
export function decodeBatch(batch: Uint8Array): Message[] | null {
  if (batch.length <= batchHeaderBytes) return null;
  if (batch[0] !== batchFormat || batch[1] !== uint32Token) return null;
  const header = new DataView(batch.buffer, batch.byteOffset, batchHeaderBytes);
  const waitedUs = header.getUint32(2);
  let packed: unknown[];
  try {
    packed = packr.unpackMultiple(batch.subarray(batchHeaderBytes));
  } catch {
    return null;
  }
  const messages: Message[] = [];
  for (const values of packed) {
    const message = Array.isArray(values) ? messageOf(values, waitedUs) : null;
    if (message === null) return null;
    messages.push(message);
  }
  return messages;
}

function messageOf(values: readonly unknown[], waitedUs: number): Message | null {
  const [kind, number] = values;
  if (kind === kinds.notice) return noticeOf(values);
  if (typeof number !== "number") return null;
  switch (kind) {
    case kinds.request: {
      const request = requestOf(values, waitedUs);
      return request === null ? null : { kind: "request", number, request };
    }
    case kinds.answer:
      if (values.length !== 3) return null;
      return { kind: "answer", number, outcome: ok(values[2] as Value) };
    case kinds.failure: {
      const outcome = failureOf(values);
      return outcome === null ? null : { kind: "answer", number, outcome };
    }
    default:
      return null;
  }
}

/** Lengths of a request: the first version's, one without an origin, and one with. */
const requestLengths = { first: 8, plain: 10, numbered: 14 } as const;

function requestOf(values: readonly unknown[], waitedUs: number): CommandRequest | null {
  const { first, plain, numbered } = requestLengths;
  const { length } = values;
  if (length !== first && length !== plain && length !== numbered) return null;
  const [, , partition, deadlineUs, ack, correlationId, command, input] = values;
  const [read, idempotencyKey] = length === first ? [0, null] : values.slice(first, plain);
  if (!isCount(partition) || typeof deadlineUs !== "number" || !(deadlineUs >= 0)) return null;
  const acknowledgement = isCount(ack) ? acknowledgements[ack] : undefined;
  if (acknowledgement === undefined || (read !== 0 && read !== 1)) return null;
  if (typeof command !== "string") return null;
  if (!isStringOrNull(correlationId) || !isStringOrNull(idempotencyKey)) return null;
  const origin = length === numbered ? originOf(values) : null;
  if (length === numbered && origin === null) return null;
  return {
    command,
    input: input as Value,
    partition,
    deadlineMs: Math.max(0, deadlineUs - waitedUs) / 1000,
    ack: acknowledgement,
    read: read === 0 ? "local" : "linearizable",
    origin,
    idempotencyKey,
    correlationId,
  };
}

function originOf(values: readonly unknown[]): CommandOrigin | null {
  const [sender, number, confirmed, attempt] = values.slice(requestLengths.plain);
  if (typeof sender !== "string") return null;
  if (!isCount(number) || !isCount(confirmed) || !isCount(attempt)) return null;
  return { sender, number, confirmed, attempt };
}

function noticeOf(values: readonly unknown[]): Message | null {
  const [, which, partition, epoch] = values;
  const kind = isCount(which) ? noticeKinds[which] : undefined;
  if (values.length !== 4 || kind === undefined) return null;
  if (!isCount(partition) || !isCount(epoch) || epoch === 0) return null;
  return { kind: "notice", notice: { kind, partition, epoch } };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isStringOrNull(value: unknown): value is string | null {
  return value === null || typeof value === "string";
}

function failureOf(values: readonly unknown[]): Outcome<Value> | null {
  const [, , code, message] = values;
  if (values.length !== 4 || typeof code !== "string" || typeof message !== "string") return null;
  if (isFailureCode(code)) return failed(code, message);
  // A newer peer's code, of a kind that is not known here: the careful kind is the right one.
  return failed("OUTCOME_UNKNOWN", `${code}: ${message}`);
}

function isFailureCode(code: string): code is FailureCode {
  return Object.hasOwn(failureKinds, code);
}
