import type { Purgeable, PurgeLog, PurgeReceipt } from "../http.ts";
import { performance } from "../real-time.ts";

/**
 * The rule that a purge beats every response whose origin was asked before it, for one cache.
 *
 * `take()` gives the position of the purge log before the origin is asked; it stays with the response as its `generation`.
 * Later `isClear()` tells whether a purge has come since. Other processes purge too, and their purges are known here only
 * once the log has been read: `maySharePast()` tells whether it was read since a request came.
 */
export class PurgeFence {
  readonly #purges: PurgeLog;
  readonly #prefix: string;
  /** Each purge is known here when it resolves: no other process purges what the store holds. */
  readonly knowsAll: boolean;

  constructor(purges: PurgeLog, prefix: string) {
    this.#purges = purges;
    this.#prefix = prefix;
    this.knowsAll = purges.verifiedAtMs(prefix) === Infinity;
  }

  /** The position of the purge log at this moment. */
  take(): string {
    return this.#purges.generation(this.#prefix);
  }

  /** The moment at which a request comes, for `maySharePast()`. */
  arrivalMs(): number {
    // Where every purge is known there is nothing to compare it with.
    return this.knowsAll ? 0 : performance.now();
  }

  /** True while no known purge, soft ones included, covers what was asked for at the position of `purgeable`. */
  isClear(key: string, purgeable: Purgeable): boolean {
    return this.#purges.judge(this.#prefix, key, purgeable) === "valid";
  }

  /** True if a purge has taken it away. A soft purge only makes it stale. */
  isPurged(key: string, purgeable: Purgeable): boolean {
    return this.#purges.judge(this.#prefix, key, purgeable) === "purged";
  }

  /**
   * True when a request that came at `arrivalMs` may share what is clear: every purge acknowledged before it came is known
   * here, or the origin was asked after it came.
   */
  maySharePast(arrivalMs: number, askedAtMs: number = -Infinity): boolean {
    return askedAtMs >= arrivalMs || this.#purges.verifiedAtMs(this.#prefix) >= arrivalMs;
  }

  /** True once the purge log has been read. Until then nothing tells a purged response from another one. */
  hasRead(): boolean {
    return this.#purges.verifiedAtMs(this.#prefix) > -Infinity;
  }

  /** The position right after a purge of our own; `undefined` if another purge has come since `taken`. */
  positionAfter({ before, after }: PurgeReceipt, taken: string): string | undefined {
    return before === taken ? after : undefined;
  }
}
