// Goal: a person reads a report in a browser, from the file, in both colour schemes and at any
// width. Method: the page of a made-up report, opened from a file in a real browser. Screenshots
// lie in the temporary folder, under orrery-report.
import { mkdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Browser } from "playwright-core";
import { must } from "../../src/base/assert.ts";
import { sealReport } from "../../src/report/report.ts";
import { reportPage } from "../../src/report/report-page.ts";
import { chromiumPath, faintTexts, openChromium, openPage } from "../support/chromium.ts";
import { smallReport } from "./small-report.ts";

const folder = join(tmpdir(), "orrery-report");
const file = join(folder, "report.html");
let browser: Browser | undefined;

beforeAll(async () => {
  mkdirSync(folder, { recursive: true });
  writeFileSync(file, reportPage(sealReport(smallReport())));
  if (chromiumPath !== undefined) browser = await openChromium();
});

afterAll(() => browser?.close());

const views = [
  { width: 1280, colorScheme: "light" },
  { width: 1280, colorScheme: "dark" },
  { width: 400, colorScheme: "light" },
] as const;

test.skipIf(chromiumPath === undefined).each(views)(
  "the page is read from its file: lines are drawn, nothing is fetched or faint ($width, $colorScheme)",
  async ({ width, colorScheme }) => {
    const url = pathToFileURL(file).href;
    const size = { width, height: 900, colorScheme };
    const { page, problems } = await openPage(must(browser, "a browser"), url, size);
    await page.screenshot({
      path: join(folder, `${String(width)}-${colorScheme}.png`),
      fullPage: true,
    });
    expect(problems).toEqual([]);
    expect(await faintTexts(page)).toEqual([]);
    // Something is drawn: a canvas of one colour has one kind of pixel.
    const colours = await page.evaluate<number>(`(() => {
      const canvas = document.querySelector("[data-chart] canvas");
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      return new Set(new Uint32Array(data.buffer)).size;
    })()`);
    expect(colours).toBeGreaterThan(10);
    const overflow = await page.evaluate<number>(
      "document.documentElement.scrollWidth - document.documentElement.clientWidth",
    );
    expect(overflow).toBeLessThanOrEqual(0);
    await page.pdf({ path: join(folder, `${String(width)}-${colorScheme}.pdf`) });
    expect(problems).toEqual([]);
  },
);
