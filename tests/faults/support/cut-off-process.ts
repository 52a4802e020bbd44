// Cut-off process: one lane with its load, in the network namespace of a member, so that it is cut
// off together with it. Does what its parent asks, one thing at a time; ends with its parent.
// Owns: the answers. Does not own: starting it, and what is asked (cut-off-lane.ts).
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
  const { url, identity, host } = question;
  const lanes = await FaultLanes.open({ url, identity, host, names: ["cut off"], share: true });
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
  return { from, lines: ledger.lines, halted: [...lanes.halted] };
}

process.on("message", (question: CutOffQuestion) => {
  answer(question).then(
    (said) => process.send?.(said),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
process.on("disconnect", () => process.exit());
