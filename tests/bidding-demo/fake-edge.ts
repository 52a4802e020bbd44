// The bidder's routes on a bare fastify server, over partitions without an engine.
// Owns: `submit` that runs the handler at once, and the time of the partitions.
import fastify from "fastify";
import { Registry } from "prom-client";
import { must } from "../../src/base/assert.ts";
import { failed, ok, type FailureCode } from "../../src/base/failure.ts";
import { partitionOf } from "../../src/base/murmur3.ts";
import { seededRandom } from "../../src/base/random.ts";
import type { BiddingOptions } from "../../src/bidding-demo/application.ts";
import biddingDemo from "../../src/bidding-demo/application.ts";
import { mergeStatus, type DemoStatus } from "../../src/bidding-demo/demo-status.ts";
import type { Change, Value } from "../../src/grid/log-record.ts";
import type { EdgeHooks, SubmitOptions } from "../../src/processing-units/edge-context.ts";
import type { Entry, Space } from "../../src/processing-units/application.ts";
import { FakePartition } from "./fake-transaction.ts";
import { campaign, noticeKey } from "./fixtures.ts";

export interface Submitted {
  readonly command: string;
  readonly input: Value;
  readonly options: SubmitOptions;
  readonly partition: number;
  readonly changes: readonly Change[];
}

export class FakeEdge {
  readonly server = fastify();
  readonly metrics = new Registry();
  readonly partitions: readonly FakePartition[];
  readonly submitted: Submitted[] = [];
  /** The next commands fail with it, and change nothing. */
  failWith: FailureCode | null = null;
  readonly #hooks: EdgeHooks;
  readonly #ticks: (() => void)[] = [];

  constructor(options: Partial<BiddingOptions> & { seed?: number } = {}) {
    const { seed = 0, ...given } = options;
    const all = { campaigns: [campaign()], noticeKey, partitions: 4, ...given };
    const application = biddingDemo(all);
    this.partitions = Array.from(
      { length: all.partitions },
      (_, partition) => new FakePartition(application, partition, seed),
    );
    const edge = must(application.edge, "the demo has routes");
    this.#hooks = edge({
      server: this.server,
      clock: { wallMs: () => this.timeMs, monotonicMs: () => this.timeMs },
      timers: {
        after: () => ({ cancel: () => undefined }),
        every: (_intervalMs, callback) => {
          this.#ticks.push(callback);
          return { cancel: () => this.#ticks.splice(this.#ticks.indexOf(callback), 1) };
        },
        endOfTick: (callback) => callback(),
      },
      random: seededRandom(7),
      metrics: this.metrics,
      partitions: all.partitions,
      lane: 0,
      submit: (name, input, submitOptions, respond) => {
        const command = must(application.commands[name], `command ${name}`);
        const partition = partitionOf(command.routeBy(input), all.partitions);
        if (this.failWith !== null) {
          respond(failed(this.failWith, "as the test wants it"));
          return;
        }
        const { reply, changes } = must(this.partitions[partition], "partition").run(name, input);
        this.submitted.push({ command: name, input, options: submitOptions, partition, changes });
        respond(ok(reply));
      },
      entries: <V extends Entry>(space: Space<V>) =>
        this.partitions.flatMap((partition) => [...partition.entries(space)]),
      elsewhere: () => [],
    });
  }

  get timeMs(): number {
    return this.partitions[0]?.timeMs ?? 0;
  }

  /** Lets time pass, and the timers of the edge run once. */
  pass(ms: number): void {
    for (const partition of this.partitions) partition.timeMs += ms;
    for (const tick of [...this.#ticks]) tick();
  }

  /** Timers that run. */
  get ticking(): number {
    return this.#ticks.length;
  }

  stop(): void {
    this.#hooks.onStop?.();
  }

  status(): DemoStatus {
    return mergeStatus([must(this.#hooks.status?.(), "status")]);
  }

  /** Answer to a bid request; a text is sent as it is. */
  async bid(body: unknown, headers: Record<string, string> = {}) {
    return this.server.inject({
      method: "POST",
      url: "/openrtb2/bid",
      headers: { "content-type": "application/json", host: "bidder.test:8080", ...headers },
      payload: typeof body === "string" ? body : JSON.stringify(body),
    });
  }

  /** Entries of all partitions. */
  entries<V extends Entry>(space: Space<V>): [string, V][] {
    return this.partitions.flatMap((partition) => [...partition.entries(space)]);
  }
}
