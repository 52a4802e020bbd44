// Bidder: starts the processing unit that bids, for the commands `unit` and `demo`.
// Owns: putting settings, campaigns and the notice-signing key together.
// Does not own: the unit (processing-units), the bidding (bidding-demo).
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import packageJson from "../../package.json" with { type: "json" };
import { unwrap } from "../base/failure.ts";
import { demoCampaignsFile, loadCampaigns } from "../bidding-demo/campaign.ts";
import type { UnitDatabase } from "../processing-units/unit-database.ts";
import type { UnitStatus } from "../processing-units/unit-status.ts";
import { startUnit, type Unit } from "../processing-units/unit.ts";
import { withPassword } from "./database-password.ts";
import { urlsOf, type Settings } from "./settings.ts";

const applicationModule = new URL("../bidding-demo/application.ts", import.meta.url).href;
const keyBytes = 32;

/** Starts it; throws FailureError with one clear line where it cannot. */
export async function startBidder(
  settings: Settings,
  options: { readonly logFile: string | null; onStatus?(status: UnitStatus): void },
): Promise<Unit> {
  const campaigns = unwrap(loadCampaigns(settings.campaigns ?? demoCampaignsFile));
  const { store, database: address } = urlsOf(settings);
  const database = unwrap(withPassword(address, settings.databasePasswordFile));
  const keptNowhere = store === "memory:" && database === "none:";
  const started = await startUnit({
    ...options,
    store,
    database,
    lanes: settings.lanes,
    host: settings.host,
    port: settings.port,
    partitions: settings.partitions ?? null,
    logLevel: settings.logLevel,
    release: packageJson.version,
    gridBytesMax: settings.gridBytesMax,
    peers: {
      host: settings.peerHost,
      advertisedHost: settings.peerHost === "0.0.0.0" ? hostname() : settings.peerHost,
    },
    application: async (opened, { partitions }) => {
      const keyFile = keptNowhere ? null : join(settings.data, "notice-key");
      return {
        module: applicationModule,
        options: {
          campaigns,
          partitions,
          noticeKey: await noticeKey(opened, keyFile),
          ...(settings.advertise === undefined ? {} : { advertise: settings.advertise }),
        },
      };
    },
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
