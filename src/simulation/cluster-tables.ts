// Cluster tables: what must be true of the database of a cluster, at every moment: its tables and
// its dead letters together are the fold of the records 1 to each partition's progress. Of a key
// with letters, the row is as it was before the first of them, and the letters are all changes
// since.
// Owns: the expected rows and letters, the comparison after each transaction. Does not own: the
// logs (cluster-log-oracle.ts), the server (database-server.ts).
import { isDeepStrictEqual } from "node:util";
import type { DeadLetter, ProgressStep, PumpTransaction } from "../data-pump/database.ts";
import type { TablesBySpace } from "../data-pump/rows.ts";
import type { Table } from "../data-pump/table.ts";
import type { Change, Value } from "../grid/log-record.ts";
import type { ClusterLogOracle } from "./cluster-log-oracle.ts";
import type { DatabaseServer } from "./database-server.ts";

interface Row {
  readonly table: string;
  readonly key: string;
}

type Letters = readonly DeadLetter[];

export interface ClusterTablesOptions {
  readonly server: DatabaseServer;
  readonly tables: TablesBySpace;
  readonly logs: readonly ClusterLogOracle[];
  readonly violate: (partition: number, what: string) => void;
}

/** What one transaction must have changed. */
interface Effect {
  readonly rows: Row[];
  readonly appends: string[];
  readonly letters: string[];
}

function nameOf(letter: DeadLetter): string {
  const { partition, position, change, space, key, value, reason } = letter;
  const where = `${String(partition)} ${String(position)}.${String(change)}`;
  const why = reason === null ? "behind another" : "refused";
  return `${where} ${space}/${key} ${JSON.stringify(value)} ${why}`;
}

function refill<K, V>(map: Map<K, V>, entries: readonly (readonly [K, V])[]): void {
  map.clear();
  for (const [key, value] of entries) map.set(key, value);
}

export class ClusterTables {
  readonly #options: ClusterTablesOptions;
  readonly #expected = new Map<string, Map<string, Value>>();
  readonly #written = new Map<number, number>();
  /** Of each parked key, by partition, space and key. */
  readonly #letters = new Map<string, DeadLetter[]>();
  /** By table and key: what a row would be if its letters had not been dropped. */
  readonly #dropped = new Map<string, Map<string, Value>>();

  constructor(options: ClusterTablesOptions) {
    this.#options = options;
    for (const { name } of options.tables.values()) this.#expected.set(name, new Map());
    options.server.onWritten = (transaction) => {
      this.#judge(transaction);
    };
  }

  /** Everything is written, and nothing else is there. */
  audit(): void {
    const { server, logs, violate } = this.#options;
    for (const [partition, log] of logs.entries()) {
      const { seq = -1 } = server.row(partition) ?? {};
      if (seq !== log.tail) {
        violate(partition, `the database ends at ${String(seq)}, the log at ${String(log.tail)}`);
      }
    }
    for (const [table, rows] of this.#expected) {
      const found = server.table(table);
      for (const key of new Set([...rows.keys(), ...found.keys()]))
        this.#compare(0, { table, key });
    }
  }

  /** Keys with dead letters. */
  get parked(): string[] {
    return [...this.#letters.keys()];
  }

  /** As an operator does it: a key's letters go to its table. False where they are refused. */
  retry(name: string): boolean {
    const { server, tables } = this.#options;
    const letters = this.#letters.get(name) ?? [];
    const [first] = letters;
    const table = first === undefined ? undefined : tables.get(first.space);
    if (first === undefined || table === undefined) return false;
    const { partition, space, key } = first;
    if (!server.retryLetters(partition, space, key, tables)) return false;
    for (const { value } of letters) this.#set(table, key, value);
    this.#letters.delete(name);
    this.#compare(partition, { table: table.name, key });
    return true;
  }

  /** As an operator does it: a key's letters are forgotten, and its row stays as it is. */
  drop(name: string): void {
    const { server, tables } = this.#options;
    const letters = this.#letters.get(name) ?? [];
    const last = letters.at(-1);
    const table = last === undefined ? undefined : tables.get(last.space);
    if (last === undefined || table === undefined) return;
    server.dropLetters(last.partition, last.space, last.key);
    this.#letters.delete(name);
    const dropped = this.#dropped.get(table.name) ?? new Map<string, Value>();
    this.#dropped.set(table.name, dropped.set(last.key, last.value));
  }

  /** The rows of a table, as they were if nobody had dropped letters. */
  rows(table: string): ReadonlyMap<string, Value> {
    const rows = new Map(this.#options.server.table(table));
    for (const [key, value] of this.#dropped.get(table) ?? []) {
      if (value === null) rows.delete(key);
      else rows.set(key, value);
    }
    return rows;
  }

  /** A backup of what the database should hold; calling what is returned goes back to it. */
  backup(): () => void {
    const expected = [...this.#expected].map(([name, rows]) => [name, new Map(rows)] as const);
    const dropped = [...this.#dropped].map(([name, rows]) => [name, new Map(rows)] as const);
    const letters = [...this.#letters];
    const written = [...this.#written];
    return () => {
      refill(this.#expected, expected);
      refill(this.#dropped, dropped);
      refill(this.#letters, letters);
      refill(this.#written, written);
    };
  }

  #judge({ steps, rows, letters }: PumpTransaction): void {
    const effect: Effect = { rows: [], appends: [], letters: [] };
    const first = steps[0]?.partition ?? 0;
    for (const step of steps) this.#advance(step, letters, effect);
    for (const row of effect.rows) this.#compare(first, row);
    const expected = new Set(effect.rows.map(({ table, key }) => `${table}/${key}`));
    const appends: string[] = [];
    for (const { table, upserts, deletes, appends: appended } of rows) {
      for (const [key, value] of appended) {
        appends.push(`${table.name}/${key} ${JSON.stringify(value)}`);
      }
      for (const key of [...upserts.map(([each]) => each), ...deletes]) {
        if (expected.has(`${table.name}/${key}`)) continue;
        this.#options.violate(first, `row ${table.name}/${key} is written out of nothing`);
      }
    }
    this.#same(first, "appended", appends, effect.appends);
    this.#same(first, "dead letters", letters.map(nameOf), effect.letters);
  }

  #same(partition: number, what: string, found: string[], should: string[]): void {
    if (isDeepStrictEqual(found.toSorted(), should.toSorted())) return;
    const values = `are ${found.join("; ")}, and should be ${should.join("; ")}`;
    this.#options.violate(partition, `${what} ${values}`);
  }

  /** What changes with this step. */
  #advance(step: ProgressStep, letters: Letters, effect: Effect): void {
    const { partition, epoch, before, seq, chain } = step;
    const { logs, violate } = this.#options;
    const log = logs[partition];
    const record = log?.records[seq];
    if (log === undefined || record === undefined) {
      violate(partition, `record ${String(seq)} is written, and nobody was told that it is there`);
      return;
    }
    if (!record.checksum.equals(chain))
      violate(partition, `another record ${String(seq)} is written`);
    if (!log.isClaim(epoch))
      violate(partition, `rows are written under ${String(epoch)}, no claim`);
    const known = this.#written.get(partition) ?? 0;
    if (known !== before)
      violate(partition, `written from ${String(before)}, was at ${String(known)}`);
    this.#written.set(partition, seq);
    for (let position = before + 1; position <= seq; position++) {
      for (const [index, change] of (log.records[position]?.changes ?? []).entries()) {
        const letter = letters.find((each) => {
          return (
            each.partition === partition && each.position === position && each.change === index
          );
        });
        this.#change(partition, change, letter, { position, index, effect });
      }
    }
  }

  #change(
    partition: number,
    { space, key, value }: Change,
    letter: DeadLetter | undefined,
    at: { position: number; index: number; effect: Effect },
  ): void {
    const { tables } = this.#options;
    const table = tables.get(space);
    if (table === undefined) return;
    const name = `${String(partition)} ${space}/${key}`;
    const parked = this.#letters.get(name);
    if (parked === undefined && letter === undefined) {
      const { rows, appends } = at.effect;
      if (table.kind !== "append") rows.push({ table: table.name, key });
      else if (value !== null) appends.push(`${table.name}/${key} ${JSON.stringify(value)}`);
      this.#set(table, key, value);
      return;
    }
    const reason = parked === undefined ? "refused" : null;
    const expected = { partition, position: at.position, change: at.index, space, key, value };
    at.effect.letters.push(nameOf({ ...expected, reason }));
    this.#letters.set(name, [...(parked ?? []), { ...expected, reason }]);
  }

  #set({ name, kind }: Table, key: string, value: Value): void {
    if (kind === "append") return;
    this.#dropped.get(name)?.delete(key);
    if (value === null) this.#expected.get(name)?.delete(key);
    else this.#expected.get(name)?.set(key, value);
  }

  #compare(partition: number, { table, key }: Row): void {
    const should = this.#expected.get(table)?.get(key);
    const found = this.#options.server.table(table).get(key);
    if (isDeepStrictEqual(should, found)) return;
    const values = `is ${JSON.stringify(found)}, and should be ${JSON.stringify(should)}`;
    this.#options.violate(partition, `row ${table}/${key} ${values}`);
  }
}
