// Ids: names for things that must not be mistaken for one another.
// Owns: the alphabet and the lengths. Does not own: secrets; an id may be guessed.
import type { Random } from "./random.ts";

// No vowels and no look-alikes: an id is read aloud, and never spells a word.
const alphabet = "0123456789bcdfghjkmnpqrstvwxyz";

/** `length` characters (about 4.9 bits each), drawn from `random`. */
export function newId(random: Random, length = 16): string {
  let id = "";
  for (let index = 0; index < length; index++) id += alphabet[random.below(alphabet.length)] ?? "";
  return id;
}
