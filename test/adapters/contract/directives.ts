import { expect, it } from "vitest";

import { cacheStatusOf, counter, hitOrMiss, type Setup } from "./world.ts";

const BYPASSING = [
  "no-cache",
  "no-store",
  "No-Cache",
  "NO-STORE",
  "max-age=0, no-cache",
  "no-store,max-age=10",
  "\tno-cache\t, foo=bar",
  'x="a, b", no-cache',
  "max-age=0; no-cache",
  "max-age=0 no-store",
  "no_cache",
  '"no-store"',
  "'no-cache'",
];

const NOT_BYPASSING = [
  "max-age=0",
  "x-no-cache",
  "no-cached",
  "only-no-store-later",
  'note="no-cache"',
  'note="a, no-store"',
  "",
];

/** What `Cache-Control` of a request may do. */
export function directives(setup: Setup): void {
  it("5.6 no-cache and no-store switch all caching off: not read, not stored, and Cache-Status says why", async () => {
    const { get } = await setup.serve(counter().handler);

    let run = 0;
    for (const value of BYPASSING) {
      const first = await get("/", { "Cache-Control": value });
      expect(first.text, value).toBe(`{"run":${++run}}`);
      expect(cacheStatusOf(first), value).toBe("reprise; fwd=bypass; detail=request");
      for (const name of ["x-reprise-cache", "cache-control", "expires"]) {
        expect(first.headers[name], `${name} for ${value}`).toBeUndefined();
      }
    }
    expect(hitOrMiss(await get("/"))).toBe("Miss");
    expect((await get("/", { "Cache-Control": "no-cache" })).text).toBe(`{"run":${run + 2}}`);
    const hit = await get("/");
    expect(hitOrMiss(hit)).toBe("Hit");
    expect(hit.text).toBe(`{"run":${run + 1}}`);
  });

  it("5.6 no-cache on one of several Cache-Control lines counts", async () => {
    const { get } = await setup.serve(counter().handler);

    await get("/");
    expect(hitOrMiss(await get("/", { "Cache-Control": ["max-age=60", "no-cache"] }))).toBeUndefined();
  });

  it("5.6 the name of a directive inside other text counts for nothing", async () => {
    const { get } = await setup.serve(counter().handler);

    await get("/");
    for (const value of NOT_BYPASSING) {
      expect(hitOrMiss(await get("/", { "Cache-Control": value })), value).toBe("Hit");
    }
    expect(hitOrMiss(await get("/", { Pragma: "no-cache" }))).toBe("Hit");
  });

  it('5.6 requestDirectives: "ignore" gives clients no way to make the handler work', async () => {
    const { get } = await setup.serve(counter().handler, { requestDirectives: "ignore" });

    for (const value of ["no-cache", "no-store", "max-age=0", "only-if-cached"]) {
      expect((await get("/", { "Cache-Control": value })).text).toBe('{"run":1}');
    }
    expect(hitOrMiss(await get("/?force=true", { "Cache-Control": "no-cache" }))).toBe("Miss");
    expect(hitOrMiss(await get("/?force=true", { "Cache-Control": "no-cache" }))).toBe("Hit");
  });

  it('5.6 requestDirectives: "rfc9111", for the whole cache, obeys them', async () => {
    const { get, advance } = await setup.serve(counter().handler, { expire: 60 }, { requestDirectives: "rfc9111" });

    const unknown = await get("/", { "Cache-Control": "only-if-cached" });
    expect(unknown.status).toBe(504);
    await get("/", { "Cache-Control": "no-store" });
    expect((await get("/")).text).toBe('{"run":2}');
    const renewed = await get("/", { "Cache-Control": "no-cache" });
    expect(renewed.text).toBe('{"run":3}');
    expect(cacheStatusOf(renewed)).toBe("reprise; fwd=request; fwd-status=200; stored");
    advance(30);
    expect((await get("/", { "Cache-Control": "max-age=40" })).text).toBe('{"run":3}');
    expect((await get("/", { "Cache-Control": "max-age=10" })).text).toBe('{"run":4}');
    advance(30);
    expect((await get("/", { "Cache-Control": "min-fresh=40" })).text).toBe('{"run":5}');
    const known = await get("/", { "Cache-Control": "only-if-cached" });
    expect([known.status, known.text]).toEqual([200, '{"run":5}']);
  });

  it("5.6 fetch() adds no-cache to a request with a condition of its own, which therefore bypasses", async () => {
    const { url, get } = await setup.serve(counter().handler);

    const etag = (await get("/")).headers.etag ?? "none";
    const added = await fetch(`${url}/`, { headers: { "If-None-Match": etag } });
    expect([added.status, await added.text()]).toEqual([200, '{"run":2}']);
    expect(added.headers.get("x-reprise-cache")).toBeNull();

    const own = await fetch(`${url}/`, { headers: { "If-None-Match": etag, "Cache-Control": "max-age=60" } });
    expect([own.status, await own.text()]).toEqual([304, ""]);
    expect(own.headers.get("x-reprise-cache")).toBe("Hit");
  });
}
