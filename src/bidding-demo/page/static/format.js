// Format: numbers as people read them. All of them in one language, like the page.

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const oneDigit = new Intl.NumberFormat("en-US", { maximumFractionDigits: 1 });
const money = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" });
const share = new Intl.NumberFormat("en-US", { style: "percent", maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });

export const none = "–";

export function count(value) {
  return value === null ? none : whole.format(value);
}

/** Small rates with a fraction, so that a bid every other second does not read as none. */
export function rate(value) {
  return value === null ? none : (value < 10 ? oneDigit : whole).format(value);
}

export function milliseconds(value) {
  if (value === null) return none;
  if (value >= 1000) return `${(value / 1000).toFixed(2)} s`;
  const digits = value < 10 ? 2 : value < 100 ? 1 : 0;
  return `${value.toFixed(digits)} ms`;
}

/** A time that a person waits for: whole seconds, minutes or hours, or less than a second. */
export function duration(ms) {
  if (ms < 1000) return `${whole.format(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 120) return `${whole.format(seconds)} s`;
  if (seconds < 7200) return `${whole.format(seconds / 60)} min`;
  return `${whole.format(seconds / 3600)} h`;
}

/** A share of time, which changes all the time: whole percents are calmer. */
export function wholePercent(part) {
  return `${whole.format(100 * part)}%`;
}

/** Dollars and cents from micros. */
export function dollars(micros) {
  return money.format(micros / 1_000_000);
}

export function percent(part, all) {
  return all > 0 ? share.format(part / all) : none;
}

export function timeOfDay(timeMs) {
  return clock.format(new Date(timeMs));
}
