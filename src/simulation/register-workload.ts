// Register workload: clients that read, write and replace values under a few keys at a time.
// Owns: the application, what clients do, their history. Does not own: when they do it
// (cluster-clients.ts), what is right (src/checkers).
// Every value is written at most once, so that a value says which operation it came from.
import { Type } from "typebox";
import type { Random } from "../base/random.ts";
import type { Change, Value } from "../grid/log-record.ts";
import { command, space, type Application } from "../processing-units/application.ts";
import type { ReadConsistency } from "../processing-units/edge-context.ts";
import { ClientHistory } from "./client-history.ts";
import type { ClientOperation, ClusterWorkload } from "./cluster-workload.ts";
import { clientsMax, KeyRotation } from "./key-rotation.ts";

export type RegisterAsked =
  | { readonly kind: "get"; readonly key: string }
  | { readonly kind: "put"; readonly key: string; readonly value: number }
  | {
      readonly kind: "cas";
      readonly key: string;
      readonly expected: number | null;
      readonly value: number;
    };

/** Of a get: what it saw. Of a cas: whether it replaced. */
export interface RegisterAnswer {
  readonly value?: number | null;
  readonly swapped?: boolean;
}

const registers = space<{ readonly value: number }>({
  name: "registers",
  table: { name: "registers", key: "key", columns: { value: "bigint" } },
});

const key = Type.String({ minLength: 1 });
const value = Type.Integer();
const strict = { additionalProperties: false };

const application: Application = {
  name: "register",
  spaces: [registers],
  commands: {
    get: command({
      input: Type.Object({ key }, strict),
      routeBy: (input) => input.key,
      handle: (tx, input) => ({ value: tx.get(registers, input.key)?.value ?? null }),
    }),
    put: command({
      input: Type.Object({ key, value }, strict),
      routeBy: (input) => input.key,
      handle(tx, input) {
        tx.put(registers, input.key, { value: input.value });
        return {};
      },
    }),
    cas: command({
      input: Type.Object({ key, value, expected: Type.Union([value, Type.Null()]) }, strict),
      routeBy: (input) => input.key,
      handle(tx, input) {
        const found = tx.get(registers, input.key)?.value ?? null;
        const swapped = found === input.expected;
        if (swapped) tx.put(registers, input.key, { value: input.value });
        return { swapped };
      },
    }),
  },
};

export class RegisterWorkload implements ClusterWorkload {
  readonly name = "register";
  readonly application = application;
  readonly clients = clientsMax;
  readonly thinkMs = 40;
  readonly history = new ClientHistory<RegisterAsked, RegisterAnswer>(answerOf);
  readonly #keys = new KeyRotation("r");
  /** A value that each key had at some time lately: what a replacement may well expect. */
  readonly #lately = new Map<string, number | null>();
  #values = 0;

  next(client: number, random: Random): ClientOperation {
    const used = this.#keys.next(random);
    const dice = random.below(10);
    if (dice < 4) return this.#operation(client, { kind: "get", key: used }, read(random));
    const written = ++this.#values;
    if (dice < 7) return this.#operation(client, { kind: "put", key: used, value: written });
    const how = read(random);
    const lately = this.#lately.get(used) ?? null;
    const expected = random.chance(0.85) ? lately : 1 + random.below(written);
    return this.#operation(client, { kind: "cas", key: used, expected, value: written }, how);
  }

  last(client: number): ClientOperation[] {
    return this.#keys.all.map((used) => this.#operation(client, { kind: "get", key: used }));
  }

  effectIn({ space: name, key: changed, value: entry }: Change): string | null {
    if (name !== registers.name) return null;
    return effectName(changed, (entry as { value: number }).value);
  }

  problems(): string[] {
    return [];
  }

  #operation(
    client: number,
    asked: RegisterAsked,
    consistency: ReadConsistency = "linearizable",
  ): ClientOperation {
    const { kind, ...input } = asked;
    const effect = asked.kind === "get" ? null : effectName(asked.key, asked.value);
    return {
      command: kind,
      input,
      key: asked.key,
      read: consistency,
      changes: effect !== null,
      effect,
      effectOf: (answer) => (answerOf(answer).swapped === false ? null : effect),
      shownBy(answer) {
        const shown = answerOf(answer).value ?? null;
        return shown === null ? [] : [effectName(asked.key, shown)];
      },
      ended: (end, calledMs, atMs) => {
        if (end.kind === "unknown") this.#keys.isUnknown(asked.key);
        const answer = end.kind === "answered" ? answerOf(end.answer) : null;
        if (answer?.value !== undefined) this.#lately.set(asked.key, answer.value);
        else if (answer !== null && answer.swapped !== false && asked.kind !== "get") {
          this.#lately.set(asked.key, asked.value);
        }
        // A change that was not made is a read as well.
        const isRead = kind === "get" || answer?.swapped === false;
        const isLocal = isRead && consistency === "local";
        this.history.add({ client, asked, isLocal, isRead: kind === "get", calledMs, atMs }, end);
      },
    };
  }
}

function read(random: Random): ReadConsistency {
  return random.chance(0.5) ? "local" : "linearizable";
}

function answerOf(answer: Value): RegisterAnswer {
  return answer as RegisterAnswer;
}

function effectName(changed: string, written: number): string {
  return `${changed}=${String(written)}`;
}
