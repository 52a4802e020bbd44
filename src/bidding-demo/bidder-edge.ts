// Bidder edge: the HTTP routes of the bidder in one lane, its sweeps and its status.
// Owns: methods, paths, bodies and error answers. Does not own: bids (bid-route.ts), notices
// (notice-route.ts), the page (page/page-routes.ts).
import type { EdgeContext, EdgeHooks } from "../processing-units/edge-context.ts";
import { limits } from "../base/limits.ts";
import { BidRoute } from "./bid-route.ts";
import { noticePath } from "./bid-response.ts";
import { biddingLimits } from "./bidding-limits.ts";
import type { CampaignIndex } from "./campaign-index.ts";
import type { Campaign } from "./campaign.ts";
import { exportCounts } from "./demo-metrics.ts";
import { laneStatus, newCounts } from "./demo-status.ts";
import type { NoticeKind } from "./notice-command.ts";
import { NoticeRoute, type NoticeQuery } from "./notice-route.ts";
import type { NoticeTokens } from "./notice-token.ts";
import { registerPage } from "./page/page-routes.ts";
import { PartitionRoutes } from "./partition-routes.ts";
import { waitingPartition } from "./queue.ts";
import { queues } from "./spaces.ts";

export interface BidderParts {
  readonly campaigns: readonly Campaign[];
  readonly byId: ReadonlyMap<string, Campaign>;
  readonly index: CampaignIndex;
  readonly tokens: NoticeTokens;
  /** Host and port that notices are sent to; null: those that the request came to. */
  readonly noticesTo: string | null;
}

type Server = EdgeContext["server"];

const bidPath = "/openrtb2/bid";
const noticeKinds: readonly NoticeKind[] = ["win", "billing", "loss"];
const otherMethods = ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"];

/** Sets up the bidder in one lane. */
export function bidderEdge(context: EdgeContext, parts: BidderParts): EdgeHooks {
  const counts = newCounts();
  const routes = new PartitionRoutes(context.partitions);
  const submit: EdgeContext["submit"] = context.submit.bind(context);
  const { random, server } = context;
  const { campaigns, byId, index, tokens, noticesTo } = parts;
  const bid = new BidRoute({ submit, random, counts, index, campaigns: byId, tokens, noticesTo });
  const notice = new NoticeRoute({ submit, counts, tokens, routes });
  // Scopes of their own: body parsers and error answers of one must not reach the others' routes.
  server.register((scope, _options, done) => {
    serveBids(scope, bid);
    done();
  });
  server.register((scope, _options, done) => {
    serveNotices(scope, notice);
    done();
  });
  exportCounts(context.metrics, counts);
  const sweep = context.timers.every(biddingLimits.sweepIntervalMs, () => {
    sweepOwned(context, routes);
  });
  const page = registerPage(context);
  return {
    status: () => ({ ...laneStatus(counts, campaigns, context), page: page.laneStatus() }),
    onUnitStatus: (status) => page.onUnitStatus(status),
    onStop() {
      sweep.cancel();
      page.onStop();
    },
  };
}

function serveBids(scope: Server, route: BidRoute): void {
  scope.removeAllContentTypeParsers();
  // Types are judged by the route: fastify has no parser for a body without a type alone. The usual
  // one is named, because fastify takes a type apart anew each time that it finds only the star.
  const asText = { parseAs: "string", bodyLimit: limits.bodyBytesMax } as const;
  scope.addContentTypeParser(["application/json", "*"], asText, (_request, body, done) => {
    done(null, body);
  });
  scope.setErrorHandler((error, request, reply) => {
    const status = statusOf(error);
    if (status >= 400 && status < 500) {
      route.refuse(reply, status);
    } else {
      request.log.error(error);
      route.fail(reply);
    }
  });
  scope.post(bidPath, (request, reply) => {
    const { "content-type": type, "content-encoding": encoding, host } = request.headers;
    if (!isPlainJson(type, encoding)) route.refuse(reply, 415);
    else route.handle({ body: request.body, host, correlationId: request.id }, reply);
  });
  scope.route({
    method: otherMethods,
    url: bidPath,
    handler(_request, reply) {
      reply.header("allow", "POST");
      route.refuse(reply, 405);
    },
  });
}

function serveNotices(scope: Server, route: NoticeRoute): void {
  scope.removeAllContentTypeParsers();
  // All there is to a notice is in its address; a body is read and left alone.
  scope.addContentTypeParser("*", { parseAs: "buffer" }, (_request, _body, done) => {
    done(null, undefined);
  });
  for (const kind of noticeKinds) {
    scope.route<{ Querystring: NoticeQuery }>({
      method: ["GET", "POST"],
      url: `${noticePath}/${kind}`,
      // Who only looks at an address must not bill.
      exposeHeadRoute: false,
      handler(request, reply) {
        route.handle({ kind, query: request.query, correlationId: request.id }, reply);
      },
    });
  }
}

/** Lets the partitions of this lane expire what is old, also where no bids come by any more. */
function sweepOwned(context: EdgeContext, routes: PartitionRoutes): void {
  const waiting = new Set<number>();
  for (const [key, queue] of context.entries(queues)) {
    const partition = waitingPartition(key, queue);
    if (partition !== null) waiting.add(partition);
  }
  for (const partition of waiting) {
    // What fails now is swept the next time.
    context.submit("sweep", { route: routes.to(partition) }, {}, () => undefined);
  }
}

/** A body without a type is JSON; what is compressed is not taken. */
function isPlainJson(type: string | undefined, encoding: string | undefined): boolean {
  const json = type === undefined || /^application\/json *(?:;|$)/i.test(type);
  return json && (encoding === undefined || /^(?:identity)?$/i.test(encoding));
}

function statusOf(error: unknown): number {
  const known = typeof error === "object" && error !== null && "statusCode" in error;
  return known && typeof error.statusCode === "number" ? error.statusCode : 500;
}
