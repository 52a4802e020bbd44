// Runs a program of this machine to its end.
// Owns: the error that says what it printed. Does not own: long-lived processes.
import { execFile } from "node:child_process";

/** What the program printed. Throws an Error with its last lines where it fails or is missing. */
export function runProgram(program: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(program, args, { maxBuffer: 16 * 1024 * 1024 }, (error, stdout, stderr) => {
      if (error === null) {
        resolve(stdout);
        return;
      }
      const said = `${stdout}\n${stderr}`.trim().split("\n").slice(-5).join("\n");
      const command = [program, ...args].join(" ");
      reject(new Error(`${command}: ${said || error.message}`, { cause: error }));
    });
  });
}
