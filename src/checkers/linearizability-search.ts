// Linearizability search: is there an order of one part's operations that its model explains, in
// which none comes before one that had returned when it was called? It can be run a little at a
// time, because one hard part must not keep others from being judged.
// Owns: the search. Does not own: parts, budgets, words about the verdict (linearizability.ts).
// Source: Wing and Gong 1993 (depth-first over operations that may come next), Lowe 2017 (memory
// of visited pairs of operations placed and state), Horn and Kroening 2015 (the linked list).
// Four things keep histories with crashes in reach:
//   - it is done when every operation that returned has its place. One whose outcome is not known
//     has a place only where that helps, and is tried last: forcing it calls valid histories
//     illegal;
//   - of two ways to the same state with the same operations that returned, the one that used up
//     fewer of the others is enough;
//   - one of the others comes as late as it can: right before an operation with which it could
//     change places, or which undoes it, it need not be;
//   - a read that fits now is placed now, for good: nothing is lost by it, as it changes nothing.
import { must } from "../base/assert.ts";
import type { Model, Operation } from "./model.ts";

/** Where the search stands among what may come next. */
interface Cursor {
  readonly node: number;
  /** When the first operation returned that is not placed: what was called later must wait. */
  readonly untilMs: number;
}

interface Placed<State> {
  readonly operation: number;
  readonly cursor: Cursor;
  readonly stateBefore: State;
  /** No other choice needs to be tried in its stead. */
  readonly forced: boolean;
}

interface Moment {
  readonly operation: number;
  readonly isCall: boolean;
  readonly atMs: number;
}

// Two rings of what is not placed: calls and returns of operations that returned, and calls of
// those that did not.
const returnedHead = 0;
const unknownHead = 1;
const heads = 2;

export class LinearizabilitySearch<State extends object, Input, Output> {
  readonly #model: Model<State, Input, Output>;
  /** Those that returned first. */
  readonly #operations: readonly Operation<Input, Output>[];
  readonly #returnedCount: number;
  readonly #next: number[];
  readonly #previous: number[];
  readonly #momentAt: (Moment | null)[];
  readonly #callNode: number[];
  readonly #returnNode: number[];
  /** Which operations are placed, 16 to a word: those that returned, and the others. */
  readonly #returnedBits: Uint16Array;
  readonly #unknownBits: Uint16Array;
  /** By the operations that returned and the state: which of the others were used up. */
  readonly #visited = new Map<string, Uint16Array[]>();
  readonly #stack: Placed<State>[] = [];
  #state: State;
  #cursor: Cursor;
  #unplaced: number;
  #verdict: "ok" | "illegal" | null = null;
  #steps = 0;

  constructor(
    model: Model<State, Input, Output>,
    part: string,
    operations: readonly Operation<Input, Output>[],
  ) {
    this.#model = model;
    this.#state = model.init(part);
    const returned = operations.filter((each) => each.returned !== null);
    // A read of which nobody knows what it showed says nothing.
    const unknown = operations.filter(
      (each) => each.returned === null && !model.isRead(each.input, null),
    );
    this.#operations = [...returned, ...unknown];
    this.#returnedCount = returned.length;
    this.#unplaced = returned.length;
    this.#returnedBits = new Uint16Array(Math.ceil(returned.length / 16));
    this.#unknownBits = new Uint16Array(Math.ceil(unknown.length / 16));
    const inReturned = momentsOf(returned, 0);
    const inUnknown = momentsOf(unknown, returned.length);
    this.#momentAt = [null, null, ...inReturned, ...inUnknown];
    this.#next = this.#momentAt.map(() => 0);
    this.#previous = this.#momentAt.map(() => 0);
    this.#ring(returnedHead, heads, inReturned.length);
    this.#ring(unknownHead, heads + inReturned.length, inUnknown.length);
    this.#callNode = this.#operations.map(() => 0);
    this.#returnNode = this.#operations.map(() => 0);
    for (const [node, moment] of this.#momentAt.entries()) {
      if (moment === null) continue;
      (moment.isCall ? this.#callNode : this.#returnNode)[moment.operation] = node;
    }
    this.#cursor = this.#beginning();
  }

  /** Null while it is not known. */
  get verdict(): "ok" | "illegal" | null {
    return this.#verdict;
  }

  /** Steps of the model that were tried so far. */
  get steps(): number {
    return this.#steps;
  }

  /** Once the verdict is ok: the state behind the order that was found. */
  get state(): State {
    return this.#state;
  }

  /** Goes on until the verdict, or until so many more steps were tried. */
  run(stepsMax: number): void {
    const stepsEnd = this.#steps + stepsMax;
    while (this.#verdict === null && this.#steps < stepsEnd) {
      const { node, untilMs } = this.#cursor;
      const moment = this.#momentAt[node] ?? null;
      if (this.#unplaced === 0) this.#verdict = "ok";
      else if (moment?.isCall === true && moment.atMs <= untilMs) {
        if (!this.#place(moment.operation)) this.#cursor = { node: this.#after(node), untilMs };
      } else if (moment?.isCall === false) {
        // Nothing that was called later can come before this: left are the unknown ones.
        this.#cursor = { node: this.#after(unknownHead), untilMs: moment.atMs };
      } else if (!this.#takeBack()) this.#verdict = "illegal";
    }
  }

  #beginning(): Cursor {
    return { node: this.#after(returnedHead), untilMs: Infinity };
  }

  #place(operation: number): boolean {
    const { input, returned } = must(this.#operations[operation], "a node's operation");
    const output = returned === null ? null : returned.output;
    this.#steps++;
    const after = this.#model.step(this.#state, input, output);
    if (after === null) return false;
    const forced = this.#model.isRead(input, output);
    this.#flip(operation);
    if (!forced && (this.#isLastEarly(operation, output, after) || !this.#isNew(after))) {
      this.#flip(operation);
      return false;
    }
    this.#stack.push({ operation, cursor: this.#cursor, stateBefore: this.#state, forced });
    this.#state = after;
    this.#unlink(operation);
    if (returned !== null) this.#unplaced--;
    this.#cursor = this.#beginning();
    return true;
  }

  /** Back to the last choice, and on behind it; false where none is left. */
  #takeBack(): boolean {
    for (let last = this.#stack.pop(); last !== undefined; last = this.#stack.pop()) {
      const { operation, cursor } = last;
      this.#flip(operation);
      this.#relink(operation);
      this.#state = last.stateBefore;
      if (operation < this.#returnedCount) this.#unplaced++;
      if (last.forced) continue;
      this.#cursor = { node: this.#after(cursor.node), untilMs: cursor.untilMs };
      return true;
    }
    return false;
  }

  /**
   * True where the one placed last is of unknown outcome, and the same state is reached without
   * it, or with it behind this one: those ways are tried too, and one of them is enough. Of two
   * unknown ones that can change places, the order of their numbers is the one that is tried.
   */
  #isLastEarly(operation: number, output: Output | null, after: State): boolean {
    const last = this.#stack.at(-1);
    if (last === undefined || last.operation < this.#returnedCount) return false;
    const { input } = must(this.#operations[operation], "an operation");
    const without = this.#model.step(last.stateBefore, input, output);
    if (without === null) return false;
    const key = this.#model.key(after);
    if (this.#model.key(without) === key) return true;
    if (operation > last.operation) return false;
    const lastInput = must(this.#operations[last.operation], "an operation").input;
    const behind = this.#model.step(without, lastInput, null);
    return behind !== null && this.#model.key(behind) === key;
  }

  /** False where this was visited, with the same or fewer of the unknown ones used up. */
  #isNew(state: State): boolean {
    const visit = String.fromCharCode(...this.#returnedBits) + this.#model.key(state);
    const known = this.#visited.get(visit);
    if (known === undefined) this.#visited.set(visit, [this.#unknownBits.slice()]);
    else {
      const used = this.#unknownBits;
      const isSubset = (one: Uint16Array): boolean =>
        one.every((word, at) => (word & ~(used[at] ?? 0)) === 0);
      if (known.some(isSubset)) return false;
      known.push(used.slice());
    }
    return true;
  }

  #flip(operation: number): void {
    const isReturned = operation < this.#returnedCount;
    const bits = isReturned ? this.#returnedBits : this.#unknownBits;
    const bit = isReturned ? operation : operation - this.#returnedCount;
    bits[bit >> 4] = (bits[bit >> 4] ?? 0) ^ (1 << (bit & 15));
  }

  #ring(head: number, first: number, length: number): void {
    let before = head;
    for (let node = first; node < first + length; node++) {
      this.#next[before] = node;
      this.#previous[node] = before;
      before = node;
    }
    this.#next[before] = head;
    this.#previous[head] = before;
  }

  #after(node: number): number {
    return must(this.#next[node], "a node lies in a ring");
  }

  #before(node: number): number {
    return must(this.#previous[node], "a node lies in a ring");
  }

  #unlink(operation: number): void {
    for (const node of [this.#callNode[operation], this.#returnNode[operation]]) {
      if (node === undefined || node < heads) continue;
      this.#next[this.#before(node)] = this.#after(node);
      this.#previous[this.#after(node)] = this.#before(node);
    }
  }

  /** The reverse of `unlink`, in the reverse order. */
  #relink(operation: number): void {
    for (const node of [this.#returnNode[operation], this.#callNode[operation]]) {
      if (node === undefined || node < heads) continue;
      this.#next[this.#before(node)] = node;
      this.#previous[this.#after(node)] = node;
    }
  }
}

/** Calls and returns in time; at one moment calls come first, so that touching is concurrent. */
function momentsOf(
  operations: readonly Operation<unknown, unknown>[],
  firstNumber: number,
): Moment[] {
  const moments = operations.flatMap(({ calledMs, returned }, index): Moment[] => {
    const operation = firstNumber + index;
    const call = { operation, isCall: true, atMs: calledMs };
    return returned === null ? [call] : [call, { operation, isCall: false, atMs: returned.atMs }];
  });
  const rank = ({ isCall }: Moment): number => (isCall ? 0 : 1);
  return moments.sort((a, b) => a.atMs - b.atMs || rank(a) - rank(b) || a.operation - b.operation);
}
