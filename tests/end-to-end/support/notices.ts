// Notices: asks a running unit what it remembers of bids, the way an exchange would: by notices
// that it sent before. Owns: signing them with the unit's own key.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { NoticeTokens } from "../../../src/bidding-demo/notice-token.ts";
import type { Books } from "./books.ts";

const askedMax = 50;

/**
 * Wins that the exchange saw acknowledged and the grid does not know; wins have no row in the
 * database, so the grid is asked. Of those not billed yet, as the books were read, the latest.
 */
export async function forgottenWins(url: string, data: string, books: Books): Promise<string[]> {
  const key = Buffer.from(readFileSync(join(data, "notice-key"), "utf8"), "hex");
  const tokens = new NoticeTokens(key);
  const unbilled = [...books.won.keys()].filter((id) => !books.billed.has(id));
  const answers = unbilled.slice(-askedMax).map(async (id) => {
    const ask = () => fetch(`${url}/openrtb2/notice/win?t=${tokens.sign(id)}`);
    let answer = await ask();
    // "Not done, or not known: repeat it", as an exchange would.
    for (let repeats = 0; answer.status === 503 && repeats < 100; repeats++) answer = await ask();
    const effect = answer.headers.get("x-orrery-notice");
    return effect === "duplicate" ? [] : [`${id}: ${String(answer.status)} ${String(effect)}`];
  });
  return (await Promise.all(answers)).flat();
}
