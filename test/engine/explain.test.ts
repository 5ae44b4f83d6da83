import { setTimeout as pause } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { createCache, type Cache, type ExplainOptions, type Explanation } from "../../src/cache.ts";
import type { CacheOptions } from "../../src/options/cache-options.ts";
import type { RouteOptions } from "../../src/options/route-options.ts";
import { fetchCache } from "../../src/adapters/fetch/index.ts";
import { memoryStore } from "../../src/stores/memory/index.ts";
import { fakeClock, originStub } from "../../src/testing.ts";
import type { CacheRequest, Fields } from "../../src/http.ts";
import { NOW_MS, requestOf } from "../rfc9111/nouns.ts";
import { later } from "./harness.ts";

const KEY = "reprise GET http://api.test /users ";

function get(fields: Fields = {}, given: Partial<CacheRequest> = {}): CacheRequest {
  return requestOf({ scheme: "http", authority: "api.test", path: "/users", fields, ...given });
}

/** A cache in front of an origin that says `fields`, and the route a request to it takes. */
function world(fields: Record<string, string>, route: RouteOptions<Request> = {}, more: CacheOptions = {}) {
  const clock = fakeClock();
  const origin = originStub();
  origin.replies("body", fields);
  const cache = createCache({ store: memoryStore({ now: clock.now }), now: clock.now, ...more });
  const handler = fetchCache(cache).byHeaders(route, origin.handler);
  return {
    clock,
    origin,
    cache,
    explain: (request: CacheRequest, options?: ExplainOptions): Promise<Explanation> =>
      cache.routeByHeaders(route).explain(request, options),
    ask: async (own: Record<string, string> = {}): Promise<string> => {
      const response = await handler(new Request("http://api.test/users", { headers: own }));
      return response.text();
    },
  };
}

function atNoon(): Cache {
  return createCache({ now: () => NOW_MS });
}

describe("a request for a range of which a part is stored", () => {
  it.each<{ asks: Fields; action: string; because: RegExp; section: string }>([
    { asks: { range: "bytes=0-3" }, action: "reuse", because: /fresh/, section: "RFC 9111 §4.2" },
    { asks: { range: "bytes=1-2" }, action: "reuse", because: /fresh/, section: "RFC 9111 §4.2" },
    { asks: { range: "bytes=2-6" }, action: "forward", because: /does not hold all/, section: "RFC 9111 §3.3" },
    {
      asks: { range: "bytes=0-3", "cache-control": "no-cache" },
      action: "forward",
      because: /says no-cache/,
      section: "RFC 9111 §5.2.1.4",
    },
    {
      asks: { range: "bytes=2-6", "cache-control": "only-if-cached" },
      action: "gateway-timeout",
      because: /only-if-cached/,
      section: "RFC 9111 §5.2.1.7",
    },
  ])("$asks → $action", async ({ asks, action, because, section }) => {
    const { explain, ask, origin } = world({}, { profile: "rfc9111-shared", requestDirectives: "rfc9111" });
    const headers = { "cache-control": "max-age=60", "content-range": "bytes 0-3/10" };
    origin.replies("0123", { status: 206, headers });
    await ask({ range: "bytes=0-3" });
    const explained = await explain(get(asks));
    expect(explained).toMatchObject({ action, because: { rule: expect.stringMatching(because) as string, section } });
    expect(explained.found).toMatchObject({ status: 206, ttlSeconds: 60, contentRange: "bytes 0-3/10" });
    expect(origin.requests).toHaveLength(1);
  });
});

describe("a request", () => {
  it("is forwarded when nothing is stored, and explaining it stores nothing", async () => {
    const { explain, origin } = world({});
    for (let turn = 0; turn < 2; turn += 1) {
      expect(await explain(get())).toEqual({
        action: "forward",
        because: { rule: "Nothing is stored under this key: the origin answers.", section: "RFC 9111 §4" },
        key: KEY,
        decision: { action: "forward", because: "uri-miss" },
      });
    }
    expect(origin.requests).toHaveLength(0);
  });

  it("is answered while the stored response is fresh, and sent to the origin after that", async () => {
    const { explain, ask, clock } = world({ "cache-control": "max-age=60" });
    await ask();
    clock.advance({ seconds: 20 });
    expect(await explain(get())).toEqual({
      action: "reuse",
      because: { rule: "It is fresh: its lifetime is above its age.", section: "RFC 9111 §4.2" },
      key: KEY,
      found: { status: 200, ageSeconds: 20, freshnessLifetimeSeconds: 60, ttlSeconds: 40 },
      decision: { action: "reuse", ageSeconds: 20, ttlSeconds: 40 },
    });
  });

  it.each([
    {
      says: "max-age=60, stale-while-revalidate=100",
      asks: {},
      action: "reuse-and-revalidate",
      section: "RFC 5861 §3",
    },
    { says: "max-age=60", asks: { "cache-control": "max-stale=40" }, action: "reuse", section: "RFC 9111 §5.2.1.2" },
    { says: "max-age=60", asks: {}, action: "revalidate", section: "RFC 9111 §4.3" },
    { says: "max-age=600", asks: { "cache-control": "no-cache" }, action: "revalidate", section: "RFC 9111 §5.2.1.4" },
    { says: "max-age=600", asks: { "cache-control": "max-age=5" }, action: "revalidate", section: "RFC 9111 §5.2.1.1" },
    {
      says: "max-age=600",
      asks: { "cache-control": "max-age=500, min-fresh=590" },
      action: "revalidate",
      section: "RFC 9111 §5.2.1",
    },
    { says: "max-age=600, no-cache", asks: {}, action: "revalidate", section: "RFC 9111 §5.2.2.4" },
    {
      says: "max-age=60",
      asks: { "cache-control": "only-if-cached" },
      action: "gateway-timeout",
      section: "RFC 9111 §5.2.1.7",
    },
  ])("asks $asks after 80 s of $says: $action by $section", async ({ says, asks, action, section }) => {
    const { explain, ask, clock } = world({ "cache-control": says, etag: '"1"' }, { requestDirectives: "rfc9111" });
    await ask();
    clock.advance({ seconds: 80 });
    const explanation = await explain(get(asks));
    expect(explanation).toMatchObject({ action, because: { section }, found: { ageSeconds: 80 } });
  });

  it("has the key that No-Vary-Search of the resource gives it", async () => {
    const fields = { "cache-control": "max-age=60", "no-vary-search": 'params=("a" "b")' };
    const { cache, origin } = world(fields);
    const handler = fetchCache(cache).byHeaders({ profile: "proxy" }, origin.handler);
    await (await handler(new Request("http://api.test/users?a=1"))).text();
    const route = cache.routeByHeaders({ profile: "proxy" });
    expect(await route.explain(get({}, { path: "/users?b=2" }))).toMatchObject({ action: "reuse", key: KEY });
  });

  it("tells a miss by Vary from a miss", async () => {
    const { explain, ask } = world({ "cache-control": "max-age=60", vary: "accept-language" });
    await ask({ "accept-language": "de" });
    expect(await explain(get({ "accept-language": "de" }))).toMatchObject({ action: "reuse" });
    expect(await explain(get({ "accept-language": "en" }))).toMatchObject({
      action: "forward",
      decision: { because: "vary-miss" },
      because: { section: "RFC 9111 §4.1" },
    });
  });

  it.each<{ request: CacheRequest; route?: RouteOptions; detail: string; section?: string }>([
    { request: get({ authorization: "Basic eA==" }), detail: "authorization", section: "RFC 9111 §3.5" },
    { request: get({ cookie: "sid=1" }), detail: "cookie" },
    { request: get({ "cache-control": "no-cache" }), detail: "request", section: "RFC 9111 §5.2.1" },
    { request: get({ "content-length": "3" }), detail: "request-body", section: "RFC 9110 §9.3.1" },
    { request: get({ "if-match": "*" }), detail: "precondition", section: "RFC 9110 §13.1.1" },
    { request: get(), route: { when: () => false }, detail: "when" },
    {
      request: get(),
      route: {
        when: () => {
          throw new Error("broken");
        },
      },
      detail: "callback-failed",
    },
  ])("bypasses with $detail", async ({ request, route, detail, section }) => {
    const explanation = await createCache().route(route).explain(request);
    expect(explanation).toMatchObject({ action: "bypass", detail });
    expect(explanation.because.section).toBe(section);
    expect(explanation.because.rule).toMatch(/^\S.+\.$/);
    expect(explanation.key).toBeUndefined();
  });

  it.each([
    ["OPTIONS", "RFC 9110 §9.2.3"],
    ["DELETE", "RFC 9111 §4.4"],
  ])("passes with %s", async (method, section) => {
    const { explain, ask, origin } = world({ "cache-control": "max-age=60" });
    await ask();
    const head = { status: 200, fields: { "cache-control": "max-age=60" } };
    const explanation = await explain(get({}, { method }), { head });
    expect(explanation).toMatchObject({ action: "pass", because: { section } });
    expect(explanation.response).toMatchObject({ stored: false, detail: "method" });
    expect(await explain(get())).toMatchObject({ action: "reuse" });
    expect(origin.requests).toHaveLength(1);
  });

  it("reports no event and holds nobody up", async () => {
    const { explain, ask, cache, origin } = world({ "cache-control": "max-age=60" });
    const events: string[] = [];
    cache.events.on("*", ({ type }) => events.push(type));
    await explain(get(), { head: { status: 500, fields: {} } });
    expect(events).toEqual([]);
    expect(await ask()).toBe("body");
    expect(origin.requests).toHaveLength(1);
  });

  it("asks a store that answers later", async () => {
    const clock = fakeClock();
    const { explain, ask } = world({ "cache-control": "max-age=60" }, {}, { store: later(clock.now) });
    await ask();
    await pause(20);
    expect(await explain(get())).toMatchObject({ action: "reuse", found: { status: 200 } });
  });

  it("runs the callbacks that make the key with the framework's own request", async () => {
    const route = createCache().route<{ tenant: string }>({ key: ({ tenant }) => tenant });
    const [a, b] = [
      await route.explain(get(), { native: { tenant: "a" } }),
      await route.explain(get(), { native: { tenant: "b" } }),
    ];
    expect(a.key).not.toBe(b.key);
  });
});

describe("a response that is not stored", () => {
  it.each<{ fields: Fields; status?: number; request?: CacheRequest; detail: string; section?: string }>([
    { fields: { "cache-control": "no-store" }, detail: "no-store", section: "RFC 9111 §5.2.2.5" },
    { fields: { "cache-control": "private, max-age=9" }, detail: "private", section: "RFC 9111 §5.2.2.7" },
    { fields: {}, detail: "no-lifetime", section: "RFC 9111 §4.2.1" },
    { fields: { "cache-control": "max-age=9", vary: "*" }, detail: "vary-any", section: "RFC 9111 §4.1" },
    { fields: { "cache-control": "max-age=9", vary: "cookie" }, detail: "vary-identity", section: "RFC 9111 §7.3" },
    { fields: { "cache-control": "max-age=9", "set-cookie": "a=b" }, detail: "set-cookie", section: "RFC 9111 §7.3" },
    { fields: { "cache-control": "max-age=9" }, status: 304, detail: "status", section: "RFC 9111 §3" },
    { fields: { "cache-control": "max-age=9" }, status: 206, detail: "partial", section: "RFC 9111 §3.3" },
    { fields: { "cache-control": "max-age=9", trailer: "a" }, detail: "trailer", section: "RFC 9110 §6.5" },
    {
      fields: { "cache-control": "max-age=9, must-understand" },
      status: 599,
      detail: "must-understand",
      section: "RFC 9111 §5.2.2.3",
    },
    {
      fields: { "cache-control": "max-age=9", "access-control-allow-origin": "https://a.test" },
      detail: "origin-unkeyed",
    },
    { fields: { "cache-control": "max-age=9", "content-type": "text/event-stream" }, detail: "event-stream" },
    { fields: { "cache-control": "max-age=9", "content-length": "9000000" }, detail: "too-large" },
    {
      fields: { "cache-control": "max-age=9" },
      request: get({ authorization: "Basic eA==" }),
      detail: "authorization",
      section: "RFC 9111 §3.5",
    },
    {
      fields: { "cache-control": "max-age=9" },
      request: get({ "cache-control": "no-store" }),
      detail: "request-no-store",
      section: "RFC 9111 §5.2.1.5",
    },
    {
      fields: { "cache-control": "max-age=9" },
      request: get({ "cache-control": "only-if-cached" }),
      detail: "only-if-cached",
      section: "RFC 9111 §5.2.1.7",
    },
    {
      fields: { "cache-control": "max-age=9" },
      request: get({}, { method: "HEAD" }),
      detail: "method",
      section: "RFC 9111 §3",
    },
    { fields: { "cache-control": "max-age=9" }, request: get({ cookie: "sid=1" }), detail: "bypass" },
  ])("$detail", async ({ fields, status = 200, request = get(), detail, section }) => {
    const route = atNoon().routeByHeaders({ profile: "proxy", requestDirectives: "rfc9111" });
    const { response } = await route.explain(request, { head: { status, fields } });
    expect(response).toMatchObject({ status, stored: false, detail });
    expect(response?.because.section).toBe(section);
    expect(response?.because.rule).toMatch(/^\S.{8,}\.$/);
    expect(response?.next).toBeUndefined();
  });

  it("says of a route with a lifetime what no-cache does there", async () => {
    const head = { status: 200, fields: { "cache-control": "no-cache" } };
    const { response } = await atNoon().route({ expire: "1h" }).explain(get(), { head });
    expect(response).toMatchObject({ stored: false, detail: "no-cache", because: { section: "RFC 9111 §5.2.2.4" } });
  });
});

describe("the lifetime of a response", () => {
  const date = "Sun, 01 Mar 2026 12:00:00 GMT";
  it.each([
    {
      fields: { "cache-control": "max-age=1, s-maxage=2" },
      seconds: 2,
      from: "s-maxage",
      field: "cache-control",
      section: "RFC 9111 §5.2.2.10",
    },
    {
      fields: { "cache-control": "max-age=7", expires: "Sun, 01 Mar 2026 12:01:00 GMT", date },
      seconds: 7,
      from: "max-age",
      field: "cache-control",
      section: "RFC 9111 §5.2.2.1",
    },
    {
      fields: { "cache-control": "no-store", "cdn-cache-control": "max-age=30" },
      seconds: 30,
      from: "max-age",
      field: "cdn-cache-control",
      section: "RFC 9111 §5.2.2.1",
    },
    {
      fields: { expires: "Sun, 01 Mar 2026 12:01:00 GMT", date },
      seconds: 60,
      from: "expires",
      field: "expires",
      section: "RFC 9111 §5.3",
    },
    {
      fields: { "last-modified": "Sun, 01 Mar 2026 11:00:00 GMT", date },
      seconds: 360,
      from: "heuristic",
      field: "last-modified",
      section: "RFC 9111 §4.2.2",
    },
  ])("is $seconds s from $from of $field", async ({ fields, seconds, from, field, section }) => {
    const route = atNoon().routeByHeaders({ profile: "rfc9111-shared" });
    const { response } = await route.explain(get(), { head: { status: 200, fields } });
    expect(response?.stored).toBe(true);
    expect(response?.lifetime).toMatchObject({ seconds, from, field, because: { section } });
    expect(response?.next).toMatchObject({ decision: { action: "reuse", ttlSeconds: seconds } });
  });

  it("is the route's own where the route has one", async () => {
    const { response } = await atNoon()
      .route({ expire: "1h" })
      .explain(get(), { head: { status: 200, fields: {} } });
    expect(response).toMatchObject({ stored: true, lifetime: { seconds: 3600, from: "route" } });
  });

  it("counts the age a response arrives with, so the next request gets what is left", async () => {
    const head = { status: 200, fields: { "cache-control": "max-age=60", age: "45" } };
    const { response } = await atNoon()
      .routeByHeaders()
      .explain(get(), { head, requestedAtMs: NOW_MS - 2000 });
    expect(response).toMatchObject({ ageSeconds: 47, next: { decision: { action: "reuse", ttlSeconds: 13 } } });
  });
});

describe("what follows from a stored response", () => {
  it("names what selects among responses, and the validators", async () => {
    const fields = { "cache-control": "max-age=60", vary: "Accept, X-A", etag: '"1"', "last-modified": "then" };
    const { response } = await atNoon()
      .routeByHeaders()
      .explain(get({ accept: "text/html" }), { head: { status: 200, fields } });
    expect(response?.vary).toMatchObject({ fields: { accept: "text/html", "x-a": null } });
    expect(response?.validators).toEqual({
      etag: '"1"',
      lastModified: "then",
      because: {
        rule: "Once it is stale, the origin is asked with If-None-Match and If-Modified-Since, and a 304 renews it.",
        section: "RFC 9111 §4.3.1",
      },
    });
  });

  it.each([
    { says: "max-age=9, stale-while-revalidate=5", section: "RFC 5861 §3", rule: /^For 5 s / },
    { says: "max-age=9, stale-if-error=6", section: "RFC 5861 §4", rule: /^For 6 s / },
    { says: "max-age=9, must-revalidate", section: "RFC 9111 §5.2.2.2", rule: /never/ },
    { says: "max-age=9, proxy-revalidate", section: "RFC 9111 §5.2.2.8", rule: /never/ },
    { says: "s-maxage=9", section: "RFC 9111 §5.2.2.10", rule: /never/ },
    { says: "max-age=9, no-cache", section: "RFC 9111 §5.2.2.4", rule: /never/ },
    { says: "max-age=9", section: "RFC 9111 §4.2.4", rule: /^For 60 s more while the origin cannot be reached\.$/ },
  ])("says of $says how stale it may be used", async ({ says, section, rule }) => {
    const route = atNoon().routeByHeaders({ profile: "proxy" });
    const { response } = await route.explain(get(), { head: { status: 200, fields: { "cache-control": says } } });
    expect(response?.stale.because.section).toBe(section);
    expect(response?.stale.because.rule).toMatch(rule);
  });

  it("is plain data", async () => {
    const head = { status: 200, fields: { "cache-control": "max-age=60", vary: "accept" } };
    const explanation = await atNoon().routeByHeaders().explain(get(), { head });
    expect(JSON.parse(JSON.stringify(explanation))).toEqual(explanation);
  });
});

it("agrees with what the cache then does", async () => {
  for (const says of ["max-age=60", "no-store", "private", "max-age=60, no-cache", "s-maxage=5", "max-age=0"]) {
    const { explain, ask, cache } = world({ "cache-control": says, etag: '"1"' });
    const head = { status: 200, fields: { "cache-control": says, etag: '"1"' } };
    const { response } = await explain(get(), { head });
    const stored: boolean[] = [];
    cache.events.on("outcome", ({ outcome }) => stored.push(outcome.stored));
    await ask();
    expect([says, response?.stored]).toEqual([says, stored[0]]);
    const now = await explain(get());
    if (response?.stored === true) expect(now.decision).toEqual(response.next?.decision);
    else expect(now.action).toBe("forward");
  }
});
