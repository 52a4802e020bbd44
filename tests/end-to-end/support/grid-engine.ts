// Grid engine: what the stories of this folder run on, each engine from nothing.
// Owns: the embedded engines. Does not own: members (../../support/hazelcast.ts).

export interface GridEngine {
  readonly name: string;
  /** Flags that name a new, empty grid; what it needs ends with the test, or with the file. */
  flags(): Promise<string[]>;
}

/** A folder below the data: the default. */
export const lmdbEngine: GridEngine = { name: "LMDB", flags: () => Promise.resolve([]) };

export const memoryEngine: GridEngine = {
  name: "memory",
  flags: () => Promise.resolve(["--store", "memory:"]),
};
