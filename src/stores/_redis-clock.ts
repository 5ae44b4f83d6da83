/** The clock of the Redis server, as seen from this process. It does not jump when the wall clock here does. */

const REFRESH_MS = 60_000;

export class RedisClock {
  readonly #now: () => number;
  /** Server time when `performance.now()` was 0; undefined before the first reading. */
  #originMs: number | undefined;
  #readAtMs = -Infinity;

  /** `now`: wall clock of this process in milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
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
    return this.#originMs === undefined ? undefined : this.#originMs + performance.now() - this.#now();
  }

  /** The time of the server; undefined before the first reading. */
  nowMs(): number | undefined {
    return this.#originMs === undefined ? undefined : this.#originMs + performance.now();
  }

  /** The wall clock of this process. */
  hereMs(): number {
    return this.#now();
  }
}
