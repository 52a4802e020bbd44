// Rivals application: the reservation of `rivals` as an application of the engine.
// Owns: its spaces, its one command, a route that tells what is kept. Does not own: the plan.
// A campaign's budget lies in purses, a share of it in each partition, and a user's reservations
// are made in the user's partition: cap, money and record change in one step there. The price of
// it: a campaign whose share in one partition is gone is refused there, whatever others have left.
import { Type } from "typebox";
import { must } from "../src/base/assert.ts";
import { shareOf } from "../src/bidding-demo/money.ts";
import { command, space, type Application } from "../src/processing-units/application.ts";
import {
  campaignsOf,
  capMax,
  partitions,
  type Books,
  type Kept,
  type Shape,
  type Verdict,
} from "./rivals-plan.ts";

export const purses = space<{ readonly campaign: string; readonly spentMicros: number }>({
  name: "purses",
});
const frequency = space<{ readonly count: number }>({ name: "frequency" });
export const reservations = space<Omit<Kept, "id"> & { readonly atMs: number }>({
  name: "reservations",
});

export interface RivalsOptions {
  readonly shape: Shape;
}

export function rivalsApplication({ shape }: RivalsOptions): Application {
  const campaigns = new Map(campaignsOf(shape).map((campaign) => [campaign.id, campaign]));
  const reserve = command({
    input: Type.Object({ id: Type.String(), user: Type.String(), campaign: Type.String() }),
    routeBy: ({ user }) => user,
    handle(tx, { id, user, campaign }): Verdict {
      const { priceMicros, budgetMicros } = must(campaigns.get(campaign), "a known campaign");
      const seen = `${campaign}|${user}`;
      const count = tx.get(frequency, seen)?.count ?? 0;
      if (count >= capMax) return "over cap";
      const purse = `${campaign}@${String(tx.partition)}`;
      const spentMicros = (tx.get(purses, purse)?.spentMicros ?? 0) + priceMicros;
      if (spentMicros > shareOf(budgetMicros, partitions, tx.partition)) return "over budget";
      tx.put(frequency, seen, { count: count + 1 });
      tx.put(purses, purse, { campaign, spentMicros });
      tx.put(reservations, id, { user, campaign, priceMicros, atMs: tx.timeMs });
      return "reserved";
    },
  });
  return {
    name: "rivals",
    spaces: [purses, frequency, reservations],
    commands: { reserve },
    edge: (context) => {
      // For a unit with one lane, which has all partitions.
      context.server.get("/books", () => {
        const all = booksOf(context.entries(reservations), context.entries(purses));
        const { reservations: kept, spentMicros } = all;
        return { reservations: kept, spentMicros: [...spentMicros] };
      });
      return {};
    },
  };
}

export default (options: unknown): Application => rivalsApplication(options as RivalsOptions);

/** What entries of all partitions come to. */
export function booksOf(
  kept: Iterable<readonly [string, Omit<Kept, "id">]>,
  held: Iterable<readonly [string, { readonly campaign: string; readonly spentMicros: number }]>,
): Books {
  const spentMicros = new Map<string, number>();
  for (const [, purse] of held) {
    const { campaign } = purse;
    spentMicros.set(campaign, (spentMicros.get(campaign) ?? 0) + purse.spentMicros);
  }
  const all = Array.from(kept, ([id, { user, campaign, priceMicros }]) => {
    return { id, user, campaign, priceMicros };
  });
  return { reservations: all, spentMicros };
}
