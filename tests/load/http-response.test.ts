// Goal: a response is read the same however its bytes are cut, and what is none is refused.
// Method: all cuts of fixed responses, a property over random ones, a table of malformed ones.
import fc from "fast-check";
import { expect, test } from "vitest";
import { limits } from "../../src/base/limits.ts";
import type { ReadResult } from "../../src/load/http-response.ts";
import { ResponseReader, headerValue } from "../../src/load/http-response.ts";

/** Reads `bytes` in pieces that end at the given places, through one buffer that is reused. */
function readInPieces(bytes: Buffer, ends: readonly number[]): ReadResult {
  const reader = new ResponseReader();
  const shared = Buffer.alloc(bytes.length);
  let from = 0;
  let result: ReadResult = { kind: "more" };
  for (const end of [...ends, bytes.length]) {
    if (end <= from) continue;
    expect(result.kind).toBe("more");
    shared.fill(0);
    bytes.copy(shared, 0, from, end);
    result = reader.read(shared.subarray(0, end - from));
    from = end;
  }
  return result;
}

const withBody = Buffer.from(
  'HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nContent-Length: 11\r\n\r\n{"é":"ü"}',
);

test("a response is the same wherever its bytes are cut in two", () => {
  for (let cut = 1; cut < withBody.length; cut++) {
    expect(readInPieces(withBody, [cut])).toMatchObject({
      kind: "response",
      response: { status: 200, body: '{"é":"ü"}', closes: false },
    });
  }
});

test("a response is the same in any pieces", () => {
  const cuts = fc.array(fc.nat({ max: 400 }), { maxLength: 8 });
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", maxLength: 100 }), cuts, (body, places) => {
      const bytes = Buffer.from(
        `HTTP/1.1 404 Not Found\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
      );
      const ends = places.filter((place) => place < bytes.length).toSorted((a, b) => a - b);
      expect(readInPieces(bytes, ends)).toMatchObject({ response: { status: 404, body } });
    }),
  );
});

const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n";

test("a body in chunks is the same however it and its bytes are cut", () => {
  const cuts = fc.array(fc.nat({ max: 400 }), { maxLength: 8 });
  const parts = fc.array(fc.string({ unit: "grapheme", minLength: 1 }), { maxLength: 5 });
  const ending = fc.constantFrom("0\r\n\r\n", "000;last\r\n\r\n", "0\r\nx-sum: 1\r\n\r\n");
  fc.assert(
    fc.property(parts, ending, cuts, (chunks, end, places) => {
      const framed = chunks.map((chunk) => {
        return `${Buffer.byteLength(chunk).toString(16)}\r\n${chunk}\r\n`;
      });
      const bytes = Buffer.from(chunked + framed.join("") + end);
      const ends = places.filter((place) => place < bytes.length).toSorted((a, b) => a - b);
      const body = chunks.join("");
      expect(readInPieces(bytes, ends)).toMatchObject({ response: { status: 200, body } });
    }),
  );
});

test("204 has no body, with and without a content-length", () => {
  for (const fields of ["", "content-length: 0\r\n"]) {
    const result = readInPieces(Buffer.from(`HTTP/1.1 204 No Content\r\n${fields}\r\n`), []);
    expect(result).toMatchObject({ response: { status: 204, body: "" } });
  }
});

test("a server that closes says so: by a field, or by the old version", () => {
  const closes = (head: string): unknown => {
    const result = readInPieces(Buffer.from(`${head}\r\ncontent-length: 0\r\n\r\n`), []);
    return result.kind === "response" ? result.response.closes : result;
  };
  expect(closes("HTTP/1.1 200 OK\r\nConnection: Close")).toBe(true);
  expect(closes("HTTP/1.1 200 OK\r\nconnection: keep-alive")).toBe(false);
  expect(closes("HTTP/1.0 200 OK")).toBe(true);
  expect(closes("HTTP/1.0 200 OK\r\nConnection: keep-alive")).toBe(false);
});

test.each([
  ["another protocol", "SSH-2.0-OpenSSH_9.2\r\n"],
  ["no length", "HTTP/1.1 200 OK\r\n\r\n"],
  ["another coding", "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n0\r\n\r\n"],
  ["a chunk without a size", `${chunked}x\r\n`],
  ["a chunk that is longer than it says", `${chunked}1\r\nabc\r\n`],
  ["an endless chunk", `${chunked}1;${"y".repeat(300)}`],
  ["more than its chunks", `${chunked}0\r\n\r\nHTTP/1.1`],
  ["a length that is no number", "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"],
  ["an endless body", "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n"],
  ["an endless head", `HTTP/1.1 200 OK\r\nx: ${"y".repeat(limits.responseHeadBytesMax)}`],
  ["a status that is none", "HTTP/1.1 2xx OK\r\ncontent-length: 0\r\n\r\n"],
  ["more than one response", "HTTP/1.1 204 No\r\n\r\nHTTP/1.1 204 No\r\n\r\n"],
])("what is no response is refused: %s", (_name, text) => {
  expect(readInPieces(Buffer.from(text), []).kind).toBe("malformed");
});

test("a field is found by its whole name, whatever the case", () => {
  const head =
    "HTTP/1.1 204 No Content\r\nDate: now\r\nxx-orrery-nbr: 1\r\nX-Orrery-NBR:  15 \r\na:b";
  expect(headerValue(head, "x-orrery-nbr")).toBe("15");
  expect(headerValue(head, "date")).toBe("now");
  expect(headerValue(head, "a")).toBe("b");
  expect(headerValue(head, "orrery-nbr")).toBeUndefined();
  expect(headerValue("HTTP/1.1 204 No Content", "date")).toBeUndefined();
});
