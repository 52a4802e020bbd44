// Entries application: entries of about 100 bytes by the thousand, for what depends on how many
// there are. Owns: its one space and its commands. A routing key names its partition.
import { Type } from "typebox";
import { partitionOf } from "../src/base/murmur3.ts";
import { command, space, type Application } from "../src/processing-units/application.ts";

const entries = space<{ readonly text: string; readonly count: number }>({
  name: "entries",
});

/** With its key and its name in the log an entry of these takes about 100 bytes. */
const text = "x".repeat(64);

const Fill = Type.Object({ route: Type.String(), from: Type.Integer(), count: Type.Integer() });
const Touch = Type.Object({ route: Type.String(), entry: Type.Integer() });

export const entriesApplication: Application = {
  name: "entries",
  spaces: [entries],
  commands: {
    fill: command({
      input: Fill,
      routeBy: ({ route }) => route,
      handle(tx, { from, count }) {
        for (let entry = from; entry < from + count; entry++) {
          tx.put(entries, `entry-${String(entry)}`, { text, count: 0 });
        }
        return null;
      },
    }),
    touch: command({
      input: Touch,
      routeBy: ({ route }) => route,
      handle(tx, { entry }) {
        const key = `entry-${String(entry)}`;
        const count = (tx.get(entries, key)?.count ?? 0) + 1;
        tx.put(entries, key, { text, count });
        return count;
      },
    }),
    read: command({
      input: Touch,
      routeBy: ({ route }) => route,
      handle: (tx, { entry }) => tx.get(entries, `entry-${String(entry)}`)?.count ?? 0,
    }),
  },
};

/** A routing key for each partition. */
export function routes(partitions: number): string[] {
  const found = new Map<number, string>();
  for (let key = 0; found.size < partitions; key++) {
    const partition = partitionOf(String(key), partitions);
    if (!found.has(partition)) found.set(partition, String(key));
  }
  return Array.from({ length: partitions }, (_, partition) => found.get(partition) ?? "");
}
