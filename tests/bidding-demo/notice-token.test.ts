// Goal: a notice's token is HMAC-SHA256, and only its own key accepts it.
// Method: Node's own HMAC as the oracle, over random keys and bid ids.
import { createHmac } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { NoticeTokens } from "../../src/bidding-demo/notice-token.ts";
import { bidIdOf } from "../../src/bidding-demo/reservations.ts";

const bytes = (minLength: number, maxLength: number) =>
  fc.uint8Array({ minLength, maxLength }).map((values) => Buffer.from(values));
const names = fc.record({
  partition: fc.integer({ min: 0, max: 4095 }),
  run: fc.stringMatching(/^[0-9a-z]{1,32}$/),
  ordinal: fc.integer({ min: 0, max: 36 ** 10 - 1 }),
  test: fc.boolean(),
});

test("a token is the bid's id and 132 bits of its HMAC-SHA256", () => {
  fc.assert(
    fc.property(bytes(32, 64), names, (key, name) => {
      const tokens = new NoticeTokens(key);
      const id = bidIdOf(name);
      const signature = createHmac("sha256", key).update(id).digest("base64url").slice(0, 22);
      expect(tokens.sign(id)).toBe(`${id}.${signature}`);
      expect(tokens.verify(tokens.sign(id))).toEqual(name);
    }),
  );
});

test("bad input: no other key, id or signature is accepted", () => {
  fc.assert(
    // Of one length: HMAC fills a key up with zeros.
    fc.property(bytes(32, 32), bytes(32, 32), names, fc.nat(), (key, otherKey, name, at) => {
      const tokens = new NoticeTokens(key);
      const token = tokens.sign(bidIdOf(name));
      if (!key.equals(otherKey)) expect(new NoticeTokens(otherKey).verify(token)).toBeNull();
      const index = at % token.length;
      for (const other of ["A", "b", ".", "-", "Ā", ""]) {
        const changed = token.slice(0, index) + other + token.slice(index + 1);
        if (changed !== token) expect(tokens.verify(changed)).toBeNull();
      }
    }),
  );
});
