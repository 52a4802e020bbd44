// Goal: an event counts only when it is in the file for good, and a torn line never counts.
// Method: a file cut at every byte; a reader of the file in the counting callback.
import { existsSync, readFileSync } from "node:fs";
import { appendFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { unwrap } from "../../../src/base/failure.ts";
import { systemTimers } from "../../../src/base/timers.ts";
import { Ledger, readLedger } from "../../../src/bidding-demo/exchange/ledger.ts";
import type { LedgerEvent } from "../../../src/bidding-demo/exchange/ledger.ts";

let folder = "";
let files = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "orrery-ledger-"));
});
afterAll(() => rm(folder, { recursive: true }));

function newPath(): string {
  return join(folder, `ledger-${files++}.jsonl`);
}

function event(number: number): LedgerEvent {
  return {
    at: 1_700_000_000_000 + number,
    event: number % 2 === 0 ? "bid" : "billed",
    bidId: `bid-${number}`,
    requestId: `ü-${number}`,
    impressionId: "1",
    campaignId: "c",
    priceMicros: number,
  };
}

function open(path: string, onCounted: (event: LedgerEvent) => void = () => undefined) {
  return Ledger.open({ path, timers: systemTimers, onCounted });
}

async function eventsOf(path: string): Promise<LedgerEvent[]> {
  const events: LedgerEvent[] = [];
  for await (const one of readLedger(path)) events.push(one);
  return events;
}

test("what was appended is counted and read back, in order, over several openings", async () => {
  const path = newPath();
  const counted: LedgerEvent[] = [];
  for (const from of [0, 300]) {
    const ledger = unwrap(await open(path, (one) => counted.push(one)));
    for (let number = from; number < from + 300; number++) ledger.append(event(number));
    await ledger.close();
    expect(ledger.failure).toBeNull();
  }
  const expected = Array.from({ length: 600 }, (_, number) => event(number));
  expect(counted).toEqual(expected);
  expect(await eventsOf(path)).toEqual(expected);
});

test("an event is in the file before it counts", async () => {
  const path = newPath();
  let counted = 0;
  const ledger = unwrap(
    await open(path, ({ bidId }) => {
      counted++;
      expect(readFileSync(path, "utf8")).toContain(`"bidId":"${bidId}"`);
    }),
  );
  ledger.append(event(1));
  expect(counted).toBe(0);
  ledger.append(event(2));
  await ledger.close();
  expect(counted).toBe(2);
});

test("wherever a crash tore the file, whole lines stay, the torn one goes, new ones follow", async () => {
  const path = newPath();
  const lines = [0, 1, 2].map((number) => `${JSON.stringify(event(number))}\n`);
  const bytes = Buffer.from(lines.join(""));
  const last = Buffer.byteLength(lines[2] ?? "");
  for (let cut = bytes.length - last - 2; cut <= bytes.length; cut++) {
    await writeFile(path, bytes.subarray(0, cut));
    const whole = bytes.subarray(0, cut).toString().split("\n").length - 1;
    const kept = [0, 1, 2].slice(0, whole).map(event);
    expect(await eventsOf(path)).toEqual(kept);
    const ledger = unwrap(await open(path));
    ledger.append(event(9));
    await ledger.close();
    expect(await eventsOf(path)).toEqual([...kept, event(9)]);
  }
});

test("a torn line longer than one read back is cut off, too", async () => {
  const path = newPath();
  const line = `${JSON.stringify(event(0))}\n`;
  for (const whole of ["", line]) {
    await writeFile(path, whole + "x".repeat(200_000));
    unwrap(await open(path));
    expect(await readFile(path, "utf8")).toBe(whole);
  }
});

test("a line in the middle that is no event is an error that names it", async () => {
  const path = newPath();
  await writeFile(path, `${JSON.stringify(event(0))}\n{"event":"bid"}\n`);
  await appendFile(path, `${JSON.stringify(event(1))}\n`);
  await expect(eventsOf(path)).rejects.toThrow(`${path}: line 2 is not an event`);
});

test("a place that cannot be written is refused, with the reason", async () => {
  const outcome = await open(join(folder, "missing", "ledger.jsonl"));
  expect(outcome).toMatchObject({ ok: false, failure: { code: "DATA_UNUSABLE" } });
  if (!outcome.ok) expect(outcome.failure.message).toContain("ENOENT");
});

const fullDevice = "/dev/full";
test.skipIf(!existsSync(fullDevice))(
  "a write that fails is kept as the failure, and nothing of it counts",
  async () => {
    let counted = 0;
    // Every write to it fails as on a full disk.
    const ledger = await open(fullDevice, () => counted++);
    const opened = unwrap(ledger);
    opened.append(event(1));
    await opened.close();
    expect(opened.failure).toMatchObject({ code: "DATA_UNUSABLE" });
    expect(opened.failure?.message).toContain("ENOSPC");
    expect(counted).toBe(0);
  },
);
