// Goal: a virtual link is what a WebSocket between processes is: in order, silent when cut or when
// its peer is frozen, told when its peer died. Method: two processes in virtual time, and what each
// end of their link heard.
import { expect, test } from "vitest";
import type { Outcome } from "../../src/base/failure.ts";
import { limits } from "../../src/base/limits.ts";
import { seededRandom } from "../../src/base/random.ts";
import type { FrameLink } from "../../src/messaging-grid/frame-link.ts";
import { TraceHash } from "../../src/simulation/trace-hash.ts";
import {
  healthyNetwork,
  VirtualNetwork,
  type NetworkEndpoint,
  type NetworkFaults,
} from "../../src/simulation/virtual-network.ts";
import { VirtualProcess } from "../../src/simulation/virtual-process.ts";
import { VirtualTime } from "../../src/simulation/virtual-time.ts";

interface Heard {
  readonly link: FrameLink;
  readonly bytes: number[];
  end: string | null;
}

/** Two processes, of which the second listens. */
class Pair {
  readonly time = new VirtualTime();
  readonly trace = new TraceHash();
  readonly network: VirtualNetwork;
  readonly dialler = new VirtualProcess(this.time);
  readonly listener = new VirtualProcess(this.time);
  readonly here: NetworkEndpoint;
  readonly accepted: Heard[] = [];

  constructor(seed = 1, faults: NetworkFaults = healthyNetwork) {
    const { time, trace } = this;
    this.network = new VirtualNetwork({ time, trace, faults, random: seededRandom(seed) });
    this.here = this.network.endpoint(this.dialler, "a");
    this.network.endpoint(this.listener, "b").listen("second", (hello, link) => {
      expect(hello).toEqual({ slot: 1, incarnation: "first" });
      this.accepted.push(this.heard(link));
    });
  }

  dial(wanted = "second", address = "b"): Promise<Outcome<FrameLink>> {
    return this.here.connect(address, { slot: 1, incarnation: "first" }, wanted);
  }

  /** A link with both ends started. */
  async link(): Promise<[Heard, Heard]> {
    const one = await this.settled(this.dial());
    const [other] = this.accepted;
    if (!one.ok || other === undefined) throw new Error("no link");
    return [this.heard(one.value), other];
  }

  heard(link: FrameLink): Heard {
    const heard: Heard = { link, bytes: [], end: null };
    link.start({
      onBatch: (batch) => heard.bytes.push(...batch),
      onClose: (why) => (heard.end = why ?? "closed"),
    });
    return heard;
  }

  async settled<T>(promise: Promise<T>): Promise<T> {
    const got: T[] = [];
    void promise.then((value) => got.push(value));
    const isDone = (): boolean => got.length > 0;
    await this.time.run({ untilMs: this.time.nowMs + 60_000, eventsMax: 100_000, isDone });
    const [value] = got;
    if (value === undefined) throw new Error("never settled");
    return value;
  }

  async pass(durationMs: number): Promise<void> {
    await this.time.run({ untilMs: this.time.nowMs + durationMs, eventsMax: 1_000_000 });
  }
}

const batch = (...bytes: number[]): Uint8Array<ArrayBuffer> => new Uint8Array(bytes);
const silence = limits.peerSilenceMsMax + 2 * limits.peerPingIntervalMs;

test("a link keeps the order of what is sent, and counts what is not taken", async () => {
  const pair = new Pair(3, { delayMsMax: 20, lost: 0.3, lostMsMax: 200 });
  const [one, other] = await pair.link();
  const sent: number[] = [];
  for (let each = 0; each < 200; each++) {
    one.link.send(batch(each % 256));
    sent.push(each % 256);
    if (each % 10 === 0) await pair.pass(1);
  }
  expect(one.link.bufferedBytes).toBeGreaterThan(0);
  await pair.pass(2000);
  expect(other.bytes).toEqual(sent);
  expect(one.link.bufferedBytes).toBe(0);
  expect([one.end, other.end]).toEqual([null, null]);
});

test("a batch belongs to the link once it was sent", async () => {
  const [one] = await new Pair().link();
  const bytes = batch(1, 2, 3);
  one.link.send(bytes);
  expect(bytes.byteLength).toBe(0);
});

test("what was sent before a close arrives, and then both sides are told once", async () => {
  const pair = new Pair();
  const [one, other] = await pair.link();
  one.link.send(batch(1));
  one.link.close();
  one.link.send(batch(2));
  other.link.send(batch(3)); // crosses the close: whoever closed listens no more
  await pair.pass(100);
  expect(other.bytes).toEqual([1]);
  expect(one.bytes).toEqual([]);
  expect([one.end, other.end]).toEqual(["closed", "closed"]);
});

test("a dial is refused where nobody listens, or another lane than the one that is wanted", async () => {
  const pair = new Pair();
  const gone = { ok: false, failure: { code: "PEER_GONE" } };
  expect(await pair.settled(pair.dial("second", "nowhere"))).toMatchObject(gone);
  expect(await pair.settled(pair.dial("another"))).toMatchObject(gone);
  pair.listener.kill();
  expect(await pair.settled(pair.dial())).toMatchObject(gone);
  expect(pair.time.nowMs).toBeLessThan(100);
});

test("a dial into a cut, or to a frozen process, is not answered", async () => {
  for (const [from, to] of [
    ["a", "b"],
    ["b", "a"],
  ] as const) {
    const pair = new Pair();
    pair.network.cut(from, to);
    expect(await pair.settled(pair.dial())).toMatchObject({
      failure: { code: "PEER_UNREACHABLE" },
    });
    expect(pair.time.nowMs).toBe(limits.peerConnectMs);
  }
  const pair = new Pair();
  pair.listener.pause();
  expect(await pair.settled(pair.dial())).toMatchObject({ failure: { code: "PEER_UNREACHABLE" } });
  // It answers when it wakes up, to one that has given up: its link ends.
  pair.listener.resume();
  await pair.pass(100);
  expect(pair.accepted.map(({ end }) => end)).toEqual(["closed"]);
});

test("a cut is silence: what is sent into it waits, and goes on when it is healed soon", async () => {
  const pair = new Pair();
  const [one, other] = await pair.link();
  pair.network.cut("a", "b");
  one.link.send(batch(1, 2));
  other.link.send(batch(9)); // the way back is open
  await pair.pass(2000);
  expect([one.bytes, other.bytes]).toEqual([[9], []]);
  expect(one.link.bufferedBytes).toBe(2);
  one.link.send(batch(3));
  pair.network.heal("a", "b");
  await pair.pass(100);
  expect(other.bytes).toEqual([1, 2, 3]);
  expect([one.end, other.end]).toEqual([null, null]);
});

test("a cut in one direction ends the link on both sides, by silence", async () => {
  const pair = new Pair();
  const [one, other] = await pair.link();
  pair.network.cut("a", "b");
  await pair.pass(silence);
  // Neither hears a pong: one's pings do not arrive, the other's pongs do not.
  expect(one.end).toBe("silent");
  expect(other.end === "silent" || other.end === "closed").toBe(true);
});

test("the end of a process is told at once, its pause only by silence", async () => {
  const killed = new Pair();
  const [survivor] = await killed.link();
  killed.listener.kill();
  await killed.pass(50);
  expect(survivor.end).toBe("closed");

  const paused = new Pair();
  const [one, other] = await paused.link();
  paused.listener.pause();
  one.link.send(batch(1));
  await paused.pass(limits.peerSilenceMsMax - limits.peerPingIntervalMs);
  expect(one.end).toBeNull();
  expect(one.link.bufferedBytes).toBe(1);
  await paused.pass(3 * limits.peerPingIntervalMs);
  expect(one.end).toBe("silent");
  // When it wakes up it blames nobody for the time: it hears that the other side has ended.
  paused.listener.resume();
  await paused.pass(50);
  expect(other.end).toBe("closed");
});

test("a short pause ends nothing, on neither side", async () => {
  const pair = new Pair();
  const [one, other] = await pair.link();
  for (const process of [pair.dialler, pair.listener]) {
    process.pause();
    one.link.send(batch(7));
    await pair.pass(limits.peerSilenceMsMax - 2 * limits.peerPingIntervalMs);
    process.resume();
    await pair.pass(2 * limits.peerPingIntervalMs);
  }
  expect([one.end, other.end]).toEqual([null, null]);
  expect(other.bytes).toEqual([7, 7]);
});

test("a reset ends the link on both sides, with what was under way", async () => {
  const pair = new Pair();
  const [one, other] = await pair.link();
  one.link.send(batch(1));
  pair.network.reset("a", "b");
  await pair.pass(50);
  expect([one.end, other.end]).toEqual(["closed", "closed"]);
  expect(other.bytes).toEqual([]);
});

test("what arrives before the start is kept until then, an end too", async () => {
  const pair = new Pair();
  const dialled = await pair.settled(pair.dial());
  const [other] = pair.accepted;
  other?.link.send(batch(4, 5));
  other?.link.close();
  await pair.pass(50);
  if (!dialled.ok) throw new Error("no link");
  const one = pair.heard(dialled.value);
  await pair.pass(50);
  expect([one.bytes, one.end, other?.end]).toEqual([[4, 5], "closed", "closed"]);
});

test("the same seed gives the same trace, another gives another", async () => {
  const run = async (seed: number): Promise<string> => {
    const pair = new Pair(seed, { delayMsMax: 20, lost: 0.3, lostMsMax: 200 });
    const [one] = await pair.link();
    for (let each = 0; each < 20; each++) one.link.send(batch(each));
    await pair.pass(3000);
    return pair.trace.digest;
  };
  expect(await run(5)).toBe(await run(5));
  expect(await run(5)).not.toBe(await run(6));
});

test("a way that is healed lets an end through that a dead process left behind", async () => {
  const pair = new Pair();
  const [one] = await pair.link();
  pair.network.cut("b", "a");
  pair.listener.kill();
  await pair.pass(1000);
  expect(one.end).toBeNull();
  pair.network.healAll();
  await pair.pass(50);
  expect(one.end).toBe("closed");
});
