import { describe, expect, it } from "vitest";
import { harness, STORES } from "../harness.ts";

describe.each(STORES)("stale-while-revalidate over $kind (RFC 5861 §3)", ({ store }) => {
  const staleFor30 = { expire: 10, staleWhileRevalidate: 30 } as const;

  it("serves stale at once and validates once in the background", async () => {
    const { origin, get, clock, settled } = harness({ store, byHeaders: {} });
    origin.replies("v1", { "cache-control": "max-age=10, stale-while-revalidate=30" });
    await get("/");
    clock.advance({ seconds: 15 });
    origin.replies("v2", { "cache-control": "max-age=10" });

    const [a, b] = await Promise.all([get("/"), get("/")]);
    expect(a).toMatchObject({ body: "v1", age: 15, outcome: { hit: true, ttlSeconds: -5 } });
    expect(b).toMatchObject({ body: "v1", outcome: { hit: true, ttlSeconds: -5 } });

    await settled();
    expect(origin.requests).toHaveLength(2);
    expect(await get("/")).toMatchObject({ body: "v2", age: 0, outcome: { hit: true, ttlSeconds: 10 } });
  });

  it("asks the origin once for a hundred readers, before and while it answers", async () => {
    const { origin, get, clock, settled } = harness({ store, route: staleFor30 });
    origin.replies("v1");
    await get("/");
    clock.advance({ seconds: 15 });
    origin.replies("v2");
    const hold = origin.holds();
    const first = await Promise.all(Array.from({ length: 50 }, () => get("/")));
    await settled();
    const second = await Promise.all(Array.from({ length: 50 }, () => get("/")));
    for (const { body, outcome } of [...first, ...second]) {
      expect(body).toBe("v1");
      expect(outcome).toMatchObject({ hit: true, ttlSeconds: -5 });
    }
    expect(hold.waiting).toBe(1);
    hold.release();
    await settled();
    expect(origin.requests).toHaveLength(2);
    expect(await get("/")).toMatchObject({ body: "v2", outcome: { hit: true } });
  });

  it("answers the last second of its window and not the next", async () => {
    const { origin, get, clock, settled } = harness({ store, route: staleFor30 });
    origin.replies("v1", { etag: '"v1"' });
    await get("/");
    const hold = origin.holds();
    clock.advance({ seconds: 40 });
    expect((await get("/")).outcome).toMatchObject({ hit: true, ttlSeconds: -30 });
    clock.advance({ seconds: 1 });
    origin.replies("v2");
    const late = get("/");
    await settled();
    hold.release();
    expect(await late).toMatchObject({ body: "v2", outcome: { hit: false, forwarded: "stale" } });
  });

  it.each([
    { failure: "a throw", status: undefined },
    { failure: "500", status: 500 },
    { failure: "502", status: 502 },
    { failure: "503", status: 503 },
    { failure: "504", status: 504 },
  ])("keeps the stored response when the origin answers $failure, and says so", async ({ status }) => {
    const { origin, get, clock, settled, events } = harness({ store, route: staleFor30 });
    origin.replies("v1");
    await get("/");
    clock.advance({ seconds: 15 });
    if (status === undefined) origin.fails(new Error("origin down"));
    else origin.replies("broken", { status });
    await get("/");
    await settled();
    const failed = events.filter((event) => event.type === "revalidation-failed");
    expect(failed).toHaveLength(1);
    expect(failed[0]!.error.message).toMatch(status === undefined ? "origin down" : String(status));

    expect(await get("/")).toMatchObject({ body: "v1", outcome: { hit: true, ttlSeconds: -5 } });
    await settled();
    expect(origin.requests).toHaveLength(3);
    origin.replies("v2");
    await get("/");
    await settled();
    expect(await get("/")).toMatchObject({ body: "v2", outcome: { hit: true, ttlSeconds: 10 } });
  });

  it.each([
    { answer: "404", reply: { status: 404 } },
    { answer: "410", reply: { status: 410 } },
    { answer: "no-store", reply: { headers: { "cache-control": "no-store" } } },
    { answer: "private", reply: { headers: { "cache-control": "private" } } },
    { answer: "Set-Cookie", reply: { headers: { "set-cookie": "a=b" } } },
  ])("evicts the stored response when the origin no longer stands by it: $answer", async ({ reply }) => {
    const { origin, get, clock, settled } = harness({ store, route: staleFor30 });
    origin.replies("v1");
    await get("/");
    clock.advance({ seconds: 15 });
    origin.replies("gone", reply);
    expect((await get("/")).body).toBe("v1");
    await settled();
    expect(await get("/")).toMatchObject({
      body: "gone",
      outcome: { hit: false, forwarded: "uri-miss", stored: false },
    });
  });

  it("is not for must-revalidate, whatever the route says", async () => {
    const { origin, get, clock } = harness({ store, route: staleFor30 });
    origin.replies("v1", { "cache-control": "must-revalidate", etag: '"v1"' });
    await get("/");
    clock.advance({ seconds: 11 });
    origin.replies("v2");
    expect(await get("/")).toMatchObject({ body: "v2", outcome: { hit: false, forwarded: "stale", stored: true } });
  });

  it("lets a response's own window beat the route's", async () => {
    const { origin, get, clock } = harness({ store, route: staleFor30 });
    origin.replies("v1", { "cache-control": "stale-while-revalidate=5", etag: '"v1"' });
    await get("/");
    clock.advance({ seconds: 16 });
    origin.replies("v2");
    expect(await get("/")).toMatchObject({ body: "v2", outcome: { hit: false, forwarded: "stale" } });
  });

  it("serves HEAD stale and leaves the renewal to a GET", async () => {
    const { origin, get, clock, settled } = harness({ store, route: staleFor30 });
    await get("/");
    clock.advance({ seconds: 15 });
    expect((await get("/", {}, "HEAD")).outcome).toMatchObject({ hit: true, ttlSeconds: -5 });
    await settled();
    expect(origin.requests).toHaveLength(1);
  });

  it("goes on after a revalidation whose body was cut off", async () => {
    const { origin, get, clock, settled } = harness({ store, route: staleFor30 });
    origin.replies("v1");
    await get("/");
    clock.advance({ seconds: 15 });
    origin.replies("half", { "content-length": "8" });
    await get("/");
    await settled();
    expect(await get("/")).toMatchObject({ body: "v1", outcome: { hit: true, ttlSeconds: -5 } });
  });
});

describe.each(STORES)("stale-if-error over $kind (RFC 5861 §4)", ({ store }) => {
  const errorFor60 = { expire: 10, staleIfError: 60 } as const;

  it.each([500, 502, 503, 504])("stands in for a %i", async (status) => {
    const { origin, get, clock } = harness({ store, route: errorFor60 });
    origin.replies("v1");
    await get("/");
    clock.advance({ seconds: 20 });
    origin.replies("broken", { status });
    const stale = {
      hit: false,
      forwarded: "stale",
      originStatus: status,
      stored: false,
      ttlSeconds: -10,
      detail: "stale-if-error",
    };
    expect(await get("/")).toMatchObject({ status: 200, body: "v1", outcome: stale });
    expect(await get("/")).toMatchObject({ status: 200, body: "v1", outcome: stale });
    expect(origin.requests).toHaveLength(3);
    origin.replies("v2");
    expect(await get("/")).toMatchObject({ body: "v2", outcome: { stored: true } });
  });

  it("stands in for a throw, and reports what was thrown", async () => {
    const { origin, get, clock, events } = harness({ store, route: errorFor60 });
    origin.replies("v1");
    await get("/");
    clock.advance({ seconds: 20 });
    origin.fails(new Error("origin down"));
    expect(await get("/")).toMatchObject({
      status: 200,
      body: "v1",
      outcome: { forwarded: "stale", detail: "stale-if-error" },
    });
    const reported = events.flatMap((event) =>
      "error" in event && event.error !== undefined ? [event.error.message] : [],
    );
    expect(reported).toEqual(["origin down"]);
  });

  it.each([400, 401, 403, 404, 410, 429, 501])("does not hide a %i", async (status) => {
    const { origin, get, clock } = harness({ store, route: errorFor60 });
    origin.replies("v1");
    await get("/");
    clock.advance({ seconds: 20 });
    origin.replies("the truth", { status });
    expect(await get("/")).toMatchObject({
      status,
      body: "the truth",
      outcome: { forwarded: "stale", originStatus: status, stored: false },
    });
  });

  it("ends with its window", async () => {
    const { origin, get, clock } = harness({ store, route: errorFor60 });
    origin.replies("v1", { etag: '"v1"' });
    await get("/");
    origin.replies("broken", { status: 503 });
    clock.advance({ seconds: 70 });
    expect(await get("/")).toMatchObject({ status: 200, body: "v1" });
    clock.advance({ seconds: 1 });
    expect(await get("/")).toMatchObject({
      status: 503,
      body: "broken",
      outcome: { forwarded: "stale", stored: false },
    });
  });

  it.each(["must-revalidate", "proxy-revalidate", "s-maxage=10"])("is not for %s", async (cacheControl) => {
    const { origin, get, clock } = harness({ store, route: errorFor60 });
    origin.replies("v1", { "cache-control": cacheControl, etag: '"v1"' });
    await get("/");
    clock.advance({ seconds: 20 });
    origin.replies("broken", { status: 503 });
    expect(await get("/")).toMatchObject({ status: 503, body: "broken" });
    origin.fails();
    await expect(get("/")).rejects.toThrow("the origin failed");
  });

  it("is nothing a route has by itself", async () => {
    const { origin, get, clock } = harness({ store, route: { expire: 10 } });
    origin.replies("v1", { etag: '"v1"' });
    await get("/");
    clock.advance({ seconds: 11 });
    origin.replies("broken", { status: 503 });
    expect(await get("/")).toMatchObject({ status: 503, body: "broken" });
  });

  it("gives the stale response to those who waited as well, without another run", async () => {
    const { origin, get, clock, settled } = harness({ store, route: errorFor60 });
    origin.replies("v1");
    await get("/");
    clock.advance({ seconds: 20 });
    origin.replies("broken", { status: 503 });
    const hold = origin.holds();
    const answers = Array.from({ length: 30 }, () => get("/"));
    await settled();
    hold.release();
    for (const { body, outcome } of await Promise.all(answers)) {
      expect(body).toBe("v1");
      expect(outcome).toMatchObject({ originStatus: 503, stored: false, detail: "stale-if-error" });
    }
    expect(origin.requests).toHaveLength(2);
  });

  it("keeps a fresh error response out of the store", async () => {
    const { origin, get } = harness({ store, route: errorFor60 });
    origin.replies("broken", { status: 503 });
    expect(await get("/")).toMatchObject({ status: 503, outcome: { stored: false, detail: "status" } });
    origin.replies("v1");
    expect(await get("/")).toMatchObject({ body: "v1", outcome: { hit: false, stored: true } });
  });
});
