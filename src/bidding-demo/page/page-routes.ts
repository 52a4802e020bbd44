// Page routes: the demo's page in one lane, at `/`, and what it is told, at `/live`.
// Owns: joining the three parts below. Does not own: the files (static-files.ts), the numbers
// (page-state.ts), the connections (live-clients.ts).
import { newId } from "../../base/ids.ts";
import type { EdgeContext } from "../../processing-units/edge-context.ts";
import { LiveClients } from "../../processing-units/live-clients.ts";
import type { UnitStatus } from "../../processing-units/unit-status.ts";
import { newCounts } from "../demo-status.ts";
import type { PageMessage } from "./page-message.ts";
import { advance, type PageLaneStatus, type PageState } from "./page-state.ts";
import { serveStaticFiles } from "./static-files.ts";

/** What the lane's edge hooks pass on to the page. */
export interface Page {
  /** Belongs into the lane's part of the application's status, as `page`. */
  laneStatus(): PageLaneStatus;
  onUnitStatus(status: UnitStatus): void;
  onStop(): void;
}

export type PageContext = Pick<
  EdgeContext,
  "server" | "clock" | "timers" | "random" | "partitions" | "lane" | "elsewhere"
>;

/** Adds the page's routes to the lane's server. */
export function registerPage(context: PageContext): Page {
  const { server, clock, timers, random, partitions, lane } = context;
  const incarnation = newId(random);
  const bornMs = clock.monotonicMs();
  let state: PageState | null = null;
  serveStaticFiles(server);
  const clients = new LiveClients({
    server: server.server,
    path: "/live",
    timers,
    greeting: () => (state === null ? [] : greeting(state)),
  });
  return {
    laneStatus: () => ({
      incarnation,
      ageMs: clock.monotonicMs() - bornMs,
      lost: state?.lost ?? newCounts(),
    }),
    onUnitStatus(status) {
      state = advance(state, status, { lane, partitions, elsewhere: context.elsewhere() });
      if (clients.count > 0) clients.publish(encode(state.message));
    },
    onStop() {
      clients.close();
    },
  };
}

function greeting({ trend, message }: PageState): string[] {
  return [encode({ kind: "trend", points: trend }), encode(message)];
}

function encode(message: PageMessage): string {
  return JSON.stringify(message);
}
