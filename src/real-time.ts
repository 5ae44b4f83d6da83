/**
 * The timers and the monotonic clock of the runtime, as they were when this module was loaded.
 *
 * Tests of an application may put fake timers in place of the global ones. What waits for Redis, and what proves that a
 * purge is known, must go on in real time then: Redis does. The wall clock is read at each call, so it can be a fake one.
 */

/** The wall clock of a cache without a `now` of its own, in milliseconds. */
export function wallClock(): number {
  return Date.now();
}

/** Milliseconds since the process started. All times that are compared with `PurgeLog.verifiedAtMs()` are on this clock. */
export const performance: { readonly now: () => number } = {
  now: globalThis.performance.now.bind(globalThis.performance),
};

export const setTimeout: typeof globalThis.setTimeout = globalThis.setTimeout;
export const clearTimeout: typeof globalThis.clearTimeout = globalThis.clearTimeout;
export const setInterval: typeof globalThis.setInterval = globalThis.setInterval;
export const clearInterval: typeof globalThis.clearInterval = globalThis.clearInterval;
/** Missing on runtimes other than Node and its kin. */
export const setImmediate: typeof globalThis.setImmediate = globalThis.setImmediate;
