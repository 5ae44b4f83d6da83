/** One look-up for all who want the same at the same moment: a thousand requests for one key cost Redis two commands. */

import { setImmediate } from "../../real-time.ts";

export class LookUps<T> {
  /** By key, of this turn of the event loop: the look-up that is still to be sent, if there is one besides the first. */
  readonly #begun = new Map<string, Promise<T> | undefined>();

  /**
   * The first of a turn is sent at once. The others share one that is sent when the turn ends: a purge that was
   * acknowledged before any of them asked was so before it is sent.
   */
  join(key: string, send: () => Promise<T>): Promise<T> {
    if (!this.#begun.has(key)) {
      if (this.#begun.size === 0) setImmediate(() => this.#begun.clear());
      this.#begun.set(key, undefined);
      return send();
    }
    const waiting = this.#begun.get(key);
    if (waiting !== undefined) return waiting;
    const next = new Promise<void>((resolve) => {
      setImmediate(resolve);
    }).then(send);
    this.#begun.set(key, next);
    return next;
  }
}
