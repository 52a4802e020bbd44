// Report page: a report as one HTML file that needs nothing else: no network, and no script for
// what it says; only lines are drawn by one.
// Owns: the page's order, its words, escaping. Does not own: its look (page/report.css), drawing
// lines (page/charts.js and uPlot, as it comes from npm), single tables (report-tables.ts).
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chartFigure, goalTable, probeTable, sampleTable } from "./report-tables.ts";
import { element, escapeHtml } from "./html.ts";
import type { Chart, Report } from "./report.ts";

const uplot = createRequire(import.meta.url);

function ours(name: string): string {
  return readFileSync(new URL(`page/${name}`, import.meta.url), "utf8");
}

function ofUplot(name: string): string {
  return readFileSync(uplot.resolve(`uplot/dist/${name}`), "utf8");
}

/** The page of a report: a whole HTML document. */
export function reportPage(report: Report): string {
  const drawn = report.charts.filter(isDrawn);
  const scripts = drawn.length === 0 ? [] : [ofUplot("uPlot.iife.min.js"), ours("charts.js")];
  const styles = [...(drawn.length === 0 ? [] : [ofUplot("uPlot.min.css")]), ours("report.css")];
  const title = `Orrery: ${report.scenario}`;
  return [
    "<!doctype html>",
    '<html lang="en">',
    "<head>",
    '<meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    `<meta http-equiv="content-security-policy" content="${policy(scripts)}">`,
    '<link rel="icon" href="data:,">',
    element("title", escapeHtml(title)),
    ...styles.map((style) => `<style>\n${style}\n</style>`),
    "</head>",
    "<body>",
    head(report),
    ...sections(report, drawn),
    foot(report),
    `<script type="application/json" id="charts">${dataText(drawn)}</script>`,
    ...scripts.map((script) => `<script>${script}</script>`),
    "</body>",
    "</html>",
    "",
  ].join("\n");
}

/** Only the page's own scripts run, and nothing is fetched. */
function policy(scripts: readonly string[]): string {
  const hashes = scripts.map((script) => {
    return `'sha256-${createHash("sha256").update(script).digest("base64")}'`;
  });
  const allowed = hashes.length === 0 ? "'none'" : hashes.join(" ");
  return `default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src ${allowed}`;
}

/** JSON inside a script element: nothing in it may look like the element's end. */
function dataText(charts: readonly Chart[]): string {
  return JSON.stringify(charts).replaceAll("<", "\\u003c");
}

function isDrawn({ x }: Chart): boolean {
  return typeof x[0] === "number";
}

function head(report: Report): string {
  const { scenario, summary, smoke, rounds, startedAt, tookMs, commit } = report;
  const facts = [
    startedAt.replace("T", " ").replace(/\.\d+Z$/, " UTC"),
    rounds === 1 ? "1 round" : `${String(rounds)} rounds`,
    `took ${duration(tookMs)}`,
    `commit ${commit}`,
  ];
  return [
    "<header>",
    element("h1", escapeHtml(scenario)),
    element("p", escapeHtml(summary)),
    element("p", escapeHtml(facts.join(" · ")), "muted"),
    "</header>",
    ...(smoke
      ? [notice("Smoke size", ["A run that only shows that it works: its figures mean nothing."])]
      : []),
    ...(report.valid ? [] : [notice("Not valid: these figures must not be used", report.problems)]),
  ].join("\n");
}

function notice(title: string, lines: readonly string[]): string {
  const items = lines.map((line) => element("li", escapeHtml(line)));
  return `<h2>${escapeHtml(title)}</h2>\n<div class="sheet invalid"><ul>${items.join("")}</ul></div>`;
}

function sections(report: Report, drawn: readonly Chart[]): string[] {
  const { goals, samples, charts, text, environment, seeds, probes } = report;
  const figures = charts.map((chart) => chartFigure(chart, drawn.indexOf(chart)));
  const facts = Object.entries({ ...environment, ...prefixed(seeds) });
  const parts: readonly (readonly [string, readonly string[]])[] = [
    ["Goals", goals.length === 0 ? [] : [goalTable(goals)]],
    ["Charts", figures],
    ["Figures by round", samples.length === 0 ? [] : [sampleTable(samples)]],
    ["In words", text === "" ? [] : [element("pre", escapeHtml(text))]],
    ["Measured on", [factTable(facts), ...(probes.length === 0 ? [] : [probeTable(probes)])]],
  ];
  return parts
    .filter(([, sheets]) => sheets.length > 0)
    .map(([title, sheets]) => {
      const whole = sheets.map((sheet) => `<div class="sheet">${sheet}</div>`).join("\n");
      return `<section>\n${element("h2", title)}\n${whole}\n</section>`;
    });
}

function prefixed(seeds: Report["seeds"]): Record<string, number> {
  return Object.fromEntries(Object.entries(seeds).map(([name, seed]) => [`seed of ${name}`, seed]));
}

function factTable(facts: readonly (readonly [string, string | number])[]): string {
  const rows = facts.map(
    ([name, value]) =>
      `<tr>${element("th", escapeHtml(name))}${element("td", escapeHtml(String(value)))}</tr>`,
  );
  return `<table><tbody>${rows.join("")}</tbody></table>`;
}

function foot({ hash }: Report): string {
  return `<footer><p class="muted">Result ${escapeHtml(hash)}; believe ratios and orders of magnitude, not digits.</p></footer>`;
}

function duration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  return seconds < 120 ? `${String(seconds)} s` : `${String(Math.round(seconds / 60))} min`;
}
