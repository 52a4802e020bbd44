// Generation row: a database goes to another generation of its grid, with progress rows made anew.
// Owns: these statements. Does not own: whether it may, and the transaction (rebuild-database.ts:
// behind what was read; state-writer.ts: with the whole state).
import type { FencedRow } from "../grid/rebuild-ports.ts";
import type { PostgresConnection } from "./connection.ts";

/**
 * In a transaction that holds orrery.progress and the row of meta. `kept`: the progress of the
 * generation before, as JSON, for the time until an epoch is claimed; "": none. Versions of letters
 * stay.
 */
export async function moveGeneration(
  connection: PostgresConnection,
  { generation, token, partitions }: FencedRow,
  kept: string,
): Promise<void> {
  await connection.rows(
    `UPDATE orrery.meta SET generation = $1::bigint, token = $2, partitions = $3::integer,
       written = nullif($4, '')::jsonb`,
    [String(generation), token, String(partitions), kept],
  );
  const last = String(partitions - 1);
  await connection.rows("DELETE FROM orrery.progress WHERE partition > $1::integer", [last]);
  await connection.rows(
    `INSERT INTO orrery.progress AS p (partition, generation, seq, epoch, chain, complete)
     SELECT number, $1::bigint, 0, 0, NULL, true FROM generate_series(0, $2::integer) AS number
     ON CONFLICT (partition) DO UPDATE
     SET generation = EXCLUDED.generation, seq = 0, epoch = 0, chain = NULL, complete = true`,
    [String(generation), last],
  );
}
