// Micro log: what it costs to journal one small command in a record of its own, on each store.
// Owns: logs without a lane around them, and the operations. Does not own: the log and the stores.
import { isDeepStrictEqual } from "node:util";
import { assert, must } from "../src/base/assert.ts";
import { systemClock } from "../src/base/clock.ts";
import { failure, ok, unwrap } from "../src/base/failure.ts";
import { newId } from "../src/base/ids.ts";
import { systemRandom } from "../src/base/random.ts";
import { systemTimers } from "../src/base/timers.ts";
import { openGrid } from "../src/grid/grid-directory.ts";
import { generationMapName } from "../src/grid/grid-keys.ts";
import { entriesOf, type CommandEntry } from "../src/grid/log-record.ts";
import { everyRule } from "../src/grid/log-rules.ts";
import { PartitionLog, type ChainedRecord } from "../src/grid/partition-log.ts";
import { openStore } from "../src/grid/stores/open-store.ts";
import type { MicroGroup, MicroOperation } from "./micro-operation.ts";
import { smallEntry } from "./micro-records.ts";

export interface LogJob {
  readonly name: string;
  readonly store: string;
  /** Appends under way, each of its own partition. */
  readonly inFlight: readonly number[];
}

const clock = systemClock;
const timers = systemTimers;
const random = systemRandom();
const partitions = 32;
const entry = smallEntry(4711);
/** A bound of its encoded size. */
const entryBytesMax = 512;

export async function logGroup(jobs: readonly LogJob[]): Promise<MicroGroup> {
  const operations: MicroOperation[] = [];
  const opened: OpenLogs[] = [];
  for (const { name, store, inFlight } of jobs) {
    const logs = await OpenLogs.open(store);
    opened.push(logs);
    for (const count of inFlight) {
      operations.push({
        name: `log append, ${name}, ${String(count)} in flight`,
        check: () => logs.check(),
        run: (calls) => logs.append(calls, count),
      });
    }
  }
  const close = async () => {
    for (const logs of opened) await logs.close();
  };
  return { operations, close };
}

type Durable = (record: ChainedRecord, entries: readonly CommandEntry[]) => void;

interface OpenLog {
  readonly log: PartitionLog<CommandEntry>;
  /** Told of each record that is on every copy. */
  durable: Durable;
}

class OpenLogs {
  readonly #logs: readonly OpenLog[];
  readonly #close: () => Promise<void>;

  private constructor(logs: readonly OpenLog[], close: () => Promise<void>) {
    this.#logs = logs;
    this.#close = close;
  }

  /** A new grid in a store that holds none, and all of its logs open. */
  static async open(url: string): Promise<OpenLogs> {
    const store = unwrap(await openStore(url));
    const mayCreate = () => Promise.resolve(ok(null));
    const ports = { store, clock, timers, random };
    const grid = { ...ports, partitions, partitionsDefault: partitions, mayCreate };
    const identity = unwrap(await openGrid(grid));
    const map = store.map(generationMapName(identity.generation));
    const logs: OpenLog[] = [];
    for (let partition = 0; partition < partitions; partition++) {
      const { promise: serving, resolve, reject } = Promise.withResolvers<void>();
      const token = newId(random);
      const opened: OpenLog = {
        log: new PartitionLog<CommandEntry>({
          ...{ map, timers, clock },
          config: { ...identity, partition, lane: "bench", token, rules: everyRule },
          listener: {
            reset: () => undefined,
            segment: () => undefined,
            loaded: () => undefined,
            serving: () => resolve(),
            durable: (record, entries) => opened.durable(record, entries),
            stopped: (reason) => {
              if (reason.code !== "SHUTTING_DOWN") reject(new Error(reason.message));
            },
          },
        }),
        durable: () => undefined,
      };
      opened.log.open();
      await serving;
      logs.push(opened);
    }
    return new OpenLogs(logs, async () => {
      const over = failure("SHUTTING_DOWN", "it is measured");
      for (const { log } of logs) log.close(over);
      await store.close();
    });
  }

  /** Journals one command, and reads it again from the store. */
  async check(): Promise<string> {
    const opened = must(this.#logs[0], "there are logs");
    const { promise, resolve } = Promise.withResolvers<ChainedRecord>();
    opened.durable = resolve;
    opened.log.append(entry, entryBytesMax);
    const { record, checksum } = await promise;
    const { position } = record;
    const [read] = unwrap(await opened.log.read(position, position));
    assert(isDeepStrictEqual(read, { record, checksum }), "the store has the record");
    assert(isDeepStrictEqual(entriesOf(record.body), [entry]), "and the record the command");
    return JSON.stringify(entriesOf(record.body));
  }

  /** Journals so many commands, with so many appends under way. */
  append(calls: number, inFlight: number): Promise<number> {
    return new Promise((resolve) => {
      let begun = 0;
      let ended = 0;
      let right = 0;
      const next = ({ log }: OpenLog) => {
        if (begun >= calls) return;
        begun += 1;
        log.append(entry, entryBytesMax);
      };
      for (const opened of this.#logs.slice(0, inFlight)) {
        opened.durable = ({ record }, entries) => {
          ended += 1;
          if (entries.length === 1 && entriesOf(record.body)[0] === entry) right += 1;
          if (ended === calls) resolve(right);
          else next(opened);
        };
        next(opened);
      }
    });
  }

  close(): Promise<void> {
    return this.#close();
  }
}
