// A real browser for tests: found on this machine, opened without its own errands in the network,
// and everything that goes wrong in a page is written down.
// Owns: where it is, how it is started, what counts as a problem of a page.
// Use: test.skipIf(chromiumPath === undefined)("…", async () => {
//        const browser = await openChromium(); // in beforeAll; browser.close() in afterAll
//        const { page, problems } = await openPage(browser, url, { width: 1280, height: 900 });
//        …; expect(problems).toEqual([]);
import { accessSync, constants } from "node:fs";
import path from "node:path";
import { chromium, type Browser, type Page } from "playwright-core";
import { must } from "../../src/base/assert.ts";

const names = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/** The browser to test with: ORRERY_CHROMIUM, or one of the usual places; undefined: none. */
export const chromiumPath: string | undefined = findChromium();

function findChromium(): string | undefined {
  const { ORRERY_CHROMIUM: named, PATH: folders = "" } = process.env;
  if (named !== undefined && named !== "") return named;
  const places = ["/usr/bin", ...folders.split(path.delimiter)];
  return names
    .flatMap((name) => places.map((folder) => path.join(folder, name)))
    .find((candidate) => isProgram(candidate));
}

function isProgram(candidate: string): boolean {
  try {
    accessSync(candidate, constants.X_OK);
    return true;
  } catch {
    return false; // not there, or not for us: look on
  }
}

/** Starts the browser. Ends with `close()`, or with this process. */
export function openChromium(): Promise<Browser> {
  return chromium.launch({
    executablePath: must(chromiumPath, "there is no Chromium: skip the test by chromiumPath"),
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-dev-shm-usage",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--no-first-run",
    ],
  });
}

export interface PageOptions {
  readonly width: number;
  readonly height: number;
  /** Default: light. */
  readonly colorScheme?: "light" | "dark";
}

export interface WatchedPage {
  readonly page: Page;
  /**
   * What went wrong since the page was opened: errors and warnings of the console, exceptions,
   * requests that failed, were refused, or went anywhere but to the page's own host.
   */
  readonly problems: string[];
}

/** Opens `url` in a window of its own. */
export async function openPage(
  browser: Browser,
  url: string,
  { width, height, colorScheme = "light" }: PageOptions,
): Promise<WatchedPage> {
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme,
    // uPlot cannot work with the names that a bare machine's locale has (en-US@posix).
    locale: "en-US",
  });
  const page = await context.newPage();
  const problems: string[] = [];
  const { host } = new URL(url);
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) problems.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => problems.push(`exception: ${error.message}`));
  page.on("requestfailed", (request) => {
    problems.push(`request: ${request.url()} ${request.failure()?.errorText ?? ""}`);
  });
  page.on("response", (response) => {
    if (response.status() >= 400) problems.push(`${response.status()}: ${response.url()}`);
  });
  page.on("request", (request) => {
    if (new URL(request.url()).host !== host) problems.push(`elsewhere: ${request.url()}`);
  });
  await page.goto(url);
  return { page, problems };
}

/**
 * Texts of a page that are hard to read: "ratio: text", where the contrast of a text that is seen
 * to what lies behind it is below 4.5 (WCAG 2, level AA).
 */
export function faintTexts(page: Page): Promise<string[]> {
  // Runs in the page. A canvas knows every way in which a colour can be written.
  return page.evaluate<string[]>(`(() => {
    const canvas = document.createElement("canvas");
    const context = canvas.getContext("2d", { willReadFrequently: true });
    const paint = (colours) => {
      for (const colour of ["white", ...colours]) {
        context.fillStyle = colour;
        context.fillRect(0, 0, 1, 1);
      }
      return [...context.getImageData(0, 0, 1, 1).data.slice(0, 3)];
    };
    const luminance = (rgb) => {
      const [r, g, b] = rgb.map((byte) => {
        const part = byte / 255;
        return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const found = new Set();
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let text = texts.nextNode(); text !== null; text = texts.nextNode()) {
      const element = text.parentElement;
      if (text.data.trim() === "" || !element.checkVisibility()) continue;
      const behind = [];
      for (let at = element; at !== null; at = at.parentElement) {
        behind.unshift(getComputedStyle(at).backgroundColor);
      }
      const [ink, ground] = [[...behind, getComputedStyle(element).color], behind].map(paint);
      const [dark, light] = [luminance(ink), luminance(ground)].sort((a, b) => a - b);
      const ratio = (light + 0.05) / (dark + 0.05);
      if (ratio < 4.5) found.add(ratio.toFixed(2) + ": " + text.data.trim());
    }
    return [...found];
  })()`);
}
