// Goal: the page says all that the report says, to who has no script and no network, and nothing
// that a report holds becomes part of the page's own code. Method: the page's text.
import { expect, test } from "vitest";
import { sealReport } from "../../src/report/report.ts";
import { reportPage } from "../../src/report/report-page.ts";
import { smallReport } from "./small-report.ts";

test("the page stands alone: nothing is fetched, only its own scripts run", () => {
  const page = reportPage(sealReport(smallReport()));
  const addresses = [...page.matchAll(/\s(?:src|href)="([^"]*)"/g)].map(([, url]) => url);
  expect(addresses).toEqual(["data:,"]);
  expect(page).not.toMatch(/@import|url\(/);
  expect(page).toMatch(/default-src 'none';.*script-src 'sha256-[^']+' 'sha256-[^']+'"/);
});

test("a report's texts are text: no part of one is taken for HTML", () => {
  const evil = "</script><script>alert(1)</script>";
  const [chart, ...charts] = smallReport().charts;
  const report = sealReport({
    ...smallReport(),
    ...{ scenario: evil, summary: evil, text: evil, problems: [evil], valid: false, commit: evil },
    seeds: { [evil]: 1 },
    charts: [
      {
        ...smallReport().charts[0],
        ...chart,
        title: evil,
        xLabel: evil,
        x: [1],
        yLabel: evil,
        series: [],
      },
      ...charts,
    ],
  });
  const page = reportPage(report);
  expect(page).not.toContain("<script>alert");
  expect(page).toContain("&lt;/script&gt;&lt;script&gt;alert(1)");
});

test("goals, samples, probes and the points of charts are there without a script", () => {
  const report = sealReport(smallReport());
  const page = reportPage(report).replaceAll(/<script.*?<\/script>/gs, "");
  for (const { name, goal, measured, verdict, why } of report.goals) {
    for (const words of [name, goal, measured, verdict, why]) expect(page).toContain(words);
  }
  for (const { name, unit } of report.samples)
    expect(page).toContain(`<th>${name}</th><td>${unit}`);
  for (const { title } of report.charts) expect(page).toContain(title);
  expect(page).toContain('<td class="number">4.50</td>');
  expect(page).toContain("<td>main thread</td>");
});

test("a run that is not valid, and one of smoke size, say so before anything else", () => {
  const bad = { ...smallReport(), valid: false, problems: ["the load was late"], smoke: true };
  const page = reportPage(sealReport(bad));
  const places = ["Smoke size", "must not be used", "the load was late", "<h2>Goals</h2>"];
  const found = places.map((words) => page.indexOf(words));
  expect(found).toEqual(found.toSorted((left, right) => left - right));
  expect(Math.min(...found)).toBeGreaterThan(0);
});
