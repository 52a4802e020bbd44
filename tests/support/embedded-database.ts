// A real PostgreSQL for tests: started once per test file, a fresh database for each test.
// Owns: its temporary folder and its end, also where the test process ends before afterAll.
// Use: `const database = await startTestDatabase()` in beforeAll, `database.stop()` in afterAll.
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import postgres from "postgres";
import { unwrap } from "../../src/base/failure.ts";
import { systemTimers } from "../../src/base/timers.ts";
import {
  startEmbeddedPostgres,
  type EmbeddedPostgres,
} from "../../src/data-pump/embedded-postgres.ts";

/** A folder that the user of the embedded PostgreSQL can reach, also where we are root. */
export async function openFolder(prefix: string): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), prefix));
  await chmod(folder, 0o755);
  return folder;
}

/** A connection for looking at a database from outside; end it with `.end()`. */
export function connectTo(url: string): postgres.Sql {
  return postgres(url, { max: 1, onnotice: () => undefined, types: { bigint: postgres.BigInt } });
}

/** Runs texts one after the other from outside; the rows of the last one. */
export async function query(url: string, ...texts: readonly string[]): Promise<unknown[]> {
  const sql = connectTo(url);
  try {
    let rows: unknown[] = [];
    for (const text of texts) rows = [...(await sql.unsafe(text))];
    return rows;
  } finally {
    await sql.end();
  }
}

export class TestDatabase {
  readonly server: EmbeddedPostgres;
  readonly #folder: string;
  readonly #guard: () => void;
  #made = 0;

  constructor(server: EmbeddedPostgres, folder: string) {
    this.server = server;
    this.#folder = folder;
    this.#guard = () => {
      // The test process ends without afterAll: no server may stay behind.
      if (server.pid !== undefined) process.kill(server.pid, "SIGQUIT");
    };
    process.on("exit", this.#guard);
  }

  /** The URL of a new, empty database. */
  async fresh(): Promise<string> {
    const name = `test_${String(++this.#made)}`;
    const admin = connectTo(this.server.url);
    await admin.unsafe(`CREATE DATABASE ${name}`);
    await admin.end();
    const url = new URL(this.server.url);
    url.pathname = `/${name}`;
    return url.href;
  }

  async stop(): Promise<void> {
    await this.server.stop();
    process.off("exit", this.#guard);
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** Starts a PostgreSQL in a temporary folder. */
export async function startTestDatabase(): Promise<TestDatabase> {
  const folder = await openFolder("orrery-database-");
  const started = await startEmbeddedPostgres({
    folder: path.join(folder, "postgres"),
    timers: systemTimers,
    log: () => undefined,
  });
  return new TestDatabase(unwrap(started), folder);
}
