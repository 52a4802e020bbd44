// Goal: a load that anybody sends to an application of theirs is what was asked for, and what is
// said and written of it is what happened. Method: the real command against a server that counts.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { createServer as createHttpServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { unwrap } from "../../src/base/failure.ts";
import { parseReport } from "../../src/report/report.ts";
import { startOrrery } from "../support/processes.ts";
import { refusal, runOrrery } from "./run-orrery.ts";

/** Counts requests by "METHOD PATH content-type body"; every fourth is refused. */
async function countingServer() {
  const seen = new Map<string, number>();
  let requests = 0;
  const arrived = Promise.withResolvers<undefined>();
  const server = createHttpServer((request, response) => {
    let body = "";
    request.on("data", (bytes: Buffer) => (body += bytes.toString()));
    request.on("end", () => {
      const { method = "", url = "", headers } = request;
      const what = `${method} ${url} ${headers["content-type"] ?? "-"} ${body}`;
      seen.set(what, (seen.get(what) ?? 0) + 1);
      requests++;
      if (requests === 20) arrived.resolve(undefined);
      response.statusCode = requests % 4 === 0 ? 503 : 200;
      response.end("done");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/buy?x=1`, seen, arrived: arrived.promise };
}

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "orrery-load-"));
  onTestFinished(() => {
    rmSync(folder, { recursive: true });
  });
  return folder;
}

function sum(counts: Iterable<number>): number {
  return [...counts].reduce((all, count) => all + count, 0);
}

/** On a busy machine the generator may be late, and then says so; nothing else may be wrong. */
function expectJudged(code: number | null, stdout: string): void {
  expect(code).toBe(/^INVALID: the generator (?:itself was late|used)/m.test(stdout) ? 1 : 0);
}

test("a load is announced, sent, counted, and written as JSON and as a page", async () => {
  const { url, seen } = await countingServer();
  const folder = newFolder();
  const [lines, json, html] = ["lines", "r.json", "r.html"].map((name) => join(folder, name));
  writeFileSync(lines ?? "", '{"n":1}\n\n{"n":2}\n');
  const { code, stdout, stderr } = await runOrrery([
    ...["load", url, "--profile", "500ms:100,500ms:100..200", "--spacing", "fixed"],
    ...["--body-lines", lines ?? "", "--header", "x-own: yes", "--json", json ?? ""],
    ...["--html", html ?? ""],
  ]);
  expect(stderr).toBe("");
  expectJudged(code, stdout);
  expect(stdout).toContain(`sending about 125 requests in 1 s: POST ${url}`);
  const total = sum(seen.values());
  expect(Math.abs(total - 125)).toBeLessThanOrEqual(1);
  expect([...seen.keys()].sort()).toEqual([
    'POST /buy?x=1 application/json {"n":1}',
    'POST /buy?x=1 application/json {"n":2}',
  ]);
  const refused = Math.floor(total / 4);
  expect(stdout).toContain(`requests   ${total} due, ${total} sent, 0 not sent`);
  expect(stdout).toContain(`200: ${total - refused}  503: ${refused}`);
  const report = unwrap(parseReport(readFileSync(json ?? "", "utf8")));
  expect(report).toMatchObject({ scenario: "load", valid: code === 0 });
  expect(report.figures).toMatchObject({
    load: { bodies: 2 },
    totals: { sent: total, response: { count: total - refused } },
  });
  expect(readFileSync(html ?? "", "utf8")).toMatch(/^<!doctype html>/i);
});

test("Ctrl-C ends a load with the result of what was done", async () => {
  const { url, seen, arrived } = await countingServer();
  const load = startOrrery(["load", url, "--rate", "100", "--for", "10m"]);
  await arrived;
  load.signal("SIGINT");
  const { code } = await load.ended;
  expectJudged(code, load.stdout);
  expect(load.stdout).toMatch(/due, \d+ sent, 0 not sent, in .* stopped before the end/);
  expect(load.stdout).toContain(` ${sum(seen.values())} sent`);
});

test("what cannot be sent is refused in one line that says what to do", async () => {
  const nobody = createServer();
  await new Promise<void>((resolve) => nobody.listen(0, "127.0.0.1", resolve));
  const { port } = nobody.address() as AddressInfo;
  await new Promise((resolve) => nobody.close(resolve));
  const wrong: [string[], 1 | 2, RegExp][] = [
    [["https://localhost/"], 2, /give http:\/\/HOST:PORT\/PATH/],
    [["http://localhost/", "--profile", "soon"], 2, /"soon" is no step of a profile: write 10s/],
    [["http://localhost/", "--header", "nonsense"], 2, /is no header: write NAME: VALUE/],
    [["http://localhost/", "--rate", "5", "--profile", "1s:1"], 2, /cannot be used with/],
    [["http://localhost/", "--body", "/no/such/file"], 1, /no such file.*choose a path/],
  ];
  for (const [args, code, words] of wrong) {
    expect(await runOrrery(["load", ...args])).toEqual(refusal(code, words));
  }
  const unreachable = await runOrrery(["load", `http://127.0.0.1:${port}/`]);
  expect(unreachable.code).toBe(1);
  expect(unreachable.stderr).toMatch(/cannot be reached \(ECONNREFUSED\): start what should/);
});
