/**
 * The client that is to take over from one that is up and dead: made and connected beside it, so that what still works of
 * the old one serves until then. A new client that is not ready in its time is dropped for another one with more time.
 */

import { clearTimeout, setTimeout } from "../../../real-time.ts";
import { redisClient } from "../client/detect.ts";
import type { RedisClient } from "../client/port.ts";
import { FIRST_REPLACEMENT_MS, LAST_REPLACEMENT_MS, SILENT_CONNECTION_MS } from "./limits.ts";

export interface ReplacementOptions {
  /** Makes a client, or a promise of one. */
  readonly make: () => unknown;
  /** How long to wait after a client that could not be made. */
  readonly nextRebuildMs: () => number;
  /** The new client is ready to take over. */
  readonly onReady: (client: RedisClient) => void;
  /** There will be no new client: `drop()` was called, or the client ended, or what was made is no client. */
  readonly onDropped: () => void;
}

export class Replacement {
  readonly #options: ReplacementOptions;
  /** Number of the client in the making; each earlier one was dropped. */
  #attempt = 0;
  #isOver = false;
  #client: RedisClient | undefined;
  #stopObserving: (() => void) | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: ReplacementOptions) {
    this.#options = options;
  }

  /** Makes the first client. */
  start(): void {
    void this.#try(FIRST_REPLACEMENT_MS);
  }

  /** Ends the client in the making, and makes no other. */
  drop(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#letGo();
    this.#options.onDropped();
  }

  async #try(patienceMs: number): Promise<void> {
    this.#attempt += 1;
    const attempt = this.#attempt;
    const nextPatienceMs = Math.min(LAST_REPLACEMENT_MS, patienceMs * 2);
    // A factory that connects by itself may take longer, or for ever.
    this.#tryAfter(Math.max(SILENT_CONNECTION_MS, patienceMs), nextPatienceMs);
    try {
      const client = redisClient(await this.#options.make());
      if (!this.#isPresent(attempt)) {
        void client?.close(0);
        return;
      }
      if (client === undefined) {
        this.drop();
        return;
      }
      this.#client = client;
      // It may begin with the very node that is dead, and wait for it.
      this.#tryAfter(patienceMs, nextPatienceMs);
      this.#stopObserving = client.observe({
        onReady: () => this.#ready(attempt, client),
        onTrouble: () => {},
        onEnd: () => {
          if (this.#isPresent(attempt)) this.drop();
        },
      });
      if (client.isReady()) this.#ready(attempt, client);
      else client.connect();
    } catch {
      // The connection has reported that the present client is dead, and reports it once.
      if (this.#isPresent(attempt)) this.#tryAfter(this.#options.nextRebuildMs(), patienceMs);
    }
  }

  /** Drops the client in the making for another one, after `ms`. */
  #tryAfter(ms: number, patienceMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#letGo();
      void this.#try(patienceMs);
    }, ms);
    this.#timer.unref?.();
  }

  #ready(attempt: number, client: RedisClient): void {
    if (!this.#isPresent(attempt)) return;
    this.#isOver = true;
    this.#client = undefined;
    this.#letGo();
    this.#options.onReady(client);
  }

  #isPresent(attempt: number): boolean {
    return !this.#isOver && attempt === this.#attempt;
  }

  #letGo(): void {
    clearTimeout(this.#timer);
    this.#stopObserving?.();
    this.#stopObserving = undefined;
    void this.#client?.close(0);
    this.#client = undefined;
  }
}
