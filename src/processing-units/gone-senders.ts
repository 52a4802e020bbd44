// Gone senders: which senders of commands will never be heard of again, so that partitions may
// forget what they answered them. A sender is a lane's incarnation; while it lives it stands in
// the roster, and what it sent before it died arrives within moments or never.
// Owns: when each was last seen. Does not own: the roster, the answers (replies.ts).
import { limits } from "../base/limits.ts";

export class GoneSenders {
  /** When each sender was last known to live, or was first asked for. */
  readonly #lastSeenMs = new Map<string, number>();
  #alive: ReadonlySet<string> = new Set();

  /** These live now; called again and again. */
  see(alive: ReadonlySet<string>, nowMs: number): void {
    this.#alive = alive;
    for (const sender of alive) this.#lastSeenMs.set(sender, nowMs);
    for (const [sender, seenMs] of this.#lastSeenMs) {
      // Forgotten everywhere by then: nobody asks for it any more.
      if (nowMs - seenMs >= 2 * limits.senderForgottenMs) this.#lastSeenMs.delete(sender);
    }
  }

  /** True once it has been out of the roster for limits.senderForgottenMs, as seen from here. */
  isGone(sender: string, nowMs: number): boolean {
    if (this.#alive.has(sender)) return false;
    const seenMs = this.#lastSeenMs.get(sender);
    if (seenMs === undefined) {
      this.#lastSeenMs.set(sender, nowMs);
      return false;
    }
    return nowMs - seenMs >= limits.senderForgottenMs;
  }
}
