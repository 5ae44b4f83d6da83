/** Rejections and exceptions that nobody handled: nothing may leave any behind, whatever happens to Redis. */

import { setTimeout as pause } from "node:timers/promises";

import { expect } from "vitest";

/** The last ones come a little after what caused them. */
const LATEST_MS = 20;

/** Collects them from now on. The function returned ends that, and expects that there were none. */
export function watchUnhandled(): () => Promise<void> {
  const unhandled: unknown[] = [];
  const onUnhandled = (reason: unknown): void => void unhandled.push(reason);
  process.on("unhandledRejection", onUnhandled);
  process.on("uncaughtException", onUnhandled);
  return async () => {
    await pause(LATEST_MS);
    process.off("unhandledRejection", onUnhandled);
    process.off("uncaughtException", onUnhandled);
    expect(unhandled).toEqual([]);
  };
}
