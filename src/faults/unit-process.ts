// Unit process: one processing unit in a process of its own, of whatever application, for faults.
// SIGTERM stops it, SIGUSR2 ends the thread of one lane, the next in turn each time.
// Owns: the settings that its parent gives, as JSON in the one argument. Does not own: starting it
// and what becomes of it (running-unit.ts).
import { unwrap } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import { startUnit } from "../processing-units/unit.ts";
import type { RunningUnitOptions } from "./running-unit.ts";

const options = JSON.parse(process.argv[2] ?? "") as RunningUnitOptions;
const { store, database, application, lanes, partitions, host } = options;
const unit = unwrap(
  await startUnit({
    store,
    database: database ?? "none:",
    lanes,
    host,
    port: 0,
    partitions,
    peers: { host, advertisedHost: host },
    gridBytesMax: options.gridBytesMax ?? limits.gridBytesDefault,
    release: "faults",
    logFile: null,
    logLevel: "info",
    application: () => Promise.resolve({ module: application, options: options.options ?? null }),
  }),
);
let next = 0;
process.on("SIGUSR2", () => {
  unit.killLane(next);
  next = (next + 1) % lanes;
});
process.once("SIGTERM", () => {
  void unit.stop().then(() => {
    process.exit();
  });
});
process.stdout.write(`serving http://${host}:${unit.port}\n`);
