/**
 * Detects a part of Redis that stays silent while the rest answers: a frozen node of a cluster, to which clients go on
 * sending long after a replica took over. Or a primary that became a replica and refuses writes, which is the wrong server
 * to ask.
 *
 * A slow node answers late, which takes a command off this list again. Only a new client cures a silent one.
 */

import {
  CALM_MS,
  FIRST_SILENCE_PATIENCE_MS,
  LAST_SILENCE_PATIENCE_MS,
  LEAST_SILENT_COMMANDS,
  SECONDS_LOOKED_AT,
  SILENCE_PATIENCE_GROWTH,
  SILENT_SECONDS,
} from "./limits.ts";

const SECOND_MS = 1000;

export class Unanswered {
  /** Commands without an answer, by the second in which their deadline passed. */
  readonly #bySecond = new Map<number, number>();
  #patienceMs: number = FIRST_SILENCE_PATIENCE_MS;
  #sinceMs = 0;
  #lastMs = -Infinity;

  /** Counts a command that missed its deadline, or that the wrong server answered. The result undoes it, for a late answer. */
  add(nowMs: number): () => void {
    if (nowMs - this.#lastMs > CALM_MS) this.#patienceMs = FIRST_SILENCE_PATIENCE_MS;
    this.#lastMs = nowMs;
    const second = Math.floor(nowMs / SECOND_MS);
    for (const old of this.#bySecond.keys()) if (old <= second - SECONDS_LOOKED_AT) this.#bySecond.delete(old);
    if (this.#bySecond.size === 0) this.#sinceMs = nowMs;
    this.#bySecond.set(second, (this.#bySecond.get(second) ?? 0) + 1);
    return () => this.#take(second);
  }

  /** True when a new client is needed; the next one is then needed only after a longer time. */
  isTimeForANewClient(nowMs: number): boolean {
    if (nowMs - this.#sinceMs < this.#patienceMs || this.#bySecond.size < SILENT_SECONDS) return false;
    let commands = 0;
    for (const count of this.#bySecond.values()) commands += count;
    if (commands < LEAST_SILENT_COMMANDS) return false;
    this.#bySecond.clear();
    this.#patienceMs = Math.min(LAST_SILENCE_PATIENCE_MS, this.#patienceMs * SILENCE_PATIENCE_GROWTH);
    return true;
  }

  clear(): void {
    this.#bySecond.clear();
  }

  #take(second: number): void {
    const left = (this.#bySecond.get(second) ?? 0) - 1;
    if (left > 0) this.#bySecond.set(second, left);
    else this.#bySecond.delete(second);
  }
}
