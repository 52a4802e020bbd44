// Opening a store: the one place that knows which engines there are and how a URL names them.
// Owns: the store URLs. Does not own: the engines; who may use a folder (data-lock.ts).
//   memory:                    values die with the process; one thread opens it and serves the
//                              others (port-store.ts)
//   lmdb:FOLDER[?sync=on|off]  embedded, on the disk; off: not flushed, lost in a power cut
//   hazelcast://HOST:PORT,HOST:PORT/CLUSTER  members elsewhere; each thread has its own client
import { failed, ok, type Outcome } from "../../base/failure.ts";
import { systemClock } from "../../base/clock.ts";
import { systemTimers } from "../../base/timers.ts";
import type { Store } from "../store.ts";
import { openHazelcastStore } from "./hazelcast-store.ts";
import type { HazelcastAddress } from "./hazelcast-session.ts";
import { openLmdbStore } from "./lmdb-store.ts";
import { MemoryStore } from "./memory-store.ts";

/** A store URL, taken apart. */
export type StoreAddress =
  | { readonly engine: "memory" }
  | { readonly engine: "lmdb"; readonly folder: string; readonly sync: boolean }
  | HazelcastAddress;

function invalid(url: string, what: string): Outcome<never> {
  const known =
    "a store is memory:, lmdb:FOLDER such as lmdb:./data/grid (?sync=off), or " +
    "hazelcast://HOST:PORT,HOST:PORT/CLUSTER";
  return failed("CONFIG_INVALID", `${what} in the store URL "${url}": ${known}`);
}

/** Takes a store URL apart. Fails with CONFIG_INVALID. */
export function parseStoreUrl(url: string): Outcome<StoreAddress> {
  // Not a WHATWG URL: a folder may be relative, and on Windows begins with a letter and a colon.
  const [, scheme = "", rest = ""] = /^([a-z0-9+.-]*):(.*)$/is.exec(url) ?? [];
  switch (scheme) {
    case "memory":
      return rest === "" ? ok({ engine: "memory" }) : invalid(url, `nothing is known of "${rest}"`);
    case "lmdb":
      return parseLmdb(url, rest);
    case "hazelcast":
      return parseHazelcast(url, rest);
    default:
      return invalid(url, scheme === "" ? "there is no engine" : `"${scheme}" is no engine`);
  }
}

function parseLmdb(url: string, rest: string): Outcome<StoreAddress> {
  const question = rest.indexOf("?");
  const folder = question < 0 ? rest : rest.slice(0, question);
  if (folder === "") return invalid(url, "the folder is missing");
  let sync = true;
  for (const [name, value] of new URLSearchParams(question < 0 ? "" : rest.slice(question + 1))) {
    if (name !== "sync") return invalid(url, `"${name}" is no option`);
    if (value !== "on" && value !== "off") return invalid(url, `sync is on or off, not "${value}"`);
    sync = value === "on";
  }
  return ok({ engine: "lmdb", folder, sync });
}

const clusterDefault = "orrery";
const memberPortDefault = "5701";

function parseHazelcast(url: string, rest: string): Outcome<StoreAddress> {
  const [, list, cluster = clusterDefault] = /^\/\/([^/]+)(?:\/([^/?#]+))?\/?$/.exec(rest) ?? [];
  if (list === undefined) return invalid(url, "members or cluster are missing");
  const members: string[] = [];
  for (const part of list.split(",")) {
    const [, host, port = memberPortDefault] = /^([\w.-]+)(?::(\d{1,5}))?$/.exec(part.trim()) ?? [];
    const isPort = Number(port) >= 1 && Number(port) <= 65_535;
    if (host === undefined || !isPort) return invalid(url, `"${part}" is no member`);
    members.push(`${host}:${port}`);
  }
  return ok({ engine: "hazelcast", members, cluster });
}

/** What a store that others share tells who opened it, and asks. Embedded ones need neither. */
export interface StoreOptions {
  /** Whether the store behind a new connection is the one that was known. */
  readonly admits?: (store: Store) => Promise<Outcome<boolean>>;
  /** Something may have been lost: whoever appends confirms what he has. */
  readonly changed?: () => void;
  readonly log?: (message: string) => void;
}

/**
 * Opens a store for this thread. Fails with CONFIG_INVALID (the URL), DATA_UNUSABLE (the folder),
 * STORE_UNREACHABLE or STORE_MISFIT (the members), saying what to do.
 */
export async function openStore(url: string, options: StoreOptions = {}): Promise<Outcome<Store>> {
  const parsed = parseStoreUrl(url);
  if (!parsed.ok) return parsed;
  const address = parsed.value;
  switch (address.engine) {
    case "memory":
      return ok(new MemoryStore());
    case "lmdb":
      return openLmdbStore({ folder: address.folder, sync: address.sync, timers: systemTimers });
    case "hazelcast":
      return openHazelcastStore({
        address,
        clock: systemClock,
        timers: systemTimers,
        admits: options.admits ?? null,
        changed: options.changed ?? (() => undefined),
        log: options.log ?? (() => undefined),
      });
  }
}
