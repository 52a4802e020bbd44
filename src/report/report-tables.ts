// Report tables: goals, samples, charts and probes as tables of HTML, with bars and dots in them
// that are drawn without a script.
// Owns: what stands in which column. Does not own: the page around them (report-page.ts).
import { spread } from "../base/spread.ts";
import { element, escapeHtml } from "./html.ts";
import type { Chart, Goal, ReportedProbe, Sample } from "./report.ts";
import { figure } from "./verdict.ts";

const colours = 8;
/** More points than that are in the JSON file; a table of them is read by nobody. */
const tableRowsMax = 200;

export function goalTable(goals: readonly Goal[]): string {
  const marks = { met: "✓ met", missed: "✗ missed", "cannot tell": "? cannot tell" };
  const rows = goals.map(({ name, goal, measured, verdict, why }) => [
    heading(name),
    text(goal),
    element("td", escapeHtml(measured), "number"),
    element("td", marks[verdict], `verdict ${verdict.replace(" ", "-")}`),
    element("td", escapeHtml(why), "muted"),
  ]);
  return table(["", "goal", "measured", "verdict", "why"], rows, [2]);
}

export function sampleTable(samples: readonly Sample[]): string {
  const rows = samples.map(({ name, unit, better, values }) => {
    const shown = values.length === 0 ? null : spread(values);
    const cells = [shown?.median, shown?.min, shown?.max].map((value) => number(value ?? null));
    return [heading(name), text(unit), ...cells, element("td", dots(values)), text(better)];
  });
  const head = ["", "unit", "median", "least", "most", "rounds, from 0", "better"];
  return table(head, rows, [2, 3, 4]);
}

/** A mark for each round, from 0 at the left to the greatest at the right. */
function dots(values: readonly number[]): string {
  const most = Math.max(...values, 0);
  const least = Math.min(...values, 0);
  const at = (value: number) => (most === least ? 0 : ((value - least) / (most - least)) * 100);
  const marks = values.map((value, round) => {
    const y = values.length === 1 ? 10 : 3 + (round * 14) / (values.length - 1);
    return `<circle cx="${at(value).toFixed(1)}%" cy="${y.toFixed(1)}" r="2.5"/>`;
  });
  const all = escapeHtml(values.map(figure).join(", "));
  return (
    `<svg class="dots" role="img" fill="var(--line-0)"><title>${all}</title>` +
    `<line x1="0" x2="0" y1="0" y2="20" stroke="var(--rule)"/>${marks.join("")}</svg>`
  );
}

/** `drawn`: its number among the charts that a script draws; -1: it is a table with bars. */
export function chartFigure(chart: Chart, drawn: number): string {
  const caption = element("figcaption", escapeHtml(chart.title));
  if (drawn < 0) return `<figure>${caption}${barTable(chart)}</figure>`;
  const rows = chart.x.length > tableRowsMax ? "" : lineTable(chart);
  return (
    `<figure>${caption}<div data-chart="${String(drawn)}"></div>` +
    `<noscript><p class="muted">Without script: the figures only.</p></noscript>` +
    (rows === "" ? "" : `<details><summary>Figures</summary>${rows}</details>`) +
    "</figure>"
  );
}

function lineTable({ xLabel, x, yLabel, series }: Chart): string {
  const head = [xLabel, ...series.map(({ name }) => `${name}, ${yLabel}`)];
  const rows = x.map((point, index) => {
    const name = typeof point === "number" ? figure(point) : point;
    return [heading(name), ...series.map(({ values }) => number(values[index] ?? null))];
  });
  return table(
    head,
    rows,
    series.map((_, index) => index + 1),
  );
}

function barTable({ xLabel, x, yLabel, series, isLog }: Chart): string {
  const known = series.flatMap(({ values }) => values.filter((value) => value !== null));
  const least = Math.min(...known);
  const most = Math.max(...known, 0);
  const from = isLog === true ? Math.floor(Math.log10(least)) : Math.min(least, 0);
  const width = (value: number): number => {
    const place = isLog === true ? Math.log10(value) : value;
    const to = isLog === true ? Math.log10(most) : most;
    return to === from ? 0 : ((place - from) / (to - from)) * 100;
  };
  const rows = x.flatMap((point, index) =>
    series.map(({ name, values }, which) => {
      const value = values[index] ?? null;
      return [
        heading(which === 0 ? String(point) : ""),
        text(name),
        number(value),
        element("td", value === null ? "" : bar(width(value), which)),
      ];
    }),
  );
  const scale = isLog === true ? `${yLabel}, in powers of ten` : yLabel;
  return table([xLabel, "", scale, ""], rows, [2]);
}

function bar(width: number, which: number): string {
  const fill = `var(--line-${String(which % colours)})`;
  const shown = Math.max(0, width).toFixed(1);
  return `<svg class="bar" aria-hidden="true"><rect width="${shown}%" height="100%" rx="2" fill="${fill}"/></svg>`;
}

export function probeTable(probes: readonly ReportedProbe[]): string {
  const rows = probes.map((one) => [
    heading((one.atMs / 1000).toFixed(0)),
    number(one.aluMs),
    number(one.memoryMs),
    number(one.load1),
    number(one.cpuPressurePercent),
    number(one.idlePercent),
    number(one.stealPercent),
  ]);
  const head = ["s", "ALU probe, ms", "memory probe, ms", "load", "CPU pressure, %", "idle, %"];
  const whole = table([...head, "steal, %"], rows, [1, 2, 3, 4, 5, 6]);
  return `<details><summary>Probes beside the windows: ${String(probes.length)}</summary>${whole}</details>`;
}

function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  numbers: readonly number[],
): string {
  const cells = head.map((name, column) => {
    return element("th", escapeHtml(name), numbers.includes(column) ? "number" : "");
  });
  const body = rows.map((row) => element("tr", row.join("")));
  return `<table><thead><tr>${cells.join("")}</tr></thead><tbody>${body.join("\n")}</tbody></table>`;
}

function heading(name: string): string {
  return element("th", escapeHtml(name));
}

function text(words: string): string {
  return element("td", escapeHtml(words));
}

function number(value: number | null): string {
  return element("td", value === null ? "–" : figure(value), "number");
}
