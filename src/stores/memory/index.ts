/** `reprise/memory`: stored responses in this process, bounded in bytes. */

import { LRUCache } from "lru-cache";

import { invalidOption } from "../../errors.ts";
import { refuseUnknown } from "../../options/known-options.ts";
import { wallClock } from "../../real-time.ts";
import type { CacheStore, FoundEntry, PutResult, StoreEntry } from "../../http.ts";
import { type InProcessLog, inProcessLog } from "../purging/memory-log.ts";
import { sizeBytes } from "./entry-size.ts";
import { compactBytes, isRetention, prefixReader } from "../entry-keys.ts";

const DEFAULT_MAX_BYTES = 64 * 1024 * 1024;
const OPTIONS: Readonly<Record<string, true>> = { maxBytes: true, now: true };

export interface MemoryStoreOptions {
  /** Most bytes of heap and buffers the entries may take, keys and bookkeeping included: a whole number > 0. Default 64 MiB. */
  readonly maxBytes?: number;
  /** Wall clock in milliseconds, for tests. Default: the `now` of the first cache that uses the store. */
  readonly now?: () => number;
}

/** A store in memory answers at once: no method of it returns a promise. */
export interface MemoryStore extends CacheStore {
  get(key: string): FoundEntry | undefined;
  /** `"failed"` for an entry that is larger than `maxBytes`, or was purged. */
  put(key: string, entry: StoreEntry, retainMs: number): PutResult;
  delete(key: string): void;
  readonly purges: InProcessLog;
  /** Forgets everything, once each cache that opened the store has closed it. */
  close(): void;
  /** Bytes the entries take now, as the bound counts them. */
  readonly sizeBytes: number;
  /** Number of entries now, including entries past their retention that were not looked up since. */
  readonly entryCount: number;
}

/**
 * A store in the memory of this process: synchronous, bounded in bytes, least recently used out first.
 *
 * Entries that are past their retention, or purged, are dropped when they are looked up or evicted; no timer runs.
 * The bytes given to `put` are kept, not copied, unless they are a small slice of a larger buffer: do not write to them after.
 * An entry larger than `maxBytes` is not kept.
 *
 * @example
 * const cache = createCache({ store: memoryStore({ maxBytes: 256 * 1024 * 1024 }) });
 *
 * @throws `ERR_INVALID_OPTION` when `maxBytes` is no whole number > 0; `ERR_UNKNOWN_OPTION` for an option that does not exist
 */
export function memoryStore(options: MemoryStoreOptions = {}): MemoryStore {
  refuseUnknown("memoryStore()", options, OPTIONS, "{ maxBytes: 256 * 1024 * 1024 }");
  let clock = options.now;
  const entries = new Entries(checkedMaxBytes(options.maxBytes), () => (clock ?? wallClock)());
  let openings = 0;
  return {
    name: "memory",
    open(_report, nowOfCache) {
      openings += 1;
      clock ??= nowOfCache;
    },
    get: (key) => entries.get(key),
    put: (key, entry, retainMs) => entries.put(key, entry, retainMs),
    delete: (key) => entries.delete(key),
    purges: entries.purges,
    close() {
      openings = Math.max(0, openings - 1);
      if (openings === 0) entries.clear();
    },
    get sizeBytes() {
      return entries.sizeBytes;
    },
    get entryCount() {
      return entries.count;
    },
  };
}

interface Kept {
  readonly entry: StoreEntry;
  readonly retainMs: number;
  expiresAtMs: number;
}

/** The entries, least recently used out first, and the purges that hold for them. */
class Entries {
  readonly purges: InProcessLog;
  readonly #kept: LRUCache<string, Kept>;
  readonly #now: () => number;
  readonly #prefixOf = prefixReader();

  constructor(maxBytes: number, now: () => number) {
    this.#kept = new LRUCache({ maxSize: maxBytes });
    this.#now = now;
    this.purges = inProcessLog(now);
  }

  get sizeBytes(): number {
    return this.#kept.calculatedSize;
  }

  get count(): number {
    return this.#kept.size;
  }

  get(key: string): FoundEntry | undefined {
    const found = this.#kept.get(key);
    if (found === undefined) return undefined;
    const nowMs = this.#now();
    if (found.expiresAtMs > nowMs) {
      // A clock that was set back must not extend the retention.
      if (found.expiresAtMs - nowMs > found.retainMs) found.expiresAtMs = nowMs + found.retainMs;
      if (!this.purges.hasPurges) return found.entry;
      const verdict = this.purges.judge(this.#prefixOf(key), key, found.entry);
      if (verdict === "valid") return found.entry;
      if (verdict !== "purged") return { ...found.entry, outdatedAtMs: verdict.outdatedAtMs };
    }
    this.#kept.delete(key);
    return undefined;
  }

  put(key: string, entry: StoreEntry, retainMs: number): PutResult {
    if (!isRetention(retainMs)) {
      this.#kept.delete(key);
      return "failed";
    }
    // The purged entry must not replace a stored one, which may be newer than the purge.
    if (this.purges.hasPurges && this.purges.judge(this.#prefixOf(key), key, entry) === "purged") return "failed";
    const body = compactBytes(entry.body);
    const compact = body === entry.body ? entry : { ...entry, body };
    const expiresAtMs = this.#now() + retainMs;
    this.#kept.set(key, { entry: compact, retainMs, expiresAtMs }, { size: sizeBytes(key, compact) });
    return this.#kept.peek(key)?.entry === compact ? "stored" : "failed";
  }

  delete(key: string): void {
    this.#kept.delete(key);
  }

  clear(): void {
    this.#kept.clear();
  }
}

function checkedMaxBytes(maxBytes: number = DEFAULT_MAX_BYTES): number {
  if (Number.isSafeInteger(maxBytes) && maxBytes > 0) return maxBytes;
  throw invalidOption(
    "memoryStore({ maxBytes })",
    "a whole number of bytes > 0",
    maxBytes,
    "64 MiB is 64 * 1024 * 1024, and also the default.",
  );
}
