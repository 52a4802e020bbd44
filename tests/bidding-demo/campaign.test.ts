// Goal: a wrong campaigns file is refused with a message that says where and what is allowed.
// Method: one wrong file a row, and the line that is said of it.
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { FailureError, unwrap } from "../../src/base/failure.ts";
import biddingDemo from "../../src/bidding-demo/application.ts";
import {
  checkCampaigns,
  demoCampaignsFile,
  loadCampaigns,
  resolveCampaign,
} from "../../src/bidding-demo/campaign.ts";
import { campaign, noticeKey } from "./fixtures.ts";

function messageOf(campaigns: unknown): string {
  // As from a file: what is undefined is not there.
  const outcome = checkCampaigns(JSON.parse(JSON.stringify(campaigns)));
  return outcome.ok ? "valid" : `${outcome.failure.code} ${outcome.failure.message}`;
}

const valid = campaign({ id: "first" });
const { creative } = valid;

describe("an error names the campaign by place and id, the field, and what is allowed", () => {
  test.each<[Record<string, unknown>, string]>([
    [
      { bidCpm: -1 },
      'campaigns[1] ("second"), field bidCpm: must be dollars for 1,000 impressions, ' +
        "0.001 to 1000, at most 3 decimals; it is -1",
    ],
    [{ bidCpm: "2.5" }, "field bidCpm: must be dollars for 1,000 impressions, 0.001 to 1000"],
    [{ bidCpm: 1.2345 }, "field bidCpm: must be dollars for 1,000 impressions"],
    [{ bidCpm: 0.0001 }, "field bidCpm: must be"],
    [{ budget: 0 }, "field budget: must be dollars in all, 0.000001 to 1000000000"],
    [{ budget: 0.0000015 }, "at most 6 decimals; it is 0.0000015"],
    [{ budget: undefined }, "field budget: is missing; it must be dollars in all"],
    [{ bugdet: 5 }, "field bugdet: is not known; known here: id, name, advertiserDomain"],
    [{ name: "" }, 'field name: must be a text of 1 to 80 characters; it is ""'],
    [
      { advertiserDomain: "https://x.example" },
      "field advertiserDomain: must be a domain in lower",
    ],
    [{ categories: ["Sports"] }, "field categories.0: must be a category such as"],
    [{ categories: [] }, "field categories: must be a list of 1 to 8 different categories"],
    [
      { frequencyCap: { impressions: 0, windowSeconds: 60 } },
      "field frequencyCap.impressions: must be a whole number from 1 to 50; it is 0",
    ],
    [
      { frequencyCap: { impressions: 1 } },
      "field frequencyCap.windowSeconds: is missing; it must be",
    ],
    [
      { targeting: { country: ["USA"] } },
      "field targeting.country: is not known; known here: countries",
    ],
    [{ targeting: { countries: ["US"] } }, 'must be a country such as "USA" or "DEU"; it is "US"'],
    [
      { targeting: { countries: ["USA", "USA"] } },
      "must be a list of 1 to 250 different countries",
    ],
    [
      { creative: { ...creative, sizes: ["300*250"] } },
      'field creative.sizes.0: must be a size such as "300x250"',
    ],
    [
      { creative: { ...creative, landingPage: "javascript:alert(1)" } },
      "field creative.landingPage: must be an http or https address",
    ],
    [{ creative: "x" }, "field creative: must be an object with headline, landingPage and sizes"],
    [
      { id: "first" },
      'campaigns[1] ("first"), field id: is the id of campaigns[0]; each needs one of its own',
    ],
  ])("%j", (changes, line) => {
    const message = messageOf([valid, { ...valid, id: "second", ...changes }]);
    expect(message).toContain("CONFIG_INVALID campaigns[1]");
    expect(message).toContain(line);
  });

  test.each<[unknown, string]>([
    [{}, "must be a list of 1 to 10000 campaigns; it is {}"],
    [[], "must be a list of 1 to 10000 campaigns; it is []"],
    [[5], "campaigns[0], must be an object; it is 5"],
    [[{ ...valid, id: "Capital" }], 'campaigns[0] ("Capital"), field id: must be 1 to 40 of a-z'],
    [[{ ...valid, id: 7 }], "campaigns[0], field id: must be 1 to 40 of a-z"],
  ])("%j", (campaigns, line) => {
    expect(messageOf(campaigns)).toContain(line);
  });

  test("several problems are listed, the first five of them", () => {
    const wrong = { ...valid, name: "", budget: 0, bidCpm: 0, categories: 5, creative: 5, more: 1 };
    const message = messageOf([wrong]);
    expect(message.split("\n")).toHaveLength(6);
    expect(message).toContain("and 1 more");
  });

  test("targets that multiply to too many places", () => {
    const domains = Array.from({ length: 1000 }, (_, site) => `site-${site}.example`);
    const countries = Array.from(
      { length: 26 },
      (_, place) => `AA${String.fromCharCode(65 + place)}`,
    );
    const message = messageOf([{ ...valid, targeting: { domains, countries } }]);
    expect(message).toContain("has 26000 combinations");
  });
});

test("a file that cannot be read, or is no JSON, is named", () => {
  const missing = loadCampaigns("/nowhere/campaigns.json");
  expect(missing).toMatchObject({ ok: false, failure: { code: "CONFIG_INVALID" } });
  expect(missing.ok ? "" : missing.failure.message).toContain("/nowhere/campaigns.json");
  const file = join(mkdtempSync(join(tmpdir(), "campaigns-")), "campaigns.json");
  writeFileSync(file, "[{]");
  const broken = loadCampaigns(file);
  expect(broken.ok ? "" : broken.failure.message).toContain(
    `campaigns file ${file} cannot be read`,
  );
  writeFileSync(file, "[{}]");
  const wrong = loadCampaigns(file);
  expect(wrong.ok ? "" : wrong.failure.message).toContain(`campaigns file ${file}: campaigns[0]`);
});

test("the demo's campaigns are valid, and have about a dozen readable names", () => {
  const campaigns = unwrap(loadCampaigns(demoCampaignsFile));
  expect(campaigns).toHaveLength(12);
  expect(new Set(campaigns.map(({ name }) => name)).size).toBe(12);
});

test("amounts become whole micros, exactly", () => {
  const resolve = (bidCpm: number, budget: number) =>
    resolveCampaign(campaign({ bidCpm, budget }), 0);
  expect(resolve(1.005, 19.99)).toMatchObject({ bidMicros: 1005, budgetMicros: 19_990_000 });
  expect(resolve(0.001, 0.000001)).toMatchObject({ bidMicros: 1, budgetMicros: 1 });
  expect(resolve(1000, 1e9)).toMatchObject({ bidMicros: 1_000_000, budgetMicros: 1e15 });
});

test("what an advertiser writes cannot leave the markup, nor be taken for a macro", () => {
  const headline = `</a><script>alert("1")</script> \${AUCTION_PRICE} it's`;
  const { creatives } = resolveCampaign(campaign({ creative: { ...creative, headline } }), 0);
  const fields = JSON.parse(`{${creatives[0]?.bidFieldsJson ?? ""}}`) as { adm: string };
  expect(fields.adm).not.toMatch(/<script|\$\{/);
  expect(fields.adm).toContain("&lt;/a&gt;&lt;script&gt;alert(&quot;1&quot;)");
});

test("options that do not fit are refused before anything runs", () => {
  const good = { campaigns: [valid], noticeKey, partitions: 32 };
  expect(biddingDemo(good).name).toBe("bidding-demo");
  for (const changes of [
    { noticeKey: "5a" },
    { advertise: "http://bidder.example/path" },
    { noticeKey: "z".repeat(64) },
    { partitions: 0 },
    { partitions: 5000 },
    { campaigns: [{ ...valid, budget: -5 }] },
    { campaigns: undefined },
  ]) {
    expect(() => biddingDemo({ ...good, ...changes })).toThrow(FailureError);
  }
  expect(() => biddingDemo(null)).toThrow("options of the bidding demo");
});
