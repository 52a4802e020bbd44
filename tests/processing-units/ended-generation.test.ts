// Goal: a unit that works in a generation which another one replaces stops working in it.
// Method: a real unit on a folder, and the pointer in it moved beside it, as a rebuild does.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { unwrap } from "../../src/base/failure.ts";
import { systemTimers } from "../../src/base/timers.ts";
import { decodePointer, encodeDirectory } from "../../src/grid/generation-pointer.ts";
import { directoryMapName, pointerKey } from "../../src/grid/grid-keys.ts";
import { openLmdbStore } from "../../src/grid/stores/lmdb-store.ts";
import { startUnit } from "../../src/processing-units/unit.ts";

const module = new URL("../support/counter-application.ts", import.meta.url).href;
const ms = 5000;

test("G3: a unit ends when the pointer has moved, and says why", async () => {
  const folder = mkdtempSync(join(tmpdir(), "orrery-ended-"));
  const logFile = join(folder, "unit.log");
  const unit = unwrap(
    await startUnit({
      store: `lmdb:${folder}/grid?sync=off`,
      database: "none:",
      lanes: 1,
      host: "127.0.0.1",
      port: 0,
      peers: { host: "127.0.0.1", advertisedHost: "127.0.0.1" },
      release: "test",
      gridBytesMax: 2 ** 30,
      partitions: 2,
      logFile,
      logLevel: "info",
      application: () => Promise.resolve({ module, options: null }),
    }),
  );
  onTestFinished(async () => {
    await unit.stop();
    rmSync(folder, { recursive: true });
  });
  const store = unwrap(
    await openLmdbStore({ folder: `${folder}/grid`, sync: false, timers: systemTimers }),
  );
  const directory = store.map(directoryMapName);
  const found = unwrap(await directory.get(pointerKey, ms));
  const pointer = found === null ? null : decodePointer(found);
  if (found === null || pointer === null) throw new Error("a unit's grid has a pointer");
  const next = encodeDirectory({ ...pointer, generation: 2, state: "rebuilding", base: 1 });
  expect(unwrap(await directory.replaceIfSame(pointerKey, found, next, ms))).toBe(true);
  await store.close();
  const reason = await unit.ended;
  expect(reason.code).toBe("GRID_ENDED");
  const lines = readFileSync(logFile, "utf8").split("\n");
  const said = lines.filter((line) => line.includes("the unit has nothing to do any more"));
  expect(said[0]).toContain("generation 1 of the grid has ended: generation 2 is rebuilding");
});
