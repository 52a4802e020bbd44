// Load specification: all that decides a load: what is sent where, and when. The same one sends the
// same requests at the same moments of its plan to every system that is compared.
// Owns: its shape, what is refused. Does not own: sending (load-run.ts).
import { failed, ok, type Outcome } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import { seededRandom } from "../base/random.ts";
import { fixedPlan, poissonPlan, type ArrivalPlan, type RateStep } from "./arrival-plan.ts";
import type { HttpMethod } from "./http-client.ts";
import { profileProblem } from "./rate-profile.ts";

/** poisson: as many independent senders do; fixed: at equal distances. */
export const spacings = ["poisson", "fixed"] as const;
export type Spacing = (typeof spacings)[number];

export interface LoadSpec {
  /**
   * http://host:port/path, or ws://host:port/path: then a body is a message, and the next message
   * its answer; without bodies a request connects, waits for a message, and leaves.
   */
  readonly url: string;
  readonly method: HttpMethod;
  /** "name: value" each. */
  readonly headers: readonly string[];
  /** Request n carries body n, and after the last one the first again; none: no body. */
  readonly bodies: readonly string[];
  readonly steps: readonly RateStep[];
  readonly spacing: Spacing;
  /** Decides the arrivals of a Poisson plan; 32 bits of it count. */
  readonly seed: number;
  readonly connections: number;
  /** Sent and not finished; what is due beyond it counts as not sent. */
  readonly inFlightMax: number;
  /** From the moment a request is given to its connection, or waits for one. */
  readonly deadlineMs: number;
}

/** The arrivals of a load, the same for the same specification. */
export function planOf({ steps, spacing, seed }: LoadSpec): ArrivalPlan {
  return spacing === "fixed" ? fixedPlan(steps) : poissonPlan(steps, seededRandom(seed));
}

const headerPattern = /^[!#$%&'*+.^_`|~\w-]+: ?[^\r\n\0]*$/;
const ownHeaders = /^(?:host|content-length|connection|transfer-encoding):/i;

/** CONFIG_INVALID says what of it cannot be sent, and what to give instead. */
export function checkLoadSpec(spec: LoadSpec): Outcome<void> {
  const problem = specProblem(spec);
  return problem === null ? ok(undefined) : failed("CONFIG_INVALID", problem);
}

function specProblem(spec: LoadSpec): string | null {
  const { url, headers, bodies, steps, connections, inFlightMax, deadlineMs } = spec;
  const parsed = URL.parse(url);
  if (parsed === null || !["http:", "ws:"].includes(parsed.protocol)) {
    return `${url} is not what a load is sent to: give http://HOST:PORT/PATH or ws://HOST:PORT/PATH`;
  }
  if (parsed.protocol === "ws:" && headers.length > 0) return "a load over ws: sends no headers";
  const unreadable = headers.find((header) => !headerPattern.test(header));
  if (unreadable !== undefined) return `"${unreadable}" is no header: write NAME: VALUE`;
  const own = headers.find((header) => ownHeaders.test(header));
  if (own !== undefined) return `${own.split(":", 1)[0] ?? own} is set by the generator: leave it`;
  if (bodies.length > limits.loadBodiesMax) {
    return `${bodies.length} bodies; a load repeats at most ${limits.loadBodiesMax}`;
  }
  const bytes = bodies.reduce((sum, body) => sum + Buffer.byteLength(body), 0);
  if (bytes > limits.loadBodyBytesMax) {
    return `the bodies have ${bytes} bytes; they may have ${limits.loadBodyBytesMax} together`;
  }
  const counts = [
    ["connections", connections, limits.loadConnectionsMax],
    ["requests in flight", inFlightMax, limits.loadInFlightMax],
    ["milliseconds until the deadline", deadlineMs, limits.loadDeadlineMsMax],
  ] as const;
  for (const [what, count, most] of counts) {
    if (!(Number.isInteger(count) && count >= 1 && count <= most)) {
      return `${count} ${what}: give a whole number from 1 to ${most}`;
    }
  }
  return profileProblem(steps);
}
