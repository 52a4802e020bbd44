// Scenario: what `npm run bench` can measure, and what a measurement gives back.
// Owns: the shapes. Does not own: the scenarios, the command line (main.ts), what becomes of a
// result (src/report).
import type { Chart, Goal, Sample } from "../src/report/report.ts";

export interface ScenarioOptions {
  /** Rounds A B A B …; every candidate is measured once in each. */
  readonly rounds: number;
  /** A short run that only shows that it works; its figures mean nothing. */
  readonly smoke: boolean;
  /** A folder for data, removed afterwards. */
  readonly folder: string;
  /** Tells a person how far it is. */
  progress(line: string): void;
}

export interface ScenarioResult {
  /** Why the figures must not be used; none: they may. */
  readonly problems: readonly string[];
  /** For a person: tables and what is to be known with them. */
  readonly report: string;
  /** For the JSON file; what JSON cannot hold as it is (NaN, a Map) does not belong here. */
  readonly figures: object;
  /** Whether what was to be reached was reached (src/report/verdict.ts judges). */
  readonly goals: readonly Goal[];
  /** What two trees are compared by (`compare`): one value for each round that counts. */
  readonly samples: readonly Sample[];
  readonly charts: readonly Chart[];
  /** What decided chance, by its purpose. */
  readonly seeds?: Readonly<Record<string, number>>;
}

export interface Scenario {
  readonly name: string;
  /** One line: what it measures. */
  readonly summary: string;
  /** How long it takes with the default rounds, in words. */
  readonly takes: string;
  readonly roundsDefault: number;
  run(options: ScenarioOptions): Promise<ScenarioResult>;
}

/** A table in plain text; the first column is left-aligned. */
export function textTable(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [column, cell] of row.entries()) {
      widths[column] = Math.max(widths[column] ?? 0, cell.length);
    }
  }
  const lines = rows.map((row) =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return column === 0 ? cell.padEnd(width) : cell.padStart(width);
      })
      .join("  "),
  );
  return lines.join("\n");
}
