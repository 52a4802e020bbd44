// Goal: a requests file is sent line by line as it stands. Method: a file with good and bad lines.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { unwrap } from "../../../src/base/failure.ts";
import { replaySource } from "../../../src/bidding-demo/exchange/replay.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "orrery-replay-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function fileOf(text: string): Promise<string> {
  const file = join(folder, "requests.jsonl");
  await writeFile(file, text);
  return file;
}

test("each line is sent as it is; what decides its auction is read from it", async () => {
  const lines = [
    '{"id":"a","at":1,"test":1,"tmax":120,"imp":[{"id":"1","bidfloor":0.28},{"id":"2"}]}',
    "not JSON",
    '{ "imp": [{}] }',
    "null",
  ];
  const source = unwrap(await replaySource(await fileOf(`${lines.join("\r\n\n")}\n`), 3));
  expect(source.count).toBe(4);
  expect(lines.map((_, number) => source.request(number).body)).toEqual(lines);
  expect(source.request(0)).toMatchObject({
    id: "a",
    tmaxMs: 120,
    auctionType: 1,
    test: true,
    impressions: [
      { id: "1", floorNanos: 280_000 },
      { id: "2", floorNanos: 0 },
    ],
  });
  for (const number of [1, 2, 3]) {
    expect(source.request(number)).toMatchObject({ id: "", test: false, impressions: [] });
  }
});

test("what everybody else bids is the same for the same seed", async () => {
  const file = await fileOf('{"id":"a","imp":[{"id":"1"}]}');
  const request = async (seed: number): Promise<unknown> =>
    unwrap(await replaySource(file, seed)).request(0);
  expect(await request(5)).toEqual(await request(5));
  expect(await request(5)).not.toEqual(await request(6));
});

test("a file that is not there, or empty, is refused with its name", async () => {
  for (const file of [join(folder, "missing.jsonl"), await fileOf(" \n\n")]) {
    const outcome = await replaySource(file, 1);
    expect(outcome).toMatchObject({ ok: false, failure: { code: "CONFIG_INVALID" } });
    if (!outcome.ok) expect(outcome.failure.message).toContain(file);
  }
});
