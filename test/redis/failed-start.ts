/** A start that fails is told in one event, within 5 s and without the password, and no get waits for it. */

import { createClient } from "redis";
import { expect } from "vitest";

import type { CacheStore, StoreEvent } from "../../src/http.ts";
import type { RedisServer } from "./server.ts";
import { opened, until } from "./store.ts";

/** The one that the servers do not take. */
export const WRONG_PASSWORD = "sesame";

export interface FailedStart {
  readonly error: Error;
  /** Of the store: two so far. */
  readonly events: readonly StoreEvent[];
}

/** Makes a user who may do everything, or gives one a further password. */
export async function setUser(redis: RedisServer, name: string, password: string): Promise<void> {
  const admin = await createClient({ url: redis.adminUrl }).connect();
  await admin.sendCommand(["ACL", "SETUSER", name, "on", `>${password}`, "~*", "+@all"]);
  admin.destroy();
}

/** Opens `store`, which is to fail. */
export async function failedStart(store: CacheStore): Promise<FailedStart> {
  const events = opened(store);
  expect(await store.get("p a")).toBeUndefined();
  await until(() => events.length >= 2, 5500);
  expect(store.get("p a")).toBeUndefined();
  const failed = events[1];
  if (failed?.type !== "connection-failed") throw new Error(`${failed?.type}`);
  expect(JSON.stringify(events) + failed.error.stack).not.toContain(WRONG_PASSWORD);
  return { error: failed.error, events };
}
