// Prices as the exchange counts them: nanos, so that a CPM with six decimals is a whole number.
// Owns: nanos ↔ CPM text, rounding to micros. Does not own: the bidder's money (../money.ts), of
// which this is independent on purpose: two sides that round alike are a check on each other.
//
// A CPM is dollars per thousand impressions; one impression at CPM p costs p/1000 dollars, which is
// p × 1,000 micros or p × 1,000,000 nanos.

const nanosPerCpm = 1_000_000;

/** Nanos of one impression at a CPM, the nearest where it has more than six decimals. */
export function nanosOfCpm(cpm: number): number {
  return Math.round(cpm * nanosPerCpm);
}

/** The CPM as a plain decimal, exact, without zeros at the end: 1234560 → "1.23456". */
export function cpmText(nanos: number): string {
  const whole = Math.floor(nanos / nanosPerCpm);
  const rest = nanos - whole * nanosPerCpm;
  if (rest === 0) return String(whole);
  return `${whole}.${String(rest).padStart(6, "0").replace(/0+$/, "")}`;
}

/** What one impression is charged: whole micros, halves rounded up. */
export function microsOfNanos(nanos: number): number {
  return Math.floor((nanos + 500) / 1000);
}
