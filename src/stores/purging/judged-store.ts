/** A store without a purge log, seen through one that holds in this process. */

import { wallClock } from "../../real-time.ts";
import type {
  CacheStore,
  FoundEntry,
  Leases,
  Purgeable,
  PurgeLog,
  PutResult,
  StoreEntry,
  StoreEvent,
  StoreMeta,
} from "../../http.ts";
import { splitKey } from "../entry-keys.ts";
import { inProcessLog } from "./memory-log.ts";

/** A store with its purge log. */
export interface PurgeableStore {
  readonly store: CacheStore;
  readonly purges: PurgeLog;
}

const wrapped = new WeakMap<CacheStore, PurgeableStore>();

/**
 * `store` and its purge log. A store without one gets one that holds in this process and is shared by all caches here that
 * use the store; the store that is returned then checks every entry against that log.
 */
export function withPurgeLog(store: CacheStore): PurgeableStore {
  if (store.purges !== undefined) return { store, purges: store.purges };
  const known = wrapped.get(store);
  if (known !== undefined) return known;
  let clock: (() => number) | undefined;
  const purges = inProcessLog(() => (clock ?? wallClock)());
  const made: PurgeableStore = { store: new JudgedStore(store, purges, (now) => (clock ??= now)), purges };
  wrapped.set(store, made);
  return made;
}

/** The decoded form of what the inner store keeps: the entry as it was put. */
class Outer {
  readonly entry: StoreEntry;

  constructor(entry: StoreEntry) {
    this.entry = entry;
  }
}

/** Keeps names, URI and generation in `meta`, so that a user's store need not know them. */
class JudgedStore implements CacheStore {
  readonly name: string;
  readonly purges: PurgeLog;
  readonly leases?: Leases;
  readonly isAvailable?: () => boolean;
  readonly ready?: NonNullable<CacheStore["ready"]>;
  readonly #inner: CacheStore;
  readonly #takeClock: (now: (() => number) | undefined) => void;

  constructor(inner: CacheStore, purges: PurgeLog, takeClock: (now: (() => number) | undefined) => void) {
    this.#takeClock = takeClock;
    this.name = inner.name;
    this.purges = purges;
    this.#inner = inner;
    if (inner.leases !== undefined) this.leases = packing(inner.leases);
    if (inner.ready !== undefined) this.ready = async (options) => inner.ready?.(options);
    if (inner.isAvailable !== undefined) this.isAvailable = () => inner.isAvailable?.() ?? true;
  }

  open(report: (event: StoreEvent) => void, now?: () => number): void {
    this.#takeClock(now);
    this.#inner.open?.(report, now);
  }

  get(key: string): FoundEntry | undefined | Promise<FoundEntry | undefined> {
    const found = this.#inner.get(key);
    return found instanceof Promise ? found.then((entry) => this.#judged(key, entry)) : this.#judged(key, found);
  }

  put(key: string, entry: StoreEntry, retainMs: number): PutResult | Promise<PutResult> {
    if (this.purges.judge(splitKey(key).prefix, key, entry) === "purged") return "failed";
    return this.#inner.put(key, packed(entry), retainMs);
  }

  delete(key: string): void | Promise<void> {
    return this.#inner.delete(key);
  }

  close(): void | Promise<void> {
    return this.#inner.close?.();
  }

  #judged(key: string, found: FoundEntry | undefined): FoundEntry | undefined {
    const entry = found === undefined ? undefined : outerEntry(found);
    if (entry === undefined) return undefined;
    const verdict = this.purges.judge(splitKey(key).prefix, key, entry);
    if (verdict === "valid") return entry;
    return verdict === "purged" ? undefined : { ...entry, outdatedAtMs: verdict.outdatedAtMs };
  }
}

function packed(entry: StoreEntry): StoreEntry {
  const { meta, body, names, uri, generation } = entry;
  return { meta: { meta, names, uri, generation }, body, live: { value: new Outer(entry) } };
}

function packing(leases: Leases): Leases {
  return {
    acquire: async (key) => {
      const lease = await leases.acquire(key);
      if (lease === undefined || lease === "taken") return lease;
      return { put: (entry, retainMs) => lease.put(packed(entry), retainMs), release: () => lease.release() };
    },
  };
}

/** The entry that was put; undefined when the inner store returned something else. */
function outerEntry(inner: StoreEntry): StoreEntry | undefined {
  if (!isObject(inner) || !isObject(inner.meta)) return undefined;
  const { live } = inner;
  if (live?.value instanceof Outer) return live.value.entry;
  const { meta, ...purgeable } = inner.meta;
  if (!isObject(meta) || !isPurgeable(purgeable)) return undefined;
  const { names, uri, generation } = purgeable;
  const entry: StoreEntry = {
    meta,
    body: inner.body,
    ...(names === undefined ? {} : { names }),
    ...(uri === undefined ? {} : { uri }),
    ...(generation === undefined ? {} : { generation }),
    live: { value: undefined },
  };
  if (isObject(live) && !Object.isFrozen(live)) live.value = new Outer(entry);
  return entry;
}

function isPurgeable(value: StoreMeta): value is StoreMeta & Purgeable {
  const { names, uri, generation } = value;
  return areTexts(names) && (isText(uri) || areTexts(uri)) && isText(generation);
}

function isObject(value: unknown): value is object & StoreMeta {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isText(value: unknown): value is string | undefined {
  return value === undefined || typeof value === "string";
}

function areTexts(value: unknown): value is readonly string[] | undefined {
  return value === undefined || (Array.isArray(value) && value.every((each) => typeof each === "string"));
}
