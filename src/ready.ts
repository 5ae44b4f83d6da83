import { invalidOption, storeNotReady } from "./errors.ts";
import { refuseUnknown } from "./options/known-options.ts";
import { performance, setTimeout } from "./real-time.ts";
import type { CacheStore } from "./http.ts";

/** Options of `cache.ready()`. */
export interface ReadyOptions {
  /** Longest wait, in milliseconds. Default 10,000; 1 to 86,400,000 (a day). */
  readonly timeoutMs?: number;
}

const DEFAULT_TIMEOUT_MS = 10_000;
const MAX_TIMEOUT_MS = 24 * 60 * 60 * 1000;
const LOOK_EVERY_MS = 20;

/** Waits until `store` answers, or rejects with the reason. */
export async function storeReady(store: CacheStore, prefix: string, options: ReadyOptions): Promise<void> {
  refuseUnknown("cache.ready()", options, { timeoutMs: true }, "{ timeoutMs: 5000 }");
  const { timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  if (!Number.isSafeInteger(timeoutMs) || timeoutMs < 1 || timeoutMs > MAX_TIMEOUT_MS) {
    const expected = `a whole number from 1 to ${MAX_TIMEOUT_MS}`;
    throw invalidOption("cache.ready({ timeoutMs })", expected, timeoutMs, `The default is ${DEFAULT_TIMEOUT_MS}.`);
  }
  if (store.ready !== undefined) return store.ready({ prefix, timeoutMs });
  const endAtMs = performance.now() + timeoutMs;
  while (store.isAvailable?.() === false) {
    if (performance.now() > endAtMs) throw storeNotReady(store.name, timeoutMs, "isAvailable() is false");
    await new Promise((resolve) => {
      setTimeout(resolve, LOOK_EVERY_MS);
    });
  }
}
