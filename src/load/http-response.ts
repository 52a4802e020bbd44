// Reads HTTP/1.1 responses from the bytes of a connection that has one request in flight.
// Owns: framing by content-length, the head's fields on demand. Does not own: the socket.
// Chunked bodies are refused, not read: an answer that needs them is not one of the servers that
// this client was made to load, and saying so is better than a slower parser.
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
  const length = bodyLength(status, head);
  if (typeof length === "string") return malformed(length);
  const bodyAt = headEnd + headEndMark.length;
  if (data.length < bodyAt + length) return more;
  if (data.length > bodyAt + length) return malformed("bytes follow that nobody asked for");
  const body = length === 0 ? "" : data.toString("utf8", bodyAt);
  return { kind: "response", response: { status, head, body, closes: closesAfter(head) } };
}

/** The body's bytes, or why they cannot be known. */
function bodyLength(status: number, head: string): number | string {
  if (status === 204 || status === 304) return 0;
  const value = headerValue(head, "content-length");
  if (value === undefined) return "it has no content-length";
  const length = Number(value);
  if (!/^\d+$/.test(value)) return "its content-length is not a number";
  return length > limits.responseBodyBytesMax ? `its body has ${length} bytes` : length;
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
