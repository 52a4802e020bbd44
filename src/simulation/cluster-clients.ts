// Cluster clients: they ask any lane that is there for what the workload wants, with deadlines, and
// ask again as a careful client would: what is known not to have happened is sent again, what may
// have happened only under an Idempotency-Key.
// Owns: tries, patience, what became of an operation. Does not own: what is wanted
// (cluster-workload.ts), what is right (the oracle).
import { failed, type Outcome } from "../base/failure.ts";
import type { Random } from "../base/random.ts";
import type { TimerHandle } from "../base/timers.ts";
import type { Value } from "../grid/log-record.ts";
import type { SubmitOptions } from "../processing-units/edge-context.ts";
import type { ClusterLane } from "./cluster-lane.ts";
import type { RarePath } from "./cluster-probes.ts";
import type { ClientOperation, OperationEnd } from "./cluster-workload.ts";
import type { ClusterWorld } from "./cluster-world.ts";

/** A lane that never answers is given up so long after the deadline that it was given. */
const patienceMs = 1000;
const triesMax = 8;

const probesByCode: ReadonlyMap<string, RarePath> = new Map([
  ["POISON", "command refused as POISON"],
  ["PEER_UNREACHABLE", "command refused as PEER_UNREACHABLE"],
  ["GRID_UNAVAILABLE", "command refused as GRID_UNAVAILABLE"],
] as const);

interface Try {
  readonly lane: ClusterLane;
  /** Called once, with the outcome or what stands for a silence. */
  readonly settle: (outcome: Outcome<Value>) => void;
}

/** How an operation is taken to its end. */
interface Course {
  readonly then: (end: OperationEnd) => void;
  /** The lane for the next try; null: there is none at the moment. */
  readonly choose: () => ClusterLane | null;
  readonly triesMax: number;
}

export interface ClusterClientsOptions {
  readonly world: ClusterWorld;
  readonly random: Random;
  /** Lanes that a client may try now. */
  lanes(): readonly ClusterLane[];
}

export class ClusterClients {
  readonly #options: ClusterClientsOptions;
  readonly #tries = new Set<Try>();
  /** What ends each operation that is not answered yet. */
  readonly #open = new Set<() => void>();
  #names = 0;
  #keys = 0;
  #stopped = false;
  #operations = 0;
  #answered = 0;
  #unanswered = 0;

  constructor(options: ClusterClientsOptions) {
    this.#options = options;
  }

  /** Operations that were begun, and that were answered. */
  get operations(): number {
    return this.#operations;
  }

  get answered(): number {
    return this.#answered;
  }

  /** Operations that were given a second or more for each try, and were not answered. */
  get unanswered(): number {
    return this.#unanswered;
  }

  /** True while nobody waits for an answer. */
  get isIdle(): boolean {
    return this.#open.size === 0;
  }

  start(): void {
    const { workload } = this.#options.world;
    for (let each = 0; each < workload.clients; each++) this.#live(this.#names++);
  }

  /** Nothing new is begun. */
  stop(): void {
    this.#stopped = true;
  }

  /** The run is over: nobody knows what became of what is not answered. */
  abandon(): void {
    for (const abandon of this.#open) abandon();
    this.#open.clear();
  }

  /** A lane is dead: who waits for its answer gets none. */
  lost(lane: ClusterLane): void {
    for (const each of [...this.#tries]) {
      if (each.lane === lane) each.settle(failed("CONNECTION_LOST", "the lane died"));
    }
  }

  /** One operation at one lane, until it is answered. */
  ask(operation: ClientOperation, lane: ClusterLane): Promise<OperationEnd> {
    return new Promise((resolve) => {
      const options = { read: operation.read, deadlineMs: 5000 };
      this.#run(operation, options, { then: resolve, choose: () => lane, triesMax: Infinity });
    });
  }

  newClient(): number {
    return this.#names++;
  }

  /** One client after the other in one place: who does not know what happened is heard no more. */
  #live(client: number): void {
    const { world, random } = this.#options;
    world.time.after(random.fraction() * 2 * world.workload.thinkMs, () => {
      if (this.#stopped) return;
      const operation = world.workload.next(client, random);
      this.#run(operation, this.#draw(operation), {
        then: (end) => this.#live(end.kind === "unknown" ? this.#names++ : client),
        choose: () => this.#anyLane(),
        triesMax,
      });
    });
  }

  #draw({ changes, read }: ClientOperation): SubmitOptions {
    const { random } = this.#options;
    const deadlineMs = random.pick([60, 300, 1000, 1000, 3000]);
    if (!changes) return { read, deadlineMs };
    const key = random.chance(0.4) ? { idempotencyKey: `key-${String(++this.#keys)}` } : {};
    const drawn = random.fraction();
    // Where it happens to change nothing, its answer is a read.
    if (drawn < 0.04) return { read, deadlineMs, ...key, ack: "memory" };
    if (drawn < 0.84) return { read, deadlineMs, ...key };
    return { read, deadlineMs: Math.max(1000, deadlineMs), ...key, ack: "written" };
  }

  #run(operation: ClientOperation, options: SubmitOptions, course: Course): void {
    const { world, random } = this.#options;
    const { time } = world;
    const calledMs = time.nowMs;
    let tries = 0;
    let maybe = false;
    this.#operations++;
    const abandon = (): void => {
      operation.ended({ kind: "unknown" }, calledMs, time.nowMs);
    };
    this.#open.add(abandon);
    const end = (what: OperationEnd): void => {
      this.#open.delete(abandon);
      if (what.kind !== "answered" && (options.deadlineMs ?? 0) >= 1000) this.#unanswered++;
      this.#judge(operation, what, options.ack === "written");
      operation.ended(what, calledMs, time.nowMs);
      course.then(what);
    };
    const again = (): void => {
      if (tries >= course.triesMax) end({ kind: maybe ? "unknown" : "denied" });
      else time.after(random.fraction() * 100, once);
    };
    const once = (): void => {
      tries++;
      const lane = course.choose();
      if (lane === null) {
        again();
        return;
      }
      const wasThere = operation.effect !== null && world.oracle.hasEffect(operation.effect);
      this.#try(lane, operation, options, (outcome) => {
        if (outcome.ok) {
          if (wasThere) world.probes.reached("key found its reply in another lane");
          this.#answered++;
          const answer = outcome.value;
          const acknowledged = options.ack !== "memory";
          end({ kind: "answered", answer, acknowledged });
          return;
        }
        const { kind, code } = outcome.failure;
        const path = probesByCode.get(code);
        if (path !== undefined) world.probes.reached(path);
        if (kind === "unknown") maybe = true;
        const mayRepeat = !maybe || !operation.changes || options.idempotencyKey !== undefined;
        if (kind !== "terminal" && mayRepeat) again();
        else end({ kind: maybe ? "unknown" : "denied" });
      });
    };
    once();
  }

  #anyLane(): ClusterLane | null {
    const lanes = this.#options.lanes();
    return lanes.length === 0 ? null : this.#options.random.pick(lanes);
  }

  #try(
    lane: ClusterLane,
    operation: ClientOperation,
    options: SubmitOptions,
    done: (outcome: Outcome<Value>) => void,
  ): void {
    const { time, diary, oracle } = this.#options.world;
    const holder: { patience: TimerHandle | null } = { patience: null };
    const one: Try = {
      lane,
      settle: (outcome) => {
        if (!this.#tries.delete(one)) return; // given up before, or the lane died
        holder.patience?.cancel();
        diary.note(oracle.partitionOf(operation.key), () => {
          const what = outcome.ok ? JSON.stringify(outcome.value) : outcome.failure.code;
          return `${lane.title} answers ${describe(operation)}: ${what}`;
        });
        // Behind all that the lane does in this moment: what it tells is true by then.
        time.after(0, () => done(outcome));
      },
    };
    this.#tries.add(one);
    const waitMs = (options.deadlineMs ?? 1000) + patienceMs;
    holder.patience = time.after(waitMs, () => one.settle(failed("LANE_LOST", "no answer")));
    lane.submit(operation.command, operation.input, options, (outcome) => one.settle(outcome));
  }

  #judge(operation: ClientOperation, end: OperationEnd, written: boolean): void {
    const { oracle } = this.#options.world;
    if (end.kind === "denied" && operation.effect !== null)
      oracle.denied(operation.key, operation.effect);
    if (end.kind !== "answered" || !end.acknowledged) return;
    const effect = operation.effectOf(end.answer);
    if (effect !== null) oracle.promised(operation.key, effect, written);
    else if (operation.effect !== null) oracle.denied(operation.key, operation.effect);
    for (const shown of operation.shownBy(end.answer)) oracle.shown(operation.key, shown);
  }
}

function describe({ command, input }: ClientOperation): string {
  return `${command} ${JSON.stringify(input)}`;
}
