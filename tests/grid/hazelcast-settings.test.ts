// Goal: the members' file, what the members state of themselves, and what a client expects are the
// same; a difference is named. Method: the file is read as text; made-up attributes.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import {
  gridSettings,
  settingsDifference,
  settingsHash,
} from "../../src/grid/stores/hazelcast-settings.ts";
import { repositoryRoot } from "../support/repository-files.ts";

/** Where the file has each setting, as a path. */
const places: Record<keyof typeof gridSettings, string> = {
  "backup-count": "map.grid*.backup-count",
  "async-backup-count": "map.grid*.async-backup-count",
  "eviction-policy": "map.grid*.eviction.eviction-policy",
  "time-to-live-seconds": "map.grid*.time-to-live-seconds",
  "max-idle-seconds": "map.grid*.max-idle-seconds",
  "read-backup-data": "map.grid*.read-backup-data",
  "stale-read-disabled": "properties.hazelcast.partition.migration.stale.read.disabled",
  "in-memory-format": "map.grid*.in-memory-format",
  "fail-on-indeterminate-state": "properties.hazelcast.operation.fail.on.indeterminate.state",
  "minimum-cluster-size": "split-brain-protection.majority.minimum-cluster-size",
  "heartbeat-tolerance-millis":
    "split-brain-protection.majority.recently-active-split-brain-protection.heartbeat-tolerance-millis",
  "heartbeat-interval-seconds": "properties.hazelcast.heartbeat.interval.seconds",
  "max-no-heartbeat-seconds": "properties.hazelcast.max.no.heartbeat.seconds",
  "merge-policy": "map.grid*.merge-policy.class-name",
  "partition-count": "properties.hazelcast.partition.count",
};

/** Path → value, of a file that has only nested maps and simple values. */
function readSettings(): Map<string, string> {
  const settings = new Map<string, string>();
  const path: string[] = [];
  for (const line of readFileSync(`${repositoryRoot}deploy/hazelcast/hazelcast.yaml`, "utf8").split(
    "\n",
  )) {
    const {
      indent = "",
      name,
      value = "",
    } = /^(?<indent> *)(?<name>[^#:\s][^:]*):(?: (?<value>.+))?$/.exec(line)?.groups ?? {};
    if (name === undefined) continue;
    const depth = indent.length / 2;
    path.splice(depth, path.length, name.replaceAll('"', ""));
    if (value !== "") settings.set(path.slice(1).join("."), value.replaceAll('"', ""));
  }
  return settings;
}

const file = readSettings();

/** What a member that was started with the file states. */
function attributes(): Map<string, string> {
  const stated = new Map<string, string>();
  for (const [path, value] of file) {
    const name = /^member-attributes\.(orrery\..+)\.value$/.exec(path)?.[1];
    if (name !== undefined) stated.set(name, value);
  }
  return stated;
}

test("the members' file says what the client expects, where Hazelcast reads it", () => {
  const found = Object.keys(gridSettings).map((name) => [name, file.get(places[name] ?? "")]);
  expect(Object.fromEntries(found)).toEqual(gridSettings);
  expect(file.get("map.grid*.split-brain-protection-ref")).toBe("majority");
  expect(file.get("split-brain-protection.majority.enabled")).toBe("true");
  expect(file.get("properties.hazelcast.phone.home.enabled")).toBe("false");
  expect(file.get("network.join.multicast.enabled")).toBe("false");
});

test("the members state the same, with its hash", () => {
  const stated = attributes();
  expect(stated.get("orrery.settings")).toBe(settingsHash(gridSettings));
  expect(stated.size).toBe(Object.keys(gridSettings).length + 1);
  expect(settingsDifference(stated)).toBeNull();
});

test("the hash depends on every value, and not on the order", () => {
  const reversed = Object.fromEntries(Object.entries(gridSettings).reverse());
  expect(settingsHash(reversed)).toBe(settingsHash(gridSettings));
  for (const name of Object.keys(gridSettings)) {
    expect(settingsHash({ ...gridSettings, [name]: "another" })).not.toBe(
      settingsHash(gridSettings),
    );
  }
});

test("a difference is named: another value, one not stated, one not known, all of them", () => {
  const other = attributes().set("orrery.backup-count", "1").set("orrery.colour", "red");
  other.delete("orrery.merge-policy");
  expect(settingsDifference(other)).toBe(
    "backup-count is 1 on the member, 2 here; " +
      "merge-policy is not stated by the member, DiscardMergePolicy here; " +
      "colour is red on the member, not known here",
  );
  expect(settingsDifference(new Map([["zone", "a"]]))).toMatch(/^the member does not state its/);
  expect(settingsDifference(attributes().set("zone", "a"))).toBeNull();
});

test("a hash that does not fit is a difference, too", () => {
  const stale = attributes().set("orrery.settings", "0123");
  expect(settingsDifference(stale)).toMatch(/have the hash 0123/);
});
