// Migrate: the command that brings a database to what this version and the application need.
// Owns: what is printed. Does not own: the changes (src/data-pump/schema.ts).
// Units do the same when they connect; the command is for looking first, and for units that may
// not change a schema.
import { unwrap } from "../base/failure.ts";
import { applicationTables, withDatabase } from "./admin-database.ts";
import type { Settings } from "./settings.ts";

function indented(statement: string): string {
  const [first = "", ...rest] = statement.split("\n");
  return `${[first, ...rest.map((line) => line.replace(/^ {6}/, ""))].join("\n")};\n`;
}

/** Prints what was changed; with `dryRun` prints the statements as SQL and changes nothing. */
export async function migrate(settings: Settings): Promise<void> {
  const isDryRun = settings.dryRun === true;
  const changes = await withDatabase(settings, async (database) => {
    return unwrap(await database.migrate([...applicationTables.values()], isDryRun));
  });
  if (changes.length === 0) {
    process.stdout.write("the database has all that this version needs\n");
  }
  for (const { what, statements } of changes) {
    if (!isDryRun) process.stdout.write(`migrated: ${what}\n`);
    else process.stdout.write(`-- ${what}\n${statements.map(indented).join("")}`);
  }
}
