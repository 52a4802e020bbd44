// Cut-off process: one lane with its load, in the network namespace of a member, so that it is cut
// off together with it. Does what its parent asks, one thing at a time; ends with its parent.
// Owns: the answers. Does not own: starting it, and what is asked (cut-off-lane.ts).
import { staticOwners } from "../../../src/messaging-grid/owner-table.ts";
import type { CutOffAnswer, CutOffQuestion } from "./cut-off-lane.ts";
import { FaultLanes } from "./fault-lanes.ts";
import { FaultLedger } from "./fault-ledger.ts";
import { FaultLoad } from "./fault-load.ts";

interface Running {
  readonly lanes: FaultLanes;
  readonly load: FaultLoad;
}

const ledger = new FaultLedger("cut-off-");
let running: Running | null = null;

async function open(question: CutOffQuestion & { what: "open" }): Promise<Running> {
  const { url, identity, lane, lanes: count } = question;
  const owners = staticOwners(identity.partitions, count);
  const lanes = await FaultLanes.open({ url, identity, owners, numbers: [lane] });
  const load = new FaultLoad(lanes, ledger);
  load.start();
  return { lanes, load };
}

async function answer(question: CutOffQuestion): Promise<CutOffAnswer> {
  if (question.what === "open") running = await open(question);
  if (running === null) throw new Error("the lane is not open");
  const { lanes, load } = running;
  const from = ledger.size;
  if (question.what === "open" || question.what === "serve") await load.servesAgain();
  if (question.what === "refuse") await load.failsEverywhere();
  if (question.what === "stop") {
    await load.stop();
    await lanes.close();
  }
  const halted = [...lanes.halted].filter(([, { code }]) => code !== "SHUTTING_DOWN");
  return { from, lines: ledger.lines, halted };
}

process.on("message", (question: CutOffQuestion) => {
  answer(question).then(
    (said) => process.send?.(said),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
process.on("disconnect", () => process.exit());
