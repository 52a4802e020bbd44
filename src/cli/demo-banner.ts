// Demo banner: the one block that `orrery demo` prints when it serves.
// Owns: the words. They must be true for the settings at hand, above all what survives what.
import { join } from "node:path";
import type { Unit } from "../processing-units/unit.ts";
import { urlsOf, type Settings } from "./settings.ts";

function survival(store: string): string {
  if (store.startsWith("hazelcast:")) {
    return "survives any process, and two of three members at once; not all of them";
  }
  if (store === "memory:") return "survives a lane's death, not the process's";
  if (store.endsWith("?sync=off")) return "survives kill -9, not a power cut";
  return "survives kill -9 and power cuts: flushed before it answers";
}

function databaseWords(database: string): string {
  if (database === "none:") return "none: nothing is written behind";
  if (database.startsWith("embedded:")) return `${database} (a PostgreSQL of its own)`;
  return database.replace(/\/\/[^@/]*@/, "//…@"); // no password on a screen
}

/** What a newcomer needs: where to look, where the data lies, how to stop. */
export function demoBanner(settings: Settings, unit: Unit, url: string): string {
  const { store, database } = urlsOf(settings);
  const lanes = settings.lanes === 1 ? "1 lane" : `${String(settings.lanes)} lanes`;
  const forHow = settings.for === undefined ? "until Ctrl-C" : `${String(settings.for / 1000)} s`;
  return [
    "",
    `Orrery bids: ${lanes}, ${String(unit.identity.partitions)} partitions`,
    "",
    `  page          ${url}/`,
    `  bid endpoint  POST ${url}/openrtb2/bid (OpenRTB 2.6)`,
    `  load          ${String(settings.rate)} requests a second, ${forHow}`,
    `  grid          ${store}`,
    `                ${survival(store)}`,
    `  database      ${databaseWords(database)}`,
    `  books         ${join(settings.data, "exchange-ledger.jsonl")} (the exchange's own)`,
    `  log           ${join(settings.data, "orrery.log")}`,
    `  kill a lane   k and Enter, or kill -USR2 ${String(process.pid)}: nothing is lost`,
    "  stop          Ctrl-C: answers, writes what is left, ends",
    "",
  ].join("\n");
}
