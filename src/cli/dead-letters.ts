// Dead letters: the commands that list, show, retry and drop what the database refused.
// Owns: what is printed. Does not own: the letters (src/data-pump/dead-letters.ts).
import { failure, FailureError, unwrap } from "../base/failure.ts";
import { systemTimers } from "../base/timers.ts";
import { DeadLetters, type LetterAct, type StoredLetter } from "../data-pump/dead-letters.ts";
import { applicationTables, withDatabase } from "./admin-database.ts";
import type { Settings } from "./settings.ts";

/** So many of the newest letters are listed. */
const listedMax = 100;

function withLetters<T>(
  settings: Settings,
  work: (letters: DeadLetters) => Promise<T>,
): Promise<T> {
  return withDatabase(settings, (database) => {
    return work(new DeadLetters({ database, tables: applicationTables, timers: systemTimers }));
  });
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function counted(count: number): string {
  return count === 1 ? "1 letter" : `${String(count)} letters`;
}

function listed({ id, at, partition, position, space, key, reason }: StoredLetter): string {
  const place = `partition ${String(partition)} record ${String(position)}`;
  const why = reason ?? "follows an earlier letter of its key";
  return `${String(id)}  ${at}  ${place}  ${space} ${key}: ${why.replaceAll(/\s+/g, " ")}`;
}

/** The newest letters, one a line, newest first. */
export async function listLetters(settings: Settings): Promise<void> {
  const { total, letters } = await withLetters(settings, async (dead) => {
    return unwrap(await dead.list(listedMax));
  });
  for (const letter of letters) print(listed(letter));
  const rest = total > letters.length ? `, the newest ${String(letters.length)} of them above` : "";
  print(total === 0 ? "there are no dead letters" : `${counted(total)}${rest}`);
}

/** One letter with its value, as JSON; whole numbers of more than 53 bits as text. */
export async function showLetter(settings: Settings, id: number): Promise<void> {
  const letter = await withLetters(settings, async (dead) => unwrap(await dead.show(id)));
  const exact = (_name: string, part: unknown) => (typeof part === "bigint" ? String(part) : part);
  print(JSON.stringify(letter, exact, 2));
}

function acted(verb: string, { space, key, letters, left }: LetterAct): string {
  const parked =
    left === 0 ? "its changes are written again" : `${counted(left)} left, it stays parked`;
  return `${verb}: ${counted(letters)} of ${space} ${key}; ${parked}`;
}

/** Retries the letters of that one's key; null: those of every key. Says what became of each. */
export async function retryLetters(settings: Settings, id: number | null): Promise<void> {
  if (id !== null) {
    const act = await withLetters(settings, async (dead) => unwrap(await dead.retry(id)));
    print(acted("retried", act));
    return;
  }
  const { keys, acts } = await withLetters(settings, async (dead) => {
    return unwrap(await dead.retryAll());
  });
  for (const act of acts) {
    if (act.ok) print(acted("retried", act.value));
    else
      print(
        `${act.failure.kind === "unknown" ? "unknown" : "not retried"}: ${act.failure.message}`,
      );
  }
  if (keys === 0) print("there are no dead letters");
  const fault = acts.findLast((act) => !act.ok)?.failure;
  if (fault === undefined) return;
  const done = acts.filter((act) => act.ok).length;
  const message = `${String(done)} of ${String(keys)} keys were retried, the last failure: ${fault.message}`;
  throw new FailureError(failure(fault.code, message));
}

/** Takes one letter away for good: its change will never be in its table. */
export async function dropLetter(settings: Settings, id: number): Promise<void> {
  const act = await withLetters(settings, async (dead) => unwrap(await dead.drop(id)));
  print(acted("dropped", act));
}
