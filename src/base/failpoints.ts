// Failpoints: named places at which a test ends or freezes the process, exactly there.
// Owns: the names, and how one is armed: by the environment, before the process starts.
// Does not own: who arms one and what must hold afterwards (src/faults, tests/faults).
// Unarmed, a failpoint is one comparison. Each thread counts for itself.

/** Every point that there is, in the order of a record's life. */
export type FailpointName =
  /** A record is about to go to the store for the first time. */
  | "log.append"
  /** The store has an append; its lane has not heard of it. */
  | "store.stored"
  /** It is durable; nobody was told. */
  | "log.durable"
  /** In a hand-over: the release is durable, or it never served; no other lane was told. */
  | "partition.released"
  /** A claim is durable and everything is loaded; the database does not know the owner yet. */
  | "log.claimed"
  /** The owner's epoch stands in the database; nothing was written under it. */
  | "pump.claimed"
  /** A transaction is formed, nothing of it is sent. */
  | "pump.write"
  /** A transaction is answered as written; its owner does not know it yet. */
  | "pump.written"
  /** Records are in the database and behind head; none is deleted yet. */
  | "log.trim";

/** What the process does to itself. */
const signals = { kill: "SIGKILL", stop: "SIGSTOP" } as const;

export interface ArmedFailpoint {
  readonly name: FailpointName;
  /** `kill`: kill -9. `stop`: SIGSTOP; it goes on from there when it is resumed. */
  readonly does: keyof typeof signals;
  /** At the how manieth time that a thread comes by, from 1. */
  readonly time: number;
}

const variable = "ORRERY_FAILPOINT";
/** By then a signal to the own process has stopped this thread, too. */
const signalMsMax = 100;

/** The environment of a process that has this failpoint. */
export function failpointEnvironment({ name, does, time }: ArmedFailpoint): Record<string, string> {
  return { [variable]: `${does} ${name} ${time}` };
}

function readArmed(text: string | undefined): ArmedFailpoint | null {
  if (text === undefined || text === "") return null;
  const [does = "", name = "", time = ""] = text.split(" ");
  if (!(does in signals) || !(Number(time) > 0)) throw new Error(`${variable}: ${text}`);
  return {
    name: name as FailpointName,
    does: does as ArmedFailpoint["does"],
    time: Number(time),
  };
}

const armed = readArmed(process.env[variable]);
let passed = 0;

/** Here a test may end this process. */
export function failpoint(name: FailpointName): void {
  if (armed?.name === name) reach(armed);
}

function reach({ does, time }: ArmedFailpoint): void {
  if (++passed !== time) return;
  process.kill(process.pid, signals[does]);
  const never = new Int32Array(new SharedArrayBuffer(4));
  Atomics.wait(never, 0, 0, signalMsMax);
}
