// Port link: batches between two threads of one process, over a MessagePort.
// Owns: its end of the port. Does not own: making the channel and handing its ends to threads.
// A port closes when the thread at its other end ends, however it ends.
//
// A port does not say how much of what was posted has been taken. So each end counts the bytes it
// took in a shared word, which it posts before anything else; what the other end posted beyond
// that is buffered. The counters wrap: only their difference counts, and it is far below 2^32.
import type { MessagePort } from "node:worker_threads";
import { assert } from "../base/assert.ts";
import type { FrameLink, FrameLinkListener } from "./frame-link.ts";

export class PortLink implements FrameLink {
  readonly #port: MessagePort;
  readonly #taken = new Uint32Array(new SharedArrayBuffer(Uint32Array.BYTES_PER_ELEMENT));
  #takenByPeer: Uint32Array | null = null;
  #posted = 0;
  #closed = false;
  #listener: FrameLinkListener | null = null;

  /** `port` is one end of a MessageChannel; the other is made a link in the other thread. */
  constructor(port: MessagePort) {
    this.#port = port;
    port.on("close", () => {
      this.#closed = true;
      this.#listener?.onClose();
    });
    port.postMessage(this.#taken.buffer);
  }

  get bufferedBytes(): number {
    const taken = this.#takenByPeer === null ? 0 : Atomics.load(this.#takenByPeer, 0);
    return (this.#posted - taken) >>> 0;
  }

  start(listener: FrameLinkListener): void {
    assert(this.#listener === null, "a link is started once");
    this.#listener = listener;
    if (this.#closed) {
      listener.onClose();
      return;
    }
    // From here on the port delivers; until now it kept what came.
    this.#port.on("message", (message: unknown) => {
      if (message instanceof ArrayBuffer) {
        Atomics.add(this.#taken, 0, message.byteLength);
        if (!this.#closed) listener.onBatch(new Uint8Array(message));
      } else if (message instanceof SharedArrayBuffer && this.#takenByPeer === null) {
        this.#takenByPeer = new Uint32Array(message);
      } else {
        this.close(); // not of this protocol
      }
    });
    this.#port.on("messageerror", () => {
      this.close();
    });
  }

  send(batch: Uint8Array<ArrayBuffer>): void {
    if (this.#closed) return;
    assert(batch.byteLength === batch.buffer.byteLength, "a batch owns its memory");
    this.#posted = (this.#posted + batch.byteLength) >>> 0;
    // Handing over the memory costs the same for any size; copying costs more from 4 KB on.
    this.#port.postMessage(batch.buffer, [batch.buffer]);
  }

  close(): void {
    this.#closed = true;
    this.#port.close();
  }
}
