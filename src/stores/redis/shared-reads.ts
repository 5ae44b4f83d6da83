/** Look-ups of one key at one moment share a command: a thousand requests for one key cost Redis two commands. */

import { setImmediate } from "../../real-time.ts";

export class LookUps<T> {
  /** The keys looked up in this turn of the event loop, each with the look-up that is sent when the turn ends, if there is one. */
  readonly #begun = new Map<string, Promise<T> | undefined>();

  /**
   * The first look-up of a turn is sent at once. All further ones share one that is sent when the turn ends: it then sees
   * every purge that was acknowledged before any of them began.
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
