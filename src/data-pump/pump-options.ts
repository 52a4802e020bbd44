// Pump options: what a pump needs, and whom it tells.
// Owns: both contracts. Does not own: the pump (pump.ts).
import type { Clock } from "../base/clock.ts";
import type { Failure } from "../base/failure.ts";
import type { Random } from "../base/random.ts";
import type { Timers } from "../base/timers.ts";
import type { GridIdentity } from "../grid/grid-directory.ts";
import type { Database, DeadLetter } from "./database.ts";
import type { TablesBySpace } from "./rows.ts";

export interface PumpListener {
  /** A change is a dead letter; told before `written` of its record's position. */
  deadLettered(letter: DeadLetter): void;
  /** The records up to `position` are in the database. Lower than before: it was restored. */
  written(partition: number, position: number): void;
  /** The partition's row can never be written again by this owner; the reason says why. */
  halted(partition: number, reason: Failure): void;
}

export interface PumpOptions {
  readonly database: Database;
  readonly identity: GridIdentity;
  /** Tables by the name of their space; changes of other spaces stay in the grid. */
  readonly spaces: TablesBySpace;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly listener: PumpListener;
}
