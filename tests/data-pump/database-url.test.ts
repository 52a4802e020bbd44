// Goal: the three forms of a database's address are read, anything else says what to write.
// Method: a table of texts.
import { expect, test } from "vitest";
import { parseDatabaseUrl } from "../../src/data-pump/database-url.ts";

test.each([
  ["none:", { kind: "none" }],
  ["embedded:./data/postgres", { kind: "embedded", folder: "./data/postgres" }],
  ["embedded:/var/lib/with space", { kind: "embedded", folder: "/var/lib/with space" }],
  [
    "postgres://ann:secret@db.example:6543/shop?sslmode=require",
    {
      kind: "postgres",
      url: "postgres://ann:secret@db.example:6543/shop?sslmode=require",
      host: "db.example",
      port: 6543,
      shown: "postgres://ann@db.example:6543/shop",
    },
  ],
  ["postgresql://localhost/shop", { kind: "postgres", host: "localhost", port: 5432 }],
  ["postgres://[::1]:5433/shop", { kind: "postgres", host: "::1", port: 5433 }],
])("%s is understood", (text, address) => {
  expect(parseDatabaseUrl(text)).toMatchObject({ ok: true, value: address });
});

test.each([
  ["", "no address of a database"],
  ["none", "no address of a database"],
  ["mysql://localhost/shop", "no address of a database"],
  ["embedded:", "needs a folder"],
  ["postgres://", "cannot be read|names no host"],
  ["postgres:///shop", "cannot be read|names no host"],
  ["postgres://localhost", "names no database"],
  ["postgres://localhost/", "names no database"],
  ["postgres://localhost:port/shop", "cannot be read"],
  ["postgres://one,two/shop", "one database host"],
])("CONFIG_INVALID with what to write instead of %s", (text, reason) => {
  const outcome = parseDatabaseUrl(text);
  expect(outcome).toMatchObject({ ok: false, failure: { code: "CONFIG_INVALID" } });
  const message = outcome.ok ? "" : outcome.failure.message;
  expect(message).toMatch(new RegExp(reason));
  expect(message).toContain("use embedded:FOLDER");
});
