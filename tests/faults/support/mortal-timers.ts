// Mortal timers: the system's timers, until they end all at once: what waits for one of them then
// waits for ever, as if its process had ended.
// Owns: what is still to be called. Does not own: time.
import { systemTimers, type TimerHandle, type Timers } from "../../../src/base/timers.ts";

export class MortalTimers implements Timers {
  readonly #handles = new Set<TimerHandle>();
  #isOver = false;

  after(delayMs: number, callback: () => void): TimerHandle {
    const handle = this.#keep(
      systemTimers.after(delayMs, () => {
        this.#handles.delete(handle);
        callback();
      }),
    );
    return handle;
  }

  every(intervalMs: number, callback: () => void): TimerHandle {
    return this.#keep(systemTimers.every(intervalMs, callback));
  }

  endOfTick(callback: () => void): void {
    systemTimers.endOfTick(() => {
      if (!this.#isOver) callback();
    });
  }

  /** Nothing is called any more. */
  end(): void {
    this.#isOver = true;
    for (const handle of this.#handles) handle.cancel();
  }

  #keep(timer: TimerHandle): TimerHandle {
    const handle: TimerHandle = {
      cancel: () => {
        this.#handles.delete(handle);
        timer.cancel();
      },
    };
    if (this.#isOver) timer.cancel();
    else this.#handles.add(handle);
    return handle;
  }
}
