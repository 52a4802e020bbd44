// Goal: a backlog is full at each of its four limits, and not before.
import { expect, test } from "vitest";
import { limits } from "../../src/base/limits.ts";
import { Backlog } from "../../src/data-pump/backlog.ts";

const { backlogRecordsMax, backlogBytesMax, backlogLaneRecordsMax, backlogLaneBytesMax } = limits;

test.each([
  ["records", { records: backlogRecordsMax - 1, bytes: 0 }, 0],
  ["bytes", { records: 0, bytes: backlogBytesMax - 1 }, 1],
])("D6: a partition is full at its limit of %s, and no other", (_name, almost, bytes) => {
  const backlog = new Backlog();
  backlog.set(0, almost);
  backlog.set(1, { records: 0, bytes: 0 });
  expect(backlog.isFull(0)).toBe(false);
  backlog.add(0, bytes);
  expect([backlog.isFull(0), backlog.isFull(1)]).toEqual([true, false]);
  backlog.set(0, almost);
  expect(backlog.isFull(0)).toBe(false);
});

test.each([
  ["records", backlogLaneRecordsMax, backlogRecordsMax, 0],
  ["bytes", backlogLaneBytesMax, backlogBytesMax, 1],
] as const)(
  "D6: a lane is full at its limit of %s: all partitions",
  (what, laneMax, max, bytes) => {
    const backlog = new Backlog();
    const none = { records: 0, bytes: 0 };
    const partitions = Math.ceil(laneMax / (max - 1));
    let left = laneMax - 1;
    for (let partition = 0; partition < partitions; partition++) {
      const part = Math.min(left, max - 1);
      left -= part;
      backlog.set(partition, { ...none, [what]: part });
    }
    const other = partitions;
    backlog.set(other, none);
    expect(left).toBe(0);
    expect(backlog[what]).toBe(laneMax - 1);
    for (let partition = 0; partition <= other; partition++) {
      expect(backlog.isFull(partition)).toBe(false);
    }
    backlog.add(other, bytes);
    for (let partition = 0; partition <= other; partition++) {
      expect(backlog.isFull(partition)).toBe(true);
    }
    backlog.remove(0);
    expect(backlog.isFull(other)).toBe(false);
  },
);
