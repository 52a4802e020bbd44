// Database URL: where rows are written, as a person says it.
// Owns: the three forms and what is wrong with any other. Does not own: connecting.
import { failed, ok, type Outcome } from "../base/failure.ts";

/** A PostgreSQL server's database. `url` carries the password, `shown` does not. */
export interface PostgresAddress {
  readonly kind: "postgres";
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly shown: string;
}

export type DatabaseAddress =
  | { readonly kind: "none" }
  | { readonly kind: "embedded"; readonly folder: string }
  | PostgresAddress;

const forms = "use embedded:FOLDER, postgres://USER:PASSWORD@HOST:PORT/DATABASE, or none:";

function invalid(what: string): Outcome<never> {
  return failed("CONFIG_INVALID", `${what}; ${forms}`);
}

/** Reads `none:`, `embedded:FOLDER` or `postgres://…`; anything else is CONFIG_INVALID. */
export function parseDatabaseUrl(text: string): Outcome<DatabaseAddress> {
  if (text === "none:") return ok({ kind: "none" });
  if (text.startsWith("embedded:")) {
    const folder = text.slice("embedded:".length);
    return folder === "" ? invalid("embedded: needs a folder") : ok({ kind: "embedded", folder });
  }
  if (!/^postgres(?:ql)?:\/\//.test(text)) return invalid("this is no address of a database");
  if (!URL.canParse(text)) return invalid("this postgres:// address cannot be read");
  const parts = new URL(text);
  if (parts.hostname === "") return invalid("this postgres:// address names no host");
  if (parts.hostname.includes(",")) return invalid("name one database host, not several");
  if (parts.pathname.length < 2) return invalid("this postgres:// address names no database");
  const host = parts.hostname.replace(/^\[(.*)\]$/, "$1"); // IPv6
  const port = parts.port === "" ? 5432 : Number(parts.port);
  const shown = `postgres://${parts.username}@${parts.hostname}:${port}${parts.pathname}`;
  return ok({ kind: "postgres", url: text, host, port, shown });
}
