// Goal: what is used wrongly is refused in one line that says what to do, with exit code 2, before
// anything is made. Method: a table of wrong uses, each as a process, all over one data folder that
// must still be empty after the last one.
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { testFolder } from "../end-to-end/support/test-folder.ts";
import { refusal, runOrrery } from "./run-orrery.ts";

let folder: string;
beforeAll(async () => {
  folder = await testFolder();
});

const wrongUses: readonly (readonly [command: string, problem: RegExp])[] = [
  ["nonsense", /unknown command 'nonsense'.*--help/],
  ["unit more", /too many arguments.*more.*--help/],
  ["unit --lane 2", /unknown option '--lane' \(Did you mean --lanes\?\); --help/],
  ["unit --lanes 0", /--lanes.*'0'.*whole number from 1 to 64/],
  ["unit --lanes two", /--lanes.*'two'.*whole number from 1 to 64/],
  ["unit --partitions 4097", /--partitions.*'4097'.*whole number from 1 to 4096/],
  ["unit --port 65536", /--port.*'65536'.*whole number from 0 to 65535/],
  ["unit --log-level loud", /--log-level.*'loud'.*debug, info, warn, error/],
  ["demo --rate 0", /--rate.*'0'.*whole number from 1/],
  ["demo --rate", /--rate.*argument missing/],
  ["demo --for 10", /--for.*'10'.*500ms, 30s, 5m or 1h/],
  ["demo --seed -1", /--seed.*'-1'.*whole number/],
  ["exchange --targets ftp://127.0.0.1", /--targets.*http:\/\/127\.0\.0\.1:7070/],
  ["exchange --requests ROOT/nowhere.jsonl", /requests file.*nowhere\.jsonl/],
  ["demo --requests ROOT/nowhere.jsonl", /requests file.*nowhere\.jsonl/],
  ["unit --store redis://127.0.0.1", /"redis".*memory:, lmdb:FOLDER/],
  ["unit --store lmdb:", /folder is missing.*memory:, lmdb:FOLDER/],
  ["unit --store lmdb:ROOT/data/grid?sync=maybe", /sync.*lmdb:FOLDER/],
  ["unit --database mysql://127.0.0.1/x", /no address of a database.*postgres:\/\/.*none:/],
  ["unit --database postgres://127.0.0.1", /names no database.*postgres:\/\/USER/],
  ["unit --database postgres://u:p@:x/y", /cannot be read|names no host/],
  ["unit --host 203.0.113.7", /cannot listen on 203\.0\.113\.7.*--host/],
  ["unit --advertise bidder.example:7070", /--advertise.*http:\/\/bidder\.example:7070/],
  ["unit --advertise http://u:p@bidder.example", /--advertise.*http:\/\/bidder\.example:7070/],
  ["unit --database-password-file ROOT/half.json", /goes with --database postgres:/],
  ["migrate --database none:", /--database none: is no database/],
  ["migrate", /postgres holds no database; name the one of the units with --database/],
  ["dead-letters show one", /'one' is invalid.*whole number from 1/],
  ["dead-letters retry", /name one letter, or --all; --help/],
  ["dead-letters retry 1 --all", /name one letter, or --all; --help/],
  ["unit --campaigns ROOT/nowhere.json", /campaigns file .*nowhere\.json cannot be read/],
  ["unit --campaigns ROOT/half.json", /campaigns file .*half\.json cannot be read.*JSON.*line/],
  ["unit --campaigns ROOT/wrong.json", /campaigns\[0\] \("one"\), field bidCpm: must be/],
];

test.for(wrongUses)("%s: refused in one line", async ([command, problem]) => {
  writeFileSync(join(folder, "half.json"), "[\n{");
  const wrong = {
    id: "one",
    name: "One",
    advertiserDomain: "one.example",
    categories: ["IAB1"],
    bidCpm: "much",
    budget: 1,
    creative: { headline: "One", landingPage: "https://one.example/", sizes: ["300x250"] },
  };
  writeFileSync(join(folder, "wrong.json"), JSON.stringify([wrong]));
  const args = command.replaceAll("ROOT", folder).split(" ");
  const env = { ORRERY_DATA: join(folder, "data"), ORRERY_PORT: "0" };
  expect(await runOrrery(args, env)).toEqual(refusal(2, problem));
});

test("a variable is checked like its flag, and named", async () => {
  const ended = await runOrrery(["unit"], { ORRERY_LANES: "two" });
  expect(ended).toEqual(refusal(2, /'two' from env 'ORRERY_LANES'.*whole number/));
});

afterAll(() => {
  // The folder itself is made before a requests file is read; nothing lies in it.
  const made = readdirSync(folder, { recursive: true }).filter((name) => name !== "data");
  expect(made.sort()).toEqual(["half.json", "wrong.json"]);
});
