// Saturation: as many requests as a server answers, over connections that always wait for one.
// Owns: warm-up, the window, counting answers and processor time within it, checking each answer.
// Does not own: latency. In a closed loop a slow server lowers its own load: what is measured is
// throughput and cost, nothing else.
import autocannon from "autocannon";
import { cpuBetween, processCpu, type ProcessCpu } from "./process-cpu.ts";

/** A request by POST, and the requests by GET that follow from its answer. */
export interface PlannedRequest {
  readonly path: string;
  readonly body: string;
  /** How many requests follow an answer, and their paths; fewer paths: the list begins anew. */
  readonly followUps?: {
    readonly count: number;
    paths(answer: string): readonly string[];
  };
}

/** `counted`: what is measured. `fits`: may come besides. `wrong`: the run is invalid. */
export type BodyVerdict = "counted" | "fits" | "wrong";

export interface Load {
  /** Host and port. */
  readonly url: string;
  /** Of the server; its processor time is counted. */
  readonly pid: number;
  readonly connections: number;
  readonly warmUpMs: number;
  readonly windowMs: number;
  /** What one connection sends, again and again. */
  requests(connection: number): readonly PlannedRequest[];
  /** The statuses that answers must have. */
  readonly statuses: readonly number[];
  /** What a body is, whatever its status. */
  verify(body: string): BodyVerdict;
}

export interface SaturationWindow {
  readonly seconds: number;
  /** When it was, on the monotonic clock of the machine. */
  readonly fromUs: number;
  readonly toUs: number;
  /** Answers that counted, within the window. */
  readonly answers: number;
  /** The same, the warm-up included. */
  readonly answersInAll: number;
  /** Answers with a status that must not be, in the warm-up and the window, by status. */
  readonly otherStatus: Readonly<Record<string, number>>;
  /** Answers with a wrong body; connections that broke. */
  readonly wrongBodies: number;
  readonly errors: number;
  /** Of the server, within the window; null: the system does not tell. */
  readonly serverCpu: ProcessCpu | null;
  /** Of this process, in microseconds, within the window. */
  readonly generatorCpuUs: number;
}

const answerSecondsMax = 60;

/** Loads a server, and measures one window after the warm-up. */
export async function saturate(load: Load): Promise<SaturationWindow> {
  let connections = 0;
  let answers = 0;
  const seconds = (load.warmUpMs + load.windowMs) / 1000;
  const instance = autocannon({
    url: load.url,
    method: "POST",
    connections: load.connections,
    // The window ends it; this is for when something hangs.
    duration: seconds + 0.5,
    sampleInt: 100,
    timeout: answerSecondsMax,
    headers: { "content-type": "application/json" },
    setupClient: (client) => {
      client.setRequests(load.requests(connections++).flatMap(withFollowUps));
    },
    verifyBody: (body) => {
      const verdict = load.verify(body);
      if (verdict === "counted") answers += 1;
      return verdict !== "wrong";
    },
  });
  const look = () => ({
    answers,
    atUs: Number(process.hrtime.bigint() / 1000n),
    server: processCpu(load.pid),
    own: process.cpuUsage(),
  });
  await sleep(load.warmUpMs);
  const before = look();
  await sleep(load.windowMs);
  const after = look();
  const result = await instance;
  const others = Object.entries(result.statusCodeStats).flatMap(([status, { count }]) =>
    load.statuses.includes(Number(status)) ? [] : [[status, count] as const],
  );
  return {
    seconds: (after.atUs - before.atUs) / 1_000_000,
    fromUs: before.atUs,
    toUs: after.atUs,
    answers: after.answers - before.answers,
    answersInAll: answers,
    otherStatus: Object.fromEntries(others),
    wrongBodies: result.mismatches,
    errors: result.errors,
    serverCpu:
      before.server === null || after.server === null
        ? null
        : cpuBetween(before.server, after.server),
    generatorCpuUs: after.own.user + after.own.system - before.own.user - before.own.system,
  };
}

/** A request as autocannon wants it, and its follow-ups behind it. */
function withFollowUps({ path, body, followUps }: PlannedRequest): autocannon.Request[] {
  const request = { method: "POST", path, body };
  if (followUps === undefined) return [request];
  const remember = (_status: number, answer: string, context: autocannon.Context) => {
    context["paths"] = followUps.paths(answer);
  };
  const followed = { ...request, onResponse: remember };
  const later = Array.from({ length: followUps.count }, (_, place) => ({
    method: "GET",
    path: "/",
    setupRequest: (planned: autocannon.Request, context: autocannon.Context) => {
      const next = (context["paths"] as readonly string[] | undefined)?.[place];
      return next === undefined ? null : { ...planned, path: next };
    },
  }));
  return [followed, ...later];
}

function sleep(durationMs: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, durationMs);
  });
}
