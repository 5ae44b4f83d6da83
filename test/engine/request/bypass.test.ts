import { describe, expect, it } from "vitest";
import { mustReachOrigin } from "../../../src/engine/request/bypass.ts";
import { cacheRequest, harness, STORES } from "../harness.ts";

describe("what must reach the handler untouched", () => {
  it.each([
    { fields: { "content-length": "5" }, because: "request-body" },
    { fields: { "content-length": "00" }, because: "request-body" },
    { fields: { "transfer-encoding": "chunked" }, because: "request-body" },
    { fields: { "if-match": '"a"' }, because: "precondition" },
    { fields: { "if-unmodified-since": "Thu, 01 Jan 2026 00:00:00 GMT" }, because: "precondition" },
    { fields: { "content-length": "0" }, because: undefined },
    { fields: { "if-none-match": '"a"' }, because: undefined },
  ])("$fields → $because", ({ fields, because }) => {
    expect(mustReachOrigin(cacheRequest("/", fields))).toBe(because);
  });
});

describe.each(STORES)("a bypass over $kind", ({ store }) => {
  it.each([
    { fields: { authorization: "Bearer a" }, detail: "authorization" },
    { fields: { cookie: "__Host-session=1" }, detail: "cookie" },
    { fields: { "content-length": "2" }, detail: "request-body" },
    { fields: { "if-match": '"a"' }, detail: "precondition" },
  ])("$fields is neither read nor stored, and says why", async ({ fields, detail }) => {
    const { origin, get } = harness({ store });
    origin.replies("shared");
    await get("/");
    origin.replies("own");
    const own = await get("/", fields);
    expect(own).toMatchObject({ body: "own", outcome: { hit: false, forwarded: "bypass", stored: false, detail } });
    expect(own.fields).toMatchObject({
      "cache-status": `reprise; fwd=bypass; detail=${detail}`,
      "x-reprise-cache": "Miss",
    });
    expect(await get("/")).toMatchObject({ body: "shared", outcome: { hit: true } });
  });

  it("shows the handler the client's own request", async () => {
    const { origin, get } = harness({ store });
    await get("/?mine=1", { authorization: "Bearer a", "if-none-match": '"x"', range: "bytes=0-1" });
    const [seen] = origin.requests;
    expect(seen!.headers.get("if-none-match")).toBe('"x"');
    expect(seen!.headers.get("range")).toBe("bytes=0-1");
    expect(new URL(seen!.url).searchParams.get("mine")).toBe("1");
  });

  it("is what when() asks for", async () => {
    const { get } = harness({ store, route: { expire: "1m", when: (request) => !request.headers.has("x-preview") } });
    await get("/");
    expect((await get("/", { "x-preview": "1" })).outcome).toMatchObject({ forwarded: "bypass", detail: "when" });
    expect((await get("/")).outcome.hit).toBe(true);
  });

  it("is not needed where the route says its responses are for everybody", async () => {
    const { origin, get } = harness({ store, route: { expire: "1m", audience: "public" } });
    expect((await get("/", { authorization: "Bearer a" })).outcome.stored).toBe(true);
    expect((await get("/", { cookie: "sid=1" })).outcome.hit).toBe(true);
    expect((await get("/")).outcome.hit).toBe(true);
    expect(origin.requests).toHaveLength(1);
  });

  it("is not needed where the route tells users apart", async () => {
    const { origin, get } = harness({
      store,
      route: { expire: "1m", audience: (request) => request.headers.get("authorization") },
    });
    origin.replies((request) => new Response(request.headers.get("authorization")));
    expect((await get("/", { authorization: "a" })).outcome.stored).toBe(true);
    expect(await get("/", { authorization: "b" })).toMatchObject({ body: "b", outcome: { hit: false } });
    expect(await get("/", { authorization: "a" })).toMatchObject({ body: "a", outcome: { hit: true } });
    expect(await get("/")).toMatchObject({ body: "", outcome: { hit: false } });
  });

  it("of many requests at once runs the handler for each at once", async () => {
    const { origin, get, settled } = harness({ store });
    const hold = origin.holds();
    const answers = Array.from({ length: 20 }, () => get("/", { cookie: "sid=1" }));
    await settled();
    expect(hold.waiting).toBe(20);
    hold.release();
    for (const { outcome } of await Promise.all(answers))
      expect(outcome).toMatchObject({ forwarded: "bypass", collapsed: false });
  });
});
