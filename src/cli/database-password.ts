// Database password: kept in a file of its own, so that an address can be shown and written down.
// Owns: putting both together, and what is wrong with either. Does not own: the address's other
// parts (data-pump/database-url.ts).
import { readFileSync } from "node:fs";
import { failed, ok, type Outcome } from "../base/failure.ts";

/** The address with the password that the file's first line is; CONFIG_INVALID says what to do. */
export function withPassword(address: string, file: string | undefined): Outcome<string> {
  if (file === undefined) return ok(address);
  const url = /^postgres(?:ql)?:/.test(address) ? URL.parse(address) : null;
  if (url === null || url.username === "" || url.password !== "") {
    return failed(
      "CONFIG_INVALID",
      "--database-password-file goes with --database postgres://USER@HOST:PORT/DATABASE, " +
        "an address with a user and without a password",
    );
  }
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return failed("CONFIG_INVALID", `the file of the database's password cannot be read: ${why}`);
  }
  const password = text.split(/\r?\n/, 1)[0] ?? "";
  if (password === "") {
    return failed("CONFIG_INVALID", `the first line of ${file} is empty: write the password there`);
  }
  url.password = encodeURIComponent(password);
  return ok(url.href);
}
