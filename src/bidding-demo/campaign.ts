// Campaign: what an advertiser buys, as people write it in a campaigns file, and as bidding reads
// it. Owns: the file's schema, its errors, and the ready form. Does not own: money spent
// (spaces.ts), which campaigns fit a request (campaign-index.ts).
import { readFileSync } from "node:fs";
import { Type, type Static, type TSchema } from "typebox";
import { Compile } from "typebox/compile";
import { failed, ok, type Outcome } from "../base/failure.ts";
import { biddingLimits } from "./bidding-limits.ts";
import { campaignName, fieldProblem, schemaProblems } from "./campaign-problems.ts";
import { makeCreative, type Creative } from "./creative.ts";
import { cpmOf, dollarsToMicros, impressionMicros } from "./money.ts";

const text = (maxLength: number) =>
  Type.String({
    minLength: 1,
    maxLength,
    description: `a text of 1 to ${maxLength} characters`,
  });
const matching = (pattern: string, description: string) => Type.String({ pattern, description });
const strict = { additionalProperties: false };

function listOf<T extends TSchema>(items: T, maxItems: number, what: string) {
  return Type.Array(items, {
    minItems: 1,
    maxItems,
    uniqueItems: true,
    description: `a list of 1 to ${maxItems} different ${what}`,
  });
}

const category = matching("^IAB\\d{1,2}(-\\d{1,2})?$", 'a category such as "IAB17" or "IAB17-12"');
const domain = matching("^[a-z0-9-]+(\\.[a-z0-9-]+)+$", "a domain in lower case");

const declaration = Type.Object(
  {
    id: matching("^[a-z0-9][a-z0-9-]{0,39}$", "1 to 40 of a-z, 0-9 and -, not beginning with -"),
    name: text(80),
    advertiserDomain: domain,
    categories: listOf(category, 8, "categories of the advertisement"),
    bidCpm: Type.Number({
      minimum: 0.001,
      maximum: 1000,
      description: "dollars for 1,000 impressions, 0.001 to 1000, at most 3 decimals",
    }),
    budget: Type.Number({
      minimum: 0.000001,
      maximum: 1_000_000_000,
      description: "dollars in all, 0.000001 to 1000000000, at most 6 decimals",
    }),
    frequencyCap: Type.Optional(
      Type.Object(
        {
          impressions: Type.Integer({
            minimum: 1,
            maximum: biddingLimits.capImpressionsMax,
            description: `a whole number from 1 to ${biddingLimits.capImpressionsMax}`,
          }),
          windowSeconds: Type.Integer({
            minimum: 1,
            maximum: biddingLimits.capWindowSecondsMax,
            description: `a whole number from 1 to ${biddingLimits.capWindowSecondsMax}`,
          }),
        },
        { ...strict, description: "an object with impressions and windowSeconds" },
      ),
    ),
    targeting: Type.Optional(
      Type.Object(
        {
          countries: Type.Optional(
            listOf(matching("^[A-Z]{3}$", 'a country such as "USA" or "DEU"'), 250, "countries"),
          ),
          siteCategories: Type.Optional(listOf(category, 100, "categories of sites")),
          domains: Type.Optional(listOf(domain, 1000, "domains of sites")),
        },
        { ...strict, description: "an object with countries, siteCategories or domains" },
      ),
    ),
    creative: Type.Object(
      {
        headline: text(120),
        landingPage: matching("^https?://[^\\s\"'<>`]{1,500}$", "an http or https address"),
        sizes: listOf(
          matching("^[1-9]\\d{0,3}x[1-9]\\d{0,3}$", 'a size such as "300x250"'),
          20,
          "sizes",
        ),
      },
      { ...strict, description: "an object with headline, landingPage and sizes" },
    ),
  },
  { ...strict, description: "an object" },
);
const declarations = Type.Array(declaration, {
  minItems: 1,
  maxItems: biddingLimits.campaignsMax,
  description: `a list of 1 to ${biddingLimits.campaignsMax} campaigns`,
});
const compiled = Compile(declarations);

/** A campaign as it stands in a campaigns file. */
export type CampaignDeclaration = Static<typeof declaration>;

/** A campaign as bidding reads it. */
export interface Campaign {
  /** Its place in the file. */
  readonly index: number;
  readonly id: string;
  readonly name: string;
  /** What it pays for one impression at most. */
  readonly bidMicros: number;
  readonly budgetMicros: number;
  readonly cap: { readonly impressions: number; readonly windowMs: number } | null;
  readonly advertiserDomain: string;
  /** The advertiser's domain and those above it: a block of any of them blocks it. */
  readonly advertiserDomains: readonly string[];
  readonly categories: readonly string[];
  /** The categories and those above them: a block of any of them blocks it. */
  readonly categoriesAndParents: readonly string[];
  /** Everything it loads or links to comes over https. */
  readonly secure: boolean;
  readonly creatives: readonly Creative[];
  readonly countries: readonly string[] | null;
  readonly siteCategories: readonly string[] | null;
  readonly domains: readonly string[] | null;
}

/** The campaigns that come with the demo. */
export const demoCampaignsFile = new URL("./demo-campaigns.json", import.meta.url);

/** Reads a campaigns file. CONFIG_INVALID names the file, the campaign, the field and the rule. */
export function loadCampaigns(file: string | URL): Outcome<readonly CampaignDeclaration[]> {
  const name = typeof file === "string" ? file : file.pathname;
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return failed("CONFIG_INVALID", `campaigns file ${name} cannot be read: ${reason}`);
  }
  const checked = checkCampaigns(parsed);
  if (checked.ok) return checked;
  return failed("CONFIG_INVALID", `campaigns file ${name}: ${checked.failure.message}`);
}

/** Checks declarations; the failure lists the first problems, one after the other. */
export function checkCampaigns(value: unknown): Outcome<readonly CampaignDeclaration[]> {
  const problems = compiled.Check(value)
    ? ruleProblems(value)
    : schemaProblems(declarations, value, compiled.Errors(value));
  if (problems.length === 0) return ok(value as CampaignDeclaration[]);
  const shown = problems.slice(0, 5);
  const rest = problems.length - shown.length;
  return failed("CONFIG_INVALID", shown.join("\n") + (rest > 0 ? `\nand ${rest} more` : ""));
}

/** The ready form of a checked declaration. */
export function resolveCampaign(campaign: CampaignDeclaration, index: number): Campaign {
  const { creative, frequencyCap, targeting } = campaign;
  return {
    index,
    id: campaign.id,
    name: campaign.name,
    bidMicros: impressionMicros(String(campaign.bidCpm)) ?? 0,
    budgetMicros: dollarsToMicros(String(campaign.budget)) ?? 0,
    cap:
      frequencyCap === undefined
        ? null
        : { impressions: frequencyCap.impressions, windowMs: frequencyCap.windowSeconds * 1000 },
    advertiserDomain: campaign.advertiserDomain,
    advertiserDomains: domainAndParents(campaign.advertiserDomain),
    categories: campaign.categories,
    categoriesAndParents: [...new Set(campaign.categories.flatMap((id) => [id, parentOf(id)]))],
    secure: creative.landingPage.startsWith("https:"),
    creatives: creative.sizes.map((size) => resolveCreative(campaign, size)),
    countries: targeting?.countries ?? null,
    siteCategories: targeting?.siteCategories ?? null,
    domains: targeting?.domains ?? null,
  };
}

/** "IAB17-12" → "IAB17"; a category of the first level is its own parent. */
export function parentOf(categoryId: string): string {
  const dash = categoryId.indexOf("-");
  return dash < 0 ? categoryId : categoryId.slice(0, dash);
}

function resolveCreative(campaign: CampaignDeclaration, size: string): Creative {
  const [width = 0, height = 0] = size.split("x").map(Number);
  const { id, categories, advertiserDomain, creative } = campaign;
  const { headline, landingPage } = creative;
  return makeCreative({
    campaignId: id,
    categories,
    advertiserDomain,
    headline,
    landingPage,
    width,
    height,
  });
}

function domainAndParents(name: string): string[] {
  const labels = name.split(".");
  return labels.slice(0, -1).map((_, from) => labels.slice(from).join("."));
}

/** Rules that a schema cannot say. */
function ruleProblems(campaigns: readonly CampaignDeclaration[]): string[] {
  const { bidCpm, budget } = declaration.properties;
  const firstOf = new Map<string, number>();
  return campaigns.flatMap((campaign, index) => {
    const problems: string[] = [];
    if (cpmOf(impressionMicros(String(campaign.bidCpm)) ?? 0) !== campaign.bidCpm) {
      problems.push(fieldProblem("bidCpm", bidCpm, campaign.bidCpm));
    }
    if ((dollarsToMicros(String(campaign.budget)) ?? 0) / 1_000_000 !== campaign.budget) {
      problems.push(fieldProblem("budget", budget, campaign.budget));
    }
    const first = firstOf.get(campaign.id);
    if (first === undefined) firstOf.set(campaign.id, index);
    else problems.push(`field id: is the id of campaigns[${first}]; each needs one of its own`);
    const places = placesOf(campaign);
    if (places > biddingLimits.campaignPlacesMax) {
      problems.push(
        `field targeting: has ${places} combinations of size, country, category and domain; ` +
          `at most ${biddingLimits.campaignPlacesMax} are allowed: make several campaigns of it`,
      );
    }
    return problems.map((problem) => `${campaignName(campaigns, index)}, ${problem}`);
  });
}

function placesOf({ creative, targeting }: CampaignDeclaration): number {
  const { countries, siteCategories, domains } = targeting ?? {};
  const lists = [creative.sizes, countries, siteCategories, domains];
  return lists.reduce((product, list) => product * (list?.length ?? 1), 1);
}
