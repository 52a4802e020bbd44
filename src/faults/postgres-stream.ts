// PostgreSQL stream: the messages of PostgreSQL's protocol in a stream of bytes, one at a time.
// Owns: where a message begins and ends, and the little of it that a proxy looks at.
// Does not own: sockets (postgres-proxy.ts). Encryption and cancelling are not used by our clients.

/** One message as it stands in the stream; `type` is "" for a client's first, which has none. */
export interface StreamMessage {
  readonly type: string;
  readonly bytes: Buffer;
}

export class PostgresStream {
  #rest: Buffer = Buffer.alloc(0);
  #hasStarted: boolean;

  /** A client's stream begins with a message without a type. */
  constructor(side: "client" | "server") {
    this.#hasStarted = side === "server";
  }

  /** The messages that are complete now. */
  take(chunk: Buffer): StreamMessage[] {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const messages: StreamMessage[] = [];
    for (let next = this.#next(); next !== null; next = this.#next()) messages.push(next);
    return messages;
  }

  #next(): StreamMessage | null {
    const typeBytes = this.#hasStarted ? 1 : 0;
    if (this.#rest.length < typeBytes + 4) return null;
    const size = typeBytes + this.#rest.readInt32BE(typeBytes);
    if (this.#rest.length < size) return null;
    const bytes = this.#rest.subarray(0, size);
    this.#rest = this.#rest.subarray(size);
    this.#hasStarted = true;
    return { type: bytes.toString("latin1", 0, typeBytes), bytes };
  }
}

/** The strings that end with a zero, from `offset` on: at most `count` of them. */
function strings(bytes: Buffer, offset: number, count: number): string[] {
  const found: string[] = [];
  for (let at = offset; found.length < count;) {
    const end = bytes.indexOf(0, at);
    if (end < 0) break;
    found.push(bytes.toString("utf8", at, end));
    at = end + 1;
  }
  return found;
}

/** Which statement each of a client's messages prepares or begins to execute. */
export class StatementReader {
  readonly #prepared = new Map<string, string>();

  /** The statement's text where this message asks for either; else null. */
  read({ type, bytes }: StreamMessage): string | null {
    if (type === "Q") return strings(bytes, 5, 1)[0] ?? "";
    if (type === "P") {
      const [name = "", text = ""] = strings(bytes, 5, 2);
      this.#prepared.set(name, text);
      return text;
    }
    if (type !== "B") return null;
    const [, name = ""] = strings(bytes, 5, 2);
    return this.#prepared.get(name) ?? "";
  }
}

/** What a server's message says that it has completed: "COMMIT", "INSERT 0 12"; null: another. */
export function completed({ type, bytes }: StreamMessage): string | null {
  return type === "C" ? (strings(bytes, 5, 1)[0] ?? "") : null;
}
