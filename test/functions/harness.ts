import { PurgeFence } from "../../src/engine/purge-fence.ts";
import { durationSeconds } from "../../src/duration.ts";
import type { AnyClass, FunctionCacheContext, FunctionEvent } from "../../src/functions/contract.ts";
import { memoryStore } from "../../src/stores/memory/index.ts";
import { withPurgeLog } from "../../src/stores/purging/judged-store.ts";
import type { CacheStore, StoreEntry } from "../../src/http.ts";

const START_MS = Date.UTC(2026, 0, 1);

export interface Harness {
  readonly context: FunctionCacheContext;
  readonly store: CacheStore;
  readonly events: FunctionEvent[];
  /** What a developer was told. */
  readonly warnings: string[];
  /** Types of the events until now, with the reason of those that have one. */
  readonly trace: () => readonly string[];
  readonly advance: (seconds: number) => void;
}

export interface HarnessOptions {
  readonly store?: (now: () => number) => CacheStore;
  readonly ignoreArgTypes?: readonly AnyClass[];
  readonly fillDeadlineMs?: number;
}

/** A context with a clock that stands still, over a store in memory. */
export function harness(options: HarnessOptions = {}): Harness {
  let nowMs = START_MS;
  const now = (): number => nowMs;
  const { store, purges } = withPurgeLog(options.store?.(now) ?? memoryStore({ now }));
  const events: FunctionEvent[] = [];
  const warnings: string[] = [];
  return {
    store,
    events,
    warnings,
    context: {
      prefix: "test",
      store,
      purges,
      fence: new PurgeFence(purges, "test"),
      ignoreArgTypes: options.ignoreArgTypes ?? [],
      now,
      fillDeadlineMs: options.fillDeadlineMs ?? 30_000,
      report: (event) => events.push(event),
      warn: (_key, message) => void (warnings.includes(message) || warnings.push(message)),
      durationSeconds,
    },
    trace: () => events.map((event) => (event.type === "not-stored" ? `not-stored: ${event.because}` : event.type)),
    advance: (seconds) => {
      nowMs += seconds * 1_000;
    },
  };
}

/** A store whose answers arrive later, as those of a remote one do; it keeps bytes, so `live` is gone. */
export function remoteStore(now: () => number): CacheStore {
  const inner = memoryStore({ now });
  return {
    name: "remote",
    get: (key) => later(() => inner.get(key)),
    put: (key, { live: _live, ...entry }: StoreEntry, retainMs) => later(() => inner.put(key, entry, retainMs)),
    delete: (key) => later(() => inner.delete(key)),
  };
}

function later<T>(action: () => T): Promise<T> {
  return new Promise((resolve, reject) => {
    setImmediate(() => {
      try {
        resolve(action());
      } catch (error) {
        reject(error instanceof Error ? error : new Error(String(error)));
      }
    });
  });
}

/** Lets everything run that waits for promises or immediates. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await later(() => undefined);
}

export interface Gate<T> {
  readonly promise: Promise<T>;
  readonly open: (value: T) => void;
  readonly fail: (error: Error) => void;
}

export function gate<T>(): Gate<T> {
  let open: (value: T) => void = () => {};
  let fail: (error: Error) => void = () => {};
  const promise = new Promise<T>((resolve, reject) => {
    open = resolve;
    fail = reject;
  });
  return { promise, open, fail };
}
