// Lane database: what a lane says of its way to the database, and when it raises the alarm.
// Owns: the status made of the pump's, the alarms. Does not own: the numbers and the dead letters
// (data-pump), who is told (lane-monitor.ts, lane-worker.ts).
import { limits } from "../base/limits.ts";
import type { PumpStatus } from "../data-pump/pump-status.ts";
import type { DatabaseAlarm, LaneDatabaseStatus } from "./unit-status.ts";

/** The pump's status as a lane tells it. */
export function databaseStatus({ problem, syncTime, ...status }: PumpStatus): LaneDatabaseStatus {
  return {
    ...status,
    problem: problem?.message ?? null,
    syncTime: syncTime.toCounts(),
    alarms: databaseAlarms({ ...status, problem }),
  };
}

type Watched = Pick<PumpStatus, "backlogRecords" | "room" | "problem" | "deadLetters">;

/** What a person should know of: each names what it is, and how long the room lasts. */
export function databaseAlarms(status: Watched): DatabaseAlarm[] {
  const { backlogRecords, room, problem, deadLetters } = status;
  const alarms: DatabaseAlarm[] = [];
  const waiting = `${String(backlogRecords)} records wait`;
  if (problem !== null) {
    const message = `the database cannot be written (${problem.message}): ${waiting}`;
    alarms.push({ kind: "away", message: `${message}, ${roomText(room)}` });
  }
  if (room.records === 0 || room.bytes === 0) {
    const message = `the backlog is full: ${waiting}, changes are refused until the database has some`;
    alarms.push({ kind: "full", message });
  } else if (problem === null && isTight(room)) {
    const message = `the database is slower than what is journaled: ${waiting}, ${roomText(room)}`;
    alarms.push({ kind: "behind", message });
  }
  if (deadLetters > 0) {
    const message = `the database refused content: ${String(deadLetters)} dead letters`;
    alarms.push({ kind: "letters", message: `${message}; orrery dead-letters list` });
  }
  return alarms;
}

function isTight({ records, bytes }: PumpStatus["room"]): boolean {
  return records < limits.backlogRecordsMax / 2 || bytes < limits.backlogBytesMax / 2;
}

function roomText({ records, bytes, msLeft }: PumpStatus["room"]): string {
  const room = `there is room for ${String(records)} more or ${String(bytes >> 20)} MiB`;
  return msLeft === null ? room : `${room}, which lasts about ${durationText(msLeft)}`;
}

function durationText(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 120) return `${String(Math.round(seconds))} s`;
  if (seconds < 7200) return `${String(Math.round(seconds / 60))} min`;
  return `${String(Math.round(seconds / 3600))} h`;
}
