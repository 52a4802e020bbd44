// Comes by two failpoints ten times and says so.
import { failpoint } from "../../src/base/failpoints.ts";

for (let time = 1; time <= 10; time++) {
  process.stdout.write(`at ${String(time)}\n`);
  failpoint("log.trim");
  failpoint("pump.write");
}
process.stdout.write("over\n");
