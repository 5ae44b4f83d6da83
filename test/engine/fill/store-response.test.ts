import { describe, expect, it } from "vitest";
import { memoryStore } from "../../../src/stores/memory/index.ts";
import type { RouteOptions } from "../../../src/options/route-options.ts";
import type { PutResult, StoreEntry } from "../../../src/http.ts";
import { harness, openBody, STORES } from "../harness.ts";

const NO_BODY = new Set([204, 205, 304]);

describe.each(STORES)("which statuses are stored over $kind", ({ store }) => {
  it.each([200, 203, 300, 301, 308])("%i is, with status and fields", async (status) => {
    const { origin, get } = harness({ store });
    origin.replies("kept", { status, headers: { location: "/there" } });
    await get("/");
    const hit = await get("/");
    expect(hit).toMatchObject({ status, body: "kept", outcome: { hit: true } });
    expect(hit.fields["location"]).toBe("/there");
  });

  it.each([
    201, 202, 204, 205, 206, 302, 303, 304, 307, 400, 401, 403, 404, 405, 410, 414, 418, 429, 451, 500, 501, 502, 503,
    504,
  ])("%i is not", async (status) => {
    const { origin, get } = harness({ store });
    origin.replies(NO_BODY.has(status) ? null : "not kept", { status, headers: { location: "/there" } });
    const because = status === 206 ? "partial" : "status";
    expect(await get("/")).toMatchObject({ status, outcome: { hit: false, stored: false, detail: because } });
    origin.replies("next");
    expect(await get("/")).toMatchObject({ status: 200, outcome: { hit: false, stored: true } });
  });

  it("others are where the route says so, each for its own lifetime", async () => {
    const { origin, get, clock } = harness({ store, route: { expire: "1h", statuses: { 404: "10s", 302: "1m" } } });
    origin.replies("none", { status: 404 });
    expect((await get("/missing")).outcome).toMatchObject({ originStatus: 404, stored: true });
    origin.replies(null, { status: 302, headers: { location: "/there" } });
    await get("/moved");
    origin.replies("here");
    await get("/here");

    expect(await get("/missing")).toMatchObject({ status: 404, body: "none", outcome: { hit: true, ttlSeconds: 10 } });
    expect(await get("/moved")).toMatchObject({ status: 302, outcome: { hit: true, ttlSeconds: 60 } });
    expect(await get("/here")).toMatchObject({ status: 200, outcome: { hit: true, ttlSeconds: 3600 } });
    clock.advance({ seconds: 10 });
    expect((await get("/missing")).outcome.hit).toBe(false);
    expect((await get("/moved")).outcome).toMatchObject({ hit: true, ttlSeconds: 50 });
  });

  it("a list of them has the route's lifetime", async () => {
    const { origin, get } = harness({ store, route: { expire: "1m", statuses: [404] } });
    origin.replies("none", { status: 404 });
    await get("/");
    expect(await get("/")).toMatchObject({ status: 404, outcome: { hit: true, ttlSeconds: 60 } });
  });

  it("a stored 404 is not what a stale 200 is hidden behind, nor a 500 either", async () => {
    const { origin, get, clock } = harness({ store, route: { expire: 10, statuses: { 500: "5s" } } });
    origin.replies("v1");
    await get("/");
    clock.advance({ seconds: 10 });
    origin.replies("down", { status: 500 });
    expect(await get("/")).toMatchObject({ status: 500, outcome: { stored: true } });
    expect(await get("/")).toMatchObject({ status: 500, outcome: { hit: true, ttlSeconds: 5 } });
    clock.advance({ seconds: 5 });
    origin.replies("v2");
    expect(await get("/")).toMatchObject({ status: 200, body: "v2" });
  });
});

describe.each(STORES)("what the handler forbids over $kind", ({ store }) => {
  it.each([
    { headers: { "cache-control": "no-store" }, because: "no-store" },
    { headers: { "cache-control": "private, max-age=60" }, because: "private" },
    { headers: { "cache-control": "max-age=60, No-Cache" }, because: "no-cache" },
    { headers: { "set-cookie": "a=b" }, because: "set-cookie" },
    { headers: { vary: "accept, *" }, because: "vary-any" },
    { headers: { vary: "Cookie" }, because: "vary-identity" },
    { headers: { "access-control-allow-origin": "https://a.example" }, because: "origin-unkeyed" },
    { headers: { "content-range": "bytes 0-1/4" }, because: "partial" },
  ])("$headers is not stored: $because", async ({ headers, because }) => {
    const { origin, get, trace } = harness({ store });
    origin.replies("own", headers);
    const first = await get("/");
    expect(first).toMatchObject({ status: 200, body: "own", outcome: { stored: false, detail: because } });
    expect(first.fields["cache-status"]).toBe(`reprise; fwd=uri-miss; fwd-status=200; detail=${because}`);
    const { vary, ...others } = headers as Record<string, string>;
    expect(first.fields).toMatchObject(others);
    expect(first.fields["vary"]).toContain(vary ?? "Cookie");
    expect(first.fields).not.toHaveProperty("expires");
    expect(trace()).toEqual([`not-stored: ${because}`]);
    expect((await get("/")).outcome.hit).toBe(false);
  });
});

describe.each(STORES)("callbacks of the developer over $kind", ({ store }) => {
  const boom = (): never => {
    throw new Error("boom");
  };
  const routes: readonly { name: string; callback: string; route: RouteOptions<Request>; forwarded: string }[] = [
    { name: "when", callback: "route", route: { when: boom }, forwarded: "bypass" },
    { name: "key", callback: "route", route: { key: boom }, forwarded: "bypass" },
    { name: "audience", callback: "route", route: { audience: boom }, forwarded: "bypass" },
    {
      name: "an audience that is no id",
      callback: "route",
      route: { audience: (() => ({})) as unknown as () => string },
      forwarded: "bypass",
    },
    { name: "tags", callback: "tags", route: { tags: boom }, forwarded: "uri-miss" },
    {
      name: "tags that are none",
      callback: "tags",
      route: { tags: (() => [7]) as unknown as () => string[] },
      forwarded: "uri-miss",
    },
    { name: "storeWhen", callback: "storeWhen", route: { storeWhen: boom }, forwarded: "uri-miss" },
  ];

  it.each(routes)("may throw: $name costs the caching, never the response", async ({ callback, route, forwarded }) => {
    const { origin, get, events } = harness({ store, route: { expire: "1m", ...route } });
    origin.replies("fine");
    for (let round = 0; round < 2; round++) {
      expect(await get("/")).toMatchObject({
        status: 200,
        body: "fine",
        outcome: { hit: false, forwarded, stored: false, detail: "callback-failed" },
      });
    }
    const failures = events.filter((event) => event.type === "callback-failed");
    expect(failures).toHaveLength(2);
    expect(failures[0]).toMatchObject({ callback, error: expect.any(Error) as Error });
    expect(failures[0]!.subject).toMatch(/^GET \//);
  });

  it.each(routes.filter(({ forwarded }) => forwarded !== "bypass"))(
    "may throw at the end of a stream: $name",
    async ({ route }) => {
      const { origin, handle, settled, outcomes } = harness({ store, route: { expire: "1m", ...route } });
      const body = openBody();
      origin.replies(body.stream);
      const pending = handle("/");
      await settled();
      body.write("fine");
      body.end();
      expect(await (await pending).text()).toBe("fine");
      expect(outcomes).toMatchObject([{ stored: false, detail: "callback-failed" }]);
    },
  );

  it("may throw when a 304 has come: the client gets the stored response", async () => {
    let broken = false;
    const { origin, get, clock } = harness({ store, route: { expire: 10, tags: () => (broken ? boom() : ["a"]) } });
    origin.replies("v1", { etag: '"v1"' });
    await get("/");
    clock.advance({ seconds: 10 });
    broken = true;
    origin.replies(null, { status: 304, headers: { etag: '"v1"' } });
    expect(await get("/")).toMatchObject({ status: 200, body: "v1", outcome: { originStatus: 304 } });
  });

  it("may throw in the background: readers go on", async () => {
    let broken = false;
    const { origin, get, clock, settled } = harness({
      store,
      route: { expire: 10, staleWhileRevalidate: 60, tags: () => (broken ? boom() : ["a"]) },
    });
    origin.replies("v1");
    await get("/");
    clock.advance({ seconds: 15 });
    broken = true;
    origin.replies("v2");
    expect((await get("/")).body).toBe("v1");
    await settled();
    expect(await get("/")).toMatchObject({ status: 200 });
  });

  it("storeWhen sees status, fields and the whole body, and its word counts", async () => {
    const seen: unknown[] = [];
    const { origin, get } = harness({
      store,
      route: {
        expire: "1m",
        storeWhen: ({ status, fields, body }) => {
          seen.push([status, fields["x-own"], new TextDecoder().decode(body)]);
          return fields["x-own"] === "yes";
        },
      },
    });
    origin.replies("a", { "x-own": "no" });
    expect((await get("/")).outcome).toMatchObject({ stored: false, detail: "store-when" });
    origin.replies("b", { "x-own": "yes" });
    expect((await get("/")).outcome.stored).toBe(true);
    expect((await get("/")).outcome.hit).toBe(true);
    expect(seen).toEqual([
      [200, "no", "a"],
      [200, "yes", "b"],
    ]);
  });

  it.each(["whole", "streamed"])("storeWhen's no to a newer, %s response ends the stale one", async (how) => {
    const { origin, get, clock, settled } = harness({
      store,
      route: { expire: 10, staleWhileRevalidate: 600, storeWhen: ({ fields }) => fields["x-secret"] === undefined },
    });
    origin.replies("v1");
    await get("/");
    clock.advance({ seconds: 15 });
    const body = openBody();
    origin.replies(how === "whole" ? "secret" : body.stream, { "x-secret": "1" });
    expect((await get("/")).body).toBe("v1");
    await settled();
    body.write("secret");
    body.end();
    await settled();
    origin.replies("v3", { "x-secret": "1" });
    expect(await get("/")).toMatchObject({ body: "v3", outcome: { hit: false, stored: false, detail: "store-when" } });
  });

  it("tags are kept beside the response, fixed or by request", async () => {
    const kept: unknown[] = [];
    const recording = (now: () => number): ReturnType<typeof memoryStore> => {
      const inner = memoryStore({ now });
      return {
        ...inner,
        put: (key, entry: StoreEntry, retainMs) => (kept.push(entry.names), inner.put(key, entry, retainMs)),
      };
    };
    const fixed = harness({ store: recording, route: { expire: "1m", tags: ["all"] } });
    await fixed.get("/");
    const byRequest = harness({
      store: recording,
      route: { expire: "1m", tags: ({ url }) => [new URL(url).pathname] },
    });
    await byRequest.get("/users/7");
    expect(kept).toEqual([["#all"], ["#/users/7"]]);
  });
});

describe.each(STORES)("the key over $kind", ({ store }) => {
  it("has a part of the developer's own, which takes nothing away", async () => {
    const { origin, get } = harness({
      store,
      route: { expire: "1m", key: (request) => request.headers.get("x-tenant") },
    });
    origin.replies((request) => new Response(`${new URL(request.url).pathname} ${request.headers.get("x-tenant")}`));
    await get("/a", { "x-tenant": "1" });
    expect(await get("/a", { "x-tenant": "2" })).toMatchObject({ body: "/a 2", outcome: { hit: false } });
    expect(await get("/b", { "x-tenant": "1" })).toMatchObject({ body: "/b 1", outcome: { hit: false } });
    expect(await get("/a")).toMatchObject({ body: "/a null", outcome: { hit: false } });
    expect(await get("/a", { "x-tenant": "1" })).toMatchObject({ body: "/a 1", outcome: { hit: true } });
  });

  it.each(["x-forwarded-host", "x-http-method-override", "x-original-url", "x-forwarded-proto", "forwarded"])(
    "holds %s, which may have changed the answer",
    async (name) => {
      const { origin, get } = harness({ store });
      origin.replies((request) => new Response(request.headers.get(name)));
      await get("/", { [name]: "host=evil" });
      expect(await get("/")).toMatchObject({ body: "", outcome: { hit: false } });
      expect(await get("/", { [name]: "host=evil" })).toMatchObject({ body: "host=evil", outcome: { hit: true } });
    },
  );
});

it.each([
  { kind: "says so", put: (): PutResult => "failed" },
  { kind: "says so later", put: (): Promise<PutResult> => Promise.resolve("failed") },
  { kind: "rejects", put: (): Promise<PutResult> => Promise.reject(new Error("full")) },
])("a response that the store does not keep, which $kind, is told as not stored", async ({ kind, put }) => {
  const { get, trace, settled } = harness({ store: (now) => ({ ...memoryStore({ now }), put }) });
  await get("/");
  await settled();
  const told = kind === "rejects" ? ["operation-failed"] : [];
  expect(trace()).toEqual([...told, "not-stored: store-failed"]);
});
