// Hello: who a lane is for the lane that it makes a link to.
// Owns: its form as a header. A slot is held by one incarnation after another; an incarnation is
// one lane's life, and no other lane ever has the same.
import { limits } from "../base/limits.ts";

export interface Hello {
  readonly slot: number;
  readonly incarnation: string;
}

export function encodeHello({ slot, incarnation }: Hello): string {
  return `${String(slot)} ${incarnation}`;
}

/** null where it is not a hello. */
export function decodeHello(text: unknown): Hello | null {
  if (typeof text !== "string") return null;
  const [, slot, incarnation] = /^(\d{1,9}) ([\x21-\x7e]{1,200})$/.exec(text) ?? [];
  if (incarnation === undefined || Number(slot) >= limits.rosterSlotsMax) return null;
  return { slot: Number(slot), incarnation };
}
