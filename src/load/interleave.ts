// Interleave: compares candidates by measuring them in turn, A B A B …, on the same machine.
// Owns: the order of runs, medians, ratios, their spread. Does not own: what is measured.
// Machines drift by more than what is compared differs, so only candidates of one round are
// compared with one another, and only ratios are worth quoting.
import { assert, must } from "../base/assert.ts";
import { spread, type Spread } from "../base/spread.ts";

export interface Candidate {
  readonly name: string;
  /** One run; the figure is whatever is compared, the same unit for all candidates. */
  readonly measure: (round: number) => Promise<number>;
}

export interface CandidateResult {
  readonly name: string;
  /** In the order of rounds. */
  readonly figures: readonly number[];
  readonly figure: Spread;
  /** Figure ÷ the first candidate's figure of the same round. */
  readonly ratio: Spread;
}

/** Measures each candidate once per round; the first one is what the others are compared with. */
export async function interleave(
  candidates: readonly Candidate[],
  rounds: number,
): Promise<CandidateResult[]> {
  assert(candidates.length > 0 && rounds > 0, "something is measured at least once");
  const figures = candidates.map((): number[] => []);
  for (let round = 0; round < rounds; round++) {
    for (const [index, candidate] of candidates.entries()) {
      figures[index]?.push(await candidate.measure(round));
    }
  }
  const baseline = must(figures[0], "the first candidate was measured");
  return candidates.map(({ name }, index) => {
    const own = must(figures[index], "every candidate was measured");
    const ratios = own.map((figure, round) => figure / must(baseline[round], "in every round"));
    return { name, figures: own, figure: spread(own), ratio: spread(ratios) };
  });
}
