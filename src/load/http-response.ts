// Reads HTTP/1.1 responses from the bytes of a connection that has one request in flight.
// Owns: framing by content-length and by chunks, the head's fields on demand. Does not own: the
// socket. A body that only the connection's end ends is refused: keep-alive is what is measured.
import { limits } from "../base/limits.ts";

export interface HttpResponse {
  readonly status: number;
  /** Status line and fields as they came, without the empty line. See `headerValue`. */
  readonly head: string;
  readonly body: string;
  /** The server takes no further request on this connection. */
  readonly closes: boolean;
}

export type ReadResult =
  | { readonly kind: "more" }
  | { readonly kind: "response"; readonly response: HttpResponse }
  | { readonly kind: "malformed"; readonly why: string };

const more: ReadResult = { kind: "more" };
const headEndMark = "\r\n\r\n";
const versionMark = "HTTP/1.";
const statusAt = 9;

export class ResponseReader {
  /** The bytes of a response that is not complete; the buffer they came in is used again. */
  #pending: Buffer | undefined;

  /** Takes the bytes of one read. `bytes` may be overwritten after the call. */
  read(bytes: Buffer): ReadResult {
    const data = this.#pending === undefined ? bytes : Buffer.concat([this.#pending, bytes]);
    const result = parse(data);
    if (result.kind !== "more") this.#pending = undefined;
    else this.#pending = data === bytes ? Buffer.from(bytes) : data;
    return result;
  }

  reset(): void {
    this.#pending = undefined;
  }
}

function parse(data: Buffer): ReadResult {
  const start = data.toString("latin1", 0, Math.min(data.length, versionMark.length));
  if (!versionMark.startsWith(start)) return malformed("it does not begin with HTTP/1.");
  const headEnd = data.indexOf(headEndMark);
  if (headEnd === -1) {
    return data.length > limits.responseHeadBytesMax ? malformed("its head has no end") : more;
  }
  const head = data.toString("latin1", 0, headEnd);
  const status = Number(head.slice(statusAt, statusAt + 3));
  if (!(status >= 200 && status <= 599)) return malformed(`its status is not one: ${status}`);
  const bodyAt = headEnd + headEndMark.length;
  const framed = readBody(status, head, data, bodyAt);
  if (typeof framed === "string") return malformed(framed);
  if (framed === null) return more;
  if (data.length > framed.endAt) return malformed("bytes follow that nobody asked for");
  return {
    kind: "response",
    response: { status, head, body: framed.body, closes: closesAfter(head) },
  };
}

/** The body and where it ends; null: more is to come; a text: what is wrong with it. */
type Framed = { readonly body: string; readonly endAt: number } | string | null;

function readBody(status: number, head: string, data: Buffer, bodyAt: number): Framed {
  if (status === 204 || status === 304) return { body: "", endAt: bodyAt };
  const value = headerValue(head, "content-length");
  if (value === undefined) {
    const coding = headerValue(head, "transfer-encoding");
    if (coding?.toLowerCase() === "chunked") return readChunks(data, bodyAt);
    return "it has neither a content-length nor chunks";
  }
  const length = Number(value);
  if (!/^\d+$/.test(value)) return "its content-length is not a number";
  if (length > limits.responseBodyBytesMax) return `its body has ${length} bytes`;
  const endAt = bodyAt + length;
  if (data.length < endAt) return null;
  return { body: length === 0 ? "" : data.toString("utf8", bodyAt, endAt), endAt };
}

/** Reads the chunks from their first one on, each time anew: answers are small. */
function readChunks(data: Buffer, bodyAt: number): Framed {
  const chunks: Buffer[] = [];
  let at = bodyAt;
  for (;;) {
    if (at - bodyAt > limits.responseBodyBytesMax) return `its body has more than ${at} bytes`;
    const lineEnd = data.indexOf("\r\n", at);
    if (lineEnd === -1) return data.length - at > chunkLineMax ? "a chunk has no size" : null;
    const line = data.toString("latin1", at, lineEnd);
    const [, digits] = chunkLinePattern.exec(line) ?? [];
    if (digits === undefined) return "a chunk has no size";
    const size = Number.parseInt(digits, 16);
    if (size === 0) return readTrailer(data, lineEnd, chunks);
    const chunkAt = lineEnd + 2;
    if (data.length < chunkAt + size + 2) return null;
    if (data.toString("latin1", chunkAt + size, chunkAt + size + 2) !== "\r\n") {
      return "a chunk is longer than it says";
    }
    chunks.push(data.subarray(chunkAt, chunkAt + size));
    at = chunkAt + size + 2;
  }
}

const chunkLineMax = 256;
const chunkLinePattern = /^([0-9a-f]{1,7})(?:[ \t]*;.*)?$/i;

/** Fields that follow the last chunk are of no interest; an empty line ends them. */
function readTrailer(data: Buffer, lastLineEnd: number, chunks: readonly Buffer[]): Framed {
  const end = data.indexOf(headEndMark, lastLineEnd);
  if (end === -1) {
    return data.length - lastLineEnd > limits.responseHeadBytesMax ? "its end has no end" : null;
  }
  return { body: Buffer.concat(chunks).toString("utf8"), endAt: end + headEndMark.length };
}

function closesAfter(head: string): boolean {
  const connection = headerValue(head, "connection")?.toLowerCase();
  const oneByDefault = head.startsWith("HTTP/1.0");
  return oneByDefault ? connection !== "keep-alive" : connection === "close";
}

function malformed(why: string): ReadResult {
  return { kind: "malformed", why };
}

/** The value of the first field of that name; `name` in lower case, the head in any. */
export function headerValue(head: string, name: string): string | undefined {
  let lineEnd = head.indexOf("\r\n");
  while (lineEnd !== -1) {
    const start = lineEnd + 2;
    const colon = start + name.length;
    // The colon first: most fields are told apart by their length alone.
    if (head[colon] === ":" && head.slice(start, colon).toLowerCase() === name) {
      const end = head.indexOf("\r\n", colon);
      return head.slice(colon + 1, end === -1 ? head.length : end).trim();
    }
    lineEnd = head.indexOf("\r\n", start);
  }
  return undefined;
}
