// Types of autocannon, which brings none: what bench/saturation.ts uses of it.
declare module "autocannon" {
  import type { EventEmitter } from "node:events";

  namespace autocannon {
    export type { Context, Request };
  }

  /** What one connection remembers until its list of requests begins anew. */
  type Context = Record<string, unknown>;

  interface Request {
    readonly method: string;
    readonly path: string;
    readonly body?: string;
    /** Makes the request when its turn has come; null: the list begins anew. */
    setupRequest?(request: Request, context: Context): Request | null;
    onResponse?(status: number, body: string, context: Context): void;
  }

  interface Client {
    setRequests(requests: readonly Request[]): void;
  }

  interface Options {
    readonly url: string;
    readonly method: string;
    readonly connections: number;
    /** Seconds. */
    readonly duration: number;
    /** Milliseconds; a run ends with a sample. */
    readonly sampleInt: number;
    /** Seconds until an answer counts as an error. */
    readonly timeout: number;
    readonly headers: Readonly<Record<string, string>>;
    setupClient(client: Client): void;
    verifyBody(body: string): boolean;
  }

  interface Result {
    /** Answers per status. */
    readonly statusCodeStats: Readonly<Record<string, { readonly count: number }>>;
    readonly errors: number;
    readonly mismatches: number;
  }

  /** A load under way; `await` it for its end. */
  type Instance = EventEmitter & PromiseLike<Result>;

  function autocannon(options: Options): Instance;
  export default autocannon;
}
