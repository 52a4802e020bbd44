// Goal: what the README tells people to write works as it stands there.
// Method: its application is cut out of the page, started in a unit, and called over HTTP.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { unwrap } from "../src/base/failure.ts";
import { startUnit } from "../src/processing-units/unit.ts";

const root = new URL("..", import.meta.url);

test("README: the application of “Write your own” runs, and answers as described", async () => {
  const readme = readFileSync(new URL("README.md", root), "utf8");
  const [, section = ""] = /## Write your own\n([^]*?)\n`startUnit`/.exec(readme) ?? [];
  const code = section.replaceAll(/^ {4}/gm, "").replace('"./src/', `"${root.href}src/`);
  expect(code).toContain("export default");
  // In the repository, so that it finds the packages it imports; types are not stripped below
  // node_modules.
  const folder = mkdtempSync(join(fileURLToPath(root), "data-readme-"));
  const file = join(folder, "shop.ts");
  writeFileSync(file, code);
  const unit = unwrap(
    await startUnit({
      store: `lmdb:${join(folder, "grid")}`,
      database: "none:",
      lanes: 2,
      host: "127.0.0.1",
      port: 0,
      peers: { host: "127.0.0.1", advertisedHost: "127.0.0.1" },
      release: "test",
      gridBytesMax: 2 ** 30,
      partitions: null,
      logFile: join(folder, "log"),
      logLevel: "warn",
      application: () => Promise.resolve({ module: pathToFileURL(file).href, options: null }),
    }),
  );
  try {
    const buy = (body: object) =>
      fetch(`http://127.0.0.1:${String(unit.port)}/commands/buy`, {
        method: "POST",
        headers: { "content-type": "application/json", "x-deadline-ms": "60000" },
        body: JSON.stringify(body),
      });
    const sold = await buy({ sku: "a", quantity: 1 });
    expect([sold.status, await sold.json()]).toEqual([200, { sold: false }]);
    expect((await buy({ sku: "a", quantity: 0 })).status).toBe(400);
  } finally {
    await unit.stop();
    rmSync(folder, { recursive: true });
  }
});
