// Bidding demo: the application, as a grid runs it.
// Owns: its options, and how its parts come together. Does not own: what they do.
import { Type } from "typebox";
import { Compile } from "typebox/compile";
import { failure, FailureError, unwrap } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import type { Application } from "../processing-units/application.ts";
import { bidCommand } from "./bid-command.ts";
import { bidderEdge } from "./bidder-edge.ts";
import { CampaignIndex } from "./campaign-index.ts";
import { checkCampaigns, resolveCampaign, type CampaignDeclaration } from "./campaign.ts";
import { noticeCommand } from "./notice-command.ts";
import { NoticeTokens } from "./notice-token.ts";
import { purseMender } from "./purse-mender.ts";
import { allSpaces } from "./spaces.ts";
import { sweepCommand } from "./sweep-command.ts";

/** Plain data, so that it can be given to a thread. */
export interface BiddingOptions {
  readonly campaigns: readonly CampaignDeclaration[];
  /** Secret of the notices' signatures: 32 to 64 bytes, in hex; the same for a grid's life. */
  readonly noticeKey: string;
  /** Partitions of the grid: a campaign's budget is split over them. */
  readonly partitions: number;
  /** http://host:port that notices are sent to; left out: where the request came to. */
  readonly advertise?: string;
}

const compiled = Compile(
  Type.Object({
    campaigns: Type.Unknown(),
    noticeKey: Type.String({ pattern: "^([0-9a-f]{2}){32,64}$" }),
    partitions: Type.Integer({ minimum: 1, maximum: limits.partitionsMax }),
    advertise: Type.Optional(Type.String({ pattern: "^http://[\\w.:[\\]-]{1,255}$" })),
  }),
);

/** Makes the application from BiddingOptions; throws FailureError where they do not fit. */
export default function biddingDemo(options: unknown): Application {
  if (!compiled.Check(options)) {
    const wrong = compiled.Errors(options).map((error) => `${error.instancePath} ${error.message}`);
    const message = `options of the bidding demo: ${wrong.join("; ")}`;
    throw new FailureError(failure("CONFIG_INVALID", message));
  }
  const campaigns = unwrap(checkCampaigns(options.campaigns)).map(resolveCampaign);
  const byId = new Map(campaigns.map((campaign) => [campaign.id, campaign]));
  const budgets = new Map(campaigns.map(({ id, budgetMicros }) => [id, budgetMicros]));
  const index = new CampaignIndex(campaigns);
  const noticesTo = options.advertise?.slice("http://".length) ?? null;
  const tokens = new NoticeTokens(Buffer.from(options.noticeKey, "hex"));
  return {
    name: "bidding-demo",
    spaces: allSpaces,
    commands: {
      bid: bidCommand(byId, options.partitions),
      notice: noticeCommand,
      sweep: sweepCommand(byId),
    },
    rebuilt: (partitions) => purseMender(budgets, partitions),
    edge: (context) => bidderEdge(context, { campaigns, byId, index, tokens, noticesTo }),
  };
}
