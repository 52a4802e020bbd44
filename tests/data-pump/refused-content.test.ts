// Goal: what a trigger that was added by hand refuses is refused content, not a database away.
// Method: an embedded server; the pump's port, and a second transaction behind the refused one.
import { expect, test, vi } from "vitest";
import { unwrap } from "../../src/base/failure.ts";
import { systemTimers } from "../../src/base/timers.ts";
import { PostgresDatabase } from "../../src/data-pump/postgres-database.ts";
import { query, startTestDatabase } from "../support/embedded-database.ts";
import { addressOf } from "../support/postgres-address.ts";
import { itemsTable } from "../support/pump-world.ts";

vi.setConfig({ testTimeout: 600_000 });

test.each(["P0001", "44000"])("D13: a trigger's exception with %s is ROW_REFUSED", async (code) => {
  const server = await startTestDatabase();
  try {
    const url = await server.fresh();
    const identity = { gridId: "grid", generation: 1, partitions: 1 };
    const options = { address: addressOf(url), identity, tables: [itemsTable] };
    const database = new PostgresDatabase({ ...options, timers: systemTimers });
    unwrap(await database.claim(1, [{ partition: 0, epoch: 1 }]));
    await query(
      url,
      `CREATE FUNCTION by_hand() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         IF NEW.count > 9 THEN RAISE EXCEPTION 'too many' USING ERRCODE = '${code}'; END IF;
         RETURN NEW; END $$`,
      "CREATE TRIGGER by_hand BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION by_hand()",
    );
    const write = (count: number) => {
      const chain = Buffer.alloc(16, 1);
      const position = { before: 0, seq: 1, chain, letters: 0, complete: false };
      const rows = { table: itemsTable, upserts: [["a", { count }]] as const };
      return database.write({
        generation: 1,
        steps: [{ partition: 0, epoch: 1, ...position }],
        rows: [{ ...rows, deletes: [], appends: [] }],
        letters: [],
      });
    };
    expect(await write(10)).toMatchObject({ failure: { code: "ROW_REFUSED" } });
    expect(unwrap(await write(9))).toBe("written");
    await database.close();
  } finally {
    await server.stop();
  }
});
