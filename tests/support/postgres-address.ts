// The address of a test's PostgreSQL as the engine takes it.
import { unwrap } from "../../src/base/failure.ts";
import { parseDatabaseUrl, type PostgresAddress } from "../../src/data-pump/database-url.ts";

export function addressOf(url: string): PostgresAddress {
  const address = unwrap(parseDatabaseUrl(url));
  if (address.kind !== "postgres") throw new Error("not an address of a server");
  return address;
}
