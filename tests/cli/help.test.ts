// Goal: what the command line says of itself is what was agreed, and what it says is true.
// Method: each command's help is compared with a fixture, so that a change of it is seen and meant;
// variables and flags, against what a start does with them.
import { join } from "node:path";
import { expect, test } from "vitest";
import packageJson from "../../package.json" with { type: "json" };
import { runOrrery } from "./run-orrery.ts";

const fixtures = join(import.meta.dirname, "..", "fixtures");

/** The number of lanes depends on the machine. */
function withoutMachine(help: string): string {
  return help.replace(
    /\(default: \d+, env:(\s+)ORRERY_LANES\)/,
    "(default: CORES, env:$1ORRERY_LANES)",
  );
}

test.for([
  ["orrery"],
  ["demo"],
  ["unit"],
  ["exchange"],
  ["rebuild"],
  ["simulate"],
  ["load"],
  ["migrate"],
  ["dead-letters"],
])("the help of %s is the one that is written down", async ([command = ""]) => {
  const args = command === "orrery" ? ["--help"] : [command, "--help"];
  const { code, stdout, stderr } = await runOrrery(args);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  await expect(withoutMachine(stdout)).toMatchFileSnapshot(join(fixtures, `help-${command}.txt`));
});

test("without a command the help is shown, and it counts as used wrongly", async () => {
  const { code, stderr } = await runOrrery([]);
  expect(code).toBe(2);
  expect(stderr).toMatch(/^Usage: orrery/);
});

test("--version says the package's version", async () => {
  const ended = await runOrrery(["--version"]);
  expect(ended).toEqual({ code: 0, stdout: `${packageJson.version}\n`, stderr: "", left: [] });
});
