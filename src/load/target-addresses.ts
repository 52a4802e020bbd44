// Target addresses: connections to one target, spread evenly over all addresses of its name.
// Owns: which address a connection tries first, and which connections move when addresses come and
// go. Does not own: connections (http-connection.ts), how often it looks (http-client.ts).
//
// A name that stands for several servers (those of a scaled service) says nothing of how many they
// are: it is looked up again with every connection, and from time to time. Nothing is remembered of
// addresses that do not answer: a connection then takes the next one by itself.
import type { LookupAddress } from "node:dns";
import { lookup } from "node:dns/promises";
import type { AddressesFound, FindAddresses, HttpConnection, Target } from "./http-connection.ts";

/** All addresses of a name, at least one; rejects where it has none or cannot be looked up. */
export type Resolve = (name: string) => Promise<LookupAddress[]>;

const resolveAll: Resolve = (name) => lookup(name, { all: true });

export class TargetAddresses {
  readonly target: Target;
  readonly #resolve: Resolve;
  readonly #connections: HttpConnection[] = [];
  /** Those that wait for the lookup that is under way. */
  #waiting: AddressesFound[] = [];

  constructor(target: Target, resolve: Resolve = resolveAll) {
    this.target = target;
    this.#resolve = resolve;
  }

  /** From now on it counts. */
  add(connection: HttpConnection): void {
    this.#connections.push(connection);
  }

  /** Finds the addresses for a new connection: first the one that the fewest connections use. */
  readonly find: FindAddresses = (found) => {
    this.#look((error, addresses) => {
      const uses = this.#uses(addresses);
      const byUse = (one: LookupAddress, other: LookupAddress) =>
        (uses.get(one.address) ?? 0) - (uses.get(other.address) ?? 0);
      found(error, addresses.toSorted(byUse));
    });
  };

  /** Moves connections to addresses that have less than their share of them. */
  spread(): void {
    this.#look((_, addresses) => {
      if (addresses.length < 2) return; // or none: what is connected stays so
      const uses = this.#uses(addresses);
      const share = Math.floor(this.#connections.length / addresses.length);
      for (const used of [...uses.values()]) {
        // Where there is none yet, one goes first: perhaps nobody answers there.
        const missing = used === 0 ? Math.min(1, share) : share - used;
        for (let moved = 0; moved < missing; moved++) this.#moveOne(uses);
      }
    });
  }

  /** Moves a connection away from the address that has the most. */
  #moveOne(uses: Map<string, number>): void {
    const [most] = [...uses].sort(([, a], [, b]) => b - a);
    if (most === undefined) return;
    const [address, used] = most;
    uses.set(address, used - 1);
    this.#connections.find((each) => each.address === address && !each.moves)?.move();
  }

  #uses(addresses: readonly LookupAddress[]): Map<string, number> {
    const uses = new Map(addresses.map(({ address }) => [address, 0]));
    for (const { address } of this.#connections) {
      const used = address === null ? undefined : uses.get(address);
      if (address !== null && used !== undefined) uses.set(address, used + 1);
    }
    return uses;
  }

  /** One lookup at a time: who comes while it is under way gets its result. */
  #look(found: AddressesFound): void {
    this.#waiting.push(found);
    if (this.#waiting.length > 1) return;
    const done: AddressesFound = (...result) => {
      const waiting = this.#waiting;
      this.#waiting = [];
      // In turn: each may already count with what the one before it has chosen.
      for (const each of waiting) each(...result);
    };
    this.#resolve(this.target.host).then(
      (addresses) => {
        done(null, addresses);
      },
      (error: unknown) => {
        done(error instanceof Error ? error : new Error(String(error)), []);
      },
    );
  }
}
