// Types of autocannon, which brings none: what bench/saturation.ts uses of it.
declare module "autocannon" {
  import type { EventEmitter } from "node:events";

  interface Client {
    setRequests(requests: readonly { method: string; body: string }[]): void;
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

  /** A load under way; `await` it for its end. Event `response`: (client, status). */
  type Instance = EventEmitter & PromiseLike<Result>;

  function autocannon(options: Options): Instance;
  export default autocannon;
}
