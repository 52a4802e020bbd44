// Comparison: what rounds of two trees, side by side, say of all their samples. Pure.
// Owns: which rounds count, the verdict over all samples, its words. Does not own: one sample's
// verdict (verdict.ts), running trees.
import { spread } from "../base/spread.ts";
import type { Sample } from "./report.ts";
import { compareSamples, figure, type Comparison } from "./verdict.ts";

/** What both trees measured in one round; null: the round of that tree was not valid. */
export interface ComparedRound {
  readonly a: readonly Sample[] | null;
  readonly b: readonly Sample[] | null;
}

export interface ComparedTrees {
  /** Worse where any sample is; better where one is and none is worse. */
  readonly verdict: Comparison["verdict"];
  readonly comparisons: readonly Comparison[];
  /** Names of samples that only one of the trees has. */
  readonly onlyInOne: readonly string[];
}

/** Compares the samples that both trees have, over the rounds that were valid for both. */
export function compareTrees(rounds: readonly ComparedRound[]): ComparedTrees {
  const whole = rounds.flatMap(({ a, b }) => (a === null || b === null ? [] : [{ a, b }]));
  const known = whole.flatMap(({ a, b }) => [...a, ...b]);
  const shapes = new Map(known.map((sample) => [sample.name, sample]));
  const names = [...shapes.keys()];
  const isInBoth = (name: string): boolean =>
    [...rounds].some(({ a }) => has(a, name)) && [...rounds].some(({ b }) => has(b, name));
  const shared = names.filter(isInBoth);
  const comparisons = shared.map((name) => {
    const pairs = whole.flatMap(({ a, b }) => {
      const [left, right] = [valueOf(a, name), valueOf(b, name)];
      return left === null || right === null ? [] : [{ left, right }];
    });
    const { unit = "", better = "less" } = shapes.get(name) ?? {};
    const sampleOf = (values: number[]): Sample => ({ name, unit, better, values });
    return compareSamples(
      sampleOf(pairs.map(({ left }) => left)),
      sampleOf(pairs.map(({ right }) => right)),
      shared.length,
    );
  });
  const onlyInOne = names.filter((name) => !isInBoth(name));
  return { verdict: verdictOver(comparisons), comparisons, onlyInOne };
}

function has(samples: readonly Sample[] | null, name: string): boolean {
  return samples?.some((sample) => sample.name === name) ?? false;
}

/** A round's value: the median, where a scenario measures several times in one round. */
function valueOf(samples: readonly Sample[], name: string): number | null {
  const values = samples.find((sample) => sample.name === name)?.values ?? [];
  return values.length === 0 ? null : spread(values).median;
}

function verdictOver(comparisons: readonly Comparison[]): Comparison["verdict"] {
  const verdicts = new Set(comparisons.map(({ verdict }) => verdict));
  if (verdicts.has("worse")) return "worse";
  return verdicts.has("better") ? "better" : "cannot tell";
}

/** Rows of a table: a heading, then one for each sample. */
export function comparisonRows(comparisons: readonly Comparison[]): string[][] {
  const shown = (value: number | null) => (value === null ? "–" : figure(value));
  const rows = comparisons.map(({ name, unit, rounds, a, b, ratio, verdict, why }) => [
    unit === "" ? name : `${name}, ${unit}`,
    String(rounds),
    shown(a),
    shown(b),
    ratio === null ? "–" : ratio.middle.toFixed(2),
    ratio === null ? "–" : `${ratio.low.toFixed(2)}–${ratio.high.toFixed(2)}`,
    `${verdict}:`,
    why,
  ]);
  return [["sample", "rounds", "A", "B", "B ÷ A", "interval", "verdict", ""], ...rows];
}
