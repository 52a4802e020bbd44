// Command load: commands over HTTP to several processing units, in chains: each sends its next
// command when the one before is answered. A chain whose connection is lost goes to the next unit,
// and where it is patient it repeats its command there, under the same Idempotency-Key.
// Owns: the chains, every command and what became of it. Does not own: sockets (http-client.ts), a
// ledger on disk (whoever gives `note`), what should have become of it (the oracle of a test).
import { assert, must } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import { failed, failure, ok, unwrap, type Failure, type Outcome } from "../base/failure.ts";
import { partitionOf } from "../base/murmur3.ts";
import type { Random } from "../base/random.ts";
import { delay, type Timers } from "../base/timers.ts";
import { HttpClient, parseTarget } from "./http-client.ts";
import type { HttpResponse } from "./http-response.ts";

/** One command, and what came back. */
export interface LoadedCommand {
  readonly id: string;
  readonly partition: number;
  /** What its units were told; an answer that comes a second later is none. */
  readonly deadlineMs: number;
  /** Units that it was sent to; more than one where the connection to the one before was lost. */
  readonly units: number[];
  sentMs: number;
  /** null while there is no answer. */
  outcome: Outcome<unknown> | null;
  answeredMs: number;
}

export interface CommandLoadOptions {
  readonly urls: readonly string[];
  readonly partitions: number;
  /** Its input is { route, id }. */
  readonly command: string;
  /** Chains from each unit to each partition: those with this deadline repeat what was lost. */
  readonly patient: { readonly chains: number; readonly deadlineMs: number };
  /** One chain to each partition, from one unit after the other, which repeats nothing. */
  readonly hastyDeadlineMs: number;
  /** A chain waits so long between its commands; left out: not at all. */
  readonly pauseMs?: number;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  /** Called before a command is sent for the first time, and when it is answered; waited for. */
  note(command: LoadedCommand): Promise<void>;
}

interface Chain {
  readonly home: number;
  readonly partition: number;
  readonly isPatient: boolean;
  unit: number;
}

const graceMs = 1000;
/** What was refused at once would be refused at once again. */
const refusalPauseMs = 50;

export class CommandLoad {
  readonly #options: CommandLoadOptions;
  readonly #routes: readonly string[];
  readonly #clients: HttpClient[] = [];
  readonly #chains: readonly Chain[];
  #commands: LoadedCommand[] = [];
  readonly #open = new Set<LoadedCommand>();
  #running: Promise<void>[] = [];
  #isRunning = false;
  #made = 0;

  constructor(options: CommandLoadOptions) {
    const { partitions, urls, patient } = options;
    this.#options = options;
    this.#routes = Array.from({ length: partitions }, (_, each) => routeTo(each, partitions));
    this.#chains = this.#routes.flatMap((_, partition) => {
      const to = (home: number, isPatient: boolean) => ({ home, partition, isPatient, unit: home });
      const all = urls.flatMap((_url, home) =>
        Array.from({ length: patient.chains }, () => to(home, true)),
      );
      return [...all, to(partition % urls.length, false)];
    });
  }

  /** Connects to all units and begins. Throws a FailureError where one cannot be reached. */
  async start(): Promise<void> {
    assert(!this.#isRunning, "a load starts once");
    for (const [unit, url] of this.#options.urls.entries()) await this.replace(unit, url);
    this.#isRunning = true;
    this.#running = this.#chains.map((chain) => this.#run(chain));
  }

  /** The unit with that number is at this address now; its chains go there (again). */
  async replace(unit: number, url: string): Promise<void> {
    const { clock, timers, random } = this.#options;
    const mine = this.#chains.filter(({ home }) => home === unit).length;
    const client = new HttpClient({
      targets: [unwrap(parseTarget(url))],
      // One for each chain that may come from elsewhere, too, and for commands of `serves`.
      connectionsPerTarget: mine + this.#routes.length,
      waitingMax: this.#chains.length * 2,
      clock,
      timers,
      random,
      log: () => undefined,
    });
    unwrap(await client.open());
    this.#clients[unit]?.close();
    this.#clients[unit] = client;
    for (const chain of this.#chains) if (chain.home === unit) chain.unit = unit;
  }

  /** All commands that were sent, of the whole life or since the last `forget`. */
  get commands(): readonly LoadedCommand[] {
    return this.#commands;
  }

  /** Forgets what was answered. */
  forget(): void {
    this.#commands = [...this.#open];
  }

  /** How many commands are sent and not answered, by partition. */
  underWay(): number[] {
    const counts = this.#routes.map(() => 0);
    for (const { partition } of this.#open) counts[partition] = (counts[partition] ?? 0) + 1;
    return counts;
  }

  /** Commands that were acknowledged in the last `windowMs`, a second. */
  rate(windowMs: number): number {
    const fromMs = this.#options.clock.monotonicMs() - windowMs;
    let count = 0;
    for (const { outcome, answeredMs } of this.#commands) {
      if (outcome?.ok === true && answeredMs >= fromMs) count++;
    }
    return (count * 1000) / windowMs;
  }

  /**
   * Resolves when each of these units has acknowledged, for each partition, a command that was sent
   * after this call; with the milliseconds until then.
   */
  async serves(units: readonly number[]): Promise<number> {
    const { clock } = this.#options;
    const startedMs = clock.monotonicMs();
    const all = this.#routes.flatMap((_, partition) =>
      units.map(async (unit) => {
        for (;;) {
          const command = this.#newCommand(partition, true);
          await this.#options.note(command);
          this.#begin(command);
          const outcome = await this.#attempt(command, unit, true);
          await this.#end(command, known(outcome, false));
          if (outcome.ok || this.#isStopping()) return;
          await delay(this.#options.timers, refusalPauseMs);
        }
      }),
    );
    await Promise.all(all);
    return clock.monotonicMs() - startedMs;
  }

  /** Sends nothing more; resolves when every command is answered. */
  async stop(): Promise<void> {
    this.#isRunning = false;
    await Promise.all(this.#running);
    this.end();
  }

  /** The same at once: what is not answered is lost. */
  end(): void {
    this.#isRunning = false;
    for (const client of this.#clients) client.close();
  }

  async #run(chain: Chain): Promise<void> {
    while (this.#isRunning) {
      const command = this.#newCommand(chain.partition, chain.isPatient);
      await this.#options.note(command);
      this.#begin(command);
      let isMaybe = false;
      let outcome = await this.#attempt(command, chain.unit, chain.isPatient);
      while (isLost(outcome)) {
        isMaybe ||= outcome.failure.kind === "unknown";
        chain.unit = (chain.unit + 1) % this.#clients.length;
        if (!chain.isPatient || this.#isStopping()) break;
        if (outcome.failure.code === "TARGET_UNREACHABLE") {
          await delay(this.#options.timers, refusalPauseMs);
        }
        outcome = await this.#attempt(command, chain.unit, true);
      }
      await this.#end(command, known(outcome, isMaybe));
      const pauseMs = outcome.ok ? (this.#options.pauseMs ?? 0) : refusalPauseMs;
      if (pauseMs > 0) await delay(this.#options.timers, pauseMs);
    }
  }

  #isStopping(): boolean {
    return !this.#isRunning;
  }

  #newCommand(partition: number, isPatient: boolean): LoadedCommand {
    const { patient, hastyDeadlineMs } = this.#options;
    return {
      id: `${partition}-${this.#made++}`,
      partition,
      deadlineMs: isPatient ? patient.deadlineMs : hastyDeadlineMs,
      units: [],
      sentMs: 0,
      outcome: null,
      answeredMs: 0,
    };
  }

  #begin(command: LoadedCommand): void {
    command.sentMs = this.#options.clock.monotonicMs();
    this.#commands.push(command);
    this.#open.add(command);
  }

  async #end(command: LoadedCommand, outcome: Outcome<unknown>): Promise<void> {
    command.outcome = outcome;
    command.answeredMs = this.#options.clock.monotonicMs();
    this.#open.delete(command);
    await this.#options.note(command);
  }

  #attempt(command: LoadedCommand, unit: number, hasKey: boolean): Promise<Outcome<unknown>> {
    const { id, partition, deadlineMs } = command;
    const client = must(this.#clients[unit], "a client for each unit");
    const key = hasKey ? `idempotency-key: ${id}\r\n` : "";
    const json = "content-type: application/json\r\n";
    command.units.push(unit);
    const request = {
      method: "POST",
      path: `/commands/${this.#options.command}`,
      headers: `${json}x-deadline-ms: ${String(deadlineMs)}\r\n${key}`,
      body: JSON.stringify({ route: this.#routes[partition], id }),
      timeoutMs: deadlineMs + graceMs,
    } as const;
    return new Promise((resolve) => {
      client.send(request, (outcome) => {
        resolve(outcome.ok ? answerOf(outcome.value) : unanswered(outcome.failure));
      });
    });
  }
}

/** What a client itself says; a unit that answers does not say so. */
const clientCodes: ReadonlySet<string> = new Set([
  "CONNECTION_LOST",
  "RESPONSE_MALFORMED",
  "TARGET_UNREACHABLE",
]);

/** The unit itself would have said that its deadline is over. */
function unanswered({ code, message }: Failure): Outcome<never> {
  return failed(code === "DEADLINE_EXCEEDED" ? "CONNECTION_LOST" : code, message);
}

/** No unit has answered. */
function isLost(outcome: Outcome<unknown>): outcome is { ok: false; failure: Failure } {
  return !outcome.ok && clientCodes.has(outcome.failure.code);
}

/** A refusal is none where an earlier attempt may have had an effect. */
function known(outcome: Outcome<unknown>, isMaybe: boolean): Outcome<unknown> {
  if (outcome.ok || !isMaybe || outcome.failure.kind === "unknown") return outcome;
  const { code, message } = outcome.failure;
  return failed("OUTCOME_UNKNOWN", `first the connection was lost, then ${code}: ${message}`);
}

function answerOf({ status, body }: HttpResponse): Outcome<unknown> {
  const said: unknown = JSON.parse(body);
  if (status === 200) return ok(said);
  const { error } = said as { readonly error: Failure };
  return { ok: false, failure: failure(error.code, error.message) };
}

/** A routing key that leads to a partition. */
function routeTo(partition: number, partitions: number): string {
  for (let number = 0; ; number++) {
    if (partitionOf(String(number), partitions) === partition) return String(number);
  }
}
