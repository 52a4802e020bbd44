// Goal: whatever comes over HTTP, the unit answers what the sender did wrong, never fails itself,
// and goes on bidding. Method: a running unit; a table of wrong requests, raw bytes that are no
// HTTP, and bodies mutilated at random; after all of it, it bids as before.
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
import { limits } from "../../src/base/limits.ts";
import { seededMarket } from "../../src/bidding-demo/exchange/market.ts";
import { campaign, campaignsFile } from "./support/campaigns.ts";
import { testFolder } from "./support/test-folder.ts";
import { startUnit, type RunningUnit } from "./support/unit-process.ts";
import { until } from "./support/until.ts";

let unit: RunningUnit;
beforeAll(async () => {
  const campaigns = [campaign("wide", { bidCpm: 9, budget: 1000 })];
  const flags = ["--store", "memory:", "--database", "none:", "--lanes", "2", "--port", "0"];
  flags.push("--campaigns", campaignsFile(await testFolder(), campaigns));
  unit = await startUnit(...flags);
});

const { body: goodBody } = seededMarket(3).request(0);
const json = { "content-type": "application/json" };

type Body = string | Uint8Array<ArrayBuffer>;

async function bid(body: Body, headers: Record<string, string> = json): Promise<number> {
  const answer = await fetch(`${unit.url}/openrtb2/bid`, { method: "POST", headers, body });
  await answer.arrayBuffer();
  return answer.status;
}

const large = (bytes: number) => JSON.stringify({ id: "1", filler: "x".repeat(bytes) });
const nested = "[".repeat(5000) + "]".repeat(5000);

const wrongBids: readonly (readonly [what: string, status: number, body: Body, type?: string])[] = [
  ["nothing", 400, ""],
  ["no JSON", 400, "no JSON"],
  ["half a request", 400, goodBody.slice(0, 100)],
  ["another JSON value", 400, "[]"],
  ["no id", 400, goodBody.replace('"id"', '"di"')],
  ["no impressions", 400, '{"id":"1","imp":[]}'],
  ["a text as a price", 400, goodBody.replace(/"bidfloor":[\d.]+/, '"bidfloor":"much"')],
  ["brackets without end", 400, nested],
  ["a prototype", 400, `{"__proto__":{"x":1},${goodBody.slice(1)}`],
  ["bytes that are no text", 400, new Uint8Array([0x7b, 0xff, 0xfe, 0x7d])],
  ["too much", 413, large(limits.bodyBytesMax)],
  ["a form", 415, "id=1", "application/x-www-form-urlencoded"],
  ["a plain text", 415, goodBody, "text/plain"],
  ["a type that is none", 415, goodBody, "json"],
];

test.for(wrongBids)("a bid request with %s is answered %i", async ([, status, body, type]) => {
  expect(await bid(body, { "content-type": type ?? "application/json" })).toBe(status);
});

test("a compressed body, another method, another path", async () => {
  expect(await bid(goodBody, { ...json, "content-encoding": "gzip" })).toBe(415);
  const path = `${unit.url}/openrtb2/bid`;
  expect((await fetch(path)).status).toBe(405);
  expect((await fetch(path, { method: "DELETE" })).status).toBe(405);
  expect((await fetch(`${unit.url}/nowhere`)).status).toBe(404);
  expect((await fetch(`${unit.url}/${"x".repeat(4000)}`)).status).toBe(404);
});

test("notices that nobody signed, or that say nothing, are refused", async () => {
  const notice = async (rest: string, method = "GET") => {
    return (await fetch(`${unit.url}/openrtb2/notice/${rest}`, { method })).status;
  };
  expect(await notice("win")).toBe(403);
  expect(await notice("billing?t=0-0-0.AAAAAAAAAAAAAAAAAAAAAA&p=1", "POST")).toBe(403);
  expect(await notice(`loss?t=${"x".repeat(4000)}`)).toBe(403);
  expect(await notice("win?t=a&t=b")).toBe(403);
  expect(await notice("nothing?t=a")).toBe(404);
});

test("the bidder's own commands are not reached from outside", async () => {
  for (const name of ["bid", "notice", "sweep", "nothing"]) {
    const options = { method: "POST", headers: json, body: "{}" };
    expect((await fetch(`${unit.url}/commands/${name}`, options)).status, name).toBe(404);
  }
});

test("bytes that are no HTTP get a 400 or a closed connection, and nothing else", async () => {
  const { port } = new URL(unit.url);
  const raw = async (bytes: string): Promise<string> => {
    const socket = connect(Number(port), "127.0.0.1");
    socket.on("error", () => undefined); // reset: closed, too
    socket.end(bytes);
    return (await text(socket).catch(() => "")).split("\r\n")[0] ?? "";
  };
  const refused = /^(?:HTTP\/1\.1 4\d\d .*)?$/;
  expect(await raw("\u0016\u0003\u0001\u0002\u0000\u0001")).toMatch(refused);
  expect(await raw("BID BID BID\r\n\r\n")).toMatch(refused);
  expect(await raw(`GET / HTTP/1.1\r\nhost: x\r\n${"a: b\r\n".repeat(20_000)}\r\n`)).toMatch(
    refused,
  );
  expect(await raw("POST /openrtb2/bid HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n")).toMatch(
    refused,
  );
  // Half a request, then the end of it.
  expect(
    await raw("POST /openrtb2/bid HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n{"),
  ).toMatch(refused);
});

test("a bid request mutilated at random is never answered with an error of ours", async () => {
  const cut = fc.record({
    at: fc.nat(goodBody.length),
    remove: fc.nat(40),
    insert: fc.oneof(fc.string(), fc.constantFrom('"', "{", "null", "-1e999", "\u0000", "1.5")),
  });
  const mutilated = fc.array(cut, { minLength: 1, maxLength: 4 }).map((cuts) =>
    cuts.reduce((body, { at, remove, insert }) => {
      return body.slice(0, at) + insert + body.slice(at + remove);
    }, goodBody),
  );
  await fc.assert(
    fc.asyncProperty(mutilated, async (body) => {
      expect([200, 204, 400, 413]).toContain(await bid(body));
    }),
    { numRuns: 300 },
  );
});

test("after all of it the unit bids, and has nothing to complain of", async () => {
  await until("it bids", async () => {
    const status = await bid(goodBody);
    return status === 200 ? null : String(status); // late, on a slow machine
  });
  expect((await fetch(`${unit.url}/livez`)).status).toBe(200);
  expect(unit.process.stderr).toBe("");
  expect(unit.process.stdout).not.toMatch(/"level":[56]0/);
});
