// Helper process of launcher.test.ts: the launcher's `run` with a program given as an argument, as
// if this process ran on a Node that is too old.
import { createRequire } from "node:module";

const launcher = createRequire(import.meta.url)("../../bin/orrery.cjs") as {
  run: (node: string, args: string[]) => void;
};
launcher.run(process.argv[3] ?? process.execPath, ["--eval", process.argv[2] ?? ""]);
