// Goal: each notice takes effect once, is answered so that the exchange repeats only what must be
// repeated, and nobody else can send one. Method: the routes over partitions without an engine;
// notices in every order as rows.
import { describe, expect, test } from "vitest";
import { biddingLimits } from "../../src/bidding-demo/bidding-limits.ts";
import { NoticeTokens } from "../../src/bidding-demo/notice-token.ts";
import { queues, reservations, settlements } from "../../src/bidding-demo/spaces.ts";
import { FakeEdge } from "./fake-edge.ts";
import { bidRequest } from "./fixtures.ts";

const lifeMs = biddingLimits.reservationHoldMs + biddingLimits.slotMs;

interface Urls {
  win: string;
  billing: string;
  loss: string;
  bidId: string;
}

async function makeBid(edge: FakeEdge, user = "u1"): Promise<Urls> {
  const answer = await edge.bid(bidRequest({ user: { id: user } }));
  const bid = answer.json<{ seatbid: { bid: Record<string, string>[] }[] }>().seatbid[0]?.bid[0];
  const { id = "", nurl = "", burl = "", lurl = "" } = bid ?? {};
  return { win: nurl, billing: burl.replace("${AUCTION_PRICE}", "1.5"), loss: lurl, bidId: id };
}

async function send(edge: FakeEdge, url: string, method: "GET" | "POST" = "GET") {
  const { statusCode, body, headers } = await edge.server.inject({ method, url });
  expect(body).toBe("");
  return [statusCode, headers["x-orrery-notice"]];
}

type Kind = "win" | "billing" | "loss";

describe("notices in any order", () => {
  test.each<[Kind[], string[]]>([
    [
      ["win", "billing"],
      ["won", "billed"],
    ],
    [["billing"], ["billed"]],
    [["loss"], ["lost"]],
    [
      ["win", "win"],
      ["won", "duplicate"],
    ],
    [
      ["billing", "win"],
      ["billed", "duplicate"],
    ],
    [
      ["billing", "billing"],
      ["billed", "duplicate"],
    ],
    [
      ["billing", "loss"],
      ["billed", "duplicate"],
    ],
    [
      ["loss", "billing"],
      ["lost", "duplicate"],
    ],
    [
      ["loss", "loss"],
      ["lost", "duplicate"],
    ],
    [
      ["win", "loss", "billing"],
      ["won", "lost", "duplicate"],
    ],
  ])("%s → %s", async (kinds, effects) => {
    const edge = new FakeEdge();
    const urls = await makeBid(edge);
    const answers = [];
    for (const kind of kinds) answers.push(await send(edge, urls[kind]));
    expect(answers).toEqual(effects.map((effect) => [200, effect]));
    const counted = edge.status().notices;
    for (const effect of ["won", "billed", "lost", "duplicate"] as const) {
      expect(counted[effect]).toBe(effects.filter((one) => one === effect).length);
    }
    const ends = effects.filter((effect) => effect === "billed" || effect === "lost");
    expect(edge.entries(settlements).map(([, row]) => row.outcome)).toEqual(ends);
    const spentMicros = effects.includes("billed") ? 1500 : 0;
    const reservedMicros = ends.length === 0 ? 2500 : 0;
    expect(edge.status().campaigns).toMatchObject([{ spentMicros, reservedMicros }]);
  });

  test.each(["GET", "POST"] as const)("by %s", async (method) => {
    const edge = new FakeEdge();
    expect(await send(edge, (await makeBid(edge)).billing, method)).toEqual([200, "billed"]);
  });

  test("by POST with any body, also one that is no JSON", async () => {
    const edge = new FakeEdge();
    for (const type of ["application/json", "text/plain", "application/x-www-form-urlencoded"]) {
      const { billing: url } = await makeBid(edge, type);
      const headers = { "content-type": type };
      const answer = await edge.server.inject({ method: "POST", url, headers, payload: "{" });
      expect([answer.statusCode, answer.headers["x-orrery-notice"]]).toEqual([200, "billed"]);
    }
  });
});

test("who only looks at an address does not bill", async () => {
  const edge = new FakeEdge();
  const { billing } = await makeBid(edge);
  for (const method of ["HEAD", "PUT", "DELETE", "OPTIONS"] as const) {
    const answer = await edge.server.inject({ method, url: billing });
    expect(answer.statusCode).toBe(404);
  }
  expect(edge.entries(settlements)).toEqual([]);
});

describe("the clearing price", () => {
  test.each([
    ["1.2345", 1235, false],
    ["2.5", 2500, false],
    ["2.5004", 2500, false],
    ["2.5005", 2500, true],
    ["99", 2500, true],
    ["0", 0, false],
  ])("%s pays %i micros; more than the bid: %s", async (price, paidMicros, capped) => {
    const edge = new FakeEdge();
    const { billing, bidId } = await makeBid(edge);
    const url = billing.replace("p=1.5", `p=${price}`);
    expect(await send(edge, url)).toEqual([200, "billed"]);
    expect(edge.entries(settlements)).toMatchObject([[bidId, { paidMicros, capped }]]);
  });

  test.each(["", "-1", "NaN", "Infinity", "1e999", "${AUCTION_PRICE}", "1,5", "%00"])(
    "%j is refused, and the right one may follow",
    async (price) => {
      const edge = new FakeEdge();
      const { billing } = await makeBid(edge);
      const url = billing.replace("p=1.5", `p=${price}`);
      expect(await send(edge, url)).toEqual([400, "price"]);
      expect(edge.status().notices.refused).toBe(1);
      expect(await send(edge, billing)).toEqual([200, "billed"]);
    },
  );

  test("missing or given twice is refused", async () => {
    const edge = new FakeEdge();
    const { billing } = await makeBid(edge);
    expect(await send(edge, billing.replace("&p=1.5", ""))).toEqual([400, "price"]);
    expect(await send(edge, `${billing}&p=1.6`)).toEqual([400, "price"]);
  });

  test("AUDIT is a trial, and no charge", async () => {
    const edge = new FakeEdge();
    const { billing } = await makeBid(edge);
    expect(await send(edge, billing.replace("p=1.5", "p=AUDIT"))).toEqual([200, "audit"]);
    expect(edge.entries(settlements)).toEqual([]);
  });

  test("in other notices it may be anything", async () => {
    const edge = new FakeEdge();
    const { win, loss } = await makeBid(edge);
    expect(await send(edge, `${win}&p=`)).toEqual([200, "won"]);
    expect(await send(edge, `${loss}&p=AUDIT`)).toEqual([200, "lost"]);
  });
});

describe("what is not authentic is refused", () => {
  const tokenOf = (urls: Urls) => urls.win.split("t=")[1] ?? "";
  test.each<[string, (token: string, urls: Urls) => string]>([
    ["no token", () => ""],
    ["an empty one", () => "?t="],
    ["the bid's id alone", (_token, { bidId }) => `?t=${bidId}`],
    ["another signature", (token) => `?t=${token.slice(0, -4)}AAAA`],
    ["a signature cut short", (token) => `?t=${token.slice(0, -2)}`],
    ["another bid's signature", (token) => `?t=${token.replace("-0.", "-1.")}`],
    ["two tokens", (token) => `?t=${token}&t=${token}`],
    ["another key", (_token, { bidId }) => `?t=${new NoticeTokens(Buffer.alloc(32)).sign(bidId)}`],
  ])("%s", async (_name, query) => {
    const edge = new FakeEdge();
    const urls = await makeBid(edge);
    const url = `/openrtb2/notice/win${query(tokenOf(urls), urls)}`;
    expect(await send(edge, url)).toEqual([403, "token"]);
    expect(edge.status().notices.refused).toBe(1);
    expect(await send(edge, urls.win)).toEqual([200, "won"]);
  });
});

describe("a notice that comes late", () => {
  test("is charged while the reservation stands, and refused after it", async () => {
    const edge = new FakeEdge();
    const [early, late] = [await makeBid(edge, "a"), await makeBid(edge, "b")];
    edge.pass(lifeMs - 1);
    expect(await send(edge, early.billing)).toEqual([200, "billed"]);
    edge.pass(1);
    for (const kind of ["billing", "win", "loss"] as const) {
      expect(await send(edge, late[kind])).toEqual([200, "expired"]);
    }
    expect(edge.status().notices).toMatchObject({ billed: 1, refused: 3 });
    expect(edge.status().campaigns).toMatchObject([{ spentMicros: 1500, reservedMicros: 0 }]);
    const outcomes = edge.entries(settlements).map(([, { outcome }]) => outcome);
    expect(outcomes.toSorted()).toEqual(["billed", "expired"]);
  });

  test("about a bid of a grid that was lost is unknown, not another bid's", async () => {
    const lost = await makeBid(new FakeEdge({ partitions: 1, seed: 1 }));
    const edge = new FakeEdge({ partitions: 1, seed: 2 });
    expect(await send(edge, lost.billing)).toEqual([200, "unknown"]);
    const other = await makeBid(edge);
    // The same partition and ordinal: only the name of the grid's run differs.
    const shape = ({ bidId }: Urls) => bidId.replace(/-.*-/, "-*-");
    expect(shape(other)).toBe(shape(lost));
    expect(await send(edge, lost.billing)).toEqual([200, "unknown"]);
    expect(await send(edge, other.billing)).toEqual([200, "billed"]);
  });
});

test("a notice that is not journaled is answered 503, and may be repeated", async () => {
  const edge = new FakeEdge();
  const { billing } = await makeBid(edge);
  for (const code of ["OVERLOADED", "DEADLINE_EXCEEDED", "LANE_LOST"] as const) {
    edge.failWith = code;
    expect(await send(edge, billing)).toEqual([503, undefined]);
  }
  edge.failWith = null;
  expect(await send(edge, billing)).toEqual([200, "billed"]);
  const { options } = edge.submitted.at(-1) ?? {};
  expect(options).toMatchObject({ ack: "journal", deadlineMs: 5000 });
});

test("a notice goes to its bid's partition, whoever the user is", async () => {
  const edge = new FakeEdge({ partitions: 16 });
  for (let user = 0; user < 50; user++) {
    expect(await send(edge, (await makeBid(edge, `user ${user}`)).billing)).toEqual([
      200,
      "billed",
    ]);
  }
  expect(new Set(edge.submitted.map(({ partition }) => partition)).size).toBeGreaterThan(8);
});

describe("sweeps", () => {
  test("expire what is old where no bids come by, and touch no other partition", async () => {
    const edge = new FakeEdge();
    await makeBid(edge);
    edge.pass(lifeMs - 1);
    expect(edge.entries(reservations)).toHaveLength(1);
    edge.pass(1);
    expect(edge.entries(reservations)).toEqual([]);
    expect(edge.entries(queues)).toMatchObject([[expect.any(String), { next: 1, done: 1 }]]);
    const swept = edge.submitted.length;
    edge.pass(1);
    expect(edge.submitted).toHaveLength(swept);
  });

  test("change nothing, and so journal nothing, where nothing is due", async () => {
    const edge = new FakeEdge();
    await makeBid(edge);
    edge.pass(1000);
    expect(edge.submitted.at(-1)).toMatchObject({ command: "sweep", changes: [] });
  });

  test("end with the lane", () => {
    const edge = new FakeEdge();
    expect(edge.ticking).toBe(1);
    edge.stop();
    expect(edge.ticking).toBe(0);
  });
});
