/** One running server of one adapter over one store, with its clock, its events and its log. */

import { afterAll, beforeAll, describe, onTestFinished } from "vitest";

import { type Cache, type CacheEvent, type CacheOptions, type CacheStore, createCache } from "../../../src/index.ts";
import { ownPrefix, until } from "../../redis/store.ts";
import type { Around, Driver, RouteSpec, Served } from "./driver.ts";
import { type Received, send, type SendOptions } from "./http-client.ts";
import { memoryKind, type RedisClientName, redisKind, type StoreKind } from "./stores.ts";

export { until };

export interface World {
  readonly url: string;
  readonly cache: Cache;
  readonly prefix: string;
  readonly store: CacheStore;
  readonly events: readonly CacheEvent[];
  readonly get: (path: string, headers?: SendOptions["headers"]) => Promise<Received>;
  readonly send: (path: string, options: SendOptions) => Promise<Received>;
  readonly advance: (seconds: number) => void;
  readonly nowMs: () => number;
}

/** What one run of the contract is about. */
export interface Setup {
  readonly driver: Driver;
  readonly kind: StoreKind;
  /** Starts a server that ends with the test. */
  start(routes: readonly RouteSpec[], options?: CacheOptions, around?: Around): Promise<World>;
  /** One route at `/`. */
  serve(handler: RouteSpec["handler"], options?: RouteSpec["options"], cacheOptions?: CacheOptions): Promise<World>;
}

/** A round second, so that HTTP dates lose nothing. */
const START_MS = Date.UTC(2026, 2, 1, 12);

/** Serves with a cache of its own until the end of the test. */
export async function startWorld(
  kind: StoreKind,
  options: CacheOptions,
  serve: (cache: Cache) => Promise<Served>,
): Promise<World> {
  let nowMs = START_MS;
  const now = options.now ?? (() => nowMs);
  const store = options.store ?? kind.make(now);
  const prefix = options.prefix ?? ownPrefix();
  const cache = createCache({ ...options, store, prefix, now });
  const events: CacheEvent[] = [];
  cache.events.on("*", (event) => events.push(event));
  const served = await serve(cache);
  onTestFinished(async () => {
    await served.close();
    await cache.close();
  });
  return {
    url: served.url,
    cache,
    prefix,
    store,
    events,
    get: (path, headers = {}) => send(served.url + path, { headers }),
    send: (path, sendOptions) => send(served.url + path, sendOptions),
    advance: (seconds) => {
      nowMs += seconds * 1000;
    },
    nowMs: now,
  };
}

export function setupFor(driver: Driver, kind: StoreKind): Setup {
  const start: Setup["start"] = (routes, options = {}, around) =>
    startWorld(kind, options, (cache) => driver.start(cache, routes, around));
  return {
    driver,
    kind,
    start,
    serve: (handler, options, cacheOptions) =>
      start([{ path: "/", handler, ...(options === undefined ? {} : { options }) }], cacheOptions),
  };
}

/** Runs the tests of `define` on memory and on Redis. */
export function onEachStore(redisClient: RedisClientName, define: (kind: StoreKind) => void): void {
  onStores([memoryKind, redisKind(redisClient)], define);
}

/** Runs the tests of `define` on these stores. */
export function onStores(kinds: readonly StoreKind[], define: (kind: StoreKind) => void): void {
  for (const kind of kinds) {
    describe(`on ${kind.name}`, () => {
      beforeAll(() => kind.connect());
      afterAll(() => kind.disconnect());
      define(kind);
    });
  }
}

/** Waits until so many responses were stored since the start. */
export async function untilStored({ events }: Pick<World, "events">, count: number): Promise<void> {
  await until(() => events.filter(({ type }) => type === "stored").length >= count);
}

/** A handler that counts its runs: `{ run: 1 }`, `{ run: 2 }`, … */
export function counter(): { handler: RouteSpec["handler"]; readonly runs: number } {
  let runs = 0;
  return {
    handler: () => ({ json: { run: ++runs } }),
    get runs() {
      return runs;
    },
  };
}

/** `Hit` or `Miss`, or undefined where the cache says nothing. */
export function hitOrMiss(received: Pick<Received, "headers">): string | undefined {
  return received.headers["x-reprise-cache"] as string | undefined;
}

/** The `Cache-Status` field, if there is one. */
export function cacheStatusOf(received: Pick<Received, "headers">): string | undefined {
  return received.headers["cache-status"] as string | undefined;
}

/** A promise and what resolves it. */
export function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}
