/** What a test starts and makes, ended after it; and nothing of it may leave a rejection unhandled. */

import { afterEach, beforeEach } from "vitest";

import type { CacheStore } from "../../src/http.ts";
import type { MadeClient } from "./clients.ts";
import { type RedisServer, type RedisServerOptions, startRedis } from "./server.ts";
import { watchUnhandled } from "./unhandled.ts";

export interface EachTest {
  /** Run after the test, the last one first. */
  readonly cleanups: (() => unknown)[];
  /** A server of the test's own. */
  readonly server: (options?: RedisServerOptions) => Promise<RedisServer>;
  /** Closes `store` after the test; returns it. */
  readonly ownStore: <Store extends CacheStore>(store: Store) => Store;
  /** Ends a client after the test; returns it. */
  readonly ownClient: (making: Promise<MadeClient>) => Promise<object>;
}

/** For the tests of the file, or of the `describe`, that calls this. */
export function eachTest(): EachTest {
  const cleanups: (() => unknown)[] = [];
  let expectNoneUnhandled: () => Promise<void>;
  beforeEach(() => {
    expectNoneUnhandled = watchUnhandled();
  });
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
    await expectNoneUnhandled();
  });
  return {
    cleanups,
    server: async (options) => {
      const started = await startRedis(options);
      cleanups.push(async () => {
        await started.kill();
        await started.stop();
      });
      return started;
    },
    ownStore: (store) => {
      cleanups.push(() => store.close?.());
      return store;
    },
    ownClient: async (making) => {
      const { client, end } = await making;
      cleanups.push(end);
      return client;
    },
  };
}
