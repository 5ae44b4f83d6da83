import { describe, expect, it } from "vitest";
import { createCache } from "../../../src/cache.ts";
import { memoryStore } from "../../../src/stores/memory/index.ts";
import { fakeClock } from "../../../src/testing.ts";
import { bytes, cacheRequest, harness, openBody, recordedExchange, STORES, text } from "../harness.ts";

describe.each(STORES)("a miss that streams over $kind", ({ store }) => {
  it("reaches the client before the origin has ended", async () => {
    const { origin, handle, get, settled, outcomes } = harness({ store });
    const body = openBody();
    origin.replies(body.stream, { "content-type": "text/plain" });
    const pending = handle("/");
    await settled();
    body.write("first ");
    const response = await pending;
    expect(response.headers.get("cache-status")).toBe("reprise; fwd=uri-miss; fwd-status=200; stored");
    expect(response.headers.get("cache-control")).toBe("max-age=60");
    const reader = response.body!.getReader();
    expect(text((await reader.read()).value)).toBe("first ");
    expect(outcomes).toHaveLength(0);

    body.write("second");
    expect(text((await reader.read()).value)).toBe("second");
    body.end();
    expect((await reader.read()).done).toBe(true);
    expect(outcomes).toEqual([
      { hit: false, forwarded: "uri-miss", originStatus: 200, stored: true, collapsed: false },
    ]);
    expect(await get("/")).toMatchObject({ body: "first second", outcome: { hit: true } });
    expect(origin.requests).toHaveLength(1);
  });

  it.each([0, 1, 3])("is stored in one piece, however many pieces came: %i", async (pieces) => {
    const { origin, handle, get, settled } = harness({ store });
    const body = openBody();
    origin.replies(body.stream);
    const pending = handle("/");
    await settled();
    const expected = Array.from({ length: pieces }, (_, index) => `piece ${index};`);
    for (const piece of expected) body.write(piece);
    body.end();
    expect(await (await pending).text()).toBe(expected.join(""));
    expect(await get("/")).toMatchObject({ body: expected.join(""), outcome: { hit: true } });
  });

  it("is not stored when its client leaves before the end", async () => {
    const { origin, handle, get, settled, outcomes, trace } = harness({ store });
    const body = openBody();
    origin.replies(body.stream);
    const pending = handle("/");
    await settled();
    body.write("half");
    const reader = (await pending).body!.getReader();
    await reader.read();
    await reader.cancel();
    expect(outcomes).toEqual([
      { hit: false, forwarded: "uri-miss", originStatus: 200, stored: false, collapsed: false, detail: "incomplete" },
    ]);
    expect(trace()).toEqual(["not-stored: incomplete"]);
    origin.replies("whole");
    expect(await get("/")).toMatchObject({ body: "whole", outcome: { hit: false, stored: true } });
  });

  it("is not stored when the origin breaks off", async () => {
    const { origin, get, settled, outcomes } = harness({ store });
    const body = openBody();
    origin.replies(body.stream);
    const pending = get("/");
    const broken = expect(pending).rejects.toThrow("cut off");
    await settled();
    body.write("half");
    await settled();
    body.fail(new Error("cut off"));
    await broken;
    expect(outcomes).toMatchObject([{ stored: false, detail: "incomplete" }]);
    origin.replies("whole");
    expect(await get("/")).toMatchObject({ body: "whole", outcome: { hit: false } });
  });

  it.each([
    { declared: "8", written: "half" },
    { declared: "2", written: "half" },
    { declared: "0", written: "half" },
  ])("of $written with Content-Length $declared is served and not stored", async ({ declared, written }) => {
    const { origin, handle, get, settled, outcomes } = harness({ store });
    const body = openBody();
    origin.replies(body.stream, { "content-length": declared });
    const pending = handle("/");
    await settled();
    body.write(written);
    body.end();
    expect(await (await pending).text()).toBe(written);
    expect(outcomes).toMatchObject([{ stored: false, detail: "incomplete" }]);
    origin.replies("whole");
    expect((await get("/")).outcome.hit).toBe(false);
  });

  it("that is an event stream is passed on and not kept", async () => {
    const { origin, handle, settled, outcomes, get } = harness({ store });
    const body = openBody();
    origin.replies(body.stream, { "content-type": "text/event-stream; charset=utf-8" });
    const pending = handle("/");
    await settled();
    const response = await pending;
    expect(outcomes).toMatchObject([{ stored: false, detail: "event-stream" }]);
    body.write("data: 1\n\n");
    expect(text((await response.body!.getReader().read()).value)).toBe("data: 1\n\n");
    origin.replies("page");
    expect((await get("/")).outcome.hit).toBe(false);
  });
});

describe.each(STORES)("a whole body over $kind", ({ store }) => {
  it.each(["8", "2"])("of 4 bytes with Content-Length %s is served and not stored", async (declared) => {
    const { origin, get } = harness({ store });
    origin.replies("half", { "content-length": declared });
    expect(await get("/")).toMatchObject({ body: "half", outcome: { stored: false, detail: "incomplete" } });
    expect((await get("/")).outcome.hit).toBe(false);
  });

  it("with the right Content-Length is stored", async () => {
    const { origin, get } = harness({ store });
    origin.replies("four", { "content-length": "4" });
    expect((await get("/")).outcome.stored).toBe(true);
    expect((await get("/")).outcome.hit).toBe(true);
  });
});

describe.each(STORES)("the bound on a body over $kind", ({ store }) => {
  const maxBodyBytes = 1_000;
  const exact = "x".repeat(maxBodyBytes);

  it("lets in a whole body that just fits", async () => {
    const { origin, get } = harness({ store, maxBodyBytes });
    origin.replies(exact);
    await get("/");
    expect(await get("/")).toMatchObject({ body: exact, outcome: { hit: true } });
  });

  it("serves a whole body of one byte more and does not store it", async () => {
    const { origin, get } = harness({ store, maxBodyBytes });
    origin.replies(`${exact}x`);
    expect(await get("/")).toMatchObject({ body: `${exact}x`, outcome: { stored: false, detail: "too-large" } });
    expect((await get("/")).outcome.hit).toBe(false);
  });

  it.each([
    { size: "just fits", more: "", stored: true },
    { size: "is one byte more", more: "x", stored: false },
  ])("counts a stream: one that $size", async ({ more, stored }) => {
    const { origin, handle, get, settled, outcomes } = harness({ store, maxBodyBytes });
    const body = openBody();
    origin.replies(body.stream);
    const pending = handle("/");
    await settled();
    body.write(exact.slice(0, 400));
    body.write(exact.slice(400));
    body.write(more);
    body.end();
    expect(await (await pending).text()).toBe(exact + more);
    expect(outcomes[0]).toMatchObject(stored ? { stored } : { stored, detail: "too-large" });
    origin.replies("next");
    expect((await get("/")).outcome.hit).toBe(stored);
  });

  it("refuses a stream that announces too much before it begins, and frees who waits", async () => {
    const { origin, get, settled } = harness({ store, maxBodyBytes });
    const body = openBody();
    origin.replies(body.stream, { "content-length": String(maxBodyBytes + 1) });
    const leader = get("/");
    await settled();
    origin.replies("small");
    expect(await get("/")).toMatchObject({ body: "small", outcome: { collapsed: false } });
    body.write(`${exact}x`);
    body.end();
    expect(await leader).toMatchObject({ body: `${exact}x`, outcome: { stored: false, detail: "too-large" } });
  });

  it("lets waiters go the moment a stream turns out too large, not at its end", async () => {
    const { origin, get, handle, settled } = harness({ store, maxBodyBytes });
    const body = openBody();
    origin.replies(body.stream);
    const reader = (await handle("/")).body!.getReader();
    const waiter = get("/");
    await settled();
    origin.replies("small");
    body.write(`${exact}x`);
    await reader.read();
    expect((await waiter).body).toBe("small");
    await reader.cancel();
  });

  it("is the route's where it has one", async () => {
    const { origin, get } = harness({ store, maxBodyBytes: 10, route: { expire: "1m", maxBodyBytes } });
    origin.replies(exact);
    await get("/");
    expect((await get("/")).outcome.hit).toBe(true);
  });
});

describe("bytes the cache was given", () => {
  const route = (): ReturnType<ReturnType<typeof createCache>["route"]> => {
    const { now } = fakeClock();
    return createCache({ store: memoryStore({ now }), now }).route({ expire: "1m" });
  };

  it("are copied piece by piece: a producer may use its buffer again", () => {
    const cached = route();
    const exchange = recordedExchange();
    cached.respond(cacheRequest(), exchange);
    const [fill] = exchange.fills;
    const buffer = bytes("one ");
    fill!.head({ status: 200, fields: {} });
    fill!.chunk(buffer);
    buffer.set(bytes("two "));
    fill!.chunk(buffer);
    buffer.fill(0);
    fill!.end();
    cached.respond(cacheRequest(), exchange);
    expect(text(exchange.sent[0]!.body)).toBe("one two ");
  });

  it("are copied from a Buffer, whose slice() shares memory, as well", () => {
    const cached = route();
    const exchange = recordedExchange();
    cached.respond(cacheRequest(), exchange);
    const [fill] = exchange.fills;
    const buffer = Buffer.from("kept");
    fill!.head({ status: 200, fields: {} });
    fill!.chunk(buffer);
    fill!.end();
    buffer.fill(0);
    cached.respond(cacheRequest(), exchange);
    expect(text(exchange.sent[0]!.body)).toBe("kept");
  });

  it("stay as they are whatever a client does to the response of a hit or a miss", async () => {
    const { origin, handle, get } = harness();
    origin.replies("pristine");
    for (let round = 0; round < 3; round++) {
      const response = await handle("/");
      response.headers.set("content-type", "text/spoiled");
      new Uint8Array(await response.arrayBuffer()).fill(0);
    }
    const hit = await get("/");
    expect(hit).toMatchObject({ body: "pristine", outcome: { hit: true } });
    expect(hit.fields["content-type"]).toBe("text/plain;charset=UTF-8");
  });

  it("stay as they are when the handler writes to its buffer and its headers afterwards", async () => {
    const { origin, get } = harness();
    const buffer = bytes("pristine");
    const headers = new Headers({ "x-own": "1" });
    origin.replies(() => new Response(buffer.slice(), { headers }));
    await get("/");
    buffer.fill(0);
    headers.set("x-own", "2");
    const hit = await get("/");
    expect(hit).toMatchObject({ body: "pristine", outcome: { hit: true } });
    expect(hit.fields["x-own"]).toBe("1");
  });
});

describe.each(STORES)("a handler that fails over $kind", ({ store }) => {
  it("fails for its client as if there were no cache, and says so in its outcome", async () => {
    const { origin, get, outcomes, trace, events } = harness({ store });
    origin.fails(new Error("no database"));
    await expect(get("/")).rejects.toThrow("no database");
    expect(outcomes).toEqual([
      { hit: false, forwarded: "uri-miss", stored: false, collapsed: false, detail: "origin-error" },
    ]);
    expect(trace()).toEqual(["not-stored: origin-error"]);
    expect(events[0]).toMatchObject({ error: { message: "no database" } });
    origin.replies("back");
    expect(await get("/")).toMatchObject({ body: "back", outcome: { hit: false, stored: true } });
  });
});

describe("what the handler is shown", () => {
  it("is a request without the parameters that are not in the key", async () => {
    const { origin, get } = harness({ route: { expire: "1m", query: ["lang"] } });
    await get("/page?utm=1&lang=en&x=2");
    expect(new URL(origin.requests[0]!.url).search).toBe("?lang=en");
  });

  it("is the request itself where nothing is to be hidden", async () => {
    const { origin, handle } = harness({ route: { expire: "1m", query: { except: ["other"] } } });
    await handle("/page?lang=en", { headers: { "x-mine": "1" } });
    const [seen] = origin.requests;
    expect(new URL(seen!.url).searchParams.get("lang")).toBe("en");
    expect(seen!.headers.get("x-mine")).toBe("1");
  });
});
