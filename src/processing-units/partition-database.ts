// Partition database: what a partition asks of its lane's pump.
// Owns: the few questions, and their answers where there is no database. Does not own: the pump.
import type { Pump } from "../data-pump/pump.ts";

export interface PartitionDatabase {
  readonly hasDatabase: boolean;
  /** The last position that it has, read now; null: not known. Infinity: there is none. */
  confirmWritten(): Promise<number | null>;
  /** True while as much waits for the database as may. */
  isBacklogFull(): boolean;
  /** True while the database has dead letters of this partition, as far as is known. */
  hasDeadLetters(): boolean;
}

export function databaseOf(pump: Pump | null, partition: number): PartitionDatabase {
  if (pump === null) {
    return {
      hasDatabase: false,
      confirmWritten: () => Promise.resolve(Infinity),
      isBacklogFull: () => false,
      hasDeadLetters: () => false,
    };
  }
  return {
    hasDatabase: true,
    confirmWritten: () => pump.confirmWritten(partition),
    isBacklogFull: () => pump.isFull(partition),
    hasDeadLetters: () => pump.hasDeadLetters(partition),
  };
}
