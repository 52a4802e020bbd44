// Bid body: from the text of a request to parsed JSON, or to nothing.
// Owns: what is refused before it is looked at. Does not own: what a request must have
// (openrtb.ts).
import { biddingLimits } from "./bidding-limits.ts";

/** The parsed text; undefined where it is no JSON, is nested too deeply, or names `__proto__`. */
export function parseBody(text: string): unknown {
  if (text.includes("__proto__") && /"__proto__"\s*:/.test(text)) return undefined;
  if (deeperThan(text, biddingLimits.bodyDepthMax)) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Whether brackets are nested more than `max` deep; exact for valid JSON. */
function deeperThan(text: string, max: number): boolean {
  // Most requests have fewer brackets than that in all: counting them is cheap, walking is not.
  if (countOf(text, "{") + countOf(text, "[") <= max) return false;
  let depth = 0;
  let inString = false;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (inString) {
      if (character === "\\") at += 1;
      else if (character === '"') inString = false;
    } else if (character === '"') {
      inString = true;
    } else if (character === "{" || character === "[") {
      depth += 1;
      if (depth > max) return true;
    } else if (character === "}" || character === "]") {
      depth -= 1;
    }
  }
  return false;
}

function countOf(text: string, character: string): number {
  let count = 0;
  for (let at = text.indexOf(character); at >= 0; at = text.indexOf(character, at + 1)) count += 1;
  return count;
}
