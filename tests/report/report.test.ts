// Goal: what is written as a report is one, and what was changed since is none. Method: a whole
// report, written, read, and damaged.
import { expect, test } from "vitest";
import { unwrap } from "../../src/base/failure.ts";
import { formatReport, parseReport, sealReport } from "../../src/report/report.ts";
import { smallReport } from "./small-report.ts";

test("V1: a report is read back as it was sealed", () => {
  const sealed = sealReport(smallReport());
  expect(sealed.hash).toMatch(/^[0-9a-f]{16}$/);
  expect(unwrap(parseReport(formatReport(sealed)))).toEqual(sealed);
});

test("V1: what does not fit the schema is not written", () => {
  const [sample] = smallReport().samples;
  const broken = { ...smallReport(), samples: [{ ...sample, values: [1, NaN] }] };
  expect(() => sealReport(broken as ReturnType<typeof smallReport>)).toThrow(
    /not a report: \/samples\/0\/values\/1 /,
  );
});

test("V1: no JSON, another shape, a figure changed by hand: none is read", () => {
  const text = formatReport(sealReport(smallReport()));
  const message = (broken: string) => {
    const outcome = parseReport(broken);
    return outcome.ok ? "read" : `${outcome.failure.code}: ${outcome.failure.message}`;
  };
  expect(message("{")).toBe("REPORT_INVALID: it is no JSON");
  expect(message("{}")).toMatch(/^REPORT_INVALID: it must have required properties /);
  expect(message(text.replace('"tookMs": 61000', '"tookMs": 60000'))).toMatch(
    /its hash is another/,
  );
  expect(message(text.replace('"rounds": 5', '"rounds": 0'))).toMatch(/\/rounds /);
});
