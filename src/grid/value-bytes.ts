// Value bytes: about how large values are once they are encoded, without encoding them.
// Owns: the estimate, for limits on memory and for the size of segments. Does not own: the encoding
// (log-record.ts), or a bound that holds (src/processing-units/value.ts).
import type { Change, Value } from "./log-record.ts";

/** About the encoded size of a value. */
function valueBytes(value: Value): number {
  if (typeof value === "string") return value.length + 2;
  if (value === null || typeof value !== "object") return 9;
  let bytes = 4;
  if (Array.isArray(value)) {
    for (const item of value as readonly Value[]) bytes += valueBytes(item);
    return bytes;
  }
  const parts = value as { readonly [name: string]: Value };
  for (const name in parts) {
    bytes += name.length + 1 + valueBytes(parts[name] ?? null);
  }
  return bytes;
}

/** About what a change adds to a record or a segment. */
export function changeBytes(change: Change): number {
  return 3 + change.key.length + valueBytes(change.value);
}
