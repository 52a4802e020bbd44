// Goal: peer links over real connections: lanes of two processes find one another, see at once
// that one is gone, and do not take its successor at the same address for it; one that is frozen
// is silent. Method: WebSockets on the loopback interface; time is moved by hand where it counts.
import { once } from "node:events";
import { afterEach, expect, test } from "vitest";
import { WebSocket } from "ws";
import { must } from "../../src/base/assert.ts";
import { systemClock, type Clock } from "../../src/base/clock.ts";
import { ok, unwrap, type Outcome } from "../../src/base/failure.ts";
import { limits } from "../../src/base/limits.ts";
import { seededRandom } from "../../src/base/random.ts";
import { systemTimers, type Timers } from "../../src/base/timers.ts";
import type { Value } from "../../src/grid/log-record.ts";
import { Messenger } from "../../src/messaging-grid/messenger.ts";
import { PeerLinks, type WantedPeer } from "../../src/messaging-grid/peer-links.ts";
import { connectLink } from "../../src/messaging-grid/ws-client.ts";
import { listenForLinks, type WsServer } from "../../src/messaging-grid/ws-server.ts";
import { ManualTime } from "../load/manual-time.ts";
import { commandRequest } from "./command-request.ts";

const token = "a secret that members share";
const cleanUp: (() => unknown)[] = [];

afterEach(async () => {
  for (const each of cleanUp.splice(0).reverse()) await each();
});

interface Time {
  readonly clock: Clock;
  readonly timers: Timers;
}

/** A lane of a process of its own, as far as the messaging grid goes. */
class WsLane {
  readonly card: WantedPeer;
  readonly links: PeerLinks;
  readonly messenger: Messenger;
  /** Inputs of the commands that came. */
  readonly heard: Value[] = [];
  readonly #server: WsServer;
  #changed: (() => void)[] = [];

  constructor(card: WantedPeer, server: WsServer, { clock, timers }: Time) {
    this.card = card;
    this.#server = server;
    this.messenger = new Messenger({
      clock,
      timers: systemTimers,
      onRequest: (_, { command, input }, respond) => {
        this.heard.push(input);
        this.#change();
        if (command !== "silence") respond(ok([card.incarnation, input]));
      },
      onNotice: () => undefined,
      onLost: () => {
        this.#change();
      },
    });
    this.links = new PeerLinks({
      hello: { slot: card.slot, incarnation: card.incarnation },
      clock,
      timers,
      random: seededRandom(card.slot),
      messenger: {
        connect: (peer, link) => {
          this.messenger.connect(peer, link);
          this.#change();
        },
      },
      connect: async (url, hello, wanted) => {
        const fixed = { token, deadlineMs: limits.peerConnectMs, timers };
        const outcome = await connectLink({ ...fixed, url, hello, wanted });
        void Promise.resolve().then(() => {
          this.#change();
        });
        return outcome;
      },
    });
  }

  static async open(
    slot: number,
    incarnation: string,
    options: { port?: number; time?: Time } = {},
  ): Promise<WsLane> {
    const { port = 0, time = { clock: systemClock, timers: systemTimers } } = options;
    let lane: WsLane | null = null;
    const server = unwrap(
      await listenForLinks({
        timers: time.timers,
        port,
        token,
        incarnation,
        onLink: (hello, link) => lane?.links.accept(hello, link),
      }),
    );
    lane = new WsLane({ slot, incarnation, address: server.url }, server, time);
    cleanUp.push(() => lane.stop());
    return lane;
  }

  get port(): number {
    return Number(new URL(this.#server.url).port);
  }

  async stop(): Promise<void> {
    this.links.close();
    await this.#server.close();
  }

  call(slot: number, input: Value, command = "echo"): Promise<Outcome<Value>> {
    return new Promise((resolve) => {
      this.messenger.send(slot, commandRequest({ command, input }), resolve);
    });
  }

  /** Resolves once that is so; looked at whenever something happened here. */
  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) await new Promise<void>((resolve) => this.#changed.push(resolve));
  }

  #change(): void {
    for (const resolve of this.#changed.splice(0)) setImmediate(resolve);
  }
}

test("dialling: two lanes reach one another, and know at once when one is gone", async () => {
  const [low, high] = [await WsLane.open(1, "low"), await WsLane.open(2, "high")];
  low.links.want([high.card]);
  high.links.want([low.card]);
  await Promise.all([
    low.until(() => low.links.state(2).open),
    high.until(() => high.links.state(1).open),
  ]);
  expect(await low.call(2, "up")).toEqual(ok(["high", "up"]));
  expect(await high.call(1, "down")).toEqual(ok(["low", "down"]));
  const waiting = high.call(1, "x", "silence");
  await low.until(() => low.heard.includes("x"));
  await low.stop();
  expect(await waiting).toMatchObject({ failure: { code: "LANE_LOST" } });
  expect(high.links.state(1)).toMatchObject({ open: false, refused: true });
  // Another lane that was never connected is refused for certain.
  const third = await WsLane.open(3, "third");
  third.links.want([low.card]);
  await third.until(() => third.links.state(1).refused);
});

test("M7: the successor at the same address is another peer, under whatever slot", async () => {
  const [low, high] = [await WsLane.open(1, "low"), await WsLane.open(5, "high")];
  high.links.want([low.card]);
  await high.until(() => high.links.state(1).open);
  await low.stop();
  await high.until(() => !high.links.state(1).open);
  const successor = await WsLane.open(2, "successor", { port: low.port });
  expect(successor.card.address).toBe(low.card.address);
  // The card of the one before is still there for a while.
  high.links.want([low.card, successor.card]);
  await high.until(() => high.links.state(2).open);
  expect(await high.call(2, "hello")).toEqual(ok(["successor", "hello"]));
  high.links.probe(1);
  await high.until(() => high.links.state(1).refused);
  expect(high.links.state(1)).toMatchObject({ open: false, refused: true });
  expect(await high.call(2, "still")).toEqual(ok(["successor", "still"]));
});

test("M8: two lanes that dial one another at once keep one link, the same on both sides", async () => {
  const [low, high] = [await WsLane.open(1, "low"), await WsLane.open(2, "high")];
  for (let round = 0; round < 5; round++) {
    low.links.want([high.card]);
    low.links.probe(2);
    high.links.want([low.card]);
    // Links are at rest once each side is answered over one that the other uses too.
    let answered = 0;
    while (answered < 3) {
      await low.until(() => low.links.state(2).open);
      await high.until(() => high.links.state(1).open);
      const outcomes = await Promise.all([low.call(2, round), high.call(1, round)]);
      answered = outcomes.every((outcome) => outcome.ok) ? answered + 1 : 0;
    }
    low.links.want([]);
    high.links.want([]);
  }
});

test("M9: a frozen peer counts as silent once its pings are unanswered, and its link ends", async () => {
  const manual = new ManualTime();
  const lane = await WsLane.open(1, "lane", { time: { clock: manual, timers: manual } });
  const frozen = new WebSocket(must(lane.card.address, "it listens"), {
    headers: {
      authorization: `Bearer ${token}`,
      "x-orrery-hello": "2 frozen",
      "x-orrery-wanted": "lane",
    },
  });
  cleanUp.push(() => {
    frozen.terminate();
  });
  frozen.on("error", () => undefined);
  await once(frozen, "open");
  lane.links.want([{ slot: 2, incarnation: "frozen", address: null }]);
  await lane.until(() => lane.links.state(2).open);
  frozen.pause();
  const waiting = lane.call(2, "x");
  manual.advance(limits.peerSilenceMsMax);
  expect(lane.links.state(2).open).toBe(true);
  manual.advance(limits.peerPingIntervalMs);
  expect(await waiting).toMatchObject({ failure: { code: "LANE_LOST" } });
  const { open, refused, closedMs } = lane.links.state(2);
  expect({ open, refused }).toEqual({ open: false, refused: false });
  expect(closedMs).toBeGreaterThanOrEqual(limits.peerSilenceMsMax);
});
