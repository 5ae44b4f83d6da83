import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fetchCache } from "../../../src/adapters/fetch/index.ts";
import { harness, STORES } from "../harness.ts";

const START = "Thu, 01 Jan 2026 00:00:00 GMT";

describe.each(STORES)("what a route's lifetime tells downstream, over $kind", ({ store }) => {
  it("is the lifetime that is left, on miss, hit and 304, and no Age", async () => {
    const { origin, get, clock } = harness({ store });
    origin.replies("v1", { date: "Thu, 01 Jan 1998 00:00:00 GMT", age: "50" });
    const miss = await get("/");
    expect(miss.fields).toMatchObject({ "cache-control": "max-age=60", expires: "Thu, 01 Jan 2026 00:01:00 GMT" });
    clock.advance({ seconds: 20 });
    const hit = await get("/");
    expect(hit.fields).toMatchObject({ "cache-control": "max-age=40", expires: "Thu, 01 Jan 2026 00:01:00 GMT" });
    const conditional = { "if-none-match": hit.fields["etag"]!, "cache-control": "max-age=0" };
    const notModified = await get("/", conditional);
    expect(notModified).toMatchObject({ status: 304, body: "" });
    expect(notModified.fields).toMatchObject({
      "cache-control": "max-age=40",
      etag: hit.fields["etag"],
      "x-reprise-cache": "Hit",
    });
    for (const { fields, age } of [miss, hit, notModified]) {
      expect(age).toBeUndefined();
      expect(fields["date"]).toBeUndefined();
    }
  });

  it("is nothing left while a response is served stale", async () => {
    const { get, clock } = harness({ store, route: { expire: 10, staleWhileRevalidate: 60 } });
    await get("/");
    clock.advance({ seconds: 30 });
    expect((await get("/")).fields).toMatchObject({
      "cache-control": "max-age=0",
      expires: "Thu, 01 Jan 2026 00:00:30 GMT",
    });
  });

  it.each([
    { own: "max-age=5", sent: "max-age=5" },
    { own: "s-maxage=5, max-age=1", sent: "s-maxage=5, max-age=1" },
    { own: "public", sent: "public, max-age=60" },
    { own: "must-revalidate, no-transform", sent: "must-revalidate, no-transform, max-age=60" },
    { own: "", sent: "max-age=60" },
  ])("joins the handler's own Cache-Control: '$own' → '$sent'", async ({ own, sent }) => {
    const { origin, get } = harness({ store });
    origin.replies("v1", { "cache-control": own });
    expect((await get("/")).fields["cache-control"]).toBe(sent);
    expect((await get("/")).fields["cache-control"]).toBe(sent);
  });

  it("can be shorter for browsers and its own for CDNs", async () => {
    const { get, clock } = harness({ store, route: { expire: "1h", browser: "1m", cdn: "30m" } });
    expect((await get("/")).fields).toMatchObject({
      "cache-control": "max-age=60",
      "cdn-cache-control": "max-age=1800",
    });
    clock.advance({ minutes: 59, seconds: 30 });
    expect((await get("/")).fields).toMatchObject({ "cache-control": "max-age=30", "cdn-cache-control": "max-age=30" });
  });

  it("can be a question each time for browsers", async () => {
    const { get } = harness({ store, route: { expire: "1h", browser: "no-cache" } });
    await get("/");
    const { fields, outcome } = await get("/");
    expect(outcome.hit).toBe(true);
    expect(fields["cache-control"]).toBe("no-cache");
    expect(fields).not.toHaveProperty("expires");
  });

  it("is that of the route which answers, though another shares its stored responses", async () => {
    const { cache, get, handle } = harness({ store, route: { expire: "1h" } });
    await get("/");
    const other = fetchCache(cache)({ expire: "1h", browser: "10s", query: "none" }, () => new Response("unused"));
    for (let round = 0; round < 2; round++) {
      expect((await handle("/")).headers.get("cache-control")).toBe("max-age=3600");
      const { headers } = await other(new Request(`http://origin.test/?round=${round}`));
      expect(headers.get("x-reprise-cache")).toBe("Hit");
      expect(headers.get("cache-control")).toBe("max-age=10");
    }
  });

  it("is private where responses belong to somebody", async () => {
    const { get } = harness({ store, route: { expire: "1m", audience: () => "user 7" } });
    expect((await get("/")).fields["cache-control"]).toBe("private, no-cache");
    expect((await get("/")).fields["cache-control"]).toBe("private, no-cache");
  });

  it("has no Last-Modified that the handler did not send", async () => {
    const { origin, get } = harness({ store });
    await get("/");
    expect((await get("/")).fields).not.toHaveProperty("last-modified");
    origin.replies("dated", { "last-modified": START });
    await get("/dated");
    expect((await get("/dated")).fields["last-modified"]).toBe(START);
  });

  it("never promises more than the route does, and never less than before", async () => {
    const { get, clock } = harness({ store, route: { expire: 100 } });
    await get("/");
    let elapsedMs = 0;
    let lastMaxAge = 100;
    for (const step of [1, 998, 1, 1, 30_499, 500, 15_001, 51_000, 1_998]) {
      clock.advance({ ms: step });
      elapsedMs += step;
      const { fields, outcome } = await get("/");
      const maxAge = Number(/^max-age=(\d+)$/.exec(fields["cache-control"]!)![1]);
      expect(outcome.hit).toBe(true);
      expect(maxAge).toBe(outcome.ttlSeconds);
      expect(maxAge + Math.floor(elapsedMs / 1000)).toBeLessThanOrEqual(100);
      expect(maxAge).toBeLessThanOrEqual(lastMaxAge);
      lastMaxAge = maxAge;
    }
    expect(lastMaxAge).toBe(1);
  });
});

describe.each(STORES)("a response that states its own lifetime, over $kind (RFC 9111 §4.2)", ({ store }) => {
  it("keeps its Date and Cache-Control, and gets an Age", async () => {
    const { origin, get, clock } = harness({ store, byHeaders: {} });
    origin.replies("v1", { "cache-control": "public, max-age=60", date: START, "x-own": "1" });
    expect(await get("/")).toMatchObject({ age: 0, outcome: { stored: true } });
    clock.advance({ seconds: 25 });
    const hit = await get("/");
    expect(hit).toMatchObject({ age: 25, outcome: { hit: true, ttlSeconds: 35 } });
    expect(hit.fields).toMatchObject({ "cache-control": "public, max-age=60", date: START, "x-own": "1" });
    expect(hit.fields).not.toHaveProperty("etag");
    expect(hit.fields).not.toHaveProperty("expires");
  });

  it("is as old as the caches before us say", async () => {
    const { origin, get, clock } = harness({ store, byHeaders: {} });
    origin.replies("v1", { "cache-control": "max-age=60", age: "20", date: START });
    expect((await get("/")).age).toBe(20);
    clock.advance({ seconds: 39 });
    expect(await get("/")).toMatchObject({ age: 59, outcome: { hit: true, ttlSeconds: 1 } });
    clock.advance({ seconds: 1 });
    expect((await get("/")).outcome.hit).toBe(false);
  });

  it.each([
    { headers: {}, because: "it states none" },
    { headers: { "last-modified": "Thu, 01 Jan 2015 00:00:00 GMT", date: START }, because: "no lifetime is guessed" },
    { headers: { "cache-control": "public" }, because: "public is no lifetime" },
  ])("is not stored when $because", async ({ headers }) => {
    const { origin, get } = harness({ store, byHeaders: {} });
    origin.replies("v1", headers);
    expect(await get("/")).toMatchObject({ body: "v1", outcome: { stored: false, detail: "no-lifetime" } });
    expect((await get("/")).outcome.hit).toBe(false);
  });

  it.each([
    { headers: { "cache-control": "max-age=10, s-maxage=60" }, ttlSeconds: 60 },
    { headers: { expires: "Thu, 01 Jan 2026 00:00:30 GMT", date: START }, ttlSeconds: 30 },
    {
      headers: { "cache-control": "max-age=10", expires: "Thu, 01 Jan 2026 00:00:30 GMT", date: START },
      ttlSeconds: 10,
    },
  ])("of $headers lives $ttlSeconds s", async ({ headers, ttlSeconds }) => {
    const { origin, get } = harness({ store, byHeaders: {} });
    origin.replies("v1", headers);
    await get("/");
    expect((await get("/")).outcome).toMatchObject({ hit: true, ttlSeconds });
  });

  it("has one Cache-Status list with the caches before us", async () => {
    const { origin, get } = harness({ store, byHeaders: {} });
    origin.replies("v1", { "cache-control": "max-age=60", "cache-status": "upstream; hit" });
    expect((await get("/")).fields["cache-status"]).toBe(
      "upstream; hit, reprise; fwd=uri-miss; fwd-status=200; stored",
    );
    expect((await get("/")).fields["cache-status"]).toBe("upstream; hit, reprise; hit; ttl=60");
  });

  it("never grows younger, nor lives longer than promised, however time passes", async () => {
    const steps = fc.array(fc.integer({ min: -3_000, max: 20_000 }), { minLength: 1, maxLength: 12 });
    const { origin, get, clock } = harness({ store, byHeaders: {} });
    let resource = 0;
    await fc.assert(
      fc.asyncProperty(steps, fc.integer({ min: 0, max: 30 }), async (stepsMs, initialAge) => {
        const path = `/${++resource}`;
        origin.replies("v1", { "cache-control": "max-age=60", age: String(initialAge) });
        expect((await get(path)).age).toBe(initialAge);
        let elapsedMs = 0;
        let latestMs = 0;
        for (const stepMs of stepsMs) {
          clock.advance({ ms: stepMs });
          elapsedMs += stepMs;
          latestMs = Math.max(latestMs, elapsedMs);
          const { age, outcome } = await get(path);
          if (!outcome.hit) break;
          expect(age).toBe(initialAge + Math.max(0, Math.floor(elapsedMs / 1000)));
          expect(age! + outcome.ttlSeconds!).toBe(60);
          if (elapsedMs === latestMs) expect(age).toBeGreaterThanOrEqual(initialAge);
        }
        clock.advance({ ms: latestMs - elapsedMs });
      }),
      { numRuns: 40 },
    );
  });
});

describe("the hit/miss field", () => {
  it("has the name the developer gave, and is never stored from the handler", async () => {
    const { origin, get } = harness({ responseHeader: "X-MyAPI-Cache" });
    origin.replies("v1", { "x-myapi-cache": "Hit from the handler" });
    expect((await get("/")).fields["x-myapi-cache"]).toBe("Miss");
    expect((await get("/")).fields["x-myapi-cache"]).toBe("Hit");
    expect((await get("/")).fields).not.toHaveProperty("x-reprise-cache");
  });
});

describe("fields of the connection", () => {
  it("are not stored", async () => {
    const { origin, get } = harness();
    origin.replies("v1", { connection: "x-hop", "x-hop": "1", "keep-alive": "timeout=5", "x-end": "1" });
    await get("/");
    const { fields } = await get("/");
    expect(fields["x-end"]).toBe("1");
    for (const name of ["connection", "x-hop", "keep-alive", "transfer-encoding"])
      expect(fields).not.toHaveProperty(name);
  });
});
