// Linked lane: what one lane has of the messaging grid, in a wire network. It answers every
// command with its own incarnation and the command's input.
import { ok, type Outcome } from "../../src/base/failure.ts";
import { seededRandom } from "../../src/base/random.ts";
import type { Value } from "../../src/grid/log-record.ts";
import type { Hello } from "../../src/messaging-grid/hello.ts";
import { Messenger } from "../../src/messaging-grid/messenger.ts";
import { PeerLinks, type WantedPeer } from "../../src/messaging-grid/peer-links.ts";
import { commandRequest } from "./command-request.ts";
import type { WireEnd, WireNetwork } from "./wire-network.ts";

export class LinkedLane {
  readonly hello: Hello;
  readonly address: string;
  readonly messenger: Messenger;
  readonly links: PeerLinks;
  /** Calls of peers, in order; those of "silence" are not answered. */
  readonly heard: Value[] = [];
  alive = true;
  readonly #wires: WireNetwork;

  constructor(wires: WireNetwork, slot: number, incarnation: string, address: string) {
    this.#wires = wires;
    this.hello = { slot, incarnation };
    this.address = address;
    const { clock, timers } = wires.time;
    this.messenger = new Messenger({
      clock,
      timers,
      onRequest: (_, { command, input }, respond) => {
        this.heard.push(input);
        if (command !== "silence") respond(ok([incarnation, input]));
      },
      onNotice: () => undefined,
      onLost: () => undefined,
    });
    this.links = new PeerLinks({
      hello: this.hello,
      clock,
      timers,
      random: seededRandom(slot),
      messenger: this.messenger,
      connect: async (to, hello, wanted) => {
        const outcome = await wires.dial(to, hello, wanted);
        // What reaches a process that was killed comes to nothing.
        return this.alive ? outcome : new Promise(() => undefined);
      },
    });
    wires.listeners.set(address, {
      hello: this.hello,
      accept: (hello, link) => {
        this.links.accept(hello, link);
      },
    });
  }

  get card(): WantedPeer {
    return { ...this.hello, address: this.address };
  }

  call(slot: number, input: Value, command = "echo"): { outcome: Outcome<Value> | null } {
    const got: { outcome: Outcome<Value> | null } = { outcome: null };
    this.messenger.send(slot, commandRequest({ command, input }), (outcome) => {
      got.outcome = outcome;
    });
    return got;
  }

  /** Its open ends of links with another lane. */
  endsTo(other: LinkedLane): WireEnd[] {
    return this.#wires
      .openWires()
      .flat()
      .filter(
        (end) =>
          end.hello.incarnation === this.hello.incarnation &&
          end.other.hello.incarnation === other.hello.incarnation &&
          end.isOpen,
      );
  }

  /** As kill -9: its links break, and nobody listens there. */
  kill(): void {
    this.alive = false;
    this.#wires.listeners.delete(this.address);
    this.links.close();
    this.#wires.kill(this.hello.incarnation);
  }
}
