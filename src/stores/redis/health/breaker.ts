/**
 * Decides when failures are too many: several in a row, or half of the operations of the last second or two.
 *
 * A row is broken by any success after the failed operation began. Otherwise the keys of one dead node of a cluster, whose
 * deadlines pass together, would take the keys of all others with them.
 */

import { FAILURE_WINDOW_MS, FAILURES_IN_A_ROW, LEAST_OPERATIONS } from "./limits.ts";

interface Tally {
  operations: number;
  failures: number;
}

export class Breaker {
  #inARow = 0;
  #lastSuccessMs = -Infinity;
  #windowStartMs = 0;
  /** The present window and the one before: a window that has just begun may hold nothing but failures. */
  #present: Tally = { operations: 0, failures: 0 };
  #past: Tally = { operations: 0, failures: 0 };

  /** True while the latest operations failed. */
  get isDoubtful(): boolean {
    return this.#inARow > 0;
  }

  succeeded(nowMs: number): void {
    this.#inARow = 0;
    this.#lastSuccessMs = nowMs;
    this.#count(nowMs, 0);
  }

  /** Counts the failure of an operation begun at `startMs`. Returns their number as text when they are too many. */
  failed(startMs: number, nowMs: number): string | undefined {
    if (startMs >= this.#lastSuccessMs) this.#inARow += 1;
    this.#count(nowMs, 1);
    if (this.#inARow >= FAILURES_IN_A_ROW) return `${this.#inARow} operations in a row`;
    const operations = this.#present.operations + this.#past.operations;
    const failures = this.#present.failures + this.#past.failures;
    if (operations < LEAST_OPERATIONS || failures * 2 < operations) return undefined;
    return `${failures} of ${operations} operations`;
  }

  clear(): void {
    this.#inARow = 0;
    this.#lastSuccessMs = -Infinity;
    this.#present = { operations: 0, failures: 0 };
    this.#past = { operations: 0, failures: 0 };
  }

  #count(nowMs: number, failures: 0 | 1): void {
    const sinceMs = nowMs - this.#windowStartMs;
    if (sinceMs >= FAILURE_WINDOW_MS) {
      this.#past = sinceMs < 2 * FAILURE_WINDOW_MS ? this.#present : { operations: 0, failures: 0 };
      this.#present = { operations: 0, failures: 0 };
      this.#windowStartMs = nowMs;
    }
    this.#present.operations += 1;
    this.#present.failures += failures;
  }
}
