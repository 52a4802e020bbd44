// Goal: a profile's text says exactly what will be sent; what cannot be sent is refused in words
// that say what to write. Method: a table; a property over all profiles.
import fc from "fast-check";
import { expect, test } from "vitest";
import { unwrap } from "../../src/base/failure.ts";
import { formatRateProfile, parseRateProfile } from "../../src/load/rate-profile.ts";

test("a profile is read step by step: constant rates, ramps, pauses", () => {
  expect(unwrap(parseRateProfile("10s:1000, 500ms:1000..3000,1m:0,50m:5"))).toEqual([
    { durationMs: 10_000, ratePerSecond: 1000 },
    { durationMs: 500, ratePerSecond: 1000, endRatePerSecond: 3000 },
    { durationMs: 60_000, ratePerSecond: 0 },
    { durationMs: 3_000_000, ratePerSecond: 5 },
  ]);
});

test.each([
  ["", /no step of a profile: write 10s:1000,/],
  ["10s", /"10s" is no step/],
  ["10:1000", /no step/],
  ["10s:1000,,5s:1", /"" is no step/],
  ["10s:1000..", /no step/],
  ["10s:0,5s:0", /above 0/],
  ["0s:100", /lasts from 1 ms/],
  ["24h:100", /lasts from/],
  ["1s:1..999999999", /at most \d+ requests a second/],
])("a profile that cannot be sent is refused: %s", (text, why) => {
  const outcome = parseRateProfile(text);
  expect(outcome).toMatchObject({ ok: false, failure: { code: "CONFIG_INVALID" } });
  if (!outcome.ok) expect(outcome.failure.message).toMatch(why);
});

test("what is written is read again as the same steps", () => {
  const rate = fc.integer({ min: 1, max: 100_000 });
  const step = fc.record(
    {
      durationMs: fc.integer({ min: 1, max: 600_000 }),
      ratePerSecond: rate,
      endRatePerSecond: rate,
    },
    { requiredKeys: ["durationMs", "ratePerSecond"], noNullPrototype: true },
  );
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 5 }), (steps) => {
      expect(unwrap(parseRateProfile(formatRateProfile(steps)))).toEqual(steps);
    }),
  );
});
