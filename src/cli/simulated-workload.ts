// Simulated workload: what `orrery simulate` runs on a cluster, each with the judge of its history.
// Owns: which workload has which model, how stale a local read may be. Does not own: runs
// (src/simulation), models and searches (src/checkers).
import { limits } from "../base/limits.ts";
import { historyProblems } from "../checkers/local-reads.ts";
import { registerModel } from "../checkers/register-model.ts";
import { transferModel } from "../checkers/transfer-model.ts";
import type { JudgedWorkload } from "../simulation/cluster-batch.ts";
import { RegisterWorkload } from "../simulation/register-workload.ts";
import { bank, TransferWorkload } from "../simulation/transfer-workload.ts";
import type { WorkloadName } from "./settings.ts";
import { BiddingWorkload } from "./simulated-bidding.ts";

const bounds = {
  /** As docs/ownership.md promises it. */
  staleMsMax: limits.heartbeatStillMs,
  /** Of the model, for one run; more counts as wrong. */
  stepsMax: 3_000_000,
};

/** A fresh one for each run. */
export function simulatedWorkload(name: WorkloadName): JudgedWorkload {
  switch (name) {
    case "register": {
      const workload = new RegisterWorkload();
      const { history } = workload;
      return {
        workload,
        judge: () => historyProblems(registerModel, history.ordered, history.local, bounds),
      };
    }
    case "transfer": {
      const workload = new TransferWorkload();
      const { history } = workload;
      const model = transferModel(bank.accounts, bank.beginsWith);
      return {
        workload,
        judge: () => historyProblems(model, history.ordered, history.local, bounds),
      };
    }
    case "bidding":
      return { workload: new BiddingWorkload(), judge: () => [] };
  }
}
