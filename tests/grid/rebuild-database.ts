// A database as a rebuild sees it, in memory: its row, the progress it keeps, its tables by
// partition; and places where a test lets it be away, or not answer.
import { failed, ok, type Outcome } from "../../src/base/failure.ts";
import type { Change, Value } from "../../src/grid/log-record.ts";
import type {
  DatabaseRow,
  FencedRow,
  GenerationMark,
  RebuildDatabase,
  RebuildSink,
  WrittenPartition,
} from "../../src/grid/rebuild-ports.ts";

export class RebuildTables implements RebuildDatabase {
  current: DatabaseRow;
  /** An epoch was claimed under the row's generation. */
  claimed = true;
  readonly #tables: ReadonlyMap<string, Value>;
  readonly calls: string[] = [];
  /** What becomes of the next calls, first one first; none: they are done and answered. */
  fates: ("away" | "answer lost")[] = [];

  constructor(gridId: string, written: readonly WrittenPartition[], tables: [string, Value][]) {
    this.current = { gridId, generation: 1, token: "", base: 1, written };
    this.#tables = new Map(tables);
  }

  row(): Promise<Outcome<DatabaseRow | null>> {
    return this.#answer("row", () => this.current);
  }

  fence(expected: GenerationMark, next: FencedRow): Promise<Outcome<boolean>> {
    return this.#answer("fence", () => {
      const { generation, token } = this.current;
      if (generation !== expected.generation || token !== expected.token) return false;
      this.current = { ...this.current, generation: next.generation, token: next.token };
      this.claimed = false;
      return true;
    });
  }

  async read(mine: FencedRow, sink: RebuildSink): Promise<Outcome<boolean>> {
    this.calls.push("read");
    if (this.fates.length > 0) return failed("DATABASE_UNREACHABLE", "away");
    const { generation, token } = this.current;
    if (generation !== mine.generation || token !== mine.token) return ok(false);
    for (const [key, value] of this.#tables) {
      const change: Change = { space: "stock", key, value };
      const taken = await sink.take(placeOf(key, mine.partitions), [change]);
      if (!taken.ok) return taken;
    }
    return ok(true);
  }

  #answer<T>(op: string, make: () => T): Promise<Outcome<T>> {
    this.calls.push(op);
    const fate = this.fates.shift();
    if (fate === "away") return Promise.resolve(failed("DATABASE_UNREACHABLE", "away"));
    const value = make();
    if (fate === "answer lost") return Promise.resolve(failed("CONNECTION_LOST", "cut"));
    return Promise.resolve(ok(value));
  }
}

/** The partition of a key "k<number>". */
export function placeOf(key: string, partitions: number): number {
  return Number(key.slice(1)) % partitions;
}
