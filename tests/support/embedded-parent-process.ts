// A unit reduced to its embedded database: starts it over a folder, prints its URL and process
// number as one line of JSON, then waits to be killed.
// Use: node embedded-parent-process.ts FOLDER
import { unwrap } from "../../src/base/failure.ts";
import { systemTimers } from "../../src/base/timers.ts";
import { startEmbeddedPostgres } from "../../src/data-pump/embedded-postgres.ts";

const [folder = ""] = process.argv.slice(2);
const server = unwrap(
  await startEmbeddedPostgres({ folder, timers: systemTimers, log: () => undefined }),
);
process.stdout.write(`${JSON.stringify({ url: server.url, pid: server.pid })}\n`);
process.on("SIGTERM", () => {
  void server.stop();
});
