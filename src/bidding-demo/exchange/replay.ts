// Replay: bid requests from a file, one JSON text a line, sent as they stand there.
// Owns: what the exchange reads of them. Does not own: whether they are valid: that is the bidder's
// to say, so a line that no bidder should accept is sent as well, and nothing is sold on it.
// What everybody else bids is drawn from the seed, as for made-up requests.
import { readFile } from "node:fs/promises";
import { type Outcome, failed, ok } from "../../base/failure.ts";
import type { AuctionImpression, AuctionRequest, RequestSource } from "./auction-request.ts";
import { drawBillsTwice, drawCompetingNanos, drawRenderDelayMs, requestRandom } from "./market.ts";
import { nanosOfCpm } from "./price.ts";

const tmaxDefaultMs = 300;
const tmaxMostMs = 10_000;

/** What of a line decides its auction. */
interface Parsed {
  readonly body: string;
  readonly id: string;
  readonly tmaxMs: number;
  readonly auctionType: 1 | 2;
  readonly test: boolean;
  readonly floors: readonly { readonly id: string; readonly floorNanos: number }[];
}

/** The requests of a file, each once, in its order. CONFIG_INVALID where there is none. */
export async function replaySource(file: string, seed: number): Promise<Outcome<RequestSource>> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return failed("CONFIG_INVALID", `the requests file cannot be read: ${why}`);
  }
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== "");
  if (lines.length === 0) {
    return failed("CONFIG_INVALID", `${file} holds no requests: write one JSON text a line`);
  }
  const parsed = lines.map(parseLine);
  return ok({ count: parsed.length, request: (number) => replayed(parsed, number, seed) });
}

function replayed(parsed: readonly Parsed[], number: number, seed: number): AuctionRequest {
  const request = parsed[number] ?? parseLine("");
  const random = requestRandom(seed, number);
  const impressions = request.floors.map((floor): AuctionImpression => {
    return { ...floor, competingNanos: drawCompetingNanos(random) };
  });
  const renderDelayMs = drawRenderDelayMs(random);
  return { ...request, impressions, renderDelayMs, billsTwice: drawBillsTwice(random) };
}

function parseLine(body: string): Parsed {
  const { id, tmax, at, test, imp } = fieldsOf(parseJson(body));
  return {
    body,
    id: typeof id === "string" ? id : "",
    tmaxMs: typeof tmax === "number" && tmax > 0 ? Math.min(tmax, tmaxMostMs) : tmaxDefaultMs,
    auctionType: at === 1 ? 1 : 2,
    test: test === 1,
    floors: Array.isArray(imp) ? imp.flatMap(parseImpression) : [],
  };
}

function parseImpression(imp: unknown): Parsed["floors"] {
  const { id, bidfloor } = fieldsOf(imp);
  if (typeof id !== "string") return [];
  return [{ id, floorNanos: typeof bidfloor === "number" ? nanosOfCpm(bidfloor) : 0 }];
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Not JSON: it is sent all the same, and the bidder has to say so.
    return undefined;
  }
}

function fieldsOf(value: unknown): Partial<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}
