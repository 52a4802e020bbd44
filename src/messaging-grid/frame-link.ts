// Frame link: a way for batches of bytes to one peer, in order, until it closes.
// Owns: the contract. Does not own: what a batch means (frames.ts), any transport (port-link.ts,
// ws-link.ts), connecting again after a close: a link that closed stays closed.

export interface FrameLinkListener {
  /** One batch as the peer sent it, in its order. */
  onBatch(batch: Uint8Array): void;
  /**
   * Once, whoever closed and for whatever reason; no batch comes after it. "silent": nothing was
   * heard of the peer for `limits.peerSilenceMsMax`, so that it may be frozen, or cut off.
   */
  onClose(why?: "silent"): void;
}

export interface FrameLink {
  /** Bytes given to `send` that the peer (or the operating system) has not taken yet. */
  readonly bufferedBytes: number;
  /** Begins to listen; called once. What arrived before is kept until then. */
  start(listener: FrameLinkListener): void;
  /**
   * Sends one batch. It owns all of its ArrayBuffer, and belongs to the link from here on. A link
   * that has closed takes it and does nothing.
   */
  send(batch: Uint8Array<ArrayBuffer>): void;
  /** Lets what was sent leave, then ends the link on both sides. */
  close(): void;
}
