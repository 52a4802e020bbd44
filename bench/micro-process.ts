// Micro process: one group of operations in a process of its own, for one round. So no group works
// in the heap of another, and a round begins anew, compilation included.
// Owns: the job, and what it prints: one line of JSON. Does not own: rounds (micro.ts).
import { createHash } from "node:crypto";
import { logGroup, type LogJob } from "./micro-log.ts";
import { matchingGroup, type MatchingSizes } from "./micro-matching.ts";
import {
  measureGroup,
  type MicroFigure,
  type MicroGroup,
  type MicroSize,
} from "./micro-operation.ts";
import { recordGroup } from "./micro-records.ts";
import { routingGroup } from "./micro-routing.ts";
import { transactionGroup } from "./micro-transactions.ts";

export type MicroGroupName = "transactions" | "records" | "routing" | "matching" | "logs";

export interface MicroJob {
  readonly group: MicroGroupName;
  readonly size: MicroSize;
  /** For the group `matching`. */
  readonly campaigns: MatchingSizes;
  /** For the group `logs`. */
  readonly logs: readonly LogJob[];
}

export interface MicroResult {
  readonly figures: readonly MicroFigure[];
  readonly facts: Readonly<Record<string, number>>;
  /** Of what the operations gave: the same in every round and on every machine. */
  readonly hash: string;
}

function makeGroup({ group, campaigns, logs }: MicroJob): MicroGroup | Promise<MicroGroup> {
  switch (group) {
    case "transactions":
      return transactionGroup();
    case "records":
      return recordGroup();
    case "routing":
      return routingGroup();
    case "matching":
      return matchingGroup(campaigns);
    case "logs":
      return logGroup(logs);
  }
}

const job = JSON.parse(process.argv[2] ?? "") as MicroJob;
const group = await makeGroup(job);
const { figures, results } = await measureGroup(group, job.size);
await group.close?.();
const hash = createHash("sha256").update(results.join("\n")).digest("hex").slice(0, 16);
const result: MicroResult = { figures, facts: group.facts ?? {}, hash };
process.stdout.write(`${JSON.stringify(result)}\n`);
