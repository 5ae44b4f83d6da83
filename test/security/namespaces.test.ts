/** caches with different prefixes in one Redis never meet. */

import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";

import { createCache } from "../../src/cache.ts";
import { redisStore } from "../../src/stores/redis/index.ts";
import { ownPrefix } from "../redis/store.ts";
import { type Intruder, intruder, isHit, startWorld, type World } from "./world.ts";

const url = inject("redisUrl");
let redis: Intruder;
beforeAll(async () => {
  redis = await intruder(inject("redisAdminUrl"));
});
afterAll(() => redis.end());

/** Prefixes that begin alike, differ in a sign that has a meaning in Redis or in regular expressions, or in case only. */
function similarPrefixes(): readonly string[] {
  const a = ownPrefix();
  return [a, `${a}.b`, `${a}-b`, `${a}_b`, `${a}b`, `${a}.`, `${a}-1`, a.toUpperCase()];
}

async function filled(prefixes: readonly string[]): Promise<Map<string, World>> {
  const worlds = new Map<string, World>();
  for (const prefix of prefixes) {
    const world = await startWorld({ store: redisStore({ url }), prefix, route: { expire: "1h", tags: ["page"] } });
    await world.untilHit("/page");
    worlds.set(prefix, world);
  }
  return worlds;
}

describe("prefixes that begin alike", () => {
  it.each([
    { what: "everything", purge: ({ cache }: World) => cache.purge("all") },
    { what: "a tag", purge: ({ cache }: World) => cache.purge({ tag: "page" }) },
    { what: "a URL", purge: ({ cache }: World) => cache.purge({ url: "/page" }) },
    { what: "a path and all below it", purge: ({ cache }: World) => cache.purge({ prefix: "/" }) },
  ])("a purge of $what under one leaves the others", async ({ purge }) => {
    const worlds = await filled(similarPrefixes());
    const [[first, purged] = []] = worlds;
    if (purged === undefined) throw new Error("no world");
    await purge(purged);
    for (const [prefix, world] of worlds) {
      const answer = await world.get("/page");
      expect([prefix, isHit(answer)]).toEqual([prefix, prefix !== first]);
    }
  });

  it("share no key: each key in Redis belongs to one of them", async () => {
    const prefixes = similarPrefixes();
    const worlds = await filled(prefixes);
    const owners = async (key: string): Promise<string[]> =>
      prefixes.filter((prefix) => key.startsWith(`${prefix}:1:`));
    const keys = await redis.keys(`${prefixes[0]}*`);
    expect(keys.length).toBeGreaterThanOrEqual(3 * (worlds.size - 1));
    for (const key of keys) expect([key, (await owners(key)).length]).toEqual([key, 1]);
  });

  it("an entry moved from one to the other is a miss", async () => {
    const [a = "", b = ""] = similarPrefixes();
    const worlds = await filled([a, b]);
    await redis.plant(await redis.entryKey(b, "page"), await redis.read(await redis.entryKey(a, "page")));
    expect(isHit((await worlds.get(b)?.get("/page")) ?? { status: 0, body: "", wire: "" })).toBe(false);
  });
});

describe("a prefix that could reach into another is refused at once", () => {
  it.each(["a:b", "a:1", "a b", "a*", "a?", "[a]", "{a}", "a\0", "a\r\n", "a/b", "ä", "", "a".repeat(65)])(
    "%j",
    (prefix) => {
      expect(() => createCache({ prefix })).toThrow(
        expect.objectContaining({
          code: "ERR_INVALID_OPTION",
          message: expect.stringContaining("createCache({ prefix }): expected 1 to 64 letters, digits, _ . or -"),
        }),
      );
    },
  );
});

describe("names that mean something to Redis", () => {
  const paths = ["/*", "/?", "/[a-z]*", "/{x}", "/a%00b", "/a%0d%0aDEL%20x", `/${"x".repeat(20_000)}`, "/%7Bx%7D:log"];
  const tags = ["*", "?", "[a]", "{x}", "a\0b", "a b", "')redis.call('FLUSHALL')--", "__proto__", "\\"];

  it("are names: a purge of one leaves the others", async () => {
    const world = await startWorld({ store: redisStore({ url }) });
    for (const path of paths) await world.untilHit(path);
    for (const tag of tags) await world.cache.purge({ tag });
    await world.cache.purge({ url: "/*" });
    for (const path of paths)
      expect([path.slice(0, 20), isHit(await world.get(path))]).toEqual([path.slice(0, 20), path !== "/*"]);
    for (const key of await redis.entryKeys(world.prefix)) {
      expect(key).toMatch(/^test-[0-9a-f]{12}:1:[\w.()/,?=&%+~-]{1,80}:\{[\w-]{22}\}$/);
    }
  });
});
