// A process that a test starts: takes a data folder (the argument), tells the outcome, and stays.
import { lockDataFolder } from "../../src/grid/data-lock.ts";

process.send?.(lockDataFolder(process.argv[2] ?? ""));
process.once("message", () => process.disconnect?.());
