// Report: what a run that measures or judges leaves behind, as data.
// Owns: its shape, the check against it when it is written and when it is read, its hash. Does not
// own: what is measured, the page for people (report-page.ts).
// Invariants (docs/invariants.md):
//   V1. A report that does not fit its schema is neither written nor read.
import { createHash } from "node:crypto";
import { Type, type Static } from "typebox";
import { Compile } from "typebox/compile";
import { assert } from "../base/assert.ts";
import { failed, ok, type Outcome } from "../base/failure.ts";

const numbers = Type.Array(Type.Number());

/** What was to be reached, and whether it was. */
export type Goal = Static<typeof goal>;
const goal = Type.Object({
  name: Type.String(),
  /** In words: "at least 0.8". */
  goal: Type.String(),
  measured: Type.String(),
  verdict: Type.Union([Type.Literal("met"), Type.Literal("missed"), Type.Literal("cannot tell")]),
  why: Type.String(),
});

/** A figure that was measured once in each round. */
export type Sample = Static<typeof sample>;
const sample = Type.Object({
  name: Type.String(),
  /** Empty: a plain number, as a ratio is. */
  unit: Type.String(),
  better: Type.Union([Type.Literal("more"), Type.Literal("less")]),
  /** One for each round, in their order. */
  values: numbers,
});

/** Numbers on the x axis give lines, names give bars. */
export type Chart = Static<typeof chart>;
const chart = Type.Object({
  title: Type.String(),
  xLabel: Type.String(),
  x: Type.Union([numbers, Type.Array(Type.String())]),
  yLabel: Type.String(),
  /** The y axis counts in powers of ten; values must be above 0. */
  isLog: Type.Optional(Type.Boolean()),
  /** Each has a value for each of x; null: none was measured. */
  series: Type.Array(
    Type.Object({
      name: Type.String(),
      values: Type.Array(Type.Union([Type.Number(), Type.Null()])),
    }),
  ),
});

/** How long fixed pieces of work took beside a window, and what else the machine did. */
export type ReportedProbe = Static<typeof probe>;
const probe = Type.Object({
  /** Since the run began. */
  atMs: Type.Number(),
  aluMs: Type.Number(),
  memoryMs: Type.Number(),
  load1: Type.Number(),
  /** Share of the last ten seconds in which something waited for a processor; null: not told. */
  cpuPressurePercent: Type.Union([Type.Number(), Type.Null()]),
  /** Since the probe before; null: not told. */
  idlePercent: Type.Union([Type.Number(), Type.Null()]),
  /** Taken by others on the same host, since the probe before; null: not told. */
  stealPercent: Type.Union([Type.Number(), Type.Null()]),
});

const contentProperties = {
  /** Of this format. */
  version: Type.Literal(1),
  scenario: Type.String(),
  summary: Type.String(),
  /** ISO 8601. */
  startedAt: Type.String(),
  tookMs: Type.Number(),
  smoke: Type.Boolean(),
  rounds: Type.Integer({ minimum: 1 }),
  /** False: the figures must not be used, for the reasons in `problems`. */
  valid: Type.Boolean(),
  problems: Type.Array(Type.String()),
  commit: Type.String(),
  /** What decided chance, by its purpose; what is not here was not seeded. */
  seeds: Type.Record(Type.String(), Type.Number()),
  environment: Type.Record(Type.String(), Type.Union([Type.String(), Type.Number()])),
  goals: Type.Array(goal),
  samples: Type.Array(sample),
  charts: Type.Array(chart),
  probes: Type.Array(probe),
  /** For a person: tables in plain text, and what is not measured. */
  text: Type.String(),
  /** What the scenario knows beyond all that; each has its own shape. */
  figures: Type.Record(Type.String(), Type.Unknown()),
};

export type Report = Static<typeof report>;
/** A report without its hash. */
export type ReportContent = Omit<Report, "hash">;
const report = Type.Object({ ...contentProperties, hash: Type.String() });

const compiled = Compile(report);

const hashDigits = 16;

/** Adds the hash of all the rest. A report that does not fit its schema is a bug (V1). */
export function sealReport(made: ReportContent): Report {
  // As it will be read: what JSON leaves out or changes must not count.
  const sealed = { ...made, hash: hashOf(made) };
  const problem = problemOf(sealed);
  assert(problem === null, () => `not a report: ${String(problem)}`);
  return sealed;
}

/** The file: indented JSON. */
export function formatReport(sealed: Report): string {
  return `${JSON.stringify(sealed, null, 2)}\n`;
}

/**
 * Reads a report's file. Fails with REPORT_INVALID (terminal) where it is none: no JSON, of another
 * shape, or changed since it was sealed.
 */
export function parseReport(text: string): Outcome<Report> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return failed("REPORT_INVALID", "it is no JSON");
  }
  if (!compiled.Check(parsed))
    return failed("REPORT_INVALID", problemOf(parsed) ?? "it does not fit");
  const { hash, ...rest } = parsed;
  if (hashOf(rest) !== hash) {
    return failed("REPORT_INVALID", "its hash is another: it was changed by hand");
  }
  return ok(parsed);
}

const comparable = Compile(
  Type.Object({
    valid: Type.Boolean(),
    problems: Type.Array(Type.String()),
    samples: Type.Array(sample),
  }),
);

/**
 * Reads only what trees are compared by: a report of another tree may have another shape
 * otherwise. Fails with REPORT_INVALID (terminal) where samples are not there.
 */
export function parseSamples(
  text: string,
): Outcome<Pick<Report, "valid" | "problems" | "samples">> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return failed("REPORT_INVALID", "it is no JSON");
  }
  if (comparable.Check(parsed)) return ok(parsed);
  return failed("REPORT_INVALID", "it has no samples to compare: the tree is older than they are");
}

function hashOf(made: object): string {
  return createHash("sha256").update(JSON.stringify(made)).digest("hex").slice(0, hashDigits);
}

/** What is wrong with a report, in words; null: nothing. */
function problemOf(made: unknown): string | null {
  const [first] = compiled.Errors(made);
  if (first === undefined) return null;
  return `${first.instancePath === "" ? "it" : first.instancePath} ${first.message}`;
}
