import { expect, it } from "vitest";

import { cacheStatusOf, counter, hitOrMiss, type Setup } from "./world.ts";

/** The fields the cache adds. */
export function responseFields(setup: Setup): void {
  it("5.8 T42 Cache-Control has the remaining lifetime, Expires its end, and there is no Age", async () => {
    const { get, advance, nowMs } = await setup.serve(counter().handler, { expire: 100 });
    const end = new Date(nowMs() + 100_000).toUTCString();

    for (const { seconds, remaining, outcome } of [
      { seconds: 0, remaining: 100, outcome: "Miss" },
      { seconds: 0, remaining: 100, outcome: "Hit" },
      { seconds: 40, remaining: 60, outcome: "Hit" },
      { seconds: 59, remaining: 1, outcome: "Hit" },
    ]) {
      advance(seconds);
      const { headers } = await get("/");
      expect(headers["cache-control"]).toBe(`max-age=${remaining}`);
      expect(headers.expires).toBe(end);
      expect(headers.age).toBeUndefined();
      expect(headers["x-reprise-cache"]).toBe(outcome);
    }
  });

  it("5.8 Cache-Status says what happened", async () => {
    let version = 0;
    const { get, advance } = await setup.start([
      {
        path: "/",
        handler: () => ({ text: "a", headers: { ETag: `"v${++version}"` } }),
        options: { expire: 60, vary: ["accept"] },
      },
      {
        path: "/varied",
        handler: () => ({ text: "v", headers: { Vary: "Accept-Language" } }),
        options: { expire: 60 },
      },
      { path: "/unstored", handler: () => ({ text: "u", headers: { "Cache-Control": "no-store" } }) },
    ]);

    expect(cacheStatusOf(await get("/"))).toBe("reprise; fwd=uri-miss; fwd-status=200; stored");
    expect(cacheStatusOf(await get("/"))).toBe("reprise; hit; ttl=60");
    advance(20);
    expect(cacheStatusOf(await get("/"))).toBe("reprise; hit; ttl=40");
    advance(50);
    expect(cacheStatusOf(await get("/"))).toBe("reprise; fwd=stale; fwd-status=200; stored");
    await get("/varied", { "Accept-Language": "en" });
    expect(cacheStatusOf(await get("/varied", { "Accept-Language": "de" }))).toBe(
      "reprise; fwd=vary-miss; fwd-status=200; stored",
    );
    expect(cacheStatusOf(await get("/unstored"))).toBe("reprise; fwd=uri-miss; fwd-status=200; detail=no-store");
  });

  it("5.8 Cache-Status keeps the member of a cache further in", async () => {
    const { get } = await setup.serve(() => ({ text: "a", headers: { "Cache-Status": "inner; hit" } }), { expire: 60 });

    expect(cacheStatusOf(await get("/"))).toBe("inner; hit, reprise; fwd=uri-miss; fwd-status=200; stored");
    expect(cacheStatusOf(await get("/"))).toBe("inner; hit, reprise; hit; ttl=60");
  });

  it("5.8 T45 Last-Modified is kept if the handler gave one, and never invented", async () => {
    const { get } = await setup.start([
      { path: "/with", handler: () => ({ text: "a", headers: { "Last-Modified": "Sun, 01 Feb 2026 12:00:00 GMT" } }) },
      { path: "/without", handler: () => ({ text: "a" }) },
    ]);

    for (const outcome of ["Miss", "Hit"]) {
      const [given, none] = [await get("/with"), await get("/without")];
      expect([hitOrMiss(given), hitOrMiss(none)]).toEqual([outcome, outcome]);
      expect(given.headers["last-modified"]).toBe("Sun, 01 Feb 2026 12:00:00 GMT");
      expect(none.headers["last-modified"]).toBeUndefined();
    }
  });

  it("5.8 the handler's own Cache-Control lifetime goes out as it is", async () => {
    const { get } = await setup.start([
      { path: "/lifetime", handler: () => ({ text: "a", headers: { "Cache-Control": "public, max-age=5" } }) },
      {
        path: "/other",
        handler: () => ({ text: "a", headers: { "Cache-Control": "public" } }),
        options: { expire: 60 },
      },
    ]);

    for (const outcome of ["Miss", "Hit"]) {
      const lifetime = await get("/lifetime");
      expect([lifetime.headers["cache-control"], hitOrMiss(lifetime)]).toEqual(["public, max-age=5", outcome]);
      expect((await get("/other")).headers["cache-control"]).toBe("public, max-age=60");
    }
  });

  it("5.8 browser and cdn have lifetimes of their own", async () => {
    const { get, advance } = await setup.start([
      { path: "/short", handler: () => ({ text: "a" }), options: { expire: "1h", browser: "1m", cdn: "30m" } },
      { path: "/ask", handler: () => ({ text: "a" }), options: { expire: "1h", browser: "no-cache" } },
    ]);

    for (let round = 0; round < 2; round++) {
      const short = await get("/short");
      expect(short.headers["cache-control"]).toBe("max-age=60");
      expect(short.headers["cdn-cache-control"]).toBe("max-age=1800");
      expect((await get("/ask")).headers["cache-control"]).toBe("no-cache");
    }
    advance(3570);
    const late = await get("/short");
    expect(late.headers["cache-control"]).toBe("max-age=30");
    expect(late.headers["cdn-cache-control"]).toBe("max-age=30");
  });

  it("5.8 each field of the cache is there once, and Date is that of the answer", async () => {
    const { get } = await setup.serve(() => ({ json: {}, headers: { Date: "Thu, 01 Jan 1998 00:00:00 GMT" } }));
    await get("/");

    const hit = await get("/");

    const names = hit.rawHeaders.filter((_, at) => at % 2 === 0).map((name) => name.toLowerCase());
    expect(names).toEqual([...new Set(names)]);
    expect(hitOrMiss(hit)).toBe("Hit");
    expect(Date.parse(hit.headers.date ?? "")).toBeGreaterThan(Date.now() - 60_000);
  });
}
