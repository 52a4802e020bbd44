// Bidder: starts the processing unit that bids, for the commands `unit` and `demo`.
// Owns: putting settings, campaigns and the notice-signing key together.
// Does not own: the unit (processing-units), the bidding (bidding-demo).
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import packageJson from "../../package.json" with { type: "json" };
import { unwrap } from "../base/failure.ts";
import type { BiddingOptions } from "../bidding-demo/application.ts";
import { demoCampaignsFile, loadCampaigns } from "../bidding-demo/campaign.ts";
import type { GridIdentity } from "../grid/grid-directory.ts";
import type { ApplicationSource } from "../processing-units/load-application.ts";
import type { UnitDatabase } from "../processing-units/unit-database.ts";
import { startUnit, type Unit, type UnitOptions } from "../processing-units/unit.ts";
import { withPassword } from "./database-password.ts";
import { urlsOf, type Settings } from "./settings.ts";

const applicationModule = new URL("../bidding-demo/application.ts", import.meta.url).href;
const keyBytes = 32;

/** The store and the database of the settings; throws FailureError where they do not fit. */
export function placesOf(settings: Settings): {
  readonly store: string;
  readonly database: string;
} {
  const { store, database } = urlsOf(settings);
  return { store, database: unwrap(withPassword(database, settings.databasePasswordFile)) };
}

/**
 * The application that bids, for a grid whose database is open. Throws FailureError where the
 * campaigns are not right; reads them before it returns.
 */
export function biddingApplication(
  settings: Settings,
): (database: UnitDatabase, identity: GridIdentity) => Promise<ApplicationSource> {
  const campaigns = unwrap(loadCampaigns(settings.campaigns ?? demoCampaignsFile));
  const { store, database: address } = urlsOf(settings);
  const keptNowhere = store === "memory:" && address === "none:";
  const keyFile = keptNowhere ? null : join(settings.data, "notice-key");
  return async (database, { partitions }) => {
    const options: BiddingOptions = {
      campaigns,
      partitions,
      noticeKey: await noticeKey(database, keyFile),
      ...(settings.advertise === undefined ? {} : { advertise: settings.advertise }),
    };
    return { module: applicationModule, options };
  };
}

/** Starts it; throws FailureError with one clear line where it cannot. */
export async function startBidder(
  settings: Settings,
  options: Pick<UnitOptions, "logFile" | "onStatus" | "onRebuilt">,
): Promise<Unit> {
  const application = biddingApplication(settings);
  const started = await startUnit({
    ...options,
    ...placesOf(settings),
    lanes: settings.lanes,
    host: settings.host,
    port: settings.port,
    partitions: settings.partitions ?? null,
    rebuild: settings.rebuild,
    logLevel: settings.logLevel,
    release: packageJson.version,
    gridBytesMax: settings.gridBytesMax,
    peers: {
      host: settings.peerHost,
      advertisedHost: settings.peerHost === "0.0.0.0" ? hostname() : settings.peerHost,
    },
    application,
  });
  return unwrap(started);
}

/**
 * The key that signs notices, as hex: made once, kept in the database, and in a file beside the
 * data for the times when the database is away.
 */
async function noticeKey(database: UnitDatabase, keyFile: string | null): Promise<string> {
  const cached = keyFile !== null && existsSync(keyFile) ? readFileSync(keyFile, "utf8") : null;
  const make = () => cached ?? randomBytes(keyBytes).toString("hex");
  const kept = await database.secret("notice-key", make);
  const key = kept ?? make();
  if (keyFile !== null && key !== cached) {
    mkdirSync(join(keyFile, ".."), { recursive: true });
    // Whole or not at all: half a key would be refused at every later start. Units may share a
    // folder, and all have the same key.
    const newFile = `${keyFile}.${randomBytes(4).toString("hex")}`;
    writeFileSync(newFile, key, { mode: 0o600 });
    renameSync(newFile, keyFile);
  }
  return key;
}
