// Goal: a comparison says of equal trees that they do not differ, and finds what is there. Method:
// rounds with the noise of a shared machine, drawn from seeds: each window off by 5 %, one in
// twenty disturbed and up to five times slower, all of a round slower together.
import fc from "fast-check";
import { expect, test } from "vitest";
import { seededRandom, type Random } from "../../src/base/random.ts";
import type { Sample } from "../../src/report/report.ts";
import { compareSamples } from "../../src/report/verdict.ts";

interface Noise {
  readonly windowShare: number;
  readonly disturbedShare: number;
}

const usual: Noise = { windowShare: 0.05, disturbedShare: 0.05 };

/** Normally distributed, mean 0 and deviation 1 (Box and Muller). */
function normal(random: Random): number {
  const radius = Math.sqrt(-2 * Math.log(1 - random.fraction()));
  return radius * Math.cos(2 * Math.PI * random.fraction());
}

/** Times of two trees, round by round: the second takes `factor` times what the first takes. */
function twoTrees(random: Random, rounds: number, factor: number, noise: Noise): [Sample, Sample] {
  const drift = Array.from({ length: rounds }, () => Math.exp(0.2 * normal(random)));
  const tree = (usMean: number): Sample => ({
    name: "bid, CPU",
    unit: "µs",
    better: "less",
    values: drift.map((slower) => {
      const disturbed = random.chance(noise.disturbedShare) ? 1 + 4 * random.fraction() : 1;
      return usMean * slower * disturbed * Math.exp(noise.windowShare * normal(random));
    }),
  });
  return [tree(40), tree(40 * factor)];
}

/** How often of `runs` comparisons a verdict was given. */
function share(
  verdict: "better" | "worse" | "cannot tell",
  how: { rounds: number; factor: number; comparisons: number; noise?: Noise },
): number {
  const random = seededRandom(20_260_101);
  const runs = verdict === "cannot tell" ? 4000 : 1000;
  let given = 0;
  for (let run = 0; run < runs; run++) {
    const [a, b] = twoTrees(random, how.rounds, how.factor, how.noise ?? usual);
    if (compareSamples(a, b, how.comparisons).verdict === verdict) given++;
  }
  return given / runs;
}

test("V3: equal trees, ten samples each: fewer than one comparison in twenty differs", () => {
  for (const rounds of [5, 9]) {
    for (const windowShare of [0.01, 0.05, 0.3]) {
      const noise = { ...usual, windowShare };
      const told = 1 - share("cannot tell", { rounds, factor: 1, comparisons: 10, noise });
      const where = `${String(rounds)} rounds, noise ${String(windowShare)}`;
      expect(1 - (1 - told) ** 10, where).toBeLessThan(0.05);
    }
  }
});

test("a slow-down of 30 % is said to be worse, a gain of 30 % better", () => {
  const quiet = { windowShare: 0.05, disturbedShare: 0 };
  for (const { rounds, noise, least } of [
    { rounds: 7, noise: quiet, least: 0.8 },
    { rounds: 9, noise: quiet, least: 0.85 },
    { rounds: 7, noise: usual, least: 0.6 },
    { rounds: 9, noise: usual, least: 0.75 },
    { rounds: 15, noise: usual, least: 0.95 },
  ]) {
    for (const comparisons of [1, 10]) {
      const where = `${String(rounds)} rounds, ${String(comparisons)} samples`;
      const how = { rounds, comparisons, noise };
      expect(share("worse", { ...how, factor: 1.3 }), where).toBeGreaterThan(least);
      expect(share("better", { ...how, factor: 1 / 1.3 }), where).toBeGreaterThan(least);
    }
  }
});

const time = fc.double({ min: 1, max: 9, noNaN: true });
const figures = (rounds: { min: number; max: number }) =>
  fc.array(fc.tuple(time, time), {
    minLength: rounds.min,
    maxLength: rounds.max,
  });

function samples(pairs: readonly (readonly [number, number])[]): [Sample, Sample] {
  const of = (values: number[]): Sample => ({ name: "x", unit: "ms", better: "less", values });
  return [of(pairs.map(([a]) => a)), of(pairs.map(([, b]) => b))];
}

const opposite = { better: "worse", worse: "better", "cannot tell": "cannot tell" } as const;

test("V2: fewer than five rounds are never judged", () => {
  fc.assert(
    fc.property(figures({ min: 0, max: 4 }), (pairs) => {
      const { verdict, why } = compareSamples(...samples(pairs));
      expect(verdict).toBe("cannot tell");
      expect(why).toMatch(/5 are needed$/);
    }),
  );
});

test("the verdict turns round with the two trees, with the sense of the figure, and no unit", () => {
  fc.assert(
    fc.property(figures({ min: 5, max: 9 }), fc.integer({ min: -3, max: 3 }), (pairs, power) => {
      const [a, b] = samples(pairs);
      const { verdict } = compareSamples(a, b);
      expect(compareSamples(b, a).verdict).toBe(opposite[verdict]);
      const more = (sample: Sample): Sample => ({ ...sample, better: "more" });
      expect(compareSamples(more(a), more(b)).verdict).toBe(opposite[verdict]);
      const scale = (sample: Sample): Sample => {
        return { ...sample, values: sample.values.map((value) => value * 2 ** power) };
      };
      expect(compareSamples(scale(a), scale(b)).verdict).toBe(verdict);
    }),
  );
});

test("a figure that reached 0 has no ratio", () => {
  const [a, b] = samples([1, 2, 3, 4, 5].map((value) => [value, value - 1] as const));
  expect(compareSamples(a, b)).toMatchObject({ verdict: "cannot tell", ratio: null });
});
