// Rebuild: a grid whose store lost it, or that is to have other partitions, is made anew from its
// database, under a new generation: nothing that is left of the old one can write into it.
// Owns: driving one run (rebuild-machine.ts) against store and database, its report.
// Does not own: the protocol (rebuild-machine.ts, rebuild-end.ts, rebuild-fill.ts), SQL, which
// rows belong where (data-pump), who decides that a grid is rebuilt (the operator).
// Invariants (docs/invariants.md): G4–G8, in the files that are driven here.
import { must } from "../base/assert.ts";
import { failed, ok, type Outcome } from "../base/failure.ts";
import { newId } from "../base/ids.ts";
import { limits } from "../base/limits.ts";
import { delay } from "../base/timers.ts";
import { directoryMapName, generationMapName } from "./grid-keys.ts";
import { askPatiently } from "./patient-store.ts";
import { answerEnd, startEnd } from "./rebuild-end.ts";
import { RebuildFill } from "./rebuild-fill.ts";
import { stepRebuild } from "./rebuild-machine.ts";
import type {
  RebuildOptions,
  RebuildProgress,
  RebuildReport,
  WrittenPartition,
} from "./rebuild-ports.ts";
import {
  everyRebuildRule,
  initialRebuildState,
  type RebuildCall,
  type RebuildEvent,
  type RebuildState,
} from "./rebuild-state.ts";
import { mergeOwned } from "./roster-card.ts";
import { readRoster } from "./roster.ts";

/**
 * Replaces a generation of the grid by a new one with what the database has. Fails with
 * REBUILD_REFUSED (nothing to rebuild, or that generation is replaced already), REBUILD_OVERTAKEN
 * (another run was started; nothing of this one counts), DATABASE_FOREIGN, STORE_UNREACHABLE,
 * GRID_FORMAT, or as the database does. A run that failed is run again; it has a number of its own.
 */
export async function rebuildGrid(options: RebuildOptions): Promise<Outcome<RebuildReport>> {
  return new RebuildRun(options).run();
}

class RebuildRun {
  readonly #options: RebuildOptions;
  #state: RebuildState;
  #fill: RebuildFill | null = null;
  #oldOwners: RebuildReport["oldOwners"] = "time";

  constructor(options: RebuildOptions) {
    this.#options = options;
    const { replaces, partitions, random } = options;
    const rules = everyRebuildRule;
    this.#state = initialRebuildState({ replaces, partitions, token: newId(random), rules });
  }

  async run(): Promise<Outcome<RebuildReport>> {
    this.#state = stepRebuild(this.#state, { kind: "start" });
    for (;;) {
      const { call, phase } = this.#state;
      if (phase.name === "stopped") return { ok: false, failure: phase.failure };
      if (call === null) return ok(this.#report());
      const event = await this.#do(call);
      if (!event.ok) return event;
      this.#state = stepRebuild(this.#state, event.value);
      this.#tell(phase.name);
    }
  }

  async #do(call: RebuildCall): Promise<Outcome<RebuildEvent>> {
    switch (call.op) {
      case "store": {
        const directory = this.#options.store.map(directoryMapName);
        const answer = await askPatiently(this.#options, directory, call.call);
        if (!answer.ok) return answer;
        return ok({ kind: "store", answer: { known: true, value: answer.value } });
      }
      case "row": {
        const row = await this.#untilThere(() => this.#options.database.row());
        return row.ok ? ok({ kind: "row", row: row.value }) : row;
      }
      case "fence": {
        const fenced = await this.#options.database.fence(call.expected, call.next);
        if (!fenced.ok && fenced.failure.kind === "terminal") return fenced;
        // Away, or not known: the row says, once it can be read.
        return ok({ kind: "fenced", moved: fenced.ok ? fenced.value : null });
      }
      case "endLogs":
        return this.#endLogs();
      case "fill":
        return this.#fillMap();
    }
  }

  /** The database may be away for a moment; it is asked again until the patience ends. */
  async #untilThere<T>(ask: () => Promise<Outcome<T>>): Promise<Outcome<T>> {
    const { clock, timers } = this.#options;
    const untilMs = clock.monotonicMs() + limits.rebuildDatabaseMsMax;
    for (let backoffMs: number = limits.pumpBackoffMsMin; ; backoffMs *= 2) {
      const answer = await ask();
      if (answer.ok || answer.failure.kind === "terminal") return answer;
      if (clock.monotonicMs() >= untilMs) return answer;
      await delay(timers, Math.min(backoffMs, limits.pumpBackoffMsMax));
    }
  }

  // Step 4

  async #endLogs(): Promise<Outcome<RebuildEvent>> {
    const { base, basePartitions } = this.#plan();
    const known = await this.#lastKnown(base);
    if (!known.ok) return known;
    const count = Math.max(basePartitions, ...[...known.value.keys()].map((one) => one + 1));
    const ended = await Promise.all(
      Array.from({ length: count }, (_, partition) =>
        this.#endLog(base, partition, known.value.get(partition) ?? 0),
      ),
    );
    return ended.find((outcome) => !outcome.ok) ?? ok({ kind: "errand", done: true });
  }

  /** By partition: the last position that the roster or the database knows of the base. */
  async #lastKnown(base: number): Promise<Outcome<ReadonlyMap<number, number>>> {
    const map = this.#options.store.map(generationMapName(base));
    const roster = await this.#untilThere(() => readRoster(map));
    if (!roster.ok) return failed("STORE_UNREACHABLE", roster.failure.message);
    if (roster.value.length > 0) this.#oldOwners = "log";
    const cards = roster.value.map(({ card }) => mergeOwned(card.owned, card.witnessed));
    const known = new Map<number, number>();
    const learn = (partition: number, position: number): void => {
      known.set(partition, Math.max(position, known.get(partition) ?? 0));
    };
    for (const { partition, acknowledged } of cards.flat()) learn(partition, acknowledged);
    for (const { partition, seq } of this.#written() ?? []) learn(partition, seq);
    return ok(known);
  }

  async #endLog(base: number, partition: number, known: number): Promise<Outcome<null>> {
    const { mine } = this.#plan();
    const map = this.#options.store.map(generationMapName(base));
    const { generation: successor, token } = mine;
    const timeMs = this.#options.clock.wallMs();
    const beyond = limits.endRecordsBeyond;
    let state = startEnd({ partition, successor, token, timeMs, known, beyond });
    while (state.call !== null) {
      const answer = await askPatiently(this.#options, map, state.call);
      if (!answer.ok) return answer;
      state = answerEnd(state, answer.value);
    }
    return ok(null);
  }

  // Steps 5 and 6

  async #fillMap(): Promise<Outcome<RebuildEvent>> {
    const { gridId, mine, base } = this.#plan();
    const timeMs = this.#options.clock.wallMs();
    const grid = { gridId, mine, base, written: this.#written() ?? [], timeMs };
    const fill = new RebuildFill({ ...this.#options, grid });
    this.#fill = fill;
    let toldAt = 0;
    const read = await this.#options.database.read(mine, {
      take: async (partition, changes) => {
        const taken = await fill.take(partition, changes);
        if (fill.entries - toldAt >= progressEvery) {
          toldAt = fill.entries;
          this.#progress("reading");
        }
        return taken;
      },
    });
    if (!read.ok) return read;
    if (!read.value) return ok({ kind: "errand", done: false });
    const finished = await fill.finish();
    return finished.ok ? ok({ kind: "errand", done: true }) : finished;
  }

  #plan() {
    return must(this.#state.plan, "the plan is made before anything is written");
  }

  /**
   * The progress of the base; null where the tables are of an older generation than that: then
   * they have nothing of it.
   */
  #written(): readonly WrittenPartition[] | null {
    const row = must(this.#state.row, "the row was read");
    return row.base >= this.#plan().base ? row.written : null;
  }

  #tell(before: RebuildState["phase"]["name"]): void {
    const { name } = this.#state.phase;
    if (name === before || name === "stopped") return;
    if (before === "reserve") this.#progress("reserved");
    if (name === "endLogs") this.#progress("fenced");
    if (before === "endLogs") this.#progress("ended");
    if (before === "fill") this.#progress("written");
    if (name === "done") this.#progress("opened");
  }

  #progress(step: RebuildProgress["step"]): void {
    const { entries = 0, bytes = 0 } = this.#fill ?? {};
    const { generation } = this.#plan().mine;
    this.#options.progress({ step, generation, entries, bytes });
  }

  #report(): RebuildReport {
    const { gridId, mine, base, basePartitions } = this.#plan();
    const { entries = 0, bytes = 0 } = this.#fill ?? {};
    const none = Array.from({ length: basePartitions }, (_, partition) => {
      return { partition, seq: 0, complete: false };
    });
    const open = (this.#written() ?? none).filter(({ complete }) => !complete);
    return {
      gridId,
      generation: mine.generation,
      base,
      basePartitions,
      partitions: mine.partitions,
      entries,
      bytes,
      vouched:
        open.length === 0
          ? "complete"
          : open.map(({ partition, seq }) => ({ partition, from: seq + 1 })),
      oldOwners: this.#oldOwners,
    };
  }
}

/** Entries between two words of progress. */
const progressEvery = 10_000;
