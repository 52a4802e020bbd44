// Watched link: a link whose end is seen by who made it, besides the one who uses it; and which
// ends for both at once, however long the closing takes on the way.
// Owns: saying once, and to whom made it first, that a link has ended and why.
import type { FrameLink, FrameLinkListener } from "./frame-link.ts";

/** "closed": by the peer, or the connection broke; "ours": it was closed on this side. */
export type LinkEnd = "closed" | "silent" | "ours";

export class WatchedLink implements FrameLink {
  readonly #link: FrameLink;
  readonly #onEnd: (end: LinkEnd) => void;
  #listener: FrameLinkListener | null = null;
  #ended = false;

  constructor(link: FrameLink, onEnd: (end: LinkEnd) => void) {
    this.#link = link;
    this.#onEnd = onEnd;
  }

  get bufferedBytes(): number {
    return this.#link.bufferedBytes;
  }

  start(listener: FrameLinkListener): void {
    this.#listener = listener;
    this.#link.start({
      onBatch: (batch) => {
        if (!this.#ended) listener.onBatch(batch);
      },
      onClose: (why) => {
        this.#end(why ?? "closed");
      },
    });
  }

  send(batch: Uint8Array<ArrayBuffer>): void {
    this.#link.send(batch);
  }

  close(): void {
    this.#link.close();
    this.#end("ours");
  }

  #end(end: LinkEnd): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#onEnd(end);
    this.#listener?.onClose();
  }
}
