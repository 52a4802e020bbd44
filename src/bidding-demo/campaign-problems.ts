// Campaign problems: what is wrong with a campaigns file, in words for who wrote it.
// Owns: the wording: which campaign, which field, what is allowed there. Does not own: the rules
// (campaign.ts); what a field allows is its schema's description.
import type { TSchema } from "typebox";
import type { TLocalizedValidationError } from "typebox/error";

/** One line for each error of a schema check of `value`, a list of campaigns. */
export function schemaProblems(
  schema: TSchema,
  value: unknown,
  errors: readonly TLocalizedValidationError[],
): string[] {
  const problems = errors.flatMap((error) => {
    const [index, ...fields] = error.instancePath.split("/").slice(1);
    const where = index === undefined ? "" : `${campaignName(value, Number(index))}, `;
    const rule = schemaAt(schema, error.instancePath);
    if (error.keyword === "additionalProperties") {
      const known = Object.keys(propertiesOf(rule)).join(", ");
      return error.params.additionalProperties.map(
        (name) =>
          `${where}field ${[...fields, name].join(".")}: is not known; known here: ${known}`,
      );
    }
    if (error.keyword === "required") {
      return error.params.requiredProperties.map(
        (name) =>
          `${where}field ${[...fields, name].join(".")}: is missing; ` +
          `it must be ${describe(propertiesOf(rule)[name])}`,
      );
    }
    // Comes with each unknown field, which is reported already.
    if (error.keyword === "boolean") return [];
    return [where + fieldProblem(fields.join("."), rule, valueAt(value, error.instancePath))];
  });
  // A value may break several rules of its schema; the line is the same for each.
  return [...new Set(problems)];
}

/** "field bidCpm: must be …; it is …" */
export function fieldProblem(field: string, rule: TSchema, found: unknown): string {
  const shown = found === undefined ? "missing" : JSON.stringify(found);
  const short = shown.length > 60 ? `${shown.slice(0, 60)}…` : shown;
  const name = field === "" ? "" : `field ${field}: `;
  return `${name}must be ${describe(rule)}; it is ${short}`;
}

/** A campaign by its place in the list and, where it has one, its id. */
export function campaignName(campaigns: unknown, index: number): string {
  const campaign: unknown = Array.isArray(campaigns) ? campaigns[index] : undefined;
  const id = isObject(campaign) ? campaign["id"] : undefined;
  return typeof id === "string" ? `campaigns[${index}] ("${id}")` : `campaigns[${index}]`;
}

function schemaAt(root: TSchema, path: string): TSchema {
  let schema = root;
  for (const step of path.split("/").slice(1)) {
    const items: unknown = "items" in schema ? schema["items"] : undefined;
    schema = isObject(items) ? items : (propertiesOf(schema)[step] ?? {});
  }
  return schema;
}

function propertiesOf(schema: TSchema): Record<string, TSchema> {
  const found: unknown = "properties" in schema ? schema["properties"] : undefined;
  return isObject(found) ? (found as Record<string, TSchema>) : {};
}

function describe(schema: TSchema | undefined): string {
  const text: unknown = schema !== undefined && "description" in schema && schema["description"];
  return typeof text === "string" ? text : "something else";
}

function valueAt(value: unknown, path: string): unknown {
  let found = value;
  for (const step of path.split("/").slice(1)) found = isObject(found) ? found[step] : undefined;
  return found;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
