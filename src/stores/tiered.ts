/**
 * `reprise/tiered`: a store in memory in front of one that processes share.
 *
 * Another process can have purged an entry that is in memory here. So each hit in memory is judged by the purge log of the
 * shared store, and the log must have been read at most `maxStalenessMs` ago: a hit waits until it was.
 */

import { invalidOption, invalidStore } from "../errors.ts";
import { refuseUnknown } from "../options/known-options.ts";
import { performance, setImmediate, wallClock } from "../real-time.ts";
import type { CacheStore, FoundEntry, Leases, PurgeLog, PutResult, StoreEntry, StoreEvent } from "../http.ts";
import { compactBytes, isRetention, splitKey } from "./entry-keys.ts";

export interface TieredOptions {
  /**
   * Longest time a purge by another process may go unnoticed, in milliseconds. Default 250; 0 to 60,000.
   *
   * While there are hits, the purge log is read once or twice in that time, in the background. 0: each hit asks the shared store
   * first, so that every purge is noticed; a hit then costs a round trip and still saves fetching the body.
   */
  readonly maxStalenessMs?: number;
  /**
   * How long hits in memory are used while the shared store does not answer, in milliseconds. Default 10,000 (10 s);
   * up to a day.
   *
   * It counts from the last time the purge log was read or, if that is later, from when the response was stored. After it a
   * hit is stale: it is revalidated, or serves where a stale response may.
   */
  readonly maxUnverifiedMs?: number;
  /** Largest body kept in memory, in bytes. Default 256 KiB, at most 512 MiB. Larger ones are in the shared store only. */
  readonly maxMemoryBodyBytes?: number;
}

const OPTIONS: Readonly<Record<string, true>> = {
  maxStalenessMs: true,
  maxUnverifiedMs: true,
  maxMemoryBodyBytes: true,
};
const DEFAULT_MAX_STALENESS_MS = 250;
const DEFAULT_MAX_UNVERIFIED_MS = 10_000;
const DEFAULT_MAX_MEMORY_BODY_BYTES = 256 * 1024;
const MAX_STALENESS_MS = 60_000;
const MAX_UNVERIFIED_MS = 24 * 60 * 60 * 1000;
const MAX_MEMORY_BODY_BYTES = 512 * 1024 * 1024;

/**
 * Two stores as one: `upper` in the memory of this process, `lower` shared by all.
 *
 * A response found in memory is served at once, without a round trip. A response found in `lower` is copied up. A purge is a purge of
 * `lower`: it holds in this process when it resolves, and in the others at the latest `maxStalenessMs` after. `delete`, which
 * is no purge, leaves the copies of other processes alone.
 *
 * @example
 * const store = tiered(memoryStore({ maxBytes: 128 * 1024 * 1024 }), redisStore({ url: "redis://127.0.0.1:6379" }));
 * const cache = createCache({ store });
 *
 * @throws `ERR_INVALID_STORE` when `upper` does not answer at once or `lower` keeps no purge log, `ERR_INVALID_OPTION` when an
 * option is out of range, `ERR_UNKNOWN_OPTION` when there is none of that name
 */
export function tiered(upper: CacheStore, lower: CacheStore, options: TieredOptions = {}): CacheStore {
  const { purges } = lower ?? {};
  if (purges === undefined) {
    throw invalidStore(
      "tiered(upper, lower)",
      "a lower store that keeps a purge log for all processes, such as redisStore()",
      nameOf(lower),
      "Without one a purge would not reach what other processes have in memory.",
    );
  }
  if (!keepsAtOnce(upper)) {
    throw invalidStore(
      "tiered(upper, lower)",
      "an upper store that keeps objects and answers at once, such as memoryStore()",
      nameOf(upper),
      "The store in memory comes first: tiered(memoryStore(), redisStore({ url })).",
    );
  }
  refuseUnknown("tiered()", options, OPTIONS, "{ maxStalenessMs: 100 }");
  return new TieredStore(upper, lower, purges, {
    maxStalenessMs: bounded("maxStalenessMs", options.maxStalenessMs, DEFAULT_MAX_STALENESS_MS, MAX_STALENESS_MS),
    maxUnverifiedMs: bounded("maxUnverifiedMs", options.maxUnverifiedMs, DEFAULT_MAX_UNVERIFIED_MS, MAX_UNVERIFIED_MS),
    maxMemoryBodyBytes: bounded(
      "maxMemoryBodyBytes",
      options.maxMemoryBodyBytes,
      DEFAULT_MAX_MEMORY_BODY_BYTES,
      MAX_MEMORY_BODY_BYTES,
    ),
  });
}

/** Kept by the upper store as the decoded form of an entry: the entry as the lower store has it. */
class Copy {
  readonly entry: StoreEntry;
  /** When it was stored after a response of the origin, on the clock of `performance.now()`; `-Infinity` for a copy from `lower`. */
  readonly storedAtMs: number;
  /** True when the lower store has a newer entry, or may soon have one: it is asked first. */
  isDoubted = false;

  constructor(entry: StoreEntry, storedAtMs: number) {
    this.entry = entry;
    this.storedAtMs = storedAtMs;
  }
}

type Found = FoundEntry | undefined;

/** Most verifications for one hit: one under way may have read the log too early, and the next may join its reading. */
const VERIFICATIONS = 3;

class TieredStore implements CacheStore {
  readonly name = "tiered";
  readonly purges: PurgeLog;
  readonly leases?: Leases;
  readonly ready?: NonNullable<CacheStore["ready"]>;
  readonly #upper: CacheStore;
  readonly #lower: CacheStore;
  readonly #options: Required<TieredOptions>;
  /** Wall clock of the cache. */
  #clock: (() => number) | undefined;
  /** By prefix: the verification under way. */
  readonly #verifying = new Map<string, Promise<boolean>>();
  /** By key: the latest look-up in the lower store, until its answer is copied. A put or delete of the key ends it. */
  readonly #looks = new Map<string, object>();

  constructor(upper: CacheStore, lower: CacheStore, purges: PurgeLog, options: Required<TieredOptions>) {
    this.purges = purges;
    this.#upper = upper;
    this.#lower = lower;
    this.#options = options;
    // The upper store is ready at once.
    if (lower.ready !== undefined) this.ready = async (options) => lower.ready?.(options);
    if (lower.leases !== undefined) this.leases = this.#leasesOver(lower.leases);
  }

  open(report: (event: StoreEvent) => void, now?: () => number): void {
    this.#clock ??= now;
    this.#upper.open?.(report, now);
    this.#lower.open?.(report, now);
  }

  isAvailable(): boolean {
    return [this.#upper, this.#lower].some((store) => store.isAvailable?.() ?? true);
  }

  get(key: string): Found | Promise<Found> {
    const copy = this.#copyOf(key);
    if (copy === undefined) return this.#look(key);
    const { maxStalenessMs } = this.#options;
    const { prefix } = splitKey(key);
    const nowMs = performance.now();
    if (copy.isDoubted) return this.#lookPast(prefix, key, nowMs);
    const unverifiedMs = nowMs - this.purges.verifiedAtMs(prefix);
    if (unverifiedMs <= maxStalenessMs) {
      if (unverifiedMs > maxStalenessMs / 2) void this.#verify(prefix);
      return this.#judged(prefix, key, copy);
    }
    const verified = this.#verify(prefix);
    if (typeof verified !== "boolean") return this.#verifiedGet(prefix, key, nowMs, verified);
    return verified && this.#isProven(prefix, nowMs)
      ? this.#judged(prefix, key, copy)
      : this.#unproven(prefix, key, copy, nowMs);
  }

  /** `"stored"` when one of the two stores keeps the entry. */
  put(key: string, entry: StoreEntry, retainMs: number): PutResult | Promise<PutResult> {
    const isAbove = this.#keep(key, entry, retainMs, performance.now());
    const below = this.#lower.put(key, entry, retainMs);
    if (!isAbove) return below;
    return below instanceof Promise ? below.then(() => "stored" as const) : "stored";
  }

  delete(key: string): void | Promise<void> {
    this.#drop(key);
    return this.#lower.delete(key);
  }

  async close(): Promise<void> {
    this.#looks.clear();
    await Promise.all([this.#upper.close?.(), this.#lower.close?.()]);
  }

  #copyOf(key: string): Copy | undefined {
    const kept = this.#upper.get(key);
    return kept instanceof Promise || !(kept?.live?.value instanceof Copy) ? undefined : kept.live.value;
  }

  #look(key: string): Found | Promise<Found> {
    const found = this.#lower.get(key);
    const look = {};
    this.#looks.set(key, look);
    if (found instanceof Promise) {
      return found.then(
        (entry) => this.#copyUp(key, entry, look),
        (error: unknown) => {
          this.#endLook(key, look);
          throw error;
        },
      );
    }
    return this.#copyUp(key, found, look);
  }

  /** The entry in the lower store or, if it has none, the copy, which serves while that store does not answer. */
  async #lookPast(prefix: string, key: string, nowMs: number): Promise<Found> {
    return (await this.#look(key)) ?? this.#used(prefix, key, nowMs);
  }

  #used(prefix: string, key: string, nowMs: number): Found | Promise<Found> {
    const copy = this.#copyOf(key);
    if (copy === undefined) return undefined;
    return this.#isProven(prefix, nowMs) ? this.#judged(prefix, key, copy) : this.#unproven(prefix, key, copy, nowMs);
  }

  /** Waits for the proof, then looks again: the copy may have been replaced meanwhile. */
  async #verifiedGet(prefix: string, key: string, sinceMs: number, first: Promise<boolean>): Promise<Found> {
    let verified = await first;
    for (let more = VERIFICATIONS - 1; more > 0 && verified && !this.#isProven(prefix, sinceMs); more -= 1) {
      verified = await this.#verify(prefix);
    }
    return this.#copyOf(key) === undefined ? this.#look(key) : this.#used(prefix, key, sinceMs);
  }

  /** True when a purge that was acknowledged `maxStalenessMs` before `atMs` is known here. */
  #isProven(prefix: string, atMs: number): boolean {
    return this.purges.verifiedAtMs(prefix) >= atMs - this.#options.maxStalenessMs;
  }

  /** One verification of a prefix at a time. Never rejects. */
  #verify(prefix: string): boolean | Promise<boolean> {
    const underWay = this.#verifying.get(prefix);
    if (underWay !== undefined) return underWay;
    const verified = this.purges.verify(prefix);
    if (typeof verified === "boolean") return verified;
    const verifying = verified
      .catch(() => false)
      .finally(() => {
        this.#verifying.delete(prefix);
      });
    this.#verifying.set(prefix, verifying);
    return verifying;
  }

  #judged(prefix: string, key: string, { entry }: Copy): Found | Promise<Found> {
    const verdict = this.purges.judge(prefix, key, entry);
    if (verdict === "valid") return entry;
    if (verdict === "purged") {
      void this.#upper.delete(key);
      return this.#look(key);
    }
    return { ...entry, outdatedAtMs: verdict.outdatedAtMs };
  }

  /** While the lower store does not answer, the purges known here count, and the copy turns stale after `maxUnverifiedMs`. */
  #unproven(prefix: string, key: string, copy: Copy, nowMs: number): Found | Promise<Found> {
    const judged = this.#judged(prefix, key, copy);
    if (judged !== copy.entry) return judged;
    // Purges from before the copy was stored do not concern it.
    const trustedUntilMs = Math.max(copy.storedAtMs, this.purges.verifiedAtMs(prefix)) + this.#options.maxUnverifiedMs;
    if (nowMs <= trustedUntilMs) return copy.entry;
    const outdatedForMs = Number.isFinite(trustedUntilMs) ? nowMs - trustedUntilMs : 0;
    return { ...copy.entry, outdatedAtMs: (this.#clock ?? wallClock)() - outdatedForMs };
  }

  /** Copies a found entry in a later turn: the cache has decoded it by then, so the decoded form is kept and counted, too. */
  #copyUp(key: string, entry: Found, look: object): Found {
    if (entry === undefined) {
      this.#endLook(key, look);
      return undefined;
    }
    const foundAtMs = performance.now();
    setImmediate(() => {
      if (!this.#endLook(key, look)) return;
      const copy = this.#copyOf(key);
      if (copy?.isDoubted === true && isSameVersion(copy.entry, entry)) return;
      const { retainMs, ...kept } = entry;
      if (retainMs === undefined || entry.outdatedAtMs !== undefined) {
        void this.#upper.delete(key);
        return;
      }
      this.#keep(key, kept, retainMs - (performance.now() - foundAtMs), -Infinity);
    });
    return entry;
  }

  /** Ends a look-up; true when nothing was put, deleted or looked up under the key since it began. */
  #endLook(key: string, look: object): boolean {
    return this.#looks.get(key) === look && this.#looks.delete(key);
  }

  #keep(key: string, entry: StoreEntry, retainMs: number, storedAtMs: number): boolean {
    if (!isRetention(retainMs) || entry.body.byteLength > this.#options.maxMemoryBodyBytes) {
      this.#drop(key);
      return false;
    }
    this.#looks.delete(key);
    // The purged entry must not replace a stored one, which may be newer than the purge.
    if (this.purges.judge(splitKey(key).prefix, key, entry) === "purged") return false;
    const body = compactBytes(entry.body);
    // A decoded form would keep the larger buffer alive.
    const kept = body === entry.body ? entry : { ...entry, body, live: { value: undefined } };
    // Without names, URI and generation, because only the purge log of the lower store counts.
    void this.#upper.put(key, { meta: entry.meta, body, live: { value: new Copy(kept, storedAtMs) } }, retainMs);
    return true;
  }

  #drop(key: string): void {
    this.#looks.delete(key);
    void this.#upper.delete(key);
  }

  /** True when the lower store has another version than the copy. */
  async #isOutrun(key: string, { entry }: Copy): Promise<boolean> {
    try {
      const shared = await this.#lower.get(key);
      return shared !== undefined && !isSameVersion(entry, shared);
    } catch {
      return false;
    }
  }

  #leasesOver(leases: Leases): Leases {
    return {
      acquire: async (key) => {
        const copy = this.#copyOf(key);
        // A lease is asked for because the copy is of no use as it is: look-ups meanwhile go to the lower store.
        if (copy !== undefined) copy.isDoubted = true;
        const lease = await leases.acquire(key);
        if (copy !== undefined && lease !== undefined && (lease === "taken" || (await this.#isOutrun(key, copy)))) {
          if (lease !== "taken") lease.release();
          return "taken";
        }
        if (copy !== undefined) copy.isDoubted = false;
        if (lease === undefined || lease === "taken") return lease;
        return {
          put: async (entry, retainMs) => {
            const storedAtMs = performance.now();
            const result = await lease.put(entry, retainMs);
            // The process that has the lease now stores something newer than what is in memory.
            if (result === "stored") this.#keep(key, entry, retainMs - (performance.now() - storedAtMs), storedAtMs);
            else this.#drop(key);
            return result;
          },
          release: () => lease.release(),
        };
      },
    };
  }
}

function isSameVersion(one: StoreEntry, other: StoreEntry): boolean {
  return one.body.byteLength === other.body.byteLength && JSON.stringify(one.meta) === JSON.stringify(other.meta);
}

const PROBE_KEY = "reprise-probe tiered";

/** True for a store that returns, at once, the decoded form of what was put into it at once. */
function keepsAtOnce(store: CacheStore): boolean {
  if (typeof store?.get !== "function") return false;
  const live = { value: {} };
  const done = store.put(PROBE_KEY, { meta: {}, body: new Uint8Array(0), live }, 60_000);
  const found = store.get(PROBE_KEY);
  const deleted = store.delete(PROBE_KEY);
  for (const promise of [done, found, deleted]) {
    if (promise instanceof Promise) promise.catch(() => {});
  }
  return !(found instanceof Promise) && found?.live?.value === live.value;
}

function nameOf(store: unknown): unknown {
  const name = typeof store === "object" && store !== null && "name" in store ? store.name : undefined;
  return typeof name === "string" ? name : store;
}

function bounded(name: string, value: number | undefined, fallback: number, max: number): number {
  if (value === undefined) return fallback;
  if (Number.isSafeInteger(value) && value >= 0 && value <= max) return value;
  throw invalidOption(
    `tiered(upper, lower, { ${name} })`,
    `a whole number from 0 to ${max}`,
    value,
    `The default is ${fallback}.`,
  );
}
