// Model: what an object is, as a history of operations on it is judged: states and steps, no time.
// Owns: the contract of a model, and what an operation of a history is.
// Does not own: any search (linearizability.ts), who recorded the history.

/**
 * One operation as its client saw it. Its interval is closed: two that touch at one moment are
 * concurrent. Operations that definitely did not happen do not belong in a history.
 */
export interface Operation<Input, Output> {
  readonly client: number;
  readonly input: Input;
  readonly calledMs: number;
  /** What came back and when; null: nobody knows whether it happened, or when it will. */
  readonly returned: { readonly output: Output; readonly atMs: number } | null;
}

/** A sequential object. Pure: a step never changes the state that it was given. */
export interface Model<State extends object, Input, Output> {
  /** Operations of different parts never concern one another: each part is judged by itself. */
  part(input: Input): string;
  init(part: string): State;
  /**
   * The state after the operation; null where this output is impossible in this state. Without an
   * output (null) it is what the operation makes of the state, whatever it answers.
   */
  step(state: State, input: Input, output: Output | null): State | null;
  /** True where the operation changes no state, whichever it meets. */
  isRead(input: Input, output: Output | null): boolean;
  /** Equal for equal states, and only for them; shown to people too. */
  key(state: State): string;
  describe(input: Input, output: Output | null): string;
}
