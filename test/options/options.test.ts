import { describe, expect, it } from "vitest";
import { fetchCache } from "../../src/adapters/fetch/index.ts";
import { createCache } from "../../src/cache.ts";
import type { CacheOptions } from "../../src/options/cache-options.ts";
import type { RouteOptions } from "../../src/options/route-options.ts";
import { watchUnhandled } from "../redis/unhandled.ts";

const handler = (): Response => new Response("ok");

it.each([
  { what: "tags", options: { tags: () => [Promise.reject(new Error("late"))] } },
  { what: "key", options: { key: () => ({ a: [Promise.reject(new Error("late"))] }) } },
  { what: "audience", options: { audience: () => [Promise.reject(new Error("late"))] } },
])("leaves no rejection behind of a promise inside of what $what gives", async ({ options }) => {
  const expectNoneUnhandled = watchUnhandled();
  const cached = fetchCache(createCache());
  const response = await cached(
    { expire: "5m", ...options } as RouteOptions<Request>,
    handler,
  )(new Request("http://a.test/", { headers: "audience" in options ? { cookie: "sid=1" } : {} }));
  expect(await response.text()).toBe("ok");
  await expectNoneUnhandled();
});

it("refuses options of a route that are none, as an adapter is given them", () => {
  for (const options of [Promise.resolve({ expire: "5m" }), [], new Date(), new Map()]) {
    expect(() => createCache().route(options as RouteOptions)).toThrow(
      "cached(): expected an object of options, got an",
    );
  }
});

it("refuses options of a function that are none, also where the cache is switched off", () => {
  for (const enabled of [true, false]) {
    const options = Promise.resolve({ expire: "5m" }) as object;
    expect(() => createCache({ enabled }).wrap("f", () => 1, options)).toThrow("Await it first.");
  }
});

describe("options of a cache", () => {
  it.each([
    {
      options: { prefix: "my cache" },
      says: 'createCache({ prefix }): expected 1 to 64 letters, digits, _ . or -, got "my cache"',
    },
    { options: { prefix: "" }, says: 'got ""' },
    { options: { responseHeader: "X Cache" }, says: "createCache({ responseHeader }): expected a field name" },
    { options: { store: {} }, says: "createCache({ store }): expected an object with get(), put(), delete()" },
    { options: { store: null }, says: "createCache({ store })" },
    { options: { logger: {} }, says: "createCache({ logger }): expected an object with debug(), info(), warn()" },
    { options: { requestDirectives: "obey" }, says: '"bypass", "rfc9111" or "ignore", got "obey"' },
    { options: { maxBodyBytes: 0 }, says: "createCache({ maxBodyBytes }): expected a whole number > 0, got 0" },
    { options: { maxVariants: 1.5 }, says: "createCache({ maxVariants })" },
    { options: { fillDeadline: "soon" }, says: "createCache({ fillDeadline })" },
    { options: { ignoreArgTypes: ["Session"] }, says: "createCache({ ignoreArgTypes }): expected a list of classes" },
    { options: { authority: "http://a" }, says: "createCache({ authority }): expected a host" },
    { options: { languages: ["en us"] }, says: "createCache({ languages }): expected a list of language tags" },
    { options: { identity: { cookies: ["sid"] } }, says: "harmlessCookies" },
    { options: { identity: { harmlessCookies: "theme" } }, says: "createCache({ identity: { harmlessCookies } })" },
    { options: { identity: { harmlessCookies: ["exp_*"] } }, says: "A pattern is a RegExp: /^exp_/" },
    { options: { identity: { harmlessCookies: ["theme=dark"] } }, says: "A name without its value" },
    { options: { identity: { harmlessCookies: [""] } }, says: "createCache({ identity: { harmlessCookies } })" },
    { options: { identity: { harmlessCookies: [null] } }, says: "got null" },
    { options: { identity: { fields: ["x user"] } }, says: "createCache({ identity: { fields } })" },
    { options: { identity: { fields: ["x-*-user"] } }, says: "one at their end" },
    { options: { identity: { fields: ["*"] } }, says: "one at their end" },
    { options: { identity: { fields: ["Cookie"] } }, says: "harmlessCookies" },
    { options: { identity: { harmlessFields: "x-api-key" } }, says: "createCache({ identity: { harmlessFields } })" },
    { options: { identity: { authorization: 1 } }, says: "createCache({ identity: { authorization } })" },
    { options: { identity: null }, says: "createCache({ identity })" },
    { options: { identityKey: undefined }, says: "createCache({ identityKey })" },
    { options: { identityKey: "short" }, says: "5 bytes" },
    { options: { identityKey: 7 }, says: "a value of type number" },
    { options: { identity: { cookie: ["sid"] } }, says: 'there is no option "cookie"' },
    { options: { ttl: 5 }, says: 'createCache(): there is no option "ttl"' },
    { options: "redis", says: "createCache(): expected an object of options" },
    { options: new Date(), says: "createCache(): expected an object of options, got an instance of Date" },
    {
      options: Promise.resolve({ enabled: false }),
      says: "createCache(): expected an object of options, got an instance of Promise.\nAwait it first.",
    },
  ])("refuses $options", ({ options, says }) => {
    expect(() => createCache(options as unknown as CacheOptions)).toThrow(says);
  });

  it("leaves the options as they were", () => {
    const options = Object.freeze({ prefix: "a", ignoreArgTypes: Object.freeze([Date]) });
    createCache(options);
    expect(options).toEqual({ prefix: "a", ignoreArgTypes: [Date] });
  });
});

describe("options of a route", () => {
  it.each([
    { options: { expire: -1 }, says: "cached({ expire })" },
    { options: { expire: "5 parsecs" }, says: 'got "5 parsecs"' },
    { options: { staleWhileRevalidate: -1 }, says: "cached({ staleWhileRevalidate })" },
    { options: { staleIfError: "1 day" }, says: "cached({ staleIfError })" },
    { options: { tags: "user" }, says: "cached({ tags }): expected a list of texts" },
    { options: { tags: [""] }, says: "cached({ tags })" },
    { options: { tags: Array.from({ length: 65 }, String) }, says: "at most 64 tags" },
    { options: { query: "lang" }, says: "cached({ query })" },
    { options: { query: [1] }, says: "cached({ query })" },
    { options: { query: { noVarySearch: "params" } }, says: "cached({ query }): expected a value of No-Vary-Search" },
    { options: { targetedFields: ["a b"] }, says: "cached({ targetedFields })" },
    { options: { queryMethod: "yes" }, says: "cached({ queryMethod }): expected true or false" },
    { options: { cacheGroups: 1 }, says: "cached({ cacheGroups })" },
    { options: { profile: "proxy" }, says: "cached({ profile }): expected no profile" },
    { options: { vary: ["accept language"] }, says: "cached({ vary }): expected names of request fields" },
    { options: { vary: "accept-language" }, says: "cached({ vary })" },
    { options: { key: "id" }, says: "cached({ key }): expected a function" },
    { options: { when: true }, says: "cached({ when })" },
    { options: { storeWhen: 1 }, says: "cached({ storeWhen })" },
    { options: { audience: "private" }, says: 'cached({ audience }): expected "public" or a function, got "private"' },
    { options: { statuses: [206] }, says: "cached({ statuses })" },
    { options: { statuses: [99] }, says: "cached({ statuses })" },
    { options: { statuses: { 404: "soon" } }, says: "cached({ statuses: { 404 } })" },
    { options: { statuses: 404 }, says: "cached({ statuses })" },
    {
      options: { statuses: Promise.resolve([404]) },
      says: "cached({ statuses }): expected a list or record of statuses",
    },
    { options: { statuses: new Map([[404, "1m"]]) }, says: "got an instance of Map" },
    { options: { statuses: [404, 401] }, says: "cached({ statuses }): expected no 401, 403 or 407, got 401" },
    { options: { statuses: { 403: "1m" } }, says: "got 403" },
    { options: { cdn: "1m", audience: () => 7 }, says: "cached({ cdn }): expected no lifetime for CDNs" },
    { options: { cdn: "1m", vary: ["cookie"] }, says: "cached({ cdn })" },
    { options: { cdn: "1m", vary: ["x-api-key"] }, says: "cached({ cdn })" },
    { options: { requestDirectives: "no" }, says: "cached({ requestDirectives })" },
    { options: { browser: "never" }, says: "cached({ browser })" },
    { options: { cdn: 0 }, says: "cached({ cdn })" },
    { options: { maxBodyBytes: "1MB" }, says: "cached({ maxBodyBytes })" },
    { options: { expires: "5m" }, says: 'cached(): there is no option "expires"' },
    { options: null, says: "cached()" },
    { options: "soon", says: "cached({ expire })" },
  ])("refuses $options when the route is made", ({ options, says }) => {
    const cached = fetchCache(createCache());
    expect(() => cached(options as unknown as RouteOptions<Request>, handler)).toThrow(says);
  });

  it("refuses a wrong default in cached.with() at once", () => {
    expect(() => fetchCache(createCache()).with({ expire: -5 })).toThrow("cached({ expire })");
  });

  it("refuses a lifetime where the response's fields decide", () => {
    expect(() => fetchCache(createCache()).byHeaders({ expire: "5m" }, handler)).toThrow(
      "cached.byHeaders({ expire })",
    );
  });

  it("refuses an unknown profile", () => {
    const cached = fetchCache(createCache());
    expect(() => cached.byHeaders({ profile: "cdn" as never }, handler)).toThrow('"origin", "proxy", "rfc9111-shared"');
  });

  it("refuses what is no cache and what is no handler", () => {
    expect(() => fetchCache({} as never)).toThrow("expected a cache made by createCache()");
    expect(() => fetchCache(createCache())("5m", undefined as never)).toThrow(
      "the handler comes after the options".replace("the", "The"),
    );
  });

  it("gives every error a code and says where to look", () => {
    const cached = fetchCache(createCache());
    expect(() => cached({ expires: "5m" } as never, handler)).toThrow(
      expect.objectContaining({
        name: "TypeError",
        code: "ERR_UNKNOWN_OPTION",
        message: expect.stringContaining("expire,"),
      }),
    );
  });
});
