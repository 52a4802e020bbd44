// Goal: a password from a file reaches the database whole, whatever it is made of, and what cannot
// be used is refused before anything starts. Method: files in a folder; the driver's own reading of
// an address (percent signs decoded) gives the password back.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
import { withPassword } from "../../src/cli/database-password.ts";
import { parseDatabaseUrl } from "../../src/data-pump/database-url.ts";
import { testFolder } from "../end-to-end/support/test-folder.ts";

const address = "postgres://orrery@database:5432/orrery?sslmode=require";

let file: string;
beforeAll(async () => {
  file = join(await testFolder(), "password");
});

function withFile(text: string, given = address) {
  writeFileSync(file, text);
  return withPassword(given, file);
}

test("the first line is the password, character by character", () => {
  const passwords = fc.string({ unit: "binary", minLength: 1 }).filter((text) => {
    return !/[\r\n]/.test(text);
  });
  fc.assert(
    fc.property(passwords, fc.constantFrom("", "\n", "\r\n", "\nmore"), (password, rest) => {
      const outcome = withFile(password + rest);
      const url = new URL(outcome.ok ? outcome.value : "");
      expect(decodeURIComponent(url.password)).toBe(password);
      url.password = "";
      expect(url.href).toBe(address);
    }),
  );
});

test("the password is in no text that is shown", () => {
  const outcome = withFile("hidden");
  const parsed = parseDatabaseUrl(outcome.ok ? outcome.value : "");
  const shown = parsed.ok && parsed.value.kind === "postgres" ? parsed.value.shown : null;
  expect(shown).toBe("postgres://orrery@database:5432/orrery");
});

test("without a file the address stays as it is", () => {
  expect(withPassword("none:", undefined)).toEqual({ ok: true, value: "none:" });
});

test.each([
  ["no database", "x", "none:"],
  ["a database of its own", "x", "embedded:./data"],
  ["two passwords", "x", "postgres://orrery:other@database/orrery"],
  ["no user", "x", "postgres://database/orrery"],
  ["an empty file", "", address],
  ["an empty line", "\nsecret", address],
])("CONFIG_INVALID: %s", (_name, text, given) => {
  expect(withFile(text, given)).toMatchObject({ ok: false, failure: { code: "CONFIG_INVALID" } });
});

test("CONFIG_INVALID: no file, and its name", () => {
  const failure = { code: "CONFIG_INVALID", message: expect.stringContaining("nowhere") as string };
  expect(withPassword(address, join(file, "nowhere"))).toMatchObject({ ok: false, failure });
});
