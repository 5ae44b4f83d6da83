/** `reprise/memory`: stored responses in this process, bounded in bytes. */

import { LRUCache } from "lru-cache";

import { invalidOption } from "../../errors.ts";
import { refuseUnknown } from "../../options/known-options.ts";
import { wallClock } from "../../real-time.ts";
import type { CacheStore, StoreEntry } from "../../http.ts";
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
  get(key: string): StoreEntry | undefined;
  /** False when the entry is not kept: it is larger than `maxBytes`, or purged. */
  put(key: string, entry: StoreEntry, retainMs: number): false | undefined;
  delete(key: string): void;
  readonly purges: InProcessLog;
  /** Forgets everything, once each cache that opened the store has closed it. */
  close(): void;
  /** Bytes the entries take now, as the bound counts them. */
  readonly sizeBytes: number;
  /** Number of entries now, those past their retention and not yet met again included. */
  readonly entryCount: number;
}

interface Kept {
  readonly entry: StoreEntry;
  readonly retainMs: number;
  expiresAtMs: number;
}

/**
 * A store in the memory of this process: synchronous, bounded in bytes, least recently used out first.
 *
 * Entries past their retention, and those a purge names, are dropped when they are met or pushed out; no timer runs.
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
  const maxBytes = options.maxBytes === undefined ? DEFAULT_MAX_BYTES : options.maxBytes;
  if (!Number.isSafeInteger(maxBytes) || maxBytes <= 0) {
    throw invalidOption(
      "memoryStore({ maxBytes })",
      "a whole number of bytes > 0",
      maxBytes,
      "64 MiB is 64 * 1024 * 1024, and also the default.",
    );
  }
  let clock = options.now;
  const now = (): number => (clock ?? wallClock)();
  const kept = new LRUCache<string, Kept>({ maxSize: maxBytes });
  const purges = inProcessLog(now);
  const prefixOf = prefixReader();
  let openings = 0;

  return {
    name: "memory",
    open(_report, nowOfCache) {
      openings += 1;
      clock ??= nowOfCache;
    },
    get(key) {
      const found = kept.get(key);
      if (found === undefined) return undefined;
      const nowMs = now();
      if (found.expiresAtMs > nowMs) {
        // A clock that was set back must not keep it for longer than it was put for.
        if (found.expiresAtMs - nowMs > found.retainMs) found.expiresAtMs = nowMs + found.retainMs;
        if (!purges.hasPurges) return found.entry;
        const verdict = purges.judge(prefixOf(key), key, found.entry);
        if (verdict === "valid") return found.entry;
        if (verdict !== "purged") return { ...found.entry, outdatedAtMs: verdict.outdatedAtMs };
      }
      kept.delete(key);
      return undefined;
    },
    put(key, entry, retainMs) {
      if (!isRetention(retainMs)) {
        kept.delete(key);
        return false;
      }
      // What is there may be newer than the purge.
      if (purges.hasPurges && purges.judge(prefixOf(key), key, entry) === "purged") return false;
      const body = compactBytes(entry.body);
      const compact = body === entry.body ? entry : { ...entry, body };
      kept.set(key, { entry: compact, retainMs, expiresAtMs: now() + retainMs }, { size: sizeBytes(key, compact) });
      return kept.peek(key)?.entry === compact ? undefined : false;
    },
    delete(key) {
      kept.delete(key);
    },
    purges,
    close() {
      openings = Math.max(0, openings - 1);
      if (openings === 0) kept.clear();
    },
    get sizeBytes() {
      return kept.calculatedSize;
    },
    get entryCount() {
      return kept.size;
    },
  };
}
