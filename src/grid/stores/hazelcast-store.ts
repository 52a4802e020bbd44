// Hazelcast store: a map of bytes on the members of a Hazelcast cluster, through one client.
// Owns: outcomes and deadlines of calls, the gate that writes wait behind after each connection,
// replacing a client that is of no use any more. Does not own: the client (hazelcast-session.ts),
// repeating, confirming and helping (the log), the members (deploy/hazelcast).
// Each rule below was measured on real members, and leaving it out lost acknowledged writes or
// stopped a lane for good (docs/operations/hazelcast.md):
// - A key's first two bytes pin it: all keys of a partition lie in one Hazelcast partition.
// - A call is given up at its deadline, whatever the client thinks: the log repeats it.
// - A client whose members are a minority, or whose calls never end, is replaced.
// Calls of one tick leave together, in one write to each member. The client brings together only
// what one callback asks for, and logs ask in a callback each.
// Invariants (docs/invariants.md): S1–S5, the contract.
//   S6. Nothing is written on a connection before what is behind it was seen, and an answer to a
//       write counts only if the connection that it was asked on still stands.
import {
  SplitBrainProtectionError,
  TargetDisconnectedError,
  IndeterminateOperationStateError,
  ClientOfflineError,
  ClientNotActiveError,
} from "hazelcast-client";
import type { Clock } from "../../base/clock.ts";
import { failed, ok, type Outcome } from "../../base/failure.ts";
import { limits } from "../../base/limits.ts";
import { delay, type TimerHandle, type Timers } from "../../base/timers.ts";
import type { ByteMap, Store } from "../store.ts";
import { HazelcastMap, hazelcastPartitionOf, type HazelcastCall } from "./hazelcast-map.ts";
import {
  HazelcastSession,
  type HazelcastAddress,
  type SessionListener,
} from "./hazelcast-session.ts";
import { gridSettings } from "./hazelcast-settings.ts";

export interface HazelcastStoreOptions {
  readonly address: HazelcastAddress;
  readonly clock: Clock;
  readonly timers: Timers;
  /** Whether the store behind a new connection is the one that was known; null: any is. */
  readonly admits: ((store: Store) => Promise<Outcome<boolean>>) | null;
  /** Members came or went, or there is a new connection: something may be lost. */
  readonly changed: () => void;
  readonly log: (message: string) => void;
}

const membersMin = Number(gridSettings["minimum-cluster-size"]);

function misfit(problem: string): Outcome<never> {
  const advice = "start the members with deploy/hazelcast/hazelcast.yaml of this version";
  return failed(
    "STORE_MISFIT",
    `the members' settings are not those of this unit: ${problem}; ${advice}`,
  );
}

function unavailable(why: string): Outcome<never> {
  return failed("STORE_UNAVAILABLE", why);
}

class HazelcastStore implements Store {
  readonly #options: HazelcastStoreOptions;
  readonly #watch: TimerHandle;
  readonly #listener: SessionListener = {
    connection: (connected) => {
      if (connected) this.#connected();
      else this.#disconnected();
    },
    members: () => {
      this.#membersChanged();
    },
    ended: () => {
      void this.#replace("it lost its connections", false);
    },
  };
  #session: HazelcastSession | null = null;
  /** Counts connections: what is asked on one is not answered on the next. */
  #connection = 0;
  /** Why nothing may be written on this connection; null: it may. */
  #refusal: string | null = "it is not connected yet";
  #misfits = false;
  /** Calls that the client has not settled; the first is the oldest. */
  #open = new Set<{ readonly startedMs: number }>();
  /** Calls of this tick. */
  #leaving: (() => void)[] = [];
  #minoritySinceMs: number | null = null;
  #fewSinceMs: number | null = null;
  #isReplacing = false;
  #isClosed = false;

  constructor(options: HazelcastStoreOptions) {
    this.#options = options;
    this.#watch = options.timers.every(limits.hazelcastWatchMs, () => {
      this.#look();
    });
  }

  /** Connects, waits for a majority, and compares settings. STORE_UNREACHABLE, STORE_MISFIT. */
  async open(): Promise<Outcome<null>> {
    const { address, clock, timers } = this.#options;
    const connected = await HazelcastSession.connect(address, false, this.#listener, timers);
    if (!connected.ok) return connected;
    const session = connected.value;
    this.#session = session;
    const startedMs = clock.monotonicMs();
    for (;;) {
      const problem = session.settingsProblem();
      if (problem !== null) return misfit(problem);
      if (session.memberCount >= membersMin) break;
      if (clock.monotonicMs() - startedMs > limits.hazelcastConnectMs) {
        const seen = `${String(session.memberCount)} of at least ${String(membersMin)} members`;
        return failed("STORE_UNREACHABLE", `only ${seen} of ${address.cluster} are up; start more`);
      }
      await delay(timers, limits.hazelcastReconnectMsMin);
    }
    this.#connected();
    return ok(null);
  }

  map(name: string): ByteMap {
    return new HazelcastMap(this, name);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#watch.cancel();
    this.#refusal = "the store is closed";
    this.#connection++;
    const session = this.#session;
    this.#session = null;
    await session?.close();
  }

  /** One call: definite, or unknown at its deadline at the latest. */
  call<T>(call: HazelcastCall<T>): Promise<Outcome<T>> {
    const session = this.#session;
    if (session === null) return Promise.resolve(unavailable("the store is closed"));
    if (call.writes && this.#refusal !== null) {
      return Promise.resolve(unavailable(this.#refusal));
    }
    const { clock, timers } = this.#options;
    const connection = this.#connection;
    const open = this.#open;
    const window = session.windowOf(hazelcastPartitionOf(call.key));
    return new Promise((resolve) => {
      const start = () => {
        const begun = { startedMs: clock.monotonicMs() };
        open.add(begun);
        const end = (outcome: Outcome<T>) => {
          open.delete(begun);
          window.leave(call.bytes);
          timer.cancel();
          resolve(outcome); // nobody listens any more, where the deadline was first
        };
        // S6: it waited for its turn, and then the client may have repeated it by itself, on a
        // connection that nobody has looked at.
        const stands = () => !call.writes || connection === this.#connection;
        const changed = unavailable("the connection changed meanwhile");
        session
          .map(call.map)
          .then(async (map) => (stands() ? ok(await call.run(map)) : changed))
          .then(
            (outcome) => {
              if (outcome.ok) this.#minoritySinceMs = null;
              end(stands() ? outcome : changed);
            },
            (error: unknown) => {
              end(this.#failed(error));
            },
          );
      };
      const timer = timers.after(call.deadlineMs, () => {
        window.withdraw(start);
        const waited = `${String(call.deadlineMs)} ms`;
        resolve(failed("STORE_TIMEOUT", `the members did not answer within ${waited}`));
      });
      this.#leave(() => {
        window.enter(call.bytes, start);
      });
    });
  }

  #leave(enter: () => void): void {
    if (this.#leaving.length === 0) {
      this.#options.timers.endOfTick(() => {
        const leaving = this.#leaving;
        this.#leaving = [];
        for (const one of leaving) one();
      });
    }
    this.#leaving.push(enter);
  }

  /** By type: the names of the client's errors say nothing. */
  #failed(error: unknown): Outcome<never> {
    if (error instanceof SplitBrainProtectionError) {
      this.#minoritySinceMs ??= this.#options.clock.monotonicMs();
      return unavailable("too few members are left to write to");
    }
    if (error instanceof ClientOfflineError) return unavailable("no member is connected");
    if (error instanceof ClientNotActiveError) return unavailable("the client was ended");
    if (error instanceof TargetDisconnectedError) {
      return unavailable("a member went away before it answered");
    }
    if (error instanceof IndeterminateOperationStateError) {
      return unavailable("a member's backup did not answer");
    }
    const what = error instanceof Error ? `${error.constructor.name}: ${error.message}` : "";
    return unavailable(`the client failed: ${what}`);
  }

  #disconnected(): void {
    this.#connection++;
    this.#refusal = "no member is connected";
  }

  /** A new connection: nothing is written before it was seen what is behind it. */
  #connected(): void {
    // S6
    this.#refusal = "the connection is new, and what is behind it is being looked at";
    void this.#inspect(++this.#connection);
  }

  async #inspect(connection: number): Promise<void> {
    const { admits, changed, log, timers } = this.#options;
    let backoffMs: number = limits.storeBackoffMsMin;
    for (;;) {
      const problem = this.#session?.settingsProblem() ?? null;
      this.#misfits = problem !== null;
      const admitted = problem !== null || admits === null ? ok(true) : await admits(this);
      if (connection !== this.#connection) return; // the next one is looked at
      if (admitted.ok) {
        this.#refusal =
          problem ?? (admitted.value ? null : "the members hold another grid, or none");
        break;
      }
      await delay(timers, backoffMs);
      backoffMs = Math.min(backoffMs * 2, limits.storeBackoffMsMax);
    }
    if (this.#refusal !== null) log(`nothing is written to the members: ${this.#refusal}`);
    changed();
  }

  #membersChanged(): void {
    const misfits = this.#session?.settingsProblem() !== null;
    if (misfits === this.#misfits) this.#options.changed();
    else this.#connected();
  }

  /** Is the client of any use? It may see only a minority, or have forgotten calls. */
  #look(): void {
    const session = this.#session;
    if (session === null || this.#isReplacing) return;
    const nowMs = this.#options.clock.monotonicMs();
    this.#fewSinceMs = session.memberCount < membersMin ? (this.#fewSinceMs ?? nowMs) : null;
    const minoritySinceMs = this.#fewSinceMs ?? this.#minoritySinceMs;
    const [oldest] = this.#open;
    if (minoritySinceMs !== null && nowMs - minoritySinceMs > limits.hazelcastMinorityMsMax) {
      void this.#replace("it sees too few members", true);
    } else if (oldest !== undefined && nowMs - oldest.startedMs > limits.hazelcastHangMsMax) {
      void this.#replace("a call was never answered", false);
    }
  }

  /** The new client first, by way of members that the old one does not see. */
  async #replace(why: string, needsMajority: boolean): Promise<void> {
    if (this.#isReplacing) return;
    this.#isReplacing = true;
    const { address, log, timers } = this.#options;
    log(`the client of the members is replaced: ${why}`);
    for (let tries = 0; !this.#isClosed; tries++) {
      const seen = this.#session?.memberAddresses ?? [];
      const members = address.members.toSorted(
        (a, b) => Number(seen.includes(a)) - Number(seen.includes(b)),
      );
      // Members may know themselves by other names than we do: another one is first each time.
      members.push(...members.splice(0, tries % members.length));
      const next = await HazelcastSession.connect(
        { ...address, members },
        true,
        this.#listener,
        timers,
      );
      if (next.ok) {
        if (this.#adopt(next.value, needsMajority)) break;
        await next.value.close();
      }
      await delay(timers, limits.hazelcastMinorityMsMax);
    }
    this.#isReplacing = false;
  }

  #adopt(next: HazelcastSession, needsMajority: boolean): boolean {
    if (this.#isClosed || (needsMajority && next.memberCount < membersMin)) return false;
    const old = this.#session;
    this.#session = next;
    this.#open = new Set();
    this.#minoritySinceMs = null;
    this.#fewSinceMs = null;
    this.#connected();
    void old?.close();
    return true;
  }
}

/** The store on these members. Fails with STORE_UNREACHABLE or STORE_MISFIT, saying what to do. */
export async function openHazelcastStore(options: HazelcastStoreOptions): Promise<Outcome<Store>> {
  const store = new HazelcastStore(options);
  const opened = await store.open();
  if (opened.ok) return ok(store);
  await store.close();
  return opened;
}
