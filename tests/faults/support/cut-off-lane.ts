// Cut-off lane: a lane under load that lives beside a member, in that one's network namespace.
// Owns: its process, what is asked of it. Does not own: what it does (cut-off-process.ts).
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import { must } from "../../../src/base/assert.ts";
import type { Failure } from "../../../src/base/failure.ts";
import type { MemberPlace } from "../../../src/faults/member-process.ts";
import type { GridIdentity } from "../../../src/grid/grid-directory.ts";
import type { LedgerLine } from "./fault-ledger.ts";

export type CutOffQuestion =
  | {
      readonly what: "open";
      readonly url: string;
      readonly identity: GridIdentity;
      /** Where other lanes reach it. */
      readonly host: string;
    }
  | {
      /** Until every partition acknowledges; or refuses; or every command is answered; at once. */
      readonly what: "serve" | "refuse" | "stop" | "look";
    };

export interface CutOffAnswer {
  /** Place in the ledger of the first command that was sent after the question. */
  readonly from: number;
  readonly lines: readonly LedgerLine[];
  readonly halted: readonly (readonly [number, Failure])[];
}

const program = fileURLToPath(new URL("./cut-off-process.ts", import.meta.url));

export class CutOffLane {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Starts it, and resolves when its partitions serve. Ends with the test. */
  static async open(
    place: MemberPlace,
    question: Omit<CutOffQuestion & { what: "open" }, "what">,
  ): Promise<CutOffLane> {
    const [command, ...args] = [...place.prefix, process.execPath, program];
    const child = spawn(must(command, "a command"), args, {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    onTestFinished(async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGKILL");
      await once(child, "exit");
    });
    const lane = new CutOffLane(child);
    await lane.ask({ what: "open", ...question });
    return lane;
  }

  /** Asks, and waits for what it says; one question at a time. */
  async ask(question: CutOffQuestion): Promise<CutOffAnswer> {
    const ended = once(this.#child, "exit").then(() => {
      throw new Error("the cut-off lane ended by itself");
    });
    const answered = once(this.#child, "message");
    this.#child.send(question);
    const [said] = (await Promise.race([answered, ended])) as [CutOffAnswer | { error: string }];
    if ("error" in said) throw new Error(`the cut-off lane: ${said.error}`);
    return said;
  }
}
