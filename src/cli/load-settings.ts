// Load settings: what `orrery load` can be told: flags, ORRERY_LOAD_… variables, defaults, help.
// Owns: their names, meanings, and the load that they describe. Does not own: the load (src/load).
import { readFileSync } from "node:fs";
import { Option, type Command } from "commander";
import { failed, type Outcome, ok } from "../base/failure.ts";
import { limits } from "../base/limits.ts";
import { httpMethods, type HttpMethod } from "../load/http-client.ts";
import { checkLoadSpec, spacings, type LoadSpec, type Spacing } from "../load/load-spec.ts";
import { parseRateProfile } from "../load/rate-profile.ts";
import { duration, wholeNumber } from "./settings.ts";

export interface LoadSettings {
  readonly rate: number;
  /** Milliseconds. */
  readonly for: number;
  readonly profile?: string;
  readonly spacing: Spacing;
  readonly seed: number;
  readonly method?: HttpMethod;
  readonly header: readonly string[];
  readonly body?: string;
  readonly bodyLines?: string;
  readonly connections: number;
  readonly inFlight: number;
  readonly deadlineMs: number;
  readonly json?: string;
  readonly html?: string;
}

const connectionsDefault = 128;
const durationMsDefault = 10_000;

function setting(name: string, flags: string, help: string): Option {
  return new Option(flags, help).env(`ORRERY_LOAD_${name}`);
}

function count(name: string, flags: string, help: string, most: number, value: number): Option {
  return setting(name, flags, help).argParser(wholeNumber(1, most)).default(value);
}

function gather(header: string, before: readonly string[]): string[] {
  return [...before, header];
}

/** Gives the command its settings. */
export function withLoadSettings(command: Command): Command {
  const { loadRateMax, loadConnectionsMax, loadInFlightMax, loadDeadlineMsMax } = limits;
  const options = [
    count("RATE", "--rate <n>", "requests a second, whatever the answers do", loadRateMax, 1000),
    setting("FOR", "--for <duration>", "how long: 30s, 5m, …")
      .argParser(duration)
      .default(durationMsDefault, "10s"),
    setting(
      "PROFILE",
      "--profile <steps>",
      "instead of --rate and --for, rates in turn: 10s:1000,5s:1000..3000,10s:1000 " +
        "(two rates: evenly from one to the other)",
    ).conflicts(["rate", "for"]),
    setting("SPACING", "--spacing <kind>", "poisson: as independent senders; fixed: evenly")
      .choices(spacings)
      .default("poisson"),
    setting("SEED", "--seed <n>", "decides the moments of a poisson load")
      .argParser(wholeNumber(0, 0xffff_ffff))
      .default(1),
    setting("METHOD", "--method <name>", "default: GET, or POST where there is a body").choices(
      httpMethods,
    ),
    setting("HEADER", "--header <line>", "a header, as NAME: VALUE; may be given several times")
      .argParser(gather)
      .default([], "content-type: application/json where there is a body"),
    setting("BODY", "--body <file>", "the body of each request"),
    setting(
      "BODY_LINES",
      "--body-lines <file>",
      "bodies, one a line, sent in turn, and after the last the first again",
    ).conflicts("body"),
    count(
      "CONNECTIONS",
      "--connections <n>",
      "connections, kept open; each has one request under way",
      loadConnectionsMax,
      connectionsDefault,
    ),
    count(
      "IN_FLIGHT",
      "--in-flight <n>",
      "requests under way at most; what is due beyond them is counted as not sent",
      loadInFlightMax,
      loadInFlightMax,
    ),
    count(
      "DEADLINE_MS",
      "--deadline-ms <n>",
      "milliseconds after which an answer is given up, and counts with that time",
      loadDeadlineMsMax,
      limits.loadDeadlineMs,
    ),
    setting("JSON", "--json <file>", "write the result there, second by second"),
    setting("HTML", "--html <file>", "write the result there as a page with charts"),
  ];
  for (const option of options) command.addOption(option);
  return command.addHelpText("after", `\n${loadHelp}`);
}

const loadHelp = `Requests leave when their plan says so, whatever the answers do. The response time begins at
the planned moment, the service time when the request leaves. Ctrl-C ends it with the result
of what was done. Exit code 1: nothing was measured, or this generator was the bottleneck.

To ws://…, a body is a message on a connection that stays open, and the next message its answer;
without bodies each request is a page that connects, waits for its first message, and leaves.

Each option can be set as a variable too: --deadline-ms is ORRERY_LOAD_DEADLINE_MS.`;

/**
 * The load that the settings describe. CONFIG_INVALID says what is wrong with them; throws the
 * system's error where a file cannot be read.
 */
export function loadSpecOf(target: string, settings: LoadSettings): Outcome<LoadSpec> {
  const { rate, profile, spacing, seed, header, connections, inFlight, deadlineMs } = settings;
  const steps =
    profile === undefined
      ? ok([{ durationMs: settings.for, ratePerSecond: rate }])
      : parseRateProfile(profile);
  if (!steps.ok) return steps;
  const bodies = bodiesOf(settings);
  if (settings.bodyLines !== undefined && bodies.length === 0) {
    return failed("CONFIG_INVALID", `${settings.bodyLines} has no lines: write a body on each`);
  }
  const hasType = header.some((line) => /^content-type:/i.test(line));
  const needsType = bodies.length > 0 && !hasType && !target.startsWith("ws:");
  const type = needsType ? ["content-type: application/json"] : [];
  const spec: LoadSpec = {
    url: target,
    method: settings.method ?? (bodies.length > 0 ? "POST" : "GET"),
    headers: [...header, ...type],
    bodies,
    steps: steps.value,
    spacing,
    seed,
    connections,
    inFlightMax: inFlight,
    deadlineMs,
  };
  const checked = checkLoadSpec(spec);
  return checked.ok ? ok(spec) : checked;
}

function bodiesOf({ body, bodyLines }: LoadSettings): string[] {
  if (body !== undefined) return [readFileSync(body, "utf8")];
  if (bodyLines === undefined) return [];
  return readFileSync(bodyLines, "utf8")
    .split(/\r?\n/)
    .filter((line) => line !== "");
}
