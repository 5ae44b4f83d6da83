/** One store for several caches of a test, as processes share one: it has leases, and it answers later. */

import { memoryStore } from "../../src/stores/memory/index.ts";
import type { CacheStore, Lease, Leases, PurgeLog, StoreEntry } from "../../src/http.ts";

export interface SharedStore extends CacheStore {
  readonly leases: Leases;
  /** Keys with a lease now. */
  readonly leased: () => readonly string[];
  /** What was put, deleted, leased and released, in order: `put GET http://origin.test/`. */
  readonly trace: string[];
  /** How often a lease was asked for. */
  readonly tries: () => number;
  /** From now on somebody else has the lease on whatever key. */
  takes(): void;
  /** From now on nobody can be told who has a lease. */
  knowsNothing(): void;
  /** Ends all leases behind the backs of their holders, as an expiry does. */
  expires(): void;
  /** While it is true nothing is found, nobody can be told who has a lease, and nothing is heard of purges. */
  isCutOff: boolean;
  /** Called once, when the answer to a look-up is on its way. */
  beforeAnswer: (() => Promise<unknown>) | undefined;
  /** What look-ups and leases wait for. */
  answersAfter: () => Promise<void>;
  /** What `get` makes of an entry. */
  onGet: (entry: StoreEntry) => StoreEntry;
}

/** `now`: the clock all its caches have. */
export function sharedStore(now: () => number): SharedStore {
  const kept = memoryStore({ now });
  const holders = new Map<string, Lease>();
  const trace: string[] = [];
  let state: "open" | "taken" | "unknown" = "open";
  let tries = 0;
  let verifiedAtMs = -1;

  // Each look-up proves the log, as in a store that has it elsewhere.
  const purges: PurgeLog = {
    generation: (prefix) => kept.purges.generation(prefix),
    judge: (prefix, key, entry) => kept.purges.judge(prefix, key, entry),
    purge: (prefix, targets, options) => kept.purges.purge(prefix, targets, options),
    verify: (prefix) => kept.purges.verify(prefix),
    verifiedAtMs: () => verifiedAtMs,
  };

  const give = (key: string): Lease => {
    const isHeld = (): boolean => holders.get(key) === lease;
    const lease: Lease = {
      put: async (entry, retainMs) => {
        if (!isHeld()) {
          trace.push(`refused ${nameOf(key)}`);
          return "lost";
        }
        trace.push(`fill ${nameOf(key)}`);
        kept.put(key, withoutLive(entry), retainMs);
        holders.delete(key);
        return "stored";
      },
      release: () => {
        if (!isHeld()) return;
        trace.push(`release ${nameOf(key)}`);
        holders.delete(key);
      },
    };
    holders.set(key, lease);
    return lease;
  };

  const store: SharedStore = {
    name: "shared",
    purges,
    trace,
    leased: () => [...holders.keys()].map(nameOf),
    tries: () => tries,
    takes: () => {
      state = "taken";
    },
    knowsNothing: () => {
      state = "unknown";
    },
    expires: () => holders.clear(),
    isCutOff: false,
    beforeAnswer: undefined,
    answersAfter: () =>
      new Promise((resolve) => {
        setImmediate(resolve);
      }),
    onGet: (entry) => entry,
    async get(key) {
      const askedAtMs = performance.now();
      await store.answersAfter();
      if (store.isCutOff) return undefined;
      verifiedAtMs = Math.max(verifiedAtMs, askedAtMs);
      const found = kept.get(key);
      const { beforeAnswer } = store;
      store.beforeAnswer = undefined;
      await beforeAnswer?.();
      return found === undefined ? undefined : store.onGet(withoutLive(found));
    },
    async put(key, entry, retainMs) {
      trace.push(`put ${nameOf(key)}`);
      return kept.put(key, withoutLive(entry), retainMs);
    },
    async delete(key) {
      trace.push(`delete ${nameOf(key)}`);
      kept.delete(key);
    },
    leases: {
      async acquire(key) {
        tries += 1;
        await store.answersAfter();
        if (store.isCutOff || state === "unknown") return undefined;
        if (state === "taken" || holders.has(key)) return "taken";
        trace.push(`lease ${nameOf(key)}`);
        return give(key);
      },
    },
  };
  return store;
}

/** Without the prefix of the cache, and without what differs from one run to the next. */
function nameOf(key: string): string {
  return key
    .slice(key.indexOf(" ") + 1)
    .replace("http://origin.test", "")
    .replace(/ [0-9a-z]+-[0-9a-z]+ /, " … ")
    .replace(/ +/g, " ")
    .trim();
}

/** What a store of bytes keeps of an entry. */
function withoutLive(entry: StoreEntry): StoreEntry {
  const { live: _live, ...kept } = entry;
  return { ...kept, meta: JSON.parse(JSON.stringify(entry.meta)) as StoreEntry["meta"], body: entry.body.slice() };
}
