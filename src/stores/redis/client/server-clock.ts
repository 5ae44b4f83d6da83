/** The clock of the Redis server, as seen from this process. It does not jump when the wall clock here does. */

import { randomBytes } from "node:crypto";

import { performance, wallClock } from "../../../real-time.ts";

const REFRESH_MS = 60_000;

/** The name of each wall clock. An entry carries the name of the clock that its times were read from. */
const names = new WeakMap<() => number, string>();

export class RedisClock {
  #now: (() => number) | undefined;
  /** Server time when `performance.now()` was 0; undefined before the first reading. */
  #originMs: number | undefined;
  #readAtMs = -Infinity;

  /** `now`: wall clock of this process in milliseconds. Default: the one of the first cache. */
  constructor(now?: () => number) {
    this.#now = now;
  }

  /** Reads `now` from here on, unless there is a wall clock already. */
  use(now: (() => number) | undefined): void {
    this.#now ??= now;
  }

  /**
   * A random name of the wall clock here. Times that were read from the same clock need no conversion, even if the clock was
   * set back or moved by a test meanwhile.
   */
  get name(): string {
    const now = this.#now ?? wallClock;
    const known = names.get(now);
    if (known !== undefined) return known;
    const made = randomBytes(6).toString("base64url");
    names.set(now, made);
    return made;
  }

  /** True when the last reading is too old to rely on. */
  get isDue(): boolean {
    return performance.now() - this.#readAtMs > REFRESH_MS;
  }

  /** Takes a reading: the server's time was `redisMs` about half way between sending and receiving (performance.now()). */
  take(redisMs: number, sentAtMs: number, receivedAtMs: number): void {
    this.#originMs = redisMs - (sentAtMs + receivedAtMs) / 2;
    this.#readAtMs = receivedAtMs;
  }

  /** Milliseconds to add to the wall clock here to get the server's; undefined before the first reading. */
  get offsetMs(): number | undefined {
    return this.#originMs === undefined ? undefined : this.#originMs + performance.now() - this.hereMs();
  }

  /** The time of the server; undefined before the first reading. */
  nowMs(): number | undefined {
    return this.#originMs === undefined ? undefined : this.#originMs + performance.now();
  }

  /** The wall clock of this process. */
  hereMs(): number {
    return (this.#now ?? wallClock)();
  }
}
