// Admin database: the database of a grid, for commands that work on it beside the units, or
// without them.
// Owns: finding it, starting an embedded one for as long as the command takes.
// Does not own: what a command does there.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { failure, FailureError, unwrap } from "../base/failure.ts";
import { systemTimers } from "../base/timers.ts";
import { allSpaces } from "../bidding-demo/spaces.ts";
import { parseDatabaseUrl, type PostgresAddress } from "../data-pump/database-url.ts";
import { runningEmbeddedPostgres, startEmbeddedPostgres } from "../data-pump/embedded-postgres.ts";
import { OpenDatabase } from "../data-pump/open-database.ts";
import type { Table } from "../data-pump/table.ts";
import { withPassword } from "./database-password.ts";
import { urlsOf, type Settings } from "./settings.ts";

/** The application's tables, by space. */
export const applicationTables: ReadonlyMap<string, Table> = new Map(
  allSpaces.flatMap(({ name, table }) => (table === null ? [] : [[name, table] as const])),
);

function invalid(message: string): FailureError {
  return new FailureError(failure("CONFIG_INVALID", message));
}

/** Works on the database that the settings name; throws FailureError where there is none. */
export async function withDatabase<T>(
  settings: Settings,
  work: (database: OpenDatabase) => Promise<T>,
): Promise<T> {
  const url = unwrap(withPassword(urlsOf(settings).database, settings.databasePasswordFile));
  const address = unwrap(parseDatabaseUrl(url));
  switch (address.kind) {
    case "none":
      throw invalid("--database none: is no database; name the one that the units write to");
    case "postgres":
      return work(openAt(address));
    case "embedded":
      return withEmbedded(address.folder, work);
  }
}

function openAt(address: PostgresAddress): OpenDatabase {
  return new OpenDatabase(address, systemTimers);
}

async function withEmbedded<T>(
  folder: string,
  work: (database: OpenDatabase) => Promise<T>,
): Promise<T> {
  if (!existsSync(join(folder, "cluster"))) {
    throw invalid(`${folder} holds no database; name the one of the units with --database`);
  }
  const log = (message: string) => void process.stderr.write(`${message}\n`);
  const started = await startEmbeddedPostgres({ folder, timers: systemTimers, log });
  // A unit of this machine may be running it.
  const running = started.ok ? started.value.url : await runningEmbeddedPostgres(folder);
  const address = running === null ? null : unwrap(parseDatabaseUrl(running));
  if (address?.kind !== "postgres") {
    if (!started.ok) throw new FailureError(started.failure);
    throw invalid(`${folder} has no address`);
  }
  try {
    return await work(openAt(address));
  } finally {
    if (started.ok) await started.value.stop();
  }
}
