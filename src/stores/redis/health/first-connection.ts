/**
 * Waiting for the first connection: a program may ask for something before its store is connected, and a miss for each of
 * its first requests would be a pity.
 */

import { performance } from "../../../real-time.ts";
import type { Deadlines } from "./deadlines.ts";

export class FirstConnection {
  /** Called when the connection is up or has failed. */
  readonly #waiting = new Set<() => void>();
  /** Called when the client package is loaded. */
  #untilLoaded: (() => void)[] = [];
  #sinceMs: number | undefined;

  /** When Redis was first asked to connect; undefined while the client package is loaded. */
  get sinceMs(): number | undefined {
    return this.#sinceMs;
  }

  /** Redis is asked to connect from now on: deadlines begin. */
  begin(): void {
    this.#sinceMs ??= performance.now();
    this.#loaded();
  }

  /** The connection is up, or has failed: nothing waits for it any longer. */
  end(): void {
    this.#loaded();
    for (const done of this.#waiting) done();
  }

  /** Resolves with `begin()` or `end()`. Loading a package is work of this process, and no deadline for Redis counts it. */
  loaded(): Promise<void> {
    return new Promise((resolve) => void this.#untilLoaded.push(resolve));
  }

  /** Resolves with `end()`, and at the latest after a deadline of `deadlines`. */
  ended(deadlines: Deadlines): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#waiting.delete(done);
        if (deadline.meet()) resolve();
      };
      const deadline = deadlines.start(() => {
        this.#waiting.delete(done);
        resolve();
      });
      this.#waiting.add(done);
    });
  }

  #loaded(): void {
    for (const resolve of this.#untilLoaded.splice(0)) resolve();
  }
}
