// Goal: a notice that waited long for a connection still has its whole time for an answer.
// Method: a bidder that holds its first answers, more notices than connections, manual time.
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { limits } from "../../../src/base/limits.ts";
import { seededRandom } from "../../../src/base/random.ts";
import { NoticeTransport } from "../../../src/bidding-demo/exchange/notice-transport.ts";
import { ManualTime } from "../../load/manual-time.ts";

const connections = limits.noticeConnectionsPerOrigin;

test("notices: waiting for a connection costs nothing of the time for an answer", async () => {
  const held: ServerResponse[] = [];
  const allHeld = Promise.withResolvers<void>();
  const server = createServer((request, response) => {
    if (request.url !== "/first") {
      response.end();
      return;
    }
    held.push(response);
    if (held.length === connections) allHeld.resolve();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const origin = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  const time = new ManualTime();
  const transport = new NoticeTransport({
    clock: time,
    timers: time,
    random: seededRandom(1),
    log: () => undefined,
  });
  const send = (path: string) =>
    new Promise<boolean>((resolve) => {
      transport.send(`${origin}${path}`, resolve);
    });
  const first = Array.from({ length: connections }, () => send("/first"));
  const last = send("/last");
  await allHeld.promise;
  time.advance(limits.noticeAnswerMsMax + 100); // those on the wire are given up
  expect(await Promise.all(first)).toEqual(first.map(() => false));
  for (const response of held) response.end(); // their connections are free again
  expect(await last).toBe(true);
  transport.close();
  server.close();
});
