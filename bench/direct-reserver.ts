// Direct reserver: the same reservations without Orrery, with Hazelcast's own client alone, as one
// would write it with care: entries in maps, changed by compare-and-set.
// Owns: what is asked of the members for one bid. Does not own: the members, the inputs.
//
// Each bid reads its user's frequency and the campaign's purse (at once), decides, then changes
// both and adds the reservation (all three at once): `replaceIfSame` or `putIfAbsent`, and again
// from what is there now where another bid was faster. Values, their encoding, the backups and what
// is decided are those of the bidding demo; a reservation holds the bid's row, too.
// To the rival's favour: the three writes are not one step (whoever dies between them leaves money
// held for nothing), nothing expires, nothing is numbered, and where a change would have to be
// undone it gives up: that does not happen with these inputs.
import { Client, type IMap } from "hazelcast-client";
import { Packr } from "msgpackr";
import { must } from "../src/base/assert.ts";
import { unwrap } from "../src/base/failure.ts";
import { partitionOf } from "../src/base/murmur3.ts";
import type { BidInput } from "../src/bidding-demo/bid-command.ts";
import { resolveCampaign, type Campaign } from "../src/bidding-demo/campaign.ts";
import { viewerOf } from "../src/bidding-demo/frequency.ts";
import { shareOf } from "../src/bidding-demo/money.ts";
import { idleMicros } from "../src/bidding-demo/purse.ts";
import type { BidRow, Frequency, Purse, Reservation } from "../src/bidding-demo/spaces.ts";
import { parseStoreUrl } from "../src/grid/stores/open-store.ts";
import {
  partitions,
  reservationCampaigns,
  type Recount,
  type Reserver,
  type ReserverCounts,
} from "./reservation-inputs.ts";

/**
 * `reads`: as above. `remembers`: reads nothing; it knows what a purse held when it last changed
 * it, lets its own bids for the same purse wait for one another, and takes a user for new until a
 * write finds otherwise: three writes at once, no race lost within one process. `purse only`: the
 * same without frequency and reservation: one write.
 */
export type DirectManner = "reads" | "remembers" | "purse only";

type Entries = IMap<string, Buffer>;

interface Maps {
  readonly purses: Entries;
  readonly frequency: Entries;
  readonly reservations: Entries;
}

const packr = new Packr({ useRecords: false, variableMapSize: true });

/** A client as Orrery's own is set, as far as a client without a log has use for it. */
async function connectMembers(url: string): Promise<Client> {
  const address = unwrap(parseStoreUrl(url));
  if (address.engine !== "hazelcast") throw new Error(`${url} names no members`);
  return Client.newHazelcastClient({
    clusterName: address.cluster,
    network: { clusterMembers: [...address.members], redoOperation: false },
    backupAckToClientEnabled: true,
    properties: {
      "hazelcast.client.operation.fail.on.indeterminate.state": true,
      "hazelcast.logging.level": "ERROR",
    },
  });
}

/** Takes everything out of the members: each window begins with nothing. */
export async function emptyMembers(url: string): Promise<void> {
  const client = await connectMembers(url);
  for (const map of await client.getDistributedObjects()) await map.destroy();
  await client.shutdown();
}

export class DirectReserver implements Reserver {
  readonly #client: Client;
  readonly #maps: Maps;
  readonly #manner: DirectManner;
  readonly #campaigns: ReadonlyMap<string, Campaign>;
  /** What a purse held when this process last changed it. */
  readonly #known = new Map<string, Buffer>();
  /** The last of this process's own bids for a purse. */
  readonly #turns = new Map<string, Promise<void>>();
  #lastBid = 0;
  #racesLost = 0;

  private constructor(client: Client, maps: Maps, manner: DirectManner) {
    this.#client = client;
    this.#maps = maps;
    this.#manner = manner;
    const campaigns = reservationCampaigns().map(resolveCampaign);
    this.#campaigns = new Map(campaigns.map((campaign) => [campaign.id, campaign]));
  }

  static async open(url: string, manner: DirectManner): Promise<DirectReserver> {
    const client = await connectMembers(url);
    // By their names these maps have the settings of the grid's: two backups, and so on.
    const map = (name: string) => client.getMap<string, Buffer>(`grid.direct.${name}`);
    const maps = {
      purses: await map("purses"),
      frequency: await map("frequency"),
      reservations: await map("reservations"),
    };
    return new DirectReserver(client, maps, manner);
  }

  bid(input: BidInput, answer: (priceMicros: number | string) => void): void {
    void this.#bid(input).then(answer, (error: unknown) => {
      answer(String(error));
    });
  }

  counts(): ReserverCounts {
    return { records: 0, recordBytes: 0, racesLost: this.#racesLost };
  }

  async recount(): Promise<Recount> {
    const { purses, frequency, reservations } = this.#maps;
    const held = sum(await all<Purse>(purses), (purse) => purse.reservedMicros);
    if (this.#manner === "purse only")
      return { reservations: null, heldMicros: held, pending: null };
    return {
      reservations: await reservations.size(),
      heldMicros: held,
      pending: sum(await all<Frequency>(frequency), (seen) => seen.pending),
    };
  }

  close(): Promise<void> {
    return this.#client.shutdown();
  }

  /** Candidates that bid most come first: the first that may and can pay is the one. */
  async #bid(input: BidInput): Promise<number | string> {
    const [wanted] = input.impressions;
    for (const id of wanted?.candidates ?? []) {
      const campaign = must(this.#campaigns.get(id), "a known campaign");
      if (campaign.bidMicros < (wanted?.floorMicros ?? 0)) continue;
      const isMade =
        this.#manner === "reads"
          ? await this.#readAndReserve(input, campaign)
          : await this.#reserve(input, campaign);
      if (isMade) return campaign.bidMicros;
    }
    return "no candidate can bid";
  }

  async #readAndReserve(input: BidInput, campaign: Campaign): Promise<boolean> {
    const viewer = viewerOf(input.route);
    const purseKey = purseKeyOf(input, campaign);
    const frequencyKey = `${campaign.id}|${viewer}`;
    const [seen, held] = await Promise.all([
      this.#maps.frequency.get(frequencyKey),
      this.#maps.purses.get(purseKey),
    ]);
    if (!mayBeSeen(seen, campaign) || !canPay(purseOf(held, input, campaign), campaign)) {
      return false;
    }
    await Promise.all([
      this.#count(frequencyKey, seen, campaign),
      this.#hold(purseKey, held, input, campaign),
      this.#keep(input, campaign, viewer),
    ]);
    return true;
  }

  async #reserve(input: BidInput, campaign: Campaign): Promise<boolean> {
    const purseKey = purseKeyOf(input, campaign);
    const held = this.#inTurn(purseKey, () => {
      return this.#hold(purseKey, this.#known.get(purseKey) ?? null, input, campaign);
    });
    if (this.#manner === "purse only") {
      await held;
      return true;
    }
    const viewer = viewerOf(input.route);
    await Promise.all([
      held,
      this.#count(`${campaign.id}|${viewer}`, null, campaign),
      this.#keep(input, campaign, viewer),
    ]);
    return true;
  }

  #inTurn(key: string, work: () => Promise<void>): Promise<void> {
    const turn = (this.#turns.get(key) ?? Promise.resolve()).then(work);
    this.#turns.set(key, turn);
    return turn;
  }

  async #hold(key: string, read: Buffer | null, input: BidInput, campaign: Campaign) {
    const now = await this.#change(this.#maps.purses, key, read, (bytes) => {
      const purse = purseOf(bytes, input, campaign);
      if (!canPay(purse, campaign)) throw new Error("the purse ran out in between");
      return packr.pack({ ...purse, reservedMicros: purse.reservedMicros + campaign.bidMicros });
    });
    this.#known.set(key, now);
  }

  async #count(key: string, read: Buffer | null, campaign: Campaign): Promise<void> {
    await this.#change(this.#maps.frequency, key, read, (bytes) => {
      if (!mayBeSeen(bytes, campaign)) throw new Error("the cap was reached in between");
      const { pending, billedAtMs } = seenOf(bytes);
      return packr.pack({ pending: pending + 1, billedAtMs });
    });
  }

  /** The reservation and the bid's row, which for Orrery are two entries of one record. */
  #keep(input: BidInput, { id, bidMicros }: Campaign, viewer: string): Promise<void> {
    const entry: Reservation & BidRow = {
      viewer,
      auctionId: input.auctionId,
      impId: input.impressions[0]?.id ?? "",
      campaignId: id,
      userId: input.user,
      siteDomain: input.siteDomain,
      priceMicros: bidMicros,
      bidAt: Date.now(),
      test: false,
    };
    return this.#maps.reservations.set((++this.#lastBid).toString(36), packr.pack(entry));
  }

  /** The value that was stored in the end. `read`: what is there, as far as is known. */
  async #change(
    map: Entries,
    key: string,
    read: Buffer | null,
    next: (bytes: Buffer | null) => Buffer,
  ): Promise<Buffer> {
    for (let known = read; ; this.#racesLost++) {
      const value = next(known);
      const found = await swap(map, key, known, value);
      if (found === null) return value;
      known = found;
    }
  }
}

/** Compare-and-set: null where it is done, otherwise what is there. Nothing is ever taken out. */
async function swap(
  map: Entries,
  key: string,
  expected: Buffer | null,
  value: Buffer,
): Promise<Buffer | null> {
  if (expected === null) return map.putIfAbsent(key, value);
  return (await map.replaceIfSame(key, expected, value)) ? null : map.get(key);
}

function purseKeyOf({ route }: BidInput, { id }: Campaign): string {
  return `${id}@${String(partitionOf(route, partitions))}`;
}

function purseOf(bytes: Buffer | null, { route }: BidInput, campaign: Campaign): Purse {
  if (bytes !== null) return packr.unpack(bytes) as Purse;
  const partition = partitionOf(route, partitions);
  const shareMicros = shareOf(campaign.budgetMicros, partitions, partition);
  return { campaignId: campaign.id, partition, shareMicros, reservedMicros: 0, spentMicros: 0 };
}

function canPay(purse: Purse, { bidMicros }: Campaign): boolean {
  return idleMicros(purse) >= bidMicros;
}

function seenOf(bytes: Buffer | null): Frequency {
  return bytes === null ? { pending: 0, billedAtMs: [] } : (packr.unpack(bytes) as Frequency);
}

function mayBeSeen(bytes: Buffer | null, { cap }: Campaign): boolean {
  const { pending, billedAtMs } = seenOf(bytes);
  return cap === null || pending + billedAtMs.length < cap.impressions;
}

async function all<V>(map: Entries): Promise<V[]> {
  return (await map.values()).toArray().map((bytes) => packr.unpack(bytes) as V);
}

function sum<V>(values: readonly V[], of: (value: V) => number): number {
  return values.reduce((total, value) => total + of(value), 0);
}
