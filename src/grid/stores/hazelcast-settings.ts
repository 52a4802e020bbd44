// Settings of the Hazelcast members that decide what is safe: a client compares its own with those
// that the members state of themselves, and refuses to work where they differ.
// Owns: names and values, their hash, the comparison.
// Does not own: the members' file (deploy/hazelcast/hazelcast.yaml; a test compares it with this),
// reading a member's attributes (the store), why each value is what it is
// (docs/operations/hazelcast.md).
import { createHash } from "node:crypto";

const attributePrefix = "orrery.";
const hashName = "settings";

/**
 * Name → value. A member states each as the attribute `orrery.NAME`, and settingsHash of all as
 * `orrery.settings`.
 */
export const gridSettings: Readonly<Record<string, string>> = {
  // A record lies on three members: two may die at once.
  "backup-count": "2",
  "async-backup-count": "0",
  // Nothing may vanish or be answered from an old copy.
  "eviction-policy": "NONE",
  "time-to-live-seconds": "0",
  "max-idle-seconds": "0",
  "read-backup-data": "false",
  "stale-read-disabled": "true",
  // replaceIfSame compares bytes only in this format.
  "in-memory-format": "BINARY",
  // A write that may lie on one member only is not called done.
  "fail-on-indeterminate-state": "true",
  // A minority refuses, and does so before the others count it as failed.
  "minimum-cluster-size": "2",
  "heartbeat-tolerance-millis": "5000",
  "heartbeat-interval-seconds": "1",
  "max-no-heartbeat-seconds": "10",
  // What a minority kept is thrown away, never mixed into the majority's.
  "merge-policy": "DiscardMergePolicy",
  // Keys are pinned to partitions by number.
  "partition-count": "271",
};

/** SHA-256, hex, of the lines `name=value`, sorted by name. */
export function settingsHash(settings: Readonly<Record<string, string>>): string {
  const lines = Object.keys(settings)
    .sort()
    .map((name) => `${name}=${settings[name] ?? ""}\n`);
  return createHash("sha256").update(lines.join("")).digest("hex");
}

/**
 * What is different between a member's attributes and gridSettings, in one line ("backup-count is
 * 1 on the member, 2 here; …"), or null where all is the same.
 */
export function settingsDifference(attributes: ReadonlyMap<string, string>): string | null {
  const theirHash = attributes.get(attributePrefix + hashName);
  if (theirHash === undefined) {
    return "the member does not state its settings: start it with deploy/hazelcast/hazelcast.yaml";
  }
  const differences: string[] = [];
  for (const [name, here] of Object.entries(gridSettings)) {
    const there = attributes.get(attributePrefix + name);
    if (there === undefined) differences.push(`${name} is not stated by the member, ${here} here`);
    else if (there !== here) differences.push(`${name} is ${there} on the member, ${here} here`);
  }
  for (const [attribute, there] of attributes) {
    const name = attribute.slice(attributePrefix.length);
    if (!attribute.startsWith(attributePrefix) || name === hashName) continue;
    if (!Object.hasOwn(gridSettings, name)) {
      differences.push(`${name} is ${there} on the member, not known here`);
    }
  }
  // Somebody changed values and left the hash, or the other way round.
  if (differences.length === 0 && theirHash !== settingsHash(gridSettings)) {
    differences.push(`the member's settings have the hash ${theirHash}, those here another one`);
  }
  return differences.length === 0 ? null : differences.join("; ");
}
