// Queue: the numbers of a first-in first-out list whose entries lie in some space.
// Owns: which numbers are given out and done with. Does not own: the entries.
import type { Transaction } from "../processing-units/application.ts";
import { queues, type Queue } from "./spaces.ts";

export type QueueName = "bids" | "impressions";

/** A queue while a handler works with it; `save` puts what was changed. */
export interface OpenQueue {
  next: number;
  done: number;
  save(): void;
}

/** The queue of the transaction's partition, empty where it is new. */
export function openQueue(tx: Transaction, name: QueueName): OpenQueue {
  const key = `${name}@${tx.partition}`;
  const saved = tx.get(queues, key) ?? { next: 0, done: 0 };
  return {
    ...saved,
    save() {
      const { next, done } = this;
      if (next !== saved.next || done !== saved.done) tx.put(queues, key, { next, done });
    },
  };
}

/** The key of a queue's entry. */
export function queueKey(number: number): string {
  return number.toString(36);
}

/** The partition of a queue by its key, if something waits in it. */
export function waitingPartition(key: string, { next, done }: Queue): number | null {
  return done < next ? Number(key.slice(key.indexOf("@") + 1)) : null;
}
