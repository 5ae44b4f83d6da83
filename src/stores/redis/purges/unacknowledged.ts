/** Purges that Redis did not acknowledge: they hold in this process, and are kept until they are appended. */

import { performance } from "../../../real-time.ts";
import type { Purgeable, PurgeVerdict } from "../../../http.ts";
import type { Purge } from "./scripts.ts";
import { NOT_PURGED, PURGED, PurgeTable } from "../../purging/table.ts";
import { EVERYTHING } from "../../purging/targets.ts";
import type { RedisClock } from "../client/server-clock.ts";

const MAX_TARGETS = 1000;
const RETRY_MS = 500;
const AFTER_EVERYTHING: number = Number.MAX_SAFE_INTEGER;

export class PendingPurges {
  readonly #clock: RedisClock;
  #purges: readonly Purge[] = [];
  #table = new PurgeTable();
  #sinceMs = 0;
  #retryAtMs = 0;

  constructor(clock: RedisClock) {
    this.#clock = clock;
  }

  get isEmpty(): boolean {
    return this.#purges.length === 0;
  }

  /** True when purges wait to be appended, and the last attempt was not a moment ago. */
  get isDue(): boolean {
    return this.#purges.length > 0 && performance.now() >= this.#retryAtMs;
  }

  retryNow(): void {
    this.#retryAtMs = 0;
  }

  add(purge: Purge): void {
    if (this.isEmpty) this.#sinceMs = this.#clock.hereMs();
    const purges = [...this.#purges, purge];
    const targets = purges.reduce((sum, each) => sum + each.targets.length, 0);
    this.#keep(targets > MAX_TARGETS ? [{ soft: false, targets: [EVERYTHING] }] : purges);
  }

  /** The purges to append now; none when the last attempt was a moment ago. */
  take(): readonly Purge[] {
    if (!this.isDue) return [];
    this.#retryAtMs = performance.now() + RETRY_MS;
    return this.#purges;
  }

  /** Forgets purges that were appended. */
  done(purges: readonly Purge[]): void {
    this.#keep(this.#purges.filter((each) => !purges.includes(each)));
  }

  /** A purge that waits holds for every entry it names, whatever its generation: it will get a later position. */
  judge(key: string, entry: Purgeable): PurgeVerdict {
    if (this.isEmpty) return "valid";
    const judged = this.#table.judge(0, key, entry);
    if (judged === NOT_PURGED) return "valid";
    return judged === PURGED ? "purged" : { outdatedAtMs: this.#sinceMs };
  }

  #keep(purges: readonly Purge[]): void {
    this.#purges = purges;
    this.#table = new PurgeTable();
    for (const { soft, targets } of purges) this.#table.apply(AFTER_EVERYTHING, soft, targets);
  }
}
