// Sweep command: expires what is old in a partition where no bid comes by to do it.
// Owns: nothing of its own; bids do the same on their way (bid-command.ts).
import { Type } from "typebox";
import { command, type Command } from "../processing-units/application.ts";
import { biddingLimits } from "./bidding-limits.ts";
import type { Campaign } from "./campaign.ts";
import { retireImpressions } from "./frequency.ts";
import { expireBids } from "./reservations.ts";

/** The command `sweep`; changes nothing where nothing is due. */
export function sweepCommand(campaigns: ReadonlyMap<string, Campaign>): Command {
  return command({
    input: Type.Object({ route: Type.String() }),
    internal: true,
    routeBy: (input) => input.route,
    handle(tx) {
      expireBids(tx, biddingLimits.sweepSteps);
      retireImpressions(tx, campaigns, biddingLimits.sweepSteps);
      return null;
    },
  });
}
