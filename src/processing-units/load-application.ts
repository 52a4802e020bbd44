// Loading an application: from the URL of its module, in the main thread and in every lane.
// Owns: the import and the checks that a whole application must pass. Does not own: its options.
import { assert } from "../base/assert.ts";
import type { Table } from "../data-pump/table.ts";
import type { Application, ApplicationFactory } from "./application.ts";

/** A module whose default export is an ApplicationFactory, and the options for it. */
export interface ApplicationSource {
  readonly module: string;
  readonly options: unknown;
}

/** The application of a module. Throws where two spaces have one name, or tables are shared. */
export async function loadApplication(source: ApplicationSource): Promise<Application> {
  const loaded = (await import(source.module)) as { default: ApplicationFactory };
  const application = loaded.default(source.options);
  const names = new Set(application.spaces.map(({ name }) => name));
  assert(names.size === application.spaces.length, "each space of an application has its name");
  const tables = [...tablesOf(application).values()].map(({ name }) => name);
  assert(new Set(tables).size === tables.length, "each table belongs to one space");
  return application;
}

/** The tables of an application's spaces, by space. */
export function tablesOf(application: Application): Map<string, Table> {
  const tables = new Map<string, Table>();
  for (const space of application.spaces) {
    if (space.table !== null) tables.set(space.name, space.table);
  }
  return tables;
}
