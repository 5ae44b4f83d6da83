import { describe, expect, it } from "vitest";
import { harness, STORES } from "./harness.ts";

describe.each(STORES)('request directives in mode "bypass" over $kind', ({ store }) => {
  it.each(["no-cache", "no-store", "No-Cache", "max-age=0, NO-STORE", "no-transform,no-cache ,x", 'no-cache="x"'])(
    "%s switches all caching off, and Cache-Status alone says so",
    async (cacheControl) => {
      const { origin, get } = harness({ store });
      origin.replies("v1");
      await get("/");
      origin.replies("v2");
      const bypassed = await get("/", { "cache-control": cacheControl });
      expect(bypassed).toMatchObject({
        body: "v2",
        outcome: { hit: false, forwarded: "bypass", stored: false, collapsed: false, detail: "request" },
      });
      expect(bypassed.fields["cache-status"]).toBe("reprise; fwd=bypass; detail=request");
      for (const name of ["x-reprise-cache", "age", "etag", "cache-control", "expires"]) {
        expect(bypassed.fields).not.toHaveProperty(name);
      }
      expect(await get("/")).toMatchObject({ body: "v1", outcome: { hit: true } });
      expect(origin.requests).toHaveLength(2);
    },
  );

  it.each([
    "max-age=0",
    "min-fresh=9999",
    "only-if-cached",
    "no-cached",
    "x-no-store",
    "no-store-please",
    'x="no-store"',
    "",
  ])("%s is no bypass", async (cacheControl) => {
    const { get } = harness({ store });
    await get("/");
    expect((await get("/", { "cache-control": cacheControl })).outcome.hit).toBe(true);
  });

  it("only-if-cached does not keep a request from the origin", async () => {
    const { get } = harness({ store });
    expect(await get("/", { "cache-control": "only-if-cached" })).toMatchObject({
      status: 200,
      outcome: { stored: true },
    });
  });
});

describe.each(STORES)('request directives in mode "rfc9111" over $kind', ({ store }) => {
  const rfc9111 = { expire: 60, requestDirectives: "rfc9111" } as const;

  it("no-cache asks the origin and renews what is stored (§5.2.1.4)", async () => {
    const { origin, get } = harness({ store, route: rfc9111 });
    origin.replies("v1");
    await get("/");
    origin.replies("v2");
    expect(await get("/", { "cache-control": "no-cache" })).toMatchObject({
      body: "v2",
      outcome: { hit: false, forwarded: "request", originStatus: 200, stored: true },
    });
    expect(await get("/")).toMatchObject({ body: "v2", outcome: { hit: true } });
  });

  it("Pragma: no-cache does the same where there is no Cache-Control (§5.4)", async () => {
    const { get } = harness({ store, route: rfc9111 });
    await get("/");
    expect((await get("/", { pragma: "no-cache" })).outcome).toMatchObject({ forwarded: "request", stored: true });
    expect((await get("/", { pragma: "no-cache", "cache-control": "max-age=60" })).outcome.hit).toBe(true);
  });

  it("no-cache validates with the origin's own tag", async () => {
    const { origin, get } = harness({ store, route: rfc9111 });
    origin.replies("v1", { etag: '"v1"' });
    await get("/");
    origin.replies(null, { status: 304, headers: { etag: '"v1"' } });
    expect(await get("/", { "cache-control": "no-cache" })).toMatchObject({
      status: 200,
      body: "v1",
      outcome: { forwarded: "request", originStatus: 304, stored: true },
    });
    expect(origin.requests[1]!.headers.get("if-none-match")).toBe('"v1"');
  });

  it.each([
    { cacheControl: "max-age=30", hit: true, because: "the age is not above it" },
    { cacheControl: "max-age=29", hit: false, because: "it is older" },
    { cacheControl: "max-age=0", hit: false, because: "a reload wants nothing stored" },
    { cacheControl: "min-fresh=30", hit: true, because: "so much lifetime is left" },
    { cacheControl: "min-fresh=31", hit: false, because: "less is left" },
    { cacheControl: "no-store", hit: true, because: "it forbids storing, not answering" },
    { cacheControl: "only-if-cached", hit: true, because: "there is something" },
    { cacheControl: "MAX-AGE=29", hit: false, because: "case makes no difference" },
  ])("$cacheControl 30 s into 60 s: hit $hit, $because", async ({ cacheControl, hit }) => {
    const { get, clock } = harness({ store, route: rfc9111 });
    await get("/");
    clock.advance({ seconds: 30 });
    const { outcome } = await get("/", { "cache-control": cacheControl });
    expect(outcome).toMatchObject(hit ? { hit, ttlSeconds: 30 } : { hit, forwarded: "request", stored: true });
  });

  it.each([
    { cacheControl: "max-stale=5", hit: true },
    { cacheControl: "max-stale=4", hit: false },
    { cacheControl: "max-stale", hit: true },
    { cacheControl: "max-age=600, max-stale=5", hit: true },
    { cacheControl: "max-age=600", hit: false },
  ])("$cacheControl 5 s past the lifetime: hit $hit (§5.2.1.2)", async ({ cacheControl, hit }) => {
    const { origin, get, clock } = harness({ store, route: rfc9111 });
    origin.replies("v1", { etag: '"v1"' });
    await get("/");
    clock.advance({ seconds: 65 });
    const { outcome } = await get("/", { "cache-control": cacheControl });
    expect(outcome).toMatchObject(hit ? { hit, ttlSeconds: -5 } : { hit, forwarded: "stale" });
  });

  it("max-stale is no match for must-revalidate", async () => {
    const { origin, get, clock } = harness({ store, route: rfc9111 });
    origin.replies("v1", { etag: '"v1"', "cache-control": "must-revalidate" });
    await get("/");
    clock.advance({ seconds: 65 });
    expect((await get("/", { "cache-control": "max-stale" })).outcome).toMatchObject({
      hit: false,
      forwarded: "stale",
    });
  });

  it("only-if-cached with nothing to answer is a 504 and no run of the handler (§5.2.1.7)", async () => {
    const { origin, get, clock } = harness({ store, route: rfc9111 });
    const onlyIfCached = { "cache-control": "only-if-cached" };
    const nothing = {
      status: 504,
      body: "",
      outcome: { hit: false, stored: false, collapsed: false, detail: "only-if-cached" },
    };
    expect(await get("/", onlyIfCached)).toMatchObject(nothing);
    expect(origin.requests).toHaveLength(0);
    origin.replies("v1", { etag: '"v1"' });
    await get("/");
    clock.advance({ seconds: 61 });
    expect(await get("/", onlyIfCached)).toMatchObject(nothing);
    expect(origin.requests).toHaveLength(1);
  });

  it("no-store on a miss keeps the response out of the store and makes nobody wait (§5.2.1.5)", async () => {
    const { origin, get, settled } = harness({ store, route: rfc9111 });
    const hold = origin.holds();
    const unstored = get("/", { "cache-control": "no-store" });
    await settled();
    const plain = get("/");
    await settled();
    expect(hold.waiting).toBe(2);
    hold.release();
    expect((await unstored).outcome).toMatchObject({ hit: false, forwarded: "uri-miss", stored: false });
    expect((await plain).outcome).toMatchObject({ stored: true });
  });

  it("no-store alone leaves nothing behind", async () => {
    const { get } = harness({ store, route: rfc9111 });
    await get("/", { "cache-control": "no-store" });
    expect((await get("/")).outcome).toMatchObject({ hit: false, forwarded: "uri-miss" });
  });
});

describe.each(STORES)('request directives in mode "ignore" over $kind', ({ store }) => {
  it.each(["no-cache", "no-store", "max-age=0", "min-fresh=9999", "only-if-cached"])(
    "%s changes nothing",
    async (cacheControl) => {
      const { origin, get } = harness({ store, route: { expire: "1m", requestDirectives: "ignore" } });
      const fields = { "cache-control": cacheControl, pragma: "no-cache" };
      expect(await get("/", fields)).toMatchObject({ status: 200, outcome: { forwarded: "uri-miss", stored: true } });
      expect(await get("/", fields)).toMatchObject({ outcome: { hit: true } });
      expect(origin.requests).toHaveLength(1);
    },
  );
});

describe("the mode", () => {
  it("is the cache's unless the route has one of its own", async () => {
    const ofCache = harness({ requestDirectives: "ignore" });
    await ofCache.get("/");
    expect((await ofCache.get("/", { "cache-control": "no-cache" })).outcome.hit).toBe(true);
    const ofRoute = harness({ requestDirectives: "ignore", route: { expire: "1m", requestDirectives: "rfc9111" } });
    await ofRoute.get("/");
    expect((await ofRoute.get("/", { "cache-control": "no-cache" })).outcome.forwarded).toBe("request");
  });
});
