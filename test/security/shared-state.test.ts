/** requests leave nothing behind, options stay what they were, and what one reader changes no other one sees. */

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished } from "vitest";

import { fetchCache } from "../../src/adapters/fetch/index.ts";
import { createCache } from "../../src/cache.ts";
import { memoryStore } from "../../src/stores/memory/index.ts";
import { redisStore } from "../../src/stores/redis/index.ts";
import { tiered } from "../../src/stores/tiered.ts";
import type { CacheStore } from "../../src/http.ts";
import { ownPrefix, until } from "../redis/store.ts";
import { type Intruder, intruder, isHit, startWorld } from "./world.ts";

const url = inject("redisUrl");
let redis: Intruder;
beforeAll(async () => {
  redis = await intruder(inject("redisAdminUrl"));
});
afterAll(() => redis.end());

/** A busy machine must not turn a hit into a miss. */
const deadlineMs = 10_000;

const stores: readonly { readonly name: string; readonly make: () => CacheStore }[] = [
  { name: "memory", make: () => memoryStore() },
  { name: "redis", make: () => redisStore({ url, deadlineMs }) },
  { name: "tiered", make: () => tiered(memoryStore(), redisStore({ url, deadlineMs })) },
];

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

function heapBytes(): number {
  collectGarbage();
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

/** Waits for the purge log: what a memory tier keeps before it was read counts as purged once it is. */
async function untilProven(store: CacheStore, prefix: string): Promise<void> {
  await until(() => store.purges?.verify(prefix));
}

/** An object and all that is in it, so that a write throws. */
function deepFrozen<T>(value: T): T {
  if (typeof value === "object" && value !== null) {
    for (const each of Object.values(value)) deepFrozen(each);
    Object.freeze(value);
  }
  return value;
}

describe.each(stores)("10,000 requests over $name", ({ make }) => {
  it("leave nothing behind: no heap, key, timer or connection", async () => {
    const store = make();
    const world = await startWorld({ store });
    await untilProven(store, world.prefix);
    await world.untilHit("/page");
    const run = async (requests: number): Promise<void> => {
      for (let at = 0; at < requests; at += 100) {
        const answers = await Promise.all(Array.from({ length: 100 }, () => world.get("/page")));
        expect(answers.every(isHit)).toBe(true);
        // The harness keeps events; that is not what is measured.
        (world.events as unknown[]).length = 0;
      }
    };
    await run(2000);
    const before = heapBytes();
    const keys = await redis.keys(`${world.prefix}:*`);
    const resources = process.getActiveResourcesInfo().length;
    await run(10_000);
    expect(heapBytes() - before).toBeLessThan(2 * 1024 * 1024);
    expect(await redis.keys(`${world.prefix}:*`)).toEqual(keys);
    expect(process.getActiveResourcesInfo().length).toBeLessThanOrEqual(resources + 2);
    expect(world.calls).toBeLessThan(5);
  });
});

describe("options", () => {
  it("that are frozen are never written to, and those that change later change nothing", async () => {
    const cacheOptions = deepFrozen({
      prefix: ownPrefix(),
      identity: { harmlessCookies: ["theme"] },
      ignoreArgTypes: [Map],
    });
    const cache = createCache({ ...cacheOptions, store: memoryStore() });
    const tags = ["before"];
    const query = ["lang"];
    const vary = ["accept"];
    const statuses = { 404: "1m" };
    let calls = 0;
    const handle = fetchCache(cache)({ expire: "1h", tags, query, vary, statuses }, () => {
      calls += 1;
      return new Response(`handler ${calls}`);
    });
    const ask = async (path: string, accept = "a"): Promise<string> =>
      (await handle(new Request(`http://api.test${path}`, { headers: { accept } }))).text();
    expect(await ask("/page?lang=en&x=1")).toBe("handler 1");
    tags[0] = "after";
    query.push("x");
    vary.length = 0;
    Object.assign(statuses, { 200: "1s" });
    expect(await ask("/page?lang=en&x=2")).toBe("handler 1");
    expect(await ask("/page?lang=en&x=2", "b")).toBe("handler 2");
    await cache.purge({ tag: "after" });
    expect(await ask("/page?lang=en&x=2")).toBe("handler 1");
    await cache.purge({ tag: "before" });
    expect(await ask("/page?lang=en&x=2")).toBe("handler 3");

    const frozen = deepFrozen({
      expire: "1h",
      tags: ["a"],
      query: ["lang"],
      vary: ["accept"],
      statuses: { 404: "1m" },
    } as const);
    const cached = fetchCache(cache).with(frozen);
    for (const path of ["/a?lang=1", "/a?lang=2", "/b"]) {
      expect(await (await cached({}, () => new Response(path))(new Request(`http://api.test${path}`))).text()).toBe(
        path,
      );
    }
  });

  it("of one route do not reach another", async () => {
    const cache = createCache({ store: memoryStore() });
    const cached = fetchCache(cache);
    const first = cached({ expire: "1h", query: "none", tags: ["first"] }, () => new Response("first"));
    const second = cached({ expire: "1h" }, (request) => new Response(request.url));
    await first(new Request("http://api.test/first?a=1"));
    for (const query of ["a=1", "a=2"]) {
      const response = await second(new Request(`http://api.test/second?${query}`));
      expect(await response.text()).toBe(`http://api.test/second?${query}`);
    }
    await cache.purge({ tag: "first" });
    const again = await second(new Request("http://api.test/second?a=1"));
    expect(again.headers.get("x-reprise-cache")).toBe("Hit");
  });
});

describe.each(stores)("what a reader changes, no other one sees ($name)", ({ make }) => {
  it("a response: its bytes and its fields", async () => {
    const store = make();
    const prefix = ownPrefix();
    const cache = createCache({ store, prefix });
    onTestFinished(() => cache.close());
    const given = new TextEncoder().encode("the handler's own bytes");
    const handle = fetchCache(cache)("1h", () => new Response(given, { headers: { "x-a": "handler" } }));
    const ask = async (): Promise<Response> => handle(new Request("http://api.test/page"));
    await untilProven(store, prefix);
    await ask();
    given.fill(0);
    for (let round = 0; round < 5; round += 1) {
      const response = await ask();
      expect(response.headers.get("x-a")).toBe("handler");
      response.headers.set("x-a", "changed");
      response.headers.set("set-cookie", "sid=1");
      const bytes = new Uint8Array(await response.arrayBuffer());
      expect(new TextDecoder().decode(bytes)).toBe("the handler's own bytes");
      bytes.fill(0);
      expect((await ask()).headers.has("set-cookie")).toBe(false);
    }
    expect(
      isHit({ status: 200, body: "", wire: `X-Reprise-Cache: ${(await ask()).headers.get("x-reprise-cache")}\r\n` }),
    ).toBe(true);
  });

  it("the result of a function: the object, what is in it, and what the function kept of it", async () => {
    const store = make();
    const prefix = ownPrefix();
    const cache = createCache({ store, prefix });
    onTestFinished(() => cache.close());
    await untilProven(store, prefix);
    const own = {
      id: 7,
      tags: ["a"],
      seen: new Date(0),
      bytes: new Uint8Array([1, 2]),
      map: new Map([["k", { v: 1 }]]),
    };
    const expected = structuredClone(own);
    let calls = 0;
    const user = cache.wrap("user", async (_id: number) => {
      calls += 1;
      return own;
    });
    await user(7);
    own.tags.push("by the function");
    await until(async () => {
      const before = calls;
      await user(7);
      return calls === before;
    });
    for (let round = 0; round < 5; round += 1) {
      const found = await user(7);
      if (calls === 1) expect(found).toEqual(expected);
      found.id = 8;
      found.tags.push("by a reader");
      found.seen.setTime(1);
      found.bytes.fill(9);
      found.map.clear();
      Object.assign(found, { isAdmin: true });
    }
    expect(calls).toBe(1);
    expect(await user(7)).toEqual(expected);
  });
});
