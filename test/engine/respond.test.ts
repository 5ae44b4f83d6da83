import { describe, expect, it } from "vitest";
import { createCache } from "../../src/cache.ts";
import { memoryStore } from "../../src/stores/memory/index.ts";
import { fakeClock } from "../../src/testing.ts";
import { bytes, cacheRequest, harness, recordedExchange, replyField, STORES, text, type Answer } from "./harness.ts";

describe.each(STORES)("a request over $kind", ({ store }) => {
  it("is a miss, then a hit until the lifetime ends, then a miss", async () => {
    const { origin, get, clock } = harness({ store, route: { expire: "1m" } });
    origin.replies("v1");
    expect(await get("/")).toMatchObject({
      status: 200,
      body: "v1",
      outcome: { hit: false, forwarded: "uri-miss", originStatus: 200, stored: true, collapsed: false },
    });
    origin.replies("v2");
    expect(await get("/")).toMatchObject({ body: "v1", outcome: { hit: true, stored: false, ttlSeconds: 60 } });
    clock.advance({ seconds: 59 });
    expect(await get("/")).toMatchObject({ body: "v1", outcome: { hit: true, ttlSeconds: 1 } });
    expect(origin.requests).toHaveLength(1);
    clock.advance({ seconds: 1 });
    expect(await get("/")).toMatchObject({ body: "v2", outcome: { hit: false, stored: true } });
    expect(origin.requests).toHaveLength(2);
  });

  it("says what happened in Cache-Status and in the hit/miss field", async () => {
    const { get } = harness({ store });
    expect((await get("/")).fields).toMatchObject({
      "cache-status": "reprise; fwd=uri-miss; fwd-status=200; stored",
      "x-reprise-cache": "Miss",
    });
    expect((await get("/")).fields).toMatchObject({ "cache-status": "reprise; hit; ttl=60", "x-reprise-cache": "Hit" });
  });

  it("keeps status, fields and bytes of a miss in a hit", async () => {
    const { origin, get } = harness({ store });
    origin.replies("{}", { status: 203, headers: { "content-type": "application/json", "x-one": "1" } });
    const miss = await get("/");
    const hit = await get("/");
    const ofHandler = ({ fields }: Answer): unknown =>
      Object.entries(fields).filter(([name]) => name !== "cache-status" && name !== "x-reprise-cache");
    expect(hit.status).toBe(203);
    expect(hit.body).toBe("{}");
    expect(ofHandler(hit)).toEqual(ofHandler(miss));
  });

  it.each(["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])(
    "with %s reaches the handler as if there were no cache",
    async (method) => {
      const { origin, get, handle, outcomes } = harness({ store });
      await get("/");
      const response = await handle("/", { method });
      expect(response.headers.has("cache-status")).toBe(false);
      expect(origin.requests.map((request) => request.method)).toEqual(["GET", method]);
      expect(outcomes).toHaveLength(1);
    },
  );
});

describe("a hit in memory", () => {
  it("is answered before respond() returns", () => {
    const { now } = fakeClock();
    const route = createCache({ store: memoryStore({ now }), now }).route({ expire: "1m" });
    const miss = recordedExchange();
    route.respond(cacheRequest(), miss);
    miss.fills[0]!.head({ status: 200, fields: {} }, bytes("v1"));

    const hit = recordedExchange();
    route.respond(cacheRequest(), hit);
    expect(text(hit.sent[0]!.body)).toBe("v1");
    expect(replyField(hit.sent[0], "x-reprise-cache")).toBe("Hit");
    expect([hit.sent.length, hit.passed.length, hit.fills.length]).toEqual([1, 0, 0]);
  });

  it("is a response, not the promise of one, for a fetch handler", async () => {
    const { get, handle } = harness();
    await get("/");
    expect(handle("/")).toBeInstanceOf(Response);
  });

  it("sends the very reply of the hit before while its age is the same", () => {
    const { now } = fakeClock();
    const route = createCache({ store: memoryStore({ now }), now }).route({ expire: "1m" });
    const exchange = recordedExchange();
    route.respond(cacheRequest(), exchange);
    exchange.fills[0]!.head({ status: 200, fields: {} }, bytes("v1"));
    route.respond(cacheRequest(), exchange);
    route.respond(cacheRequest(), exchange);
    expect(exchange.sent).toHaveLength(3);
    expect(exchange.sent[2]).toBe(exchange.sent[1]);
  });
});

describe.each(STORES)("HEAD over $kind", ({ store }) => {
  it("is answered from a stored GET, without a body", async () => {
    const { origin, get } = harness({ store });
    origin.replies("four");
    await get("/");
    const head = await get("/", {}, "HEAD");
    expect(head).toMatchObject({ status: 200, body: "", outcome: { hit: true } });
    expect(head.fields["content-length"]).toBe("4");
    expect(origin.requests).toHaveLength(1);
  });

  it("that finds nothing goes to the handler as HEAD, is not stored and does not stand in for GET", async () => {
    const { origin, get } = harness({ store });
    origin.replies(null, { "content-length": "4" });
    expect(await get("/", {}, "HEAD")).toMatchObject({ outcome: { hit: false, forwarded: "uri-miss", stored: false } });
    origin.replies("four");
    expect(await get("/")).toMatchObject({ body: "four", outcome: { hit: false, stored: true } });
    expect(await get("/", {}, "HEAD")).toMatchObject({ outcome: { hit: true } });
    expect(origin.requests.map(({ method }) => method)).toEqual(["HEAD", "GET"]);
  });

  it("does not wait for a GET in flight, nor does a GET wait for it", async () => {
    const { origin, get, settled } = harness({ store });
    origin.replies(({ method }) => new Response(method === "HEAD" ? null : "ok"));
    const hold = origin.holds();
    const head = get("/", {}, "HEAD");
    await settled();
    const full = get("/");
    await settled();
    const secondHead = get("/", {}, "HEAD");
    await settled();
    expect(hold.waiting).toBe(3);
    hold.release();
    const answers = await Promise.all([head, full, secondHead]);
    expect(answers.map(({ outcome }) => outcome.collapsed)).toEqual([false, false, false]);
    expect(answers.map(({ body }) => body)).toEqual(["", "ok", ""]);
  });
});
