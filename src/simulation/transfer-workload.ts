// Transfer workload: clients that move amounts between the accounts of a bank, all of which lie in
// one partition, and look at all of them at once.
// Owns: the application, what clients do, their history. Does not own: when they do it
// (cluster-clients.ts), what is right (src/checkers).
import { Type } from "typebox";
import type { Random } from "../base/random.ts";
import type { Change, Value } from "../grid/log-record.ts";
import { command, space, type Application } from "../processing-units/application.ts";
import type { ReadConsistency } from "../processing-units/edge-context.ts";
import { ClientHistory } from "./client-history.ts";
import type { ClientOperation, ClusterWorkload, FinalView } from "./cluster-workload.ts";
import { clientsMax, KeyRotation } from "./key-rotation.ts";

/** Accounts of each bank, and what each begins with. */
export const bank = { accounts: 4, beginsWith: 100 } as const;

export type TransferAsked =
  | { readonly kind: "readAll"; readonly bank: string }
  | {
      readonly kind: "transfer";
      readonly bank: string;
      readonly from: number;
      readonly to: number;
      readonly amount: number;
    };

/** Of a read: all balances. Of a transfer: whether there was enough. */
export interface TransferAnswer {
  readonly balances?: readonly number[];
  readonly moved?: boolean;
}

const accounts = space<{ readonly balance: number }>({
  name: "accounts",
  table: { name: "accounts", key: "account", columns: { balance: "bigint" } },
});
/** One row for each transfer that happened: nothing reads them but the database's readers. */
const transfers = space<{ readonly bank: string; readonly amount: number }>({
  name: "transfers",
  writeOnly: true,
  table: {
    name: "transfers",
    key: "id",
    columns: { bank: "text", amount: "bigint" },
    kind: "append",
  },
});

const account = Type.Integer({ minimum: 0, maximum: bank.accounts - 1 });
const strict = { additionalProperties: false };
const accountKey = (name: string, number: number): string => `${name}/${String(number)}`;

const application: Application = {
  name: "transfer",
  spaces: [accounts, transfers],
  commands: {
    readAll: command({
      input: Type.Object({ bank: Type.String() }, strict),
      routeBy: (input) => input.bank,
      handle: (tx, input) => ({
        balances: Array.from(
          { length: bank.accounts },
          (_, number) =>
            tx.get(accounts, accountKey(input.bank, number))?.balance ?? bank.beginsWith,
        ),
      }),
    }),
    transfer: command({
      input: Type.Object(
        {
          bank: Type.String(),
          id: Type.String(),
          from: account,
          to: account,
          amount: Type.Integer({ minimum: 1 }),
        },
        strict,
      ),
      routeBy: (input) => input.bank,
      handle(tx, { bank: name, id, from, to, amount }) {
        const [source, target] = [accountKey(name, from), accountKey(name, to)];
        const left = (tx.get(accounts, source)?.balance ?? bank.beginsWith) - amount;
        if (left < 0) return { moved: false };
        tx.put(accounts, source, { balance: left });
        const had = tx.get(accounts, target)?.balance ?? bank.beginsWith;
        tx.put(accounts, target, { balance: had + amount });
        tx.put(transfers, id, { bank: name, amount });
        return { moved: true };
      },
    }),
  },
};

export class TransferWorkload implements ClusterWorkload {
  readonly name = "transfer";
  readonly application = application;
  readonly clients = clientsMax;
  readonly thinkMs = 40;
  readonly history = new ClientHistory<TransferAsked, TransferAnswer>(answerOf);
  readonly #banks = new KeyRotation("b");
  #transfers = 0;

  next(client: number, random: Random): ClientOperation {
    const name = this.#banks.next(random);
    if (random.chance(0.4)) return this.#read(client, name, random.pick(["local", "linearizable"]));
    const from = random.below(bank.accounts);
    const to = (from + 1 + random.below(bank.accounts - 1)) % bank.accounts;
    const amount = 1 + random.below(60);
    const read = random.pick(["local", "linearizable"] as const);
    return this.#transfer(client, { kind: "transfer", bank: name, from, to, amount }, read);
  }

  last(client: number): ClientOperation[] {
    return this.#banks.all.map((name) => this.#read(client, name, "linearizable"));
  }

  effectIn({ space: name, key }: Change): string | null {
    return name === transfers.name ? key : null;
  }

  problems(view: FinalView): string[] {
    const sums = new Map<string, number>();
    const problems: string[] = [];
    for (const [key, entry] of view.entries(accounts.name)) {
      const { balance } = entry as { balance: number };
      if (balance < 0) problems.push(`${key} has ${String(balance)}`);
      const name = key.slice(0, key.indexOf("/"));
      sums.set(name, (sums.get(name) ?? 0) + balance - bank.beginsWith);
    }
    for (const [name, sum] of sums) {
      if (sum !== 0) problems.push(`bank ${name} has ${String(sum)} more than it began with`);
    }
    return problems;
  }

  #read(client: number, name: string, read: ReadConsistency): ClientOperation {
    const asked = { kind: "readAll", bank: name } as const;
    return {
      command: "readAll",
      input: { bank: name },
      key: name,
      read,
      changes: false,
      effect: null,
      effectOf: () => null,
      shownBy: () => [],
      ended: (end, calledMs, atMs) => {
        const isLocal = read === "local";
        this.history.add({ client, asked, isLocal, isRead: true, calledMs, atMs }, end);
      },
    };
  }

  #transfer(
    client: number,
    asked: TransferAsked & { kind: "transfer" },
    read: ReadConsistency,
  ): ClientOperation {
    const { kind, ...input } = asked;
    const id = `t${String(++this.#transfers)}`;
    return {
      command: kind,
      input: { ...input, id },
      key: asked.bank,
      read,
      changes: true,
      effect: id,
      effectOf: (answer) => (answerOf(answer).moved === true ? id : null),
      shownBy: () => [],
      ended: (end, calledMs, atMs) => {
        if (end.kind === "unknown") this.#banks.isUnknown(asked.bank);
        // One that was not made is a read.
        const isUnmade = end.kind === "answered" && answerOf(end.answer).moved === false;
        const isLocal = isUnmade && read === "local";
        this.history.add({ client, asked, isRead: false, isLocal, calledMs, atMs }, end);
      },
    };
  }
}

function answerOf(answer: Value): TransferAnswer {
  return answer as TransferAnswer;
}
