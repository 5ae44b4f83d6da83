/** Somebody asks for ever new URLs, which nobody else will ask for: what is kept stays bounded, and what is asked for often stays. */

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import { expect, it } from "vitest";

import { fetchCache } from "../../src/adapters/fetch/index.ts";
import { createCache } from "../../src/index.ts";
import { memoryStore } from "../../src/stores/memory/index.ts";
import { redisStore } from "../../src/stores/redis/index.ts";
import { tiered } from "../../src/stores/tiered.ts";
import { info } from "../redis/command.ts";
import { eachTest } from "../redis/each-test.ts";
import { until } from "../redis/store.ts";

/** `QUERIES=1000000 npx vitest run test/security/cardinality.test.ts` takes two minutes. */
const QUERIES = Number(process.env["QUERIES"] ?? 60_000);
const AT_ONCE = 200;
const BODY = "x".repeat(1000);
const MEMORY_BYTES = 4 * 1024 * 1024;
const REDIS_BYTES = 16 * 1024 * 1024;
/** Of the test itself, and of what the collector leaves for later. */
const OTHER_BYTES = 24 * 1024 * 1024;

const { cleanups, server } = eachTest();

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

async function heapBytes(): Promise<number> {
  for (let round = 0; round < 3; round += 1) {
    collectGarbage();
    await new Promise((resolve) => {
      setTimeout(resolve, 50);
    });
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

it("random query strings: memory and Redis keep to their bounds, a busy page stays a hit, a purge still works", async () => {
  const redis = await server({ config: ["--maxmemory", String(REDIS_BYTES), "--maxmemory-policy", "allkeys-lru"] });
  // Bounds are what is tested; on a busy machine Redis may miss the default deadline.
  const store = tiered(memoryStore({ maxBytes: MEMORY_BYTES }), redisStore({ url: redis.url, deadlineMs: 5000 }));
  const cache = createCache({ store, prefix: "p" });
  cleanups.push(() => cache.close());
  const troubles: string[] = [];
  cache.events.on("*", ({ type }) => {
    if (type.endsWith("failed")) troubles.push(type);
  });
  let calls = 0;
  const route = fetchCache(cache)({ expire: "1h", tags: ["page"] }, () => {
    calls += 1;
    return new Response(BODY);
  });
  const ask = async (path: string): Promise<string> => {
    const response = await route(new Request(`http://shop.test${path}`));
    expect(await response.text()).toBe(BODY);
    return response.headers.get("cache-status") ?? "";
  };
  await until(async () => /; hit/.test(await ask("/busy")));

  const before = await heapBytes();
  let busyMisses = 0;
  let mostInRedis = 0;
  for (let asked = 0; asked < QUERIES; asked += AT_ONCE) {
    const paths = Array.from({ length: AT_ONCE }, () => `/page?q=${Math.random()}${Math.random()}`);
    await Promise.all(paths.map(ask));
    if (!/; hit/.test(await ask("/busy"))) busyMisses += 1;
    if (asked % (AT_ONCE * 20) === 0) {
      mostInRedis = Math.max(mostInRedis, Number((await info(redis.port, "memory")).get("used_memory")));
    }
  }
  const grownBytes = (await heapBytes()) - before;
  const evicted = Number((await info(redis.port, "stats")).get("evicted_keys"));
  console.log(
    `${QUERIES} queries: ${Math.round(grownBytes / 1e6)} MB more here, at most ${Math.round(mostInRedis / 1e6)} MB in Redis, ${evicted} evicted there, ${busyMisses} misses of the busy page`,
  );
  expect(calls).toBeGreaterThanOrEqual(QUERIES);
  expect(evicted, "more came than there is room for").toBeGreaterThan(QUERIES / 2);
  expect(grownBytes).toBeLessThan(MEMORY_BYTES + OTHER_BYTES);
  expect(mostInRedis).toBeLessThan(REDIS_BYTES * 1.1);
  expect(busyMisses).toBeLessThanOrEqual(QUERIES / AT_ONCE / 100);
  expect(troubles).toEqual([]);

  const callsBefore = calls;
  await cache.purge({ tag: "page" });
  expect(await ask("/busy")).toContain("fwd=");
  expect(calls).toBe(callsBefore + 1);
}, 600_000);
