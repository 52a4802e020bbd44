// Held link: a link between two messengers of one thread whose batches arrive when a test says so.
// Owns: both ends, what is on the way in each direction. Keeps the contract of frame-link.ts.
import type { FrameLink, FrameLinkListener } from "../../src/messaging-grid/frame-link.ts";

export class HeldLink implements FrameLink {
  /** Sent by this end and not delivered yet. */
  readonly onTheWay: Uint8Array[] = [];
  sent = 0;
  closed = false;
  #listener: FrameLinkListener | null = null;
  #other: HeldLink = this;

  /** The two ends of one link. */
  static pair(): [HeldLink, HeldLink] {
    const [left, right] = [new HeldLink(), new HeldLink()];
    left.#other = right;
    right.#other = left;
    return [left, right];
  }

  get bufferedBytes(): number {
    return this.onTheWay.reduce((sum, batch) => sum + batch.length, 0);
  }

  start(listener: FrameLinkListener): void {
    this.#listener = listener;
    if (this.closed) listener.onClose();
  }

  send(batch: Uint8Array): void {
    if (this.closed) return;
    this.sent++;
    this.onTheWay.push(batch);
  }

  /** The other end receives the oldest batch; false where there is none. */
  deliver(): boolean {
    const batch = this.onTheWay.shift();
    if (batch === undefined) return false;
    if (!this.#other.closed) this.#other.#listener?.onBatch(batch);
    return true;
  }

  /** Ends the link on both sides; what is on the way is lost, as when a thread dies. */
  close(): void {
    for (const end of [this, this.#other]) {
      if (end.closed) continue;
      end.closed = true;
      end.onTheWay.length = 0;
      end.#listener?.onClose();
    }
  }
}
