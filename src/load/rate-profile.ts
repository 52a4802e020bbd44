// Rate profile: a plan's rates as text, such as "60s:1000,10s:1000..3000,60s:1000".
// Owns: reading and writing that text. Does not own: arrivals (arrival-plan.ts).
import { failed, ok, type Outcome } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import type { RateStep } from "./arrival-plan.ts";

const unitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
const stepPattern = /^(\d{1,9})(ms|s|m|h):(\d{1,9})(?:\.\.(\d{1,9}))?$/;
const example = "10s:1000,5s:1000..3000,10s:1000 (a time, its rate a second; two rates: evenly up)";

/** The steps that the text names; CONFIG_INVALID says what is wrong, and what is right. */
export function parseRateProfile(text: string): Outcome<RateStep[]> {
  const steps: RateStep[] = [];
  for (const part of text.split(",")) {
    const [, time, unit, rate, endRate] = stepPattern.exec(part.trim()) ?? [];
    if (time === undefined || unit === undefined || rate === undefined) {
      return failed("CONFIG_INVALID", `"${part.trim()}" is no step of a profile: write ${example}`);
    }
    steps.push({
      durationMs: Number(time) * (unitsMs[unit] ?? 0),
      ratePerSecond: Number(rate),
      ...(endRate === undefined ? {} : { endRatePerSecond: Number(endRate) }),
    });
  }
  const problem = profileProblem(steps);
  return problem === null ? ok(steps) : failed("CONFIG_INVALID", problem);
}

/** Why a load generator will not do that; null: it will. */
export function profileProblem(steps: readonly RateStep[]): string | null {
  const durationMs = steps.reduce((sum, step) => sum + step.durationMs, 0);
  const rates = steps.flatMap((step) => [step.ratePerSecond, step.endRatePerSecond ?? 0]);
  if (Math.max(0, ...rates) === 0) return "a load has a rate above 0 somewhere";
  if (Math.max(...rates) > limits.loadRateMax) {
    return `one generator sends at most ${limits.loadRateMax} requests a second: ask for fewer`;
  }
  if (durationMs > 0 && durationMs <= limits.loadDurationMsMax) return null;
  return `a load lasts from 1 ms to ${limits.loadDurationMsMax / 60_000} minutes`;
}

/** The steps as text. */
export function formatRateProfile(steps: readonly RateStep[]): string {
  const texts = steps.map(({ durationMs, ratePerSecond, endRatePerSecond }) => {
    const unit = ["h", "m", "s"].find((each) => durationMs % (unitsMs[each] ?? 1) === 0) ?? "ms";
    const end = endRatePerSecond === undefined ? "" : `..${endRatePerSecond}`;
    return `${durationMs / (unitsMs[unit] ?? 1)}${unit}:${ratePerSecond}${end}`;
  });
  return texts.join(",");
}
