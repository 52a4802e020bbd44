// Log explorer: every schedule of the log within small bounds: the real machine, not a model of
// it, under all orders of calls, all ways in which a call goes wrong, and a primary that dies.
// Owns: which worlds were seen, the shortest way to a violation.
// Does not own: what may happen next in a world (log-world.ts); what is right (log-oracle.ts).
// Breadth first, so the first violation found has the fewest steps. Bounds are small: it is
// complete within them, where the seeds of log-run.ts go far but see little of all there is.
import { hash } from "node:crypto";
import { firstWorld, nextSteps, type Actor, type ExplorerBounds, type World } from "./log-world.ts";
import type { Replica } from "./replica-store.ts";

export type { ExplorerBounds } from "./log-world.ts";

export interface Exploration {
  readonly worlds: number;
  /** Steps of the longest of the shortest ways to a world. */
  readonly depth: number;
  /** True where every world within the bounds was seen. */
  readonly complete: boolean;
  /** The shortest way to a violation: what happened, step by step, and what it broke. */
  readonly violation: { readonly steps: readonly string[]; readonly what: string } | null;
}

interface Path {
  readonly step: string;
  readonly before: Path | null;
}

interface Seen {
  readonly world: World;
  readonly path: Path | null;
}

/** Explores everything within the bounds, or up to the first violation. */
export function exploreLog(bounds: ExplorerBounds): Exploration {
  const first = firstWorld(bounds);
  const prints = new Prints();
  const seen = new Set([prints.of(first)]);
  let frontier: Seen[] = [{ world: first, path: null }];
  let depth = 0;
  for (; frontier.length > 0; depth++) {
    const further: Seen[] = [];
    for (const { world, path } of frontier) {
      for (const [step, make] of nextSteps(world)) {
        const next = make();
        const print = prints.of(next);
        const { violations } = next.script.oracle;
        if (violations.length === 0 && seen.has(print)) continue;
        const way = { step, before: path };
        const what = next.script.verdict()[0];
        if (what !== undefined) {
          const violation = { steps: stepsOf(way), what };
          return { worlds: seen.size, depth, complete: false, violation };
        }
        if (seen.size >= bounds.worldsMax) {
          return { worlds: seen.size, depth, complete: false, violation: null };
        }
        seen.add(print);
        further.push({ world: next, path: way });
      }
    }
    frontier = further;
  }
  return { worlds: seen.size, depth, complete: true, violation: null };
}

function stepsOf(path: Path | null): string[] {
  const steps: string[] = [];
  for (let at = path; at !== null; at = at.before) steps.unshift(at.step);
  return steps;
}

/** Fingerprints of worlds: equal for worlds that go on alike. */
class Prints {
  readonly #numbers = new Map<string, number>();
  readonly #byBuffer = new WeakMap<Buffer, number>();
  /** Nothing that is part of a world that was seen is ever changed in place. */
  readonly #byObject = new WeakMap<object, string>();

  of(world: World): string {
    const { crashes, lateCalls, news, rewinds, restores, reads, twins, entries, script } = world;
    const parts: string[] = [
      [crashes, lateCalls, news, rewinds, restores, reads, twins, entries].join(),
    ];
    for (const replica of script.copies.replicas) parts.push(this.#replica(replica));
    for (const actor of world.actors) parts.push(this.#actor(actor));
    const { database } = script;
    if (database !== null) parts.push(this.#any(database.row), database.digest);
    if (database !== null && restores > 0) parts.push(this.#any(database.history));
    parts.push(this.#any(world.late), script.oracle.fingerprint);
    return hash("sha256", parts.join("|"), "base64");
  }

  #replica(replica: Replica): string {
    return this.#remembered(replica, () => {
      const stored = [...replica].map(([name, value]) => `${name}=${this.#bytes(value)}`);
      return stored.sort().join();
    });
  }

  #actor(actor: Actor): string {
    return this.#remembered(actor, () => {
      const { lane, ...rest } = actor;
      const { phase, head, epoch, next, chain, checkDue, look } = lane.state;
      return [
        this.#any(phase),
        `${head},${epoch},${next},${this.#bytes(chain)},${checkDue}`,
        this.#any(look),
        lane.follower.fingerprint,
        Object.values(rest).join(),
        this.#any(lane.checkpoints.state),
        lane.checkpoints.fingerprint,
        this.#any(lane.pump?.state),
        lane.readPrint,
        this.#any(lane.scan),
      ].join("|");
    });
  }

  #remembered(of: object, print: () => string): string {
    const known = this.#byObject.get(of) ?? print();
    this.#byObject.set(of, known);
    return known;
  }

  #bytes(value: Buffer): number {
    let number = this.#byBuffer.get(value);
    if (number === undefined) {
      const text = value.toString("latin1");
      number = this.#numbers.get(text) ?? this.#numbers.size;
      this.#numbers.set(text, number);
      this.#byBuffer.set(value, number);
    }
    return number;
  }

  #any(value: unknown): string {
    if (value instanceof Buffer) return String(this.#bytes(value));
    if (typeof value !== "object" || value === null) return String(value);
    return this.#remembered(value, () =>
      Array.isArray(value)
        ? `[${value.map((item) => this.#any(item)).join()}]`
        : this.#object(value),
    );
  }

  #object(value: object): string {
    // What a record says is in the bytes beside it; a lane's configuration stays.
    const entries = Object.entries(value).filter(([name]) => !/^(?:record|by|config)$/.test(name));
    return `{${entries.map(([name, item]) => `${name}:${this.#any(item)}`).join()}}`;
  }
}
