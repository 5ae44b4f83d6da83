import { describe, expect, it } from "vitest";
import { harness, STORES } from "../harness.ts";

const notModified = (headers: Record<string, string>): { status: number; headers: Record<string, string> } => ({
  status: 304,
  headers,
});

describe.each(STORES)("revalidation over $kind (RFC 9111 §4.3)", ({ store }) => {
  it("asks with the origin's own tag and date, and a 304 renews the stored response", async () => {
    const { origin, get, clock } = harness({ store, route: { expire: 10 } });
    const lastModified = "Thu, 01 Jan 2026 00:00:00 GMT";
    origin.replies("v1", { etag: '"v1"', "last-modified": lastModified, "x-revision": "1", "x-kept": "yes" });
    await get("/");
    clock.advance({ seconds: 12 });
    origin.replies(null, notModified({ etag: '"v1"', "x-revision": "2" }));
    const validated = await get("/");
    expect(validated).toMatchObject({
      status: 200,
      body: "v1",
      outcome: { hit: false, forwarded: "stale", originStatus: 304, stored: true, ttlSeconds: 10 },
    });
    expect(validated.fields).toMatchObject({ etag: '"v1"', "x-revision": "2", "x-kept": "yes" });
    expect(validated.fields["cache-status"]).toBe("reprise; fwd=stale; fwd-status=304; ttl=10; stored");
    const conditional = origin.requests[1]!.headers;
    expect(conditional.get("if-none-match")).toBe('"v1"');
    expect(conditional.get("if-modified-since")).toBe(lastModified);

    clock.advance({ seconds: 9 });
    const hit = await get("/");
    expect(hit).toMatchObject({ status: 200, body: "v1", outcome: { hit: true, ttlSeconds: 1 } });
    expect(hit.fields).toMatchObject({ "x-revision": "2", "x-kept": "yes" });
    expect(origin.requests).toHaveLength(2);
  });

  it("goes on for as often as the origin says 304", async () => {
    const { origin, get, clock } = harness({ store, route: { expire: 10 } });
    origin.replies("v1", { etag: '"v1"' });
    await get("/");
    origin.replies(null, notModified({ etag: '"v1"' }));
    for (let round = 0; round < 5; round++) {
      clock.advance({ seconds: 10 });
      expect(await get("/")).toMatchObject({ status: 200, body: "v1", outcome: { originStatus: 304, stored: true } });
      expect((await get("/")).outcome.hit).toBe(true);
    }
    expect(origin.requests).toHaveLength(6);
  });

  it("asks about nothing that was purged while the request waited for another one", async () => {
    const { origin, get, clock, cache, settled } = harness({ store, route: { expire: 10 } });
    origin.replies("old", { etag: '"same"' });
    await get("/");
    clock.advance({ seconds: 12 });
    const hold = origin.holds();
    const first = get("/");
    const second = get("/");
    await settled();
    await cache.purge("all");
    origin.replies("of its own", { "cache-control": "no-store" });
    hold.releaseOne();
    await first;
    origin.replies((request) =>
      request.headers.has("if-none-match")
        ? new Response(null, notModified({ etag: '"same"' }))
        : new Response("new", { headers: { etag: '"same"' } }),
    );
    hold.release();
    expect(await second).toMatchObject({ body: "new" });
    expect(await get("/")).toMatchObject({ body: "new" });
  });

  it("takes a 304 without a validator for an answer to its question", async () => {
    const { origin, get, clock } = harness({ store, route: { expire: 10 } });
    origin.replies("v1", { etag: '"v1"' });
    await get("/");
    clock.advance({ seconds: 10 });
    origin.replies(null, notModified({}));
    expect(await get("/")).toMatchObject({ status: 200, body: "v1", outcome: { originStatus: 304, stored: true } });
  });

  it("is answered with a 200: the new response takes the place of the old", async () => {
    const { origin, get, clock } = harness({ store, route: { expire: 10 } });
    origin.replies("v1", { etag: '"v1"', "x-old": "1" });
    await get("/");
    clock.advance({ seconds: 10 });
    origin.replies("v2", { etag: '"v2"' });
    expect(await get("/")).toMatchObject({
      body: "v2",
      outcome: { forwarded: "stale", originStatus: 200, stored: true },
    });
    const hit = await get("/");
    expect(hit).toMatchObject({ body: "v2", outcome: { hit: true, ttlSeconds: 10 } });
    expect(hit.fields).toMatchObject({ etag: '"v2"' });
    expect(hit.fields).not.toHaveProperty("x-old");
  });

  it.each(["no-store", "private", "PRIVATE"])(
    "a 304 with %s answers this client and evicts what is stored",
    async (cacheControl) => {
      const { origin, get, clock, trace } = harness({ store, route: { expire: 10 } });
      origin.replies("v1", { etag: '"v1"' });
      await get("/");
      clock.advance({ seconds: 10 });
      origin.replies(null, notModified({ etag: '"v1"', "cache-control": cacheControl }));
      expect(await get("/")).toMatchObject({ status: 200, body: "v1", outcome: { originStatus: 304, stored: false } });
      expect(trace().at(-1)).toBe(`not-stored: ${cacheControl.toLowerCase()}`);
      origin.replies("v2");
      expect(await get("/")).toMatchObject({ body: "v2", outcome: { forwarded: "uri-miss" } });
      expect(origin.requests[2]!.headers.has("if-none-match")).toBe(false);
    },
  );

  it("never asks with a tag of our own making", async () => {
    const { origin, get, clock } = harness({ store, route: { expire: 10, staleIfError: 60 } });
    origin.replies("v1");
    const miss = await get("/");
    expect(miss.fields["etag"]).toMatch(/^".+"$/);
    clock.advance({ seconds: 10 });
    expect((await get("/")).outcome.forwarded).toBe("stale");
    expect(origin.requests[1]!.headers.has("if-none-match")).toBe(false);
    expect(origin.requests[1]!.headers.has("if-modified-since")).toBe(false);
  });

  it("asks with a date alone where responses state their own lifetime", async () => {
    const { origin, get, clock } = harness({ store, byHeaders: {} });
    const lastModified = "Thu, 01 Jan 2026 00:00:00 GMT";
    origin.replies("v1", { "cache-control": "max-age=10", "last-modified": lastModified });
    await get("/");
    clock.advance({ seconds: 10 });
    origin.replies(null, notModified({ "cache-control": "max-age=20" }));
    expect(await get("/")).toMatchObject({
      status: 200,
      body: "v1",
      outcome: { originStatus: 304, stored: true, ttlSeconds: 20 },
    });
    expect(origin.requests[1]!.headers.get("if-modified-since")).toBe(lastModified);
  });

  it("of a no-cache response happens at each reuse (§5.2.2.4)", async () => {
    const { origin, get } = harness({ store, byHeaders: {} });
    origin.replies("v1", { "cache-control": "max-age=60, no-cache", etag: '"v1"' });
    await get("/");
    origin.replies(null, notModified({ etag: '"v1"' }));
    expect((await get("/")).outcome).toMatchObject({ hit: false, forwarded: "stale", originStatus: 304 });
    expect((await get("/")).outcome).toMatchObject({ hit: false, forwarded: "stale", originStatus: 304 });
    expect(origin.requests).toHaveLength(3);
  });

  it("of many readers is one, in the foreground as well", async () => {
    const { origin, get, clock, settled } = harness({ store, route: { expire: 10 } });
    origin.replies("v1", { etag: '"v1"' });
    await get("/");
    clock.advance({ seconds: 10 });
    origin.replies(null, notModified({ etag: '"v1"' }));
    const hold = origin.holds();
    const answers = Array.from({ length: 50 }, () => get("/"));
    await settled();
    expect(hold.waiting).toBe(1);
    hold.release();
    const bodies = (await Promise.all(answers)).map(({ status, body }) => `${status} ${body}`);
    expect(new Set(bodies)).toEqual(new Set(["200 v1"]));
    expect(origin.requests).toHaveLength(2);
  });

  it("in the background is the same: a 304 renews, and its no-store evicts", async () => {
    const { origin, get, clock, settled } = harness({ store, route: { expire: 10, staleWhileRevalidate: 60 } });
    origin.replies("v1", { etag: '"v1"' });
    await get("/");
    clock.advance({ seconds: 15 });
    origin.replies(null, notModified({ etag: '"v1"', "x-revision": "2" }));
    await get("/");
    await settled();
    const renewed = await get("/");
    expect(renewed).toMatchObject({ body: "v1", outcome: { hit: true, ttlSeconds: 10 } });
    expect(renewed.fields["x-revision"]).toBe("2");

    clock.advance({ seconds: 15 });
    origin.replies(null, notModified({ etag: '"v1"', "cache-control": "no-store" }));
    await get("/");
    await settled();
    origin.replies("v2");
    expect(await get("/")).toMatchObject({ body: "v2", outcome: { forwarded: "uri-miss" } });
  });

  it("never sends a client that asked for no condition a 304 about another response", async () => {
    const { origin, get, clock } = harness({ store, route: { expire: 10 } });
    origin.replies("v1", { etag: '"v1"' });
    await get("/");
    clock.advance({ seconds: 10 });
    origin.replies(null, notModified({ etag: '"v2"' }));
    const odd = await get("/");
    expect(odd).toMatchObject({ status: 200, body: "v1", outcome: { hit: false, originStatus: 304, stored: false } });
    origin.replies("v2", { etag: '"v2"' });
    expect(await get("/")).toMatchObject({ body: "v2", outcome: { forwarded: "uri-miss" } });
    expect(origin.requests[2]!.headers.has("if-none-match")).toBe(false);
  });
});

describe.each(STORES)("conditions of the client over $kind (RFC 9110 §13)", ({ store }) => {
  it("are not seen by the handler of a storable miss, and count against what it answers", async () => {
    const { origin, get } = harness({ store });
    origin.replies("v1", { etag: '"v1"' });
    const knowing = await get("/", { "if-none-match": '"v1"', "cache-control": "max-age=0" });
    expect(knowing).toMatchObject({ status: 304, body: "", outcome: { hit: false, originStatus: 200, stored: true } });
    expect(knowing.fields["etag"]).toBe('"v1"');
    for (const name of ["if-none-match", "if-modified-since", "range", "if-range"]) {
      expect(origin.requests[0]!.headers.has(name)).toBe(false);
    }
    expect(await get("/")).toMatchObject({ status: 200, body: "v1", outcome: { hit: true } });
    expect(await get("/", { "if-none-match": '"v1"', "cache-control": "max-age=0" })).toMatchObject({
      status: 304,
      outcome: { hit: true },
    });
    expect(await get("/", { "if-none-match": '"v2"', "cache-control": "max-age=0" })).toMatchObject({
      status: 200,
      body: "v1",
    });
    expect(origin.requests).toHaveLength(1);
  });

  it("get the part they ask for, of a whole that is stored (RFC 9110 §14)", async () => {
    const { origin, get, settled } = harness({ store });
    origin.replies("whole", { etag: '"v1"' });
    // Nothing is stored: the origin is shown the range, and here it does not care. The whole is asked for in the background.
    expect(await get("/", { range: "bytes=0-1" })).toMatchObject({ status: 200, body: "whole" });
    await settled();
    expect(origin.requests.map(({ headers }) => headers.has("range"))).toEqual([true, false]);
    expect(await get("/", { range: "bytes=-2" })).toMatchObject({ status: 206, body: "le", outcome: { hit: true } });
    expect(await get("/", { range: "bytes=9-" })).toMatchObject({ status: 416, body: "" });
    expect(await get("/", { range: "bytes=0-1", "if-range": '"v0"' })).toMatchObject({ status: 200, body: "whole" });
    expect(await get("/", { range: "lines=0-1" })).toMatchObject({ status: 200, body: "whole" });
    expect(await get("/")).toMatchObject({ status: 200, body: "whole", outcome: { hit: true } });
  });

  it("a range that comes with no-store leaves nothing that others wait for", async () => {
    const { origin, get, settled } = harness({ store, byHeaders: { requestDirectives: "rfc9111" } });
    origin.replies("whole", { "cache-control": "max-age=60" });
    await get("/", { range: "bytes=0-1", "cache-control": "no-store" });
    await settled();
    expect(origin.requests).toHaveLength(1);
    expect(await get("/")).toMatchObject({ body: "whole", outcome: { collapsed: false } });
  });

  it("are replaced by our own in a revalidation, and answered each by itself", async () => {
    const { origin, get, clock, settled } = harness({ store, route: { expire: 10 } });
    origin.replies("v1", { etag: '"v1"' });
    await get("/");
    clock.advance({ seconds: 10 });
    origin.replies(null, { status: 304, headers: { etag: '"v1"' } });
    const hold = origin.holds();
    const other = get("/", { "if-none-match": '"other"', "cache-control": "max-age=0" });
    await settled();
    const same = get("/", { "if-none-match": 'W/"v1"', "cache-control": "max-age=0" });
    await settled();
    hold.release();
    expect(await other).toMatchObject({ status: 200, body: "v1" });
    expect(await same).toMatchObject({ status: 304, body: "", outcome: { collapsed: true } });
    expect(origin.requests[1]!.headers.get("if-none-match")).toBe('"v1"');
  });

  it("work with the tag we make where the handler gives none", async () => {
    const { origin, get } = harness({ store });
    origin.replies("v1");
    const { fields } = await get("/");
    const again = await get("/", { "if-none-match": fields["etag"]!, "cache-control": "max-age=0" });
    expect(again).toMatchObject({ status: 304, body: "", outcome: { hit: true } });
  });

  it("do not match the tag of another resource with the same bytes", async () => {
    const { origin, get } = harness({ store });
    origin.replies("same");
    const a = await get("/a");
    const b = await get("/b", { "if-none-match": a.fields["etag"]!, "cache-control": "max-age=0" });
    expect(b).toMatchObject({ status: 200, body: "same" });
    expect(b.fields["etag"]).not.toBe(a.fields["etag"]);
    expect((await get("/b", { "if-none-match": a.fields["etag"]!, "cache-control": "max-age=0" })).status).toBe(200);
  });

  it("match a made tag whatever parameters outside the key said", async () => {
    const { origin, get, clock } = harness({ store, route: { expire: 10, query: ["lang"] } });
    origin.replies("same");
    const first = await get("/?lang=en&utm=1");
    clock.advance({ seconds: 10 });
    const second = await get("/?utm=2&lang=en");
    expect(second.outcome.hit).toBe(false);
    expect(second.fields["etag"]).toBe(first.fields["etag"]);
  });
});
