// Goal: an operating error says what a caller may conclude, and keeps saying it wherever it goes.
// Method: the table of codes as a whole; a failure through clone and msgpack.
import { Packr } from "msgpackr";
import { describe, expect, test } from "vitest";
import { AssertionError, assert, must, unreachable } from "../../src/base/assert.ts";
import {
  failed,
  failure,
  FailureError,
  failureKinds,
  ok,
  unwrap,
  type FailureCode,
} from "../../src/base/failure.ts";
import { limits } from "../../src/base/limits.ts";

const codes = Object.keys(failureKinds) as FailureCode[];

describe("the table of codes", () => {
  test("a code is upper case words, its kind one of three", () => {
    expect(codes.length).toBeGreaterThan(30);
    for (const code of codes) {
      expect(code).toMatch(/^[A-Z]+(?:_[A-Z]+)*$/);
      expect(["retryable", "terminal", "unknown"]).toContain(failureKinds[code]);
    }
  });

  test("what may have happened after all is never called definite", () => {
    const unknown: FailureCode[] = [
      "DEADLINE_EXCEEDED",
      "OUTCOME_UNKNOWN",
      "LANE_LOST",
      "STORE_TIMEOUT",
      "STORE_UNAVAILABLE",
    ];
    for (const code of unknown) expect(failureKinds[code]).toBe("unknown");
  });

  test("a failure has its code's kind, and all of it survives clone and msgpack", () => {
    const packr = new Packr({ useRecords: false });
    for (const code of codes) {
      const made = failure(code, `what to do about ${code}`);
      expect(made).toEqual({ code, kind: failureKinds[code], message: `what to do about ${code}` });
      expect(structuredClone(made)).toEqual(made);
      expect(packr.unpack(packr.pack(made))).toEqual(made);
    }
  });
});

test("an outcome is a value or a failure, and unwrap throws the failure whole", () => {
  expect(unwrap(ok(7))).toBe(7);
  const outcome = failed("OVERLOADED", "too much");
  expect(outcome).toEqual({ ok: false, failure: failure("OVERLOADED", "too much") });
  let thrown: unknown;
  try {
    unwrap(outcome);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(FailureError);
  expect(thrown).toMatchObject({
    name: "FailureError",
    message: "too much",
    failure: { code: "OVERLOADED", kind: "retryable" },
  });
});

describe("assertions", () => {
  test("assert throws AssertionError, and asks for a costly message only then", () => {
    let asked = 0;
    const message = (): string => {
      asked++;
      return "costly";
    };
    assert(asked === 0, message);
    expect(asked).toBe(0);
    expect(() => {
      assert(asked === 1, message);
    }).toThrow(new AssertionError("costly"));
    expect(() => {
      assert(asked === 0, "plain");
    }).toThrow(new AssertionError("plain"));
  });

  test("must gives what is there, also what is falsy", () => {
    for (const value of [0, "", false, Number.NaN]) expect(must(value, "there")).toBe(value);
    expect(() => must(null, "null")).toThrow(new AssertionError("null"));
    expect(() => must(undefined, () => "undefined")).toThrow(new AssertionError("undefined"));
  });

  test("unreachable names what came where nothing should", () => {
    expect(() => unreachable("odd" as never)).toThrow(/unreachable: "odd"/);
  });
});

test("every limit is a whole positive number", () => {
  for (const limit of Object.values(limits)) {
    expect(Number.isInteger(limit) && limit > 0).toBe(true);
  }
});
