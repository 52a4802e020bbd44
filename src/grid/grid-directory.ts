// Grid directory: which grid lies in a store, which generation of it is open, and its creation.
// Owns: the grid id, the generation pointer, heads and genesis records of a new grid, and the
// secrets that its lanes share.
// Does not own: the logs behind genesis (log-machine.ts); rebuilding a lost grid, which moves the
// pointer (rebuild.ts); whether a new grid may be made (the database says).
// Invariants (docs/invariants.md):
//   G1. A grid is made only where the store holds none and the database knows of none.
//   G2. Head is durable before genesis, all genesis records before the pointer says open: a
//       creation that was interrupted is finished, never mistaken for a loss.
import type { Clock } from "../base/clock.ts";
import { failed, ok, unwrap, type Outcome } from "../base/failure.ts";
import { newId } from "../base/ids.ts";
import { limits } from "../base/limits.ts";
import type { Random } from "../base/random.ts";
import type { Timers } from "../base/timers.ts";
import {
  decodeGridId,
  decodePointer,
  encodeDirectory,
  type GridId,
  type Pointer,
} from "./generation-pointer.ts";
import {
  directoryMapName,
  generationMapName,
  gridIdKey,
  headKey,
  pointerKey,
  recordKey,
  secretKey,
} from "./grid-keys.ts";
import { encodeHead, encodeRecord, formatByte } from "./log-record.ts";
import { askPatiently, readConfirmed, writePatiently } from "./patient-store.ts";
import type { ByteMap, Store } from "./store.ts";

/** What every lane must know of a grid before it opens a partition. */
export interface GridIdentity {
  readonly gridId: string;
  readonly generation: number;
  readonly partitions: number;
}

interface DirectoryPorts {
  readonly store: Store;
  readonly timers: Timers;
  readonly clock: Clock;
  readonly random: Random;
}

/**
 * The grid in a store: found, or made with `partitions` partitions where the store is empty and
 * `mayCreate` allows it (it asks the database, which must not know of an earlier grid).
 * Fails with GRID_PARTITIONS where an existing grid has another number of them (null: any),
 * GRID_FORMAT, GRID_LOST, STORE_UNREACHABLE, or what `mayCreate` failed with.
 */
export async function openGrid(
  options: DirectoryPorts & {
    readonly partitions: number | null;
    readonly partitionsDefault: number;
    mayCreate(): Promise<Outcome<null>>;
  },
): Promise<Outcome<GridIdentity>> {
  const directory = options.store.map(directoryMapName);
  let stored = await readConfirmed(options, directory, gridIdKey);
  if (!stored.ok) return stored;
  if (stored.value === null) {
    const allowed = await options.mayCreate();
    if (!allowed.ok) return allowed;
    const partitions = options.partitions ?? options.partitionsDefault;
    const made = encodeDirectory({ gridId: newId(options.random), partitions });
    const beaten = await writePatiently(options, directory, gridIdKey, made);
    if (!beaten.ok) return beaten;
    stored = ok(beaten.value ?? made);
  }
  const grid = decodeGridId(unwrap(stored) as Buffer);
  if (grid === null) {
    return failed("GRID_FORMAT", "the grid was written by a newer version; start that one");
  }
  const opened = await openGeneration(options, directory, grid, () => options.mayCreate());
  if (!opened.ok || options.partitions === null) return opened;
  const { partitions } = opened.value;
  if (options.partitions === partitions) return opened;
  return failed(
    "GRID_PARTITIONS",
    `the data has ${String(partitions)} partitions, not ${String(options.partitions)}; ` +
      "leave --partitions out, or choose another data folder",
  );
}

/**
 * Whether a store still is the one that holds this grid: what has to be seen on every connection
 * to a store elsewhere before anything is written to it. Fails as the store does.
 */
export async function holdsGrid(store: Store, identity: GridIdentity): Promise<Outcome<boolean>> {
  const stored = await store.map(directoryMapName).get(gridIdKey, limits.storeReadMs);
  if (!stored.ok) return stored;
  const grid = stored.value === null ? null : decodeGridId(stored.value);
  return ok(grid?.gridId === identity.gridId);
}

/** Secrets that all lanes of a grid share, by their number in the store. */
const gridSecrets = { peers: 0, application: 1 } as const;

/**
 * A secret that all units of the grid share: whoever can read the store has it, and nobody else
 * can reach a lane with it. Made by the first that asks. Fails with STORE_UNREACHABLE.
 */
export async function gridSecret(
  ports: DirectoryPorts,
  { generation }: GridIdentity,
  name: keyof typeof gridSecrets,
  make: () => string,
): Promise<Outcome<string>> {
  const map = ports.store.map(generationMapName(generation));
  const key = secretKey(gridSecrets[name]);
  const found = await readConfirmed(ports, map, key);
  if (!found.ok) return found;
  if (found.value !== null) return ok(found.value.toString("utf8", 1));
  const made = make();
  const value = Buffer.concat([Buffer.of(formatByte), Buffer.from(made, "utf8")]);
  const beaten = await writePatiently(ports, map, key, value);
  if (!beaten.ok) return beaten;
  return ok(beaten.value === null ? made : beaten.value.toString("utf8", 1));
}

async function openGeneration(
  ports: DirectoryPorts,
  directory: ByteMap,
  grid: GridId,
  mayCreate: () => Promise<Outcome<null>>,
): Promise<Outcome<GridIdentity>> {
  const stored = await readConfirmed(ports, directory, pointerKey);
  if (!stored.ok) return stored;
  let found = stored.value;
  if (found === null) {
    // The grid id is there and nothing else: its creation was interrupted at the very start, or
    // the pointer is lost (G1).
    const allowed = await mayCreate();
    if (!allowed.ok) return allowed;
    const token = newId(ports.random);
    const reserved = encodeDirectory({ generation: 1, state: "rebuilding", token, base: 0 });
    const beaten = await writePatiently(ports, directory, pointerKey, reserved);
    if (!beaten.ok) return beaten;
    found = beaten.value ?? reserved;
  }
  const pointer = decodePointer(found);
  if (pointer === null)
    return failed("GRID_FORMAT", "the generation pointer is of a newer version");
  const { generation, partitions = grid.partitions } = pointer;
  const identity = { gridId: grid.gridId, generation, partitions };
  if (pointer.state === "open") return ok(identity);
  if (pointer.base !== 0) {
    const number = String(generation);
    return failed(
      "GRID_LOST",
      `generation ${number} is being rebuilt; wait, or repeat the rebuild`,
    );
  }
  return create(ports, directory, found, pointer, identity);
}

/** Finishes the creation of the first generation: heads, genesis records, then the pointer. */
async function create(
  ports: DirectoryPorts,
  directory: ByteMap,
  reserved: Buffer,
  pointer: Pointer,
  identity: GridIdentity,
): Promise<Outcome<GridIdentity>> {
  const map = ports.store.map(generationMapName(identity.generation));
  const partitions = Array.from({ length: identity.partitions }, (_, partition) => partition);
  const made = await Promise.all(
    partitions.map((partition) => createPartition(ports, map, identity, partition)),
  );
  const problem = made.find((outcome) => !outcome.ok);
  if (problem?.ok === false) return problem;
  const value = encodeDirectory({ ...pointer, state: "open" });
  const opened = await askPatiently(ports, directory, {
    op: "replaceIfSame",
    key: pointerKey,
    expected: reserved,
    value,
  });
  if (!opened.ok) return opened;
  if (opened.value === true) return ok(identity);
  // Found otherwise: an unknown outcome of ours that had happened, or another unit's opening.
  const now = await readConfirmed(ports, directory, pointerKey);
  if (!now.ok) return now;
  const found = now.value === null ? null : decodePointer(now.value);
  if (found?.state === "open" && found.generation === identity.generation) return ok(identity);
  return failed("GRID_LOST", "the generation pointer moved while the grid was being created");
}

/** Head at 0, then genesis at 0 (G2). A head or genesis that is there already is as good. */
async function createPartition(
  ports: DirectoryPorts,
  map: ByteMap,
  identity: GridIdentity,
  partition: number,
): Promise<Outcome<null>> {
  const head = await writePatiently(ports, map, headKey(partition), encodeHead(0));
  if (!head.ok) return head;
  const genesis = encodeRecord({
    position: 0,
    epoch: 0,
    token: identity.gridId,
    timeMs: ports.clock.wallMs(),
    previous: Buffer.alloc(0),
    body: { type: "genesis", genesis: { ...identity, partition } },
  });
  const written = await writePatiently(ports, map, recordKey(partition, 0), genesis);
  return written.ok ? ok(null) : written;
}
