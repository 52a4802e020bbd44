// Lane log: JSON lines for operators, from the main thread and from every lane alike.
// Owns: where they go. Does not own: metrics, or what a user is told on a terminal.
import { destination, pino, type Logger } from "pino";

/** A logger; `file` null means standard output. Lines are appended whole, from every thread. */
export function openLog(file: string | null, level: string, name: string): Logger {
  const stream = destination({ ...(file === null ? { fd: 1 } : { dest: file }), sync: true });
  return pino({ level, base: { name } }, stream);
}
