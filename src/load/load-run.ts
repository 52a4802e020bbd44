// Load run: one load from its first request to its last answer, in this process.
// Owns: the seconds, what became of each request, the process's own time. Does not own: pacing and
// times (open-loop.ts), connections (load-client.ts), the process (generator-process.ts).
import type { Clock } from "../base/clock.ts";
import { ok, type Outcome } from "../base/failure.ts";
import type { TimerHandle, Timers } from "../base/timers.ts";
import { httpLoadClient, type LoadClient } from "./load-client.ts";
import type { LoadResult, LoadSecond } from "./load-result.ts";
import { checkLoadSpec, planOf, type LoadSpec } from "./load-spec.ts";
import { OpenLoop } from "./open-loop.ts";
import { ThreadPacer } from "./thread-pacer.ts";
import { WsLoadClient } from "./ws-load-client.ts";

export interface LoadPorts {
  readonly clock: Clock;
  readonly timers: Timers;
  /** One line for people, such as that the target was lost. */
  log(line: string): void;
  /** Called about once a second, and at the end for the rest of one. */
  onSecond(second: LoadSecond): void;
}

export interface RunningLoad {
  /** Sends nothing more; what is in flight is awaited, until its deadline. */
  stop(): void;
  /** GENERATOR_LOST: the process that sent it ended before it could say what it had measured. */
  readonly finished: Promise<Outcome<LoadResult>>;
}

const secondMs = 1000;

/** Begins a load. CONFIG_INVALID or TARGET_UNREACHABLE say why it did not. */
export async function startLoad(spec: LoadSpec, ports: LoadPorts): Promise<Outcome<RunningLoad>> {
  const checked = checkLoadSpec(spec);
  if (!checked.ok) return checked;
  const isWebSocket = spec.url.startsWith("ws:");
  const client = isWebSocket ? new WsLoadClient(spec, ports) : httpLoadClient(spec, ports);
  const opened = await client.open();
  if (!opened.ok) return opened;
  return ok(new LoadRun(spec, ports, client, await ThreadPacer.start()));
}

class LoadRun implements RunningLoad {
  readonly finished: Promise<Outcome<LoadResult>>;
  readonly #ports: LoadPorts;
  readonly #client: LoadClient;
  readonly #pacer: ThreadPacer;
  readonly #loop: OpenLoop;
  readonly #seconds: LoadSecond[] = [];
  readonly #ticker: TimerHandle;
  #outcomes: Record<string, number> = {};
  #waited = 0;
  #isWhole = true;
  #secondStartMs: number;
  #cpu = process.cpuUsage();

  constructor(spec: LoadSpec, ports: LoadPorts, client: LoadClient, pacer: ThreadPacer) {
    this.#ports = ports;
    this.#client = client;
    this.#pacer = pacer;
    this.#loop = new OpenLoop({
      plan: planOf(spec),
      inFlightMax: spec.inFlightMax,
      clock: ports.clock,
      timers: pacer,
      send: (number, finish, sent) => {
        this.#client.send(
          number,
          ({ outcome, measured }) => {
            this.#outcomes[outcome] = (this.#outcomes[outcome] ?? 0) + 1;
            finish(measured);
          },
          () => {
            this.#waited++;
            sent();
          },
        );
      },
    });
    this.#secondStartMs = ports.clock.monotonicMs();
    this.#ticker = ports.timers.every(secondMs, () => this.#endSecond());
    this.finished = this.#run();
  }

  stop(): void {
    this.#isWhole = false;
    this.#loop.stop();
  }

  async #run(): Promise<Outcome<LoadResult>> {
    await this.#loop.run();
    this.#ticker.cancel();
    this.#endSecond();
    this.#client.close();
    await this.#pacer.close();
    const { startMs: startedMs } = this.#loop;
    return ok({ startedMs, isWhole: this.#isWhole, seconds: this.#seconds });
  }

  #endSecond(): void {
    const nowMs = this.#ports.clock.monotonicMs();
    const durationMs = nowMs - this.#secondStartMs;
    const { user, system } = process.cpuUsage(this.#cpu);
    const { sent, notSent, response, service, lateness } = this.#loop.takeWindow();
    const second: LoadSecond = {
      endMs: nowMs - this.#loop.startMs,
      durationMs,
      sent,
      notSent,
      waited: this.#waited,
      outcomes: this.#outcomes,
      cpuShare: (user + system) / 1000 / durationMs,
      response: response.toCounts(),
      service: service.toCounts(),
      lateness: lateness.toCounts(),
    };
    this.#secondStartMs = nowMs;
    this.#cpu = process.cpuUsage();
    this.#outcomes = {};
    this.#waited = 0;
    this.#seconds.push(second);
    this.#ports.onSecond(second);
  }
}
