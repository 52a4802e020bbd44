// Rival Hazelcast: the reservation with Hazelcast's own client alone, as one would write it with
// care: entries in maps, changed by compare-and-set.
// Owns: what is asked of the members for one reservation. Does not own: the members, the plan.
//
// It reads the user's count and the purse (at once), decides, then changes both and adds the
// reservation (all three at once): `replaceIfSame` or `putIfAbsent`, and again from what is there
// now where another one was faster. Where one of the three comes out as refused, the other two are
// undone. Values, their encoding, purses and backups are those of Orrery beside it.
// To the rival's favour: the three writes are not one step (whoever dies between them leaves money
// held for nothing), nothing is numbered, and no log is there to rebuild from.
import { Client, type IMap } from "hazelcast-client";
import { Packr } from "msgpackr";
import { unwrap } from "../src/base/failure.ts";
import { partitionOf } from "../src/base/murmur3.ts";
import { shareOf } from "../src/bidding-demo/money.ts";
import { parseStoreUrl } from "../src/grid/stores/open-store.ts";
import { booksOf } from "./rivals-application.ts";
import {
  capMax,
  partitions,
  type Books,
  type Kept,
  type Reserver,
  type ReserverCounts,
  type RivalCampaign,
  type Verdict,
  type Wanted,
} from "./rivals-plan.ts";

/**
 * `reads`: as above. `remembers`: reads nothing; it knows what purse and user held when it last
 * changed them, and lets its own changes of one entry wait for one another: no race is lost within
 * one process, and what is refused is refused without asking anybody.
 */
export type DirectManner = "reads" | "remembers";

type Entries = IMap<string, Buffer>;

interface Maps {
  readonly purses: Entries;
  readonly frequency: Entries;
  readonly reservations: Entries;
}

interface Purse {
  readonly campaign: string;
  readonly spentMicros: number;
}

interface Seen {
  readonly count: number;
}

/** From what an entry holds to what it is to hold; null: it must stay as it is. */
type Change = (bytes: Buffer | null) => Buffer | null;

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
  readonly raw = null;
  readonly #client: Client;
  readonly #maps: Maps;
  readonly #remembers: boolean;
  /** What an entry held when this process last changed it. */
  readonly #known = new Map<string, Buffer>();
  /** The last of this process's own changes of an entry, as long as it is under way. */
  readonly #turns = new Map<string, Promise<boolean>>();
  #racesLost = 0;

  private constructor(client: Client, maps: Maps, manner: DirectManner) {
    this.#client = client;
    this.#maps = maps;
    this.#remembers = manner === "remembers";
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

  reserve(wanted: Wanted, answer: (verdict: Verdict | Error) => void): void {
    this.#reserve(wanted).then(answer, answer);
  }

  counts(): ReserverCounts {
    return { records: 0, recordBytes: 0, racesLost: this.#racesLost };
  }

  async books(): Promise<Books> {
    const kept = await entriesOf<Omit<Kept, "id">>(this.#maps.reservations);
    return booksOf(kept, await entriesOf<Purse>(this.#maps.purses));
  }

  async close(): Promise<void> {
    await this.#client.shutdown();
  }

  async #reserve({ id, user, campaign }: Wanted): Promise<Verdict> {
    const partition = partitionOf(user, partitions);
    const shareMicros = shareOf(campaign.budgetMicros, partitions, partition);
    const seenKey = `${campaign.id}|${user}`;
    const purseKey = `${campaign.id}@${String(partition)}`;
    const { frequency, purses, reservations } = this.#maps;
    const [seen, purse] = this.#remembers
      ? [this.#known.get(seenKey) ?? null, this.#known.get(purseKey) ?? null]
      : await Promise.all([frequency.get(seenKey), purses.get(purseKey)]);
    if (countOf(seen) >= capMax) return "over cap";
    if (spentOf(purse) + campaign.priceMicros > shareMicros) return "over budget";
    const [isCounted, isHeld] = await Promise.all([
      this.#change(frequency, seenKey, seen, countOneMore),
      this.#change(purses, purseKey, purse, hold(campaign, shareMicros)),
      reservations.set(id, packr.pack(reservationOf(user, campaign))),
    ]);
    if (isCounted && isHeld) return "reserved";
    await Promise.all([
      isCounted ? this.#change(frequency, seenKey, null, countOneLess) : null,
      isHeld ? this.#change(purses, purseKey, null, giveBack(campaign)) : null,
      reservations.delete(id),
    ]);
    return isCounted ? "over budget" : "over cap";
  }

  /** Whether it was changed. `read`: what is there, as far as is known. */
  #change(map: Entries, key: string, read: Buffer | null, next: Change): Promise<boolean> {
    if (!this.#remembers) return this.#swap(map, key, read, next);
    const swapKnown = () => this.#swap(map, key, this.#known.get(key) ?? null, next);
    const before = this.#turns.get(key);
    const turn = before === undefined ? swapKnown() : before.then(swapKnown);
    this.#turns.set(key, turn);
    const forget = () => {
      if (this.#turns.get(key) === turn) this.#turns.delete(key);
    };
    turn.then(forget, forget);
    return turn;
  }

  async #swap(map: Entries, key: string, read: Buffer | null, next: Change): Promise<boolean> {
    for (let known = read; ; this.#racesLost++) {
      const value = next(known);
      if (value === null) return false;
      const found = await swap(map, key, known, value);
      if (found === null) {
        if (this.#remembers) this.#known.set(key, value);
        return true;
      }
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

function countOneMore(bytes: Buffer | null): Buffer | null {
  const count = countOf(bytes);
  return count < capMax ? packr.pack({ count: count + 1 } satisfies Seen) : null;
}

function countOneLess(bytes: Buffer | null): Buffer {
  return packr.pack({ count: countOf(bytes) - 1 } satisfies Seen);
}

function countOf(bytes: Buffer | null): number {
  return bytes === null ? 0 : (packr.unpack(bytes) as Seen).count;
}

function hold({ id, priceMicros }: RivalCampaign, shareMicros: number): Change {
  return (bytes) => {
    const spentMicros = spentOf(bytes) + priceMicros;
    return spentMicros > shareMicros
      ? null
      : packr.pack({ campaign: id, spentMicros } satisfies Purse);
  };
}

function giveBack({ id, priceMicros }: RivalCampaign): Change {
  return (bytes) => {
    const spentMicros = spentOf(bytes) - priceMicros;
    return packr.pack({ campaign: id, spentMicros } satisfies Purse);
  };
}

function spentOf(bytes: Buffer | null): number {
  return bytes === null ? 0 : (packr.unpack(bytes) as Purse).spentMicros;
}

function reservationOf(user: string, { id, priceMicros }: RivalCampaign) {
  return { user, campaign: id, priceMicros, atMs: Date.now() };
}

async function entriesOf<V>(map: Entries): Promise<[string, V][]> {
  return (await map.entrySet()).map(([key, bytes]) => [key, packr.unpack(bytes) as V]);
}
