// Cluster tables: what must be true of the database of a cluster, at every moment: its tables are
// the fold of the records 1 to each partition's progress.
// Owns: the expected rows, the comparison after each transaction. Does not own: the logs
// (cluster-log-oracle.ts), the server (database-server.ts).
import { isDeepStrictEqual } from "node:util";
import type { ProgressStep, PumpTransaction } from "../data-pump/database.ts";
import type { TablesBySpace } from "../data-pump/rows.ts";
import type { Value } from "../grid/log-record.ts";
import type { ClusterLogOracle } from "./cluster-log-oracle.ts";
import type { DatabaseServer } from "./database-server.ts";

interface Row {
  readonly table: string;
  readonly key: string;
}

export interface ClusterTablesOptions {
  readonly server: DatabaseServer;
  readonly tables: TablesBySpace;
  readonly logs: readonly ClusterLogOracle[];
  readonly violate: (partition: number, what: string) => void;
}

export class ClusterTables {
  readonly #options: ClusterTablesOptions;
  readonly #expected = new Map<string, Map<string, Value>>();
  readonly #written = new Map<number, number>();

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

  #judge({ steps, rows }: PumpTransaction): void {
    const expected = new Set<string>();
    for (const step of steps) {
      for (const row of this.#advance(step)) {
        expected.add(`${row.table}/${row.key}`);
        this.#compare(step.partition, row);
      }
    }
    for (const { table, upserts, deletes } of rows) {
      for (const key of [...upserts.map(([each]) => each), ...deletes]) {
        if (expected.has(`${table.name}/${key}`)) continue;
        const first = steps[0]?.partition ?? 0;
        this.#options.violate(first, `row ${table.name}/${key} is written out of nothing`);
      }
    }
  }

  /** The rows that change with this step. */
  #advance({ partition, epoch, before, seq, chain }: ProgressStep): Row[] {
    const { logs, tables, violate } = this.#options;
    const log = logs[partition];
    const record = log?.records[seq];
    if (log === undefined || record === undefined) {
      violate(partition, `record ${String(seq)} is written, and nobody was told that it is there`);
      return [];
    }
    if (!record.checksum.equals(chain))
      violate(partition, `another record ${String(seq)} is written`);
    if (!log.isClaim(epoch))
      violate(partition, `rows are written under ${String(epoch)}, no claim`);
    const known = this.#written.get(partition) ?? 0;
    if (known !== before)
      violate(partition, `written from ${String(before)}, was at ${String(known)}`);
    this.#written.set(partition, seq);
    const changed: Row[] = [];
    for (let position = before + 1; position <= seq; position++) {
      for (const { space, key, value } of log.records[position]?.changes ?? []) {
        const table = tables.get(space)?.name;
        const rows = table === undefined ? undefined : this.#expected.get(table);
        if (table === undefined || rows === undefined) continue;
        if (value === null) rows.delete(key);
        else rows.set(key, value);
        changed.push({ table, key });
      }
    }
    return changed;
  }

  #compare(partition: number, { table, key }: Row): void {
    const should = this.#expected.get(table)?.get(key);
    const found = this.#options.server.table(table).get(key);
    if (isDeepStrictEqual(should, found)) return;
    const values = `is ${JSON.stringify(found)}, and should be ${JSON.stringify(should)}`;
    this.#options.violate(partition, `row ${table}/${key} ${values}`);
  }
}
