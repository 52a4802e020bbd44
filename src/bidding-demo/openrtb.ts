// OpenRTB 2.6: what makes a bid request valid.
// Owns: the schema of a request. Does not own: which valid requests get a bid (bid-filter.ts).
//
// Exchanges add fields and values at any time: unknown ones pass, and null counts as absent. What
// is required, and the type of what this bidder may read, is checked: after that, code reads a
// request without asking again.
import { Type, type Static, type TSchema } from "typebox";
import { Compile } from "typebox/compile";

function maybe<T extends TSchema>(schema: T) {
  return Type.Optional(Type.Union([schema, Type.Null()]));
}

const name = Type.String({ minLength: 1 });
const flag = maybe(Type.Integer());
const texts = maybe(Type.Array(Type.String()));
const integers = maybe(Type.Array(Type.Integer()));
const length = maybe(Type.Integer({ minimum: 0 }));
const price = maybe(Type.Number({ minimum: 0 }));

const banner = Type.Object({
  format: maybe(Type.Array(Type.Object({ w: length, h: length }))),
  w: length,
  h: length,
  btype: integers,
  battr: integers,
  mimes: texts,
  api: integers,
});
const video = Type.Object({ mimes: Type.Array(Type.String(), { minItems: 1 }) });
const audio = Type.Object({ mimes: Type.Array(Type.String(), { minItems: 1 }) });
const native = Type.Object({ request: name });

const deal = Type.Object({
  id: name,
  bidfloor: price,
  bidfloorcur: maybe(Type.String()),
  at: flag,
  wseat: texts,
  wadomain: texts,
});

const impression = Type.Object({
  id: name,
  banner: maybe(banner),
  video: maybe(video),
  audio: maybe(audio),
  native: maybe(native),
  pmp: maybe(Type.Object({ private_auction: flag, deals: maybe(Type.Array(deal)) })),
  bidfloor: price,
  bidfloorcur: maybe(Type.String()),
  secure: flag,
  qty: maybe(Type.Object({ multiplier: Type.Number({ minimum: 0 }) })),
});

/** Where the impression is shown: a site, an app or a screen. */
const place = Type.Object({
  domain: maybe(Type.String()),
  cat: texts,
  cattax: flag,
});
const geo = Type.Object({ country: maybe(Type.String()) });

const request = Type.Object({
  id: name,
  imp: Type.Array(impression, { minItems: 1 }),
  site: maybe(place),
  app: maybe(place),
  dooh: maybe(place),
  device: maybe(Type.Object({ ifa: maybe(Type.String()), lmt: flag, dnt: flag, geo: maybe(geo) })),
  user: maybe(
    Type.Object({
      id: maybe(Type.String()),
      buyeruid: maybe(Type.String()),
      consent: maybe(Type.String()),
      geo: maybe(geo),
    }),
  ),
  regs: maybe(Type.Object({ coppa: flag, gdpr: flag })),
  test: flag,
  at: flag,
  tmax: maybe(Type.Number()),
  wseat: texts,
  bseat: texts,
  cur: texts,
  acat: texts,
  bcat: texts,
  cattax: flag,
  badv: texts,
});

const compiled = Compile(request);

export type BidRequest = Static<typeof request>;
export type Impression = Static<typeof impression>;

/** The request in a parsed body, or null where it is not a valid one. */
export function readBidRequest(body: unknown): BidRequest | null {
  if (!compiled.Check(body)) return null;
  if (count(body.site, body.app, body.dooh) > 1) return null;
  if (count(body.wseat, body.bseat) > 1) return null;
  for (const [index, imp] of body.imp.entries()) {
    if (count(imp.banner, imp.video, imp.audio, imp.native) === 0) return null;
    // Bids name their impression by its id: two of one id could not be told apart.
    for (let other = 0; other < index; other++) if (body.imp[other]?.id === imp.id) return null;
  }
  return body;
}

function count(...values: unknown[]): number {
  let there = 0;
  for (const value of values) if (value !== null && value !== undefined) there++;
  return there;
}
