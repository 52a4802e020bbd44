// Goal: each kind of request gets the answer that OpenRTB 2.6 asks for, and never a 5xx.
// Method: the routes on a bare server over partitions without an engine; one row per case.
import { describe, expect, test } from "vitest";
import { limits } from "../../src/base/limits.ts";
import { bids, reservations } from "../../src/bidding-demo/spaces.ts";
import { FakeEdge } from "./fake-edge.ts";
import { application, bidRequest, campaign, impression } from "./fixtures.ts";

interface Response {
  id: string;
  cur: string;
  seatbid: { seat: string; bid: Record<string, unknown>[] }[];
}

function firstBid(body: string): Record<string, unknown> {
  const response = JSON.parse(body) as Response;
  return response.seatbid[0]?.bid[0] ?? {};
}

test("a bid has all that an exchange needs", async () => {
  const edge = new FakeEdge();
  const answer = await edge.bid(bidRequest());
  expect(answer.statusCode).toBe(200);
  expect(answer.headers["content-type"]).toMatch(/^application\/json/);
  expect(answer.headers["x-openrtb-version"]).toBe("2.6");
  const response = answer.json<Response>();
  expect(response).toMatchObject({ id: bidRequest()["id"], cur: "USD", seatbid: [{}] });
  const bid = firstBid(answer.body);
  expect(bid).toMatchObject({
    impid: "1",
    price: 2.5,
    adomain: ["shop.example"],
    cat: ["IAB22"],
    cid: "plain",
    crid: "plain-300x250",
    w: 300,
    h: 250,
    mtype: 1,
    exp: 60,
  });
  expect(bid["adm"]).toContain("https://shop.example/things");
  const token = String(bid["nurl"]).split("t=")[1] ?? "";
  expect(token.startsWith(`${String(bid["id"])}.`)).toBe(true);
  const base = "http://bidder.test:8080/openrtb2/notice";
  expect(bid["nurl"]).toBe(`${base}/win?t=${token}`);
  expect(bid["burl"]).toBe(`${base}/billing?t=${token}&p=\${AUCTION_PRICE}`);
  expect(bid["lurl"]).toBe(`${base}/loss?t=${token}`);
  expect(edge.entries(bids)).toMatchObject([[bid["id"], { priceMicros: 2500, test: false }]]);
});

test("ids of the request come back exactly, whatever characters they have", async () => {
  const id = 'a"b\\c\u2028d\ud83d\ude00 ${AUCTION_ID}';
  const edge = new FakeEdge();
  const answer = await edge.bid(bidRequest({ id, imp: [impression({ id })] }));
  expect(answer.json<Response>().id).toBe(id);
  expect(firstBid(answer.body)["impid"]).toBe(id);
});

test("ids that are no good as keys or in rows are kept as hashes", async () => {
  for (const id of ["x".repeat(65), "zero \0", "half \ud83d"]) {
    const edge = new FakeEdge();
    const site = { domain: id };
    const answer = await edge.bid(
      bidRequest({ id, site, user: { id }, imp: [impression({ id })] }),
    );
    expect(answer.json<Response>().id).toBe(id);
    expect(firstBid(answer.body)["impid"]).toBe(id);
    const [[, row] = []] = edge.entries(bids);
    for (const kept of [row?.auctionId, row?.impId, row?.userId, row?.siteDomain]) {
      expect(kept).toMatch(/^#[\w-]{43}$/);
    }
  }
});

test("a request can be followed, and its commands are for this door only", async () => {
  const edge = new FakeEdge();
  await edge.bid(bidRequest());
  expect(edge.submitted[0]?.options.correlationId).toMatch(/./);
  for (const command of Object.values(application().commands)) expect(command.internal).toBe(true);
});

test("several impressions get a bid each, in one seat", async () => {
  const edge = new FakeEdge();
  const imp = ["a", "b", "c"].map((id) => impression({ id }));
  const answer = await edge.bid(bidRequest({ imp: [...imp, impression({ id: "d", banner: {} })] }));
  const offered = answer.json<Response>().seatbid[0]?.bid.map((bid) => bid["impid"]);
  expect(offered).toEqual(["a", "b", "c"]);
  expect(edge.entries(reservations)).toHaveLength(3);
});

test("the creative has the first of the offered sizes that the campaign has", async () => {
  const sizes = ["728x90", "300x600", "320x50"];
  const creative = { headline: "h", landingPage: "https://shop.example/", sizes };
  const edge = new FakeEdge({ campaigns: [campaign({ creative })] });
  const format = [
    { w: 300, h: 250 },
    { w: 300, h: 600 },
    { w: 728, h: 90 },
  ];
  const answer = await edge.bid(bidRequest({ imp: [impression({ banner: { format } })] }));
  expect(firstBid(answer.body)).toMatchObject({ w: 300, h: 600, crid: "plain-300x600" });
});

describe("invalid requests are answered 400 with an empty body", () => {
  const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
  const withText = (text: string) => JSON.stringify(bidRequest()).replace("{", `{${text},`);
  test.each<[string, string]>([
    ["no JSON", "{"],
    ["nothing", ""],
    ["a list", "[]"],
    ["null", "null"],
    ["a number", "7"],
    ["text after it", `${JSON.stringify(bidRequest())}}`],
    ["no id", JSON.stringify(bidRequest({ id: undefined }))],
    ["an empty id", JSON.stringify(bidRequest({ id: "" }))],
    ["a numeric id", JSON.stringify(bidRequest({ id: 5 }))],
    ["no impression", JSON.stringify(bidRequest({ imp: [] }))],
    ["impressions that are no list", JSON.stringify(bidRequest({ imp: {} }))],
    ["an impression of no type", JSON.stringify(bidRequest({ imp: [{ id: "1" }] }))],
    [
      "two impressions of one id",
      JSON.stringify(bidRequest({ imp: [impression(), impression()] })),
    ],
    ["a floor below zero", JSON.stringify(bidRequest({ imp: [impression({ bidfloor: -1 })] }))],
    ["a floor in words", JSON.stringify(bidRequest({ imp: [impression({ bidfloor: "1" })] }))],
    [
      "an endless floor",
      JSON.stringify(bidRequest()).replace('"bidfloor":0.5', '"bidfloor":1e999'),
    ],
    ["video without types", JSON.stringify(bidRequest({ imp: [{ id: "1", video: {} }] }))],
    ["native without request", JSON.stringify(bidRequest({ imp: [{ id: "1", native: {} }] }))],
    ["site and app", JSON.stringify(bidRequest({ app: { id: "a" } }))],
    ["wseat and bseat", JSON.stringify(bidRequest({ wseat: ["a"], bseat: ["b"] }))],
    ["a user that is a text", JSON.stringify(bidRequest({ user: "u" }))],
    ["blocked categories in one text", JSON.stringify(bidRequest({ bcat: "IAB1" }))],
    ["deep nesting alone", nested(20_000)],
    ["deep nesting in an unknown field", withText(`"ext":${nested(5000)}`)],
    ["open brackets only", "[".repeat(60_000)],
    ["__proto__", withText('"__proto__":{"polluted":true}')],
    ["__proto__ inside", withText('"ext":{"a":[{"__proto__" : null}]}')],
  ])("%s", async (_name, body) => {
    const edge = new FakeEdge();
    const answer = await edge.bid(body);
    expect([answer.statusCode, answer.body]).toEqual([400, ""]);
    expect(edge.status().answers).toMatchObject({ invalid: 1 });
    expect(edge.submitted).toEqual([]);
  });

  test("a host that is no host, unless notices go elsewhere anyway", async () => {
    const elsewhere = new FakeEdge({ advertise: "http://bidder.example:8080" });
    const bid = firstBid((await elsewhere.bid(bidRequest(), { host: 'a"b' })).body);
    for (const name of ["nurl", "burl", "lurl"]) {
      expect(bid[name]).toMatch(/^http:\/\/bidder\.example:8080\/openrtb2\/notice\//);
    }

    const answer = await new FakeEdge().bid(bidRequest(), { host: 'a"b' });
    expect([answer.statusCode, answer.body]).toEqual([400, ""]);
  });
});

describe("what is unknown passes", () => {
  test.each<[string, Record<string, unknown>]>([
    ["fields", { ext: { a: 1 }, novel: [1], imp: [impression({ novel: {}, ext: { b: [] } })] }],
    ["values", { device: { devicetype: 99 }, source: { fd: 7 }, allimps: 3 }],
    ["null for absent", { tmax: null, cur: null, app: null, wseat: null, bcat: null, at: null }],
    ["many brackets", { ext: { a: Array(200).fill([1]), b: '[\\"{'.repeat(200) } }],
    ["__proto__ as a value", { user: { id: "__proto__" } }],
  ])("%s", async (_name, changes) => {
    expect((await new FakeEdge().bid(bidRequest(changes))).statusCode).toBe(200);
  });
});

describe("what is not for this door is refused with an empty body", () => {
  const text = JSON.stringify(bidRequest());
  test.each<[string, number, Record<string, string>, string]>([
    ["another type", 415, { "content-type": "text/plain" }, text],
    ["a form", 415, { "content-type": "application/x-www-form-urlencoded" }, "a=b"],
    ["a type like JSON", 415, { "content-type": "application/jsonp" }, text],
    ["a compressed body", 415, { "content-encoding": "gzip" }, text],
    ["an oversized body", 413, {}, `${text}${" ".repeat(limits.bodyBytesMax)}`],
  ])("%s", async (_name, status, headers, body) => {
    const edge = new FakeEdge();
    const answer = await edge.bid(body, headers);
    expect([answer.statusCode, answer.body]).toEqual([status, ""]);
    expect(edge.status().answers.invalid).toBe(1);
  });

  test.each(["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"] as const)(
    "the method %s",
    async (method) => {
      const edge = new FakeEdge();
      const answer = await edge.server.inject({ method, url: "/openrtb2/bid" });
      expect([answer.statusCode, answer.body, answer.headers.allow]).toEqual([405, "", "POST"]);
    },
  );

  test.each([
    ["application/json; charset=utf-8", {}],
    ["Application/JSON", { "content-encoding": "identity" }],
  ])("but not %s", async (type, headers) => {
    const answer = await new FakeEdge().bid(bidRequest(), { "content-type": type, ...headers });
    expect(answer.statusCode).toBe(200);
  });
});

test("a body without a type is JSON", async () => {
  const edge = new FakeEdge();
  const url = await edge.server.listen({ host: "127.0.0.1", port: 0 });
  const body = new TextEncoder().encode(JSON.stringify(bidRequest()));
  const answer = await fetch(`${url}/openrtb2/bid`, { method: "POST", body });
  expect(answer.status).toBe(200);
  await edge.server.close();
});

describe("a failure of this side is a 204 that says so", () => {
  test.each([
    ["OVERLOADED", "15", "shed"],
    ["DEADLINE_EXCEEDED", "15", "shed"],
    ["PARTITION_STARTING", "15", "shed"],
    ["SHUTTING_DOWN", "15", "shed"],
    ["BACKLOG_FULL", "15", "shed"],
    ["HANDLER_FAILED", "1", "error"],
    ["PARTITION_HALTED", "1", "error"],
    ["LANE_LOST", "1", "error"],
  ] as const)("%s → %s, counted as %s", async (code, reason, counted) => {
    const edge = new FakeEdge();
    edge.failWith = code;
    const answer = await edge.bid(bidRequest());
    expect([answer.statusCode, answer.body]).toEqual([204, ""]);
    expect(answer.headers["x-orrery-nbr"]).toBe(reason);
    expect(edge.status().answers[counted]).toBe(1);
  });

  test("an exception in this side's code", async () => {
    const edge = new FakeEdge();
    for (const partition of edge.partitions) {
      partition.run = () => {
        throw new Error("a bug");
      };
    }
    const answer = await edge.bid(bidRequest());
    expect([answer.statusCode, answer.headers["x-orrery-nbr"]]).toEqual([204, "1"]);
    expect(edge.status().answers.error).toBe(1);
  });
});

describe("the time for a decision is what tmax leaves, and never more than its limit", () => {
  test.each([
    [undefined, 100],
    [70, 50],
    [21, 1],
    [1000, 250],
  ])("tmax %s → %i ms", async (tmax, deadlineMs) => {
    const edge = new FakeEdge();
    await edge.bid(bidRequest({ tmax }));
    expect(edge.submitted[0]?.options).toMatchObject({ ack: "journal", deadlineMs });
  });

  test.each([20, 5, 0, -1])("tmax %i leaves none: shed at once", async (tmax) => {
    const edge = new FakeEdge();
    const answer = await edge.bid(bidRequest({ tmax }));
    expect([answer.statusCode, answer.headers["x-orrery-nbr"]]).toEqual([204, "15"]);
    expect(edge.submitted).toEqual([]);
    expect(edge.status().answers.shed).toBe(1);
  });
});

test("test=1 bids and leaves a row, but holds no money and counts nowhere", async () => {
  const cap = { impressions: 1, windowSeconds: 60 };
  const edge = new FakeEdge({ campaigns: [campaign({ frequencyCap: cap })] });
  for (let round = 0; round < 3; round++) {
    const answer = await edge.bid(bidRequest({ test: 1 }));
    expect(answer.statusCode).toBe(200);
    const { nurl, burl } = firstBid(answer.body);
    for (const url of [nurl, burl]) {
      const notice = await edge.server.inject(String(url).replace("${AUCTION_PRICE}", "2"));
      expect([notice.statusCode, notice.headers["x-orrery-notice"]]).toEqual([200, "test"]);
    }
  }
  const { campaigns, notices } = edge.status();
  expect(campaigns).toMatchObject([{ spentMicros: 0, reservedMicros: 0 }]);
  expect(notices).toEqual({ won: 0, billed: 0, lost: 0, duplicate: 0, refused: 0 });
  expect(edge.entries(reservations)).toEqual([]);
  expect(edge.entries(bids).map(([, bid]) => bid.test)).toEqual([true, true, true]);
});

test("a request that no campaign fits is answered without asking an owner", async () => {
  const edge = new FakeEdge();
  const answer = await edge.bid(bidRequest({ imp: [impression({ banner: { w: 1, h: 1 } })] }));
  expect([answer.statusCode, answer.body]).toEqual([204, ""]);
  expect(answer.headers["x-orrery-nbr"]).toBeUndefined();
  expect(edge.submitted).toEqual([]);
  expect(edge.status()).toMatchObject({ answers: { noBid: 1 }, noBids: { unmatched: 1 } });
});

test("counts are there for Prometheus", async () => {
  const edge = new FakeEdge();
  await edge.bid(bidRequest());
  await edge.bid("{");
  expect(await edge.metrics.metrics()).toContain('orrery_bidding_answers_total{answer="bid"} 1');
  expect(await edge.metrics.metrics()).toContain('answer="invalid"} 1');
});
