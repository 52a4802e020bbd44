// Compose file: docker-compose.yml as a test reads it: parsed, with the defaults of its variables,
// and checked to have the shape that the tests rely on.
// Owns: reading. Does not own: what must be true of it (compose.test.ts).
import { readFileSync } from "node:fs";
import { Type, type Static } from "typebox";
import { Compile } from "typebox/compile";
import { parse } from "yaml";
import { repositoryRoot } from "../support/repository-files.ts";

const serviceSchema = Type.Object({
  image: Type.String(),
  build: Type.Optional(Type.String()),
  hostname: Type.Optional(Type.String()),
  entrypoint: Type.Optional(Type.Array(Type.String())),
  command: Type.Optional(Type.Array(Type.String())),
  environment: Type.Optional(Type.Record(Type.String(), Type.String())),
  dns_opt: Type.Optional(Type.Array(Type.String())),
  networks: Type.Optional(Type.Array(Type.String())),
  ports: Type.Optional(Type.Array(Type.String())),
  volumes: Type.Optional(Type.Array(Type.String())),
  restart: Type.Optional(Type.String()),
  stop_grace_period: Type.Optional(Type.String({ pattern: "^\\d+s$" })),
  depends_on: Type.Optional(Type.Record(Type.String(), Type.Object({ condition: Type.String() }))),
  healthcheck: Type.Optional(Type.Object({ test: Type.Array(Type.String()) })),
});

const composeSchema = Type.Object({
  services: Type.Record(Type.String(), serviceSchema),
  networks: Type.Record(
    Type.String(),
    Type.Union([Type.Null(), Type.Object({ internal: Type.Boolean() })]),
  ),
  volumes: Type.Record(Type.String(), Type.Null()),
});

export type ComposeService = Static<typeof serviceSchema>;
export type ComposeFile = Static<typeof composeSchema>;

const compiled = Compile(composeSchema);

export const composeText = readFileSync(`${repositoryRoot}docker-compose.yml`, "utf8");

/** The file, with `${NAME:-default}` replaced by the default. */
export function readComposeFile(): ComposeFile {
  const text = composeText.replaceAll(/\$\{\w+:-([^}]*)\}/g, "$1");
  const file: unknown = parse(text, { merge: true });
  if (compiled.Check(file)) return file;
  const wrong = compiled.Errors(file).map((error) => `${error.instancePath} ${error.message}`);
  throw new Error(`docker-compose.yml: ${wrong.join("; ")}`);
}
