// Stands in for Java and a Hazelcast member: answers whether it is ready, as it is told.
// POST /MODE: "starting" (at first) and "unready" answer 503, "silent" not at all, "ready" 200 as
// one of three members, "alone" as the only one;
// "ends CODE" ends it. GET /asked/COUNT answers when the guard asked so often since the last POST.
// SIGTERM: ends it at once; after "slow", in five seconds; after "stubborn", not at all.
import { execFile } from "node:child_process";
import { createServer, type ServerResponse } from "node:http";

const given = /^-Dorrery\.member\.port=(\d+)$/;
const port = process.argv.map((text) => given.exec(text)?.[1]).find((found) => found !== undefined);

let mode = "starting";
let ending = "at once";
let asked = 0;
let waiting: { count: number; response: ServerResponse }[] = [];

function answer(response: ServerResponse): void {
  asked += 1;
  const isUp = mode === "ready" || mode === "alone";
  if (mode !== "silent") response.writeHead(isUp ? 200 : 503).end();
  for (const { count, response: waits } of waiting) if (asked >= count) waits.end();
  waiting = waiting.filter(({ count }) => asked < count);
}

function obey(order: string): void {
  const [word = "", code] = order.split("-");
  if (word === "ends") process.exit(Number(code));
  if (word === "slow" || word === "stubborn") ending = word;
  else mode = word;
  asked = 0;
}

process.on("SIGTERM", () => {
  console.log("fake member: asked to stop");
  mode = "unready";
  if (ending === "at once") process.exit(143);
  if (ending === "slow") execFile("sleep", ["5"], () => process.exit(143));
});

createServer((request, response) => {
  const [, what = "", count = ""] = request.url?.split("/") ?? [];
  if (request.method === "POST") {
    response.end();
    obey(what);
  } else if (what === "asked") {
    waiting.push({ count: Number(count), response });
  } else if (request.url?.endsWith("/cluster-size") === true) {
    response.end(mode === "alone" ? "1" : "3");
  } else {
    answer(response);
  }
}).listen(Number(port), "127.0.0.1");
