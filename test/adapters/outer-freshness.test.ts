/** What code in front of `cached()` says of freshness for one request, on responses that come from the cache. */

import { setTimeout as sleep } from "node:timers/promises";
import compression from "compression";
import { describe, expect, it } from "vitest";

import { ADAPTERS, startPage, type Page } from "./in-front.ts";
import type { Received } from "./contract/http-client.ts";
import { hitOrMiss, type World } from "./contract/world.ts";

/** Sets the fields that a request asks for in `X-Outer`, in front of the route. */
const inFront: Page["inFront"] = (request, response) => {
  const asked = request.headers["x-outer"];
  if (typeof asked !== "string") return;
  for (const [name, value] of Object.entries(JSON.parse(asked) as Record<string, string>))
    response.setHeader(name, value);
};

const handler: Page["handler"] = (_request, response) => void response.end("0123456789");

function asking(outer: Readonly<Record<string, string>>, more: Readonly<Record<string, string>> = {}) {
  return { "X-Outer": JSON.stringify(outer), ...more };
}

function promised({ headers }: Received) {
  return {
    cacheControl: headers["cache-control"],
    expires: headers["expires"],
    cdn: headers["cdn-cache-control"],
  };
}

const NOTHING = { cacheControl: undefined, expires: undefined, cdn: undefined };

describe.each(Object.entries(ADAPTERS))("%s", (_, serve) => {
  const start = (page: Partial<Page> = {}): Promise<World> => startPage(serve, { inFront, handler, ...page });

  it.each([
    { outer: { "Cache-Control": "private, no-store" }, leaves: { cacheControl: "private, no-store" } },
    { outer: { "Cache-Control": "no-store" }, leaves: { cacheControl: "no-store" } },
    { outer: { "Cache-Control": "private" }, leaves: { cacheControl: "private" } },
    { outer: { "Cache-Control": "No-Cache" }, leaves: { cacheControl: "No-Cache" } },
    { outer: { "Cache-Control": 'no-cache="x-token"' }, leaves: { cacheControl: 'no-cache="x-token"' } },
    { outer: { "Cache-Control": "public, max-age=5" }, leaves: { cacheControl: "public, max-age=5" } },
    { outer: { "Cache-Control": "no-transform" }, leaves: { cacheControl: "no-transform" } },
    { outer: { Expires: "0" }, leaves: { expires: "0" } },
    { outer: { "CDN-Cache-Control": "no-store" }, leaves: { cdn: "no-store" } },
  ])("a hit leaves with $outer of its own request and no freshness beside it", async ({ outer, leaves }) => {
    const { get } = await start({ options: { expire: "1h", audience: "public", query: "none", cdn: "1h" } });
    expect(promised(await get("/"))).toMatchObject({ cacheControl: "max-age=3600", cdn: "max-age=3600" });

    const hit = await get("/", asking(outer));

    expect(hitOrMiss(hit)).toBe("Hit");
    expect(promised(hit)).toEqual({ ...NOTHING, ...leaves });
    expect(promised(await get("/"))).toMatchObject({ cacheControl: "max-age=3600", cdn: "max-age=3600" });
  });

  it.each([{ "Cache-Control": "no-transform" }, { Expires: "0" }, { "CDN-Cache-Control": "no-store" }])(
    "a miss leaves with %j as a hit does",
    async (outer) => {
      for (const write of [handler, streamed]) {
        const { get } = await start({
          handler: write,
          options: { expire: "1h", audience: "public", query: "none", cdn: "1h" },
        });
        const [miss, hit] = [await get("/", asking(outer)), await get("/", asking(outer))];
        expect([miss, hit].map(hitOrMiss)).toEqual(["Miss", "Hit"]);
        expect(promised(hit)).toEqual(promised(miss));
        const stated = Object.entries(outer).map(([name, value]) => [name.toLowerCase(), value]);
        expect(miss.headers).toMatchObject(Object.fromEntries(stated));
        expect(Object.values(promised(miss)).filter((value) => value !== undefined)).toHaveLength(1);
      }
    },
  );

  it("a 304 and a part leave with the restriction of their request", async () => {
    const { get } = await start();
    const etag = String((await get("/")).headers["etag"]);
    const outer = { "Cache-Control": "private, no-store" };

    const notModified = await get("/", asking(outer, { "If-None-Match": etag }));
    expect(notModified.status).toBe(304);
    expect(promised(notModified)).toEqual({ ...NOTHING, cacheControl: "private, no-store" });

    const part = await get("/", asking(outer, { Range: "bytes=0-1" }));
    expect([part.status, part.text]).toEqual([206, "01"]);
    expect(promised(part)).toEqual({ ...NOTHING, cacheControl: "private, no-store" });
  });

  it("a part with compression in front leaves with the restriction and no-transform", async () => {
    const compress = compression();
    const { get } = await start({
      inFront(request, response) {
        inFront(request, response);
        compress(request as never, response as never, () => {});
      },
    });
    await get("/");
    const part = await get("/", asking({ "Cache-Control": "no-store" }, { Range: "bytes=0-1" }));
    expect([part.status, part.text]).toEqual([206, "01"]);
    expect(promised(part)).toEqual({ ...NOTHING, cacheControl: "no-store, no-transform" });
  });

  it("a stale hit leaves with the restriction of its request", async () => {
    const options = { expire: "10s", staleWhileRevalidate: "1h", audience: "public", query: "none" } as const;
    const { get, advance } = await start({ options });
    await get("/");
    advance(20);
    const stale = await get("/", asking({ "Cache-Control": "no-store" }));
    expect(hitOrMiss(stale)).toBe("Hit");
    expect(promised(stale)).toEqual({ ...NOTHING, cacheControl: "no-store" });
  });

  it("a stale response in place of an error leaves with the restriction of its request", async () => {
    const options = { expire: "10s", staleIfError: "1h", audience: "public", query: "none" } as const;
    let fails = false;
    const { get, advance } = await start({
      options,
      handler(_request, response) {
        response.statusCode = fails ? 503 : 200;
        response.end("page");
      },
    });
    await get("/");
    advance(20);
    fails = true;
    const stale = await get("/", asking({ "Cache-Control": "no-store" }));
    expect([stale.status, stale.text]).toEqual([200, "page"]);
    expect(promised(stale)).toEqual({ ...NOTHING, cacheControl: "no-store" });
  });

  it("a request that waited leaves with the restriction of its own", async () => {
    let runs = 0;
    const { get } = await start({
      handler(_request, response) {
        runs += 1;
        setTimeout(() => response.end("page"), 50);
      },
    });
    const first = get("/");
    await sleep(20);
    const waiter = await get("/", asking({ "Cache-Control": "private, no-store" }));
    expect(promised(await first)).toMatchObject({ cacheControl: "max-age=3600" });
    expect(promised(waiter)).toEqual({ ...NOTHING, cacheControl: "private, no-store" });
    expect(runs).toBe(1);
  });

  it("a handler's own lifetime gives way on a hit to a restriction, and to nothing else", async () => {
    const { get } = await start({
      handler(_request, response) {
        response.setHeader("Cache-Control", "public, max-age=60");
        response.end("page");
      },
    });
    // The handler runs: it has the last word, as without the cache.
    expect(promised(await get("/", asking({ "Cache-Control": "no-store" }))).cacheControl).toBe("public, max-age=60");
    expect(promised(await get("/", asking({ "Cache-Control": "max-age=5" }))).cacheControl).toBe("public, max-age=60");
    expect(promised(await get("/", asking({ "Cache-Control": "no-store" }))).cacheControl).toBe("no-store");
  });

  it("a page of one user stays private under a no-cache of code in front", async () => {
    const { get } = await start({ options: { expire: "1h", audience: () => "ann", browser: "1m" } });
    await get("/");
    const hit = await get("/", asking({ "Cache-Control": "no-cache" }));
    expect(hitOrMiss(hit)).toBe("Hit");
    expect(promised(hit)).toEqual({ ...NOTHING, cacheControl: "no-cache, private" });
  });

  it("what the code behind removed stays away", async () => {
    const { get } = await start({
      handler(_request, response) {
        response.removeHeader("Cache-Control");
        response.end("page");
      },
    });
    const outer = asking({ "Cache-Control": "no-store" });
    const [miss, hit] = [await get("/", outer), await get("/", outer)];
    expect([miss, hit].map(hitOrMiss)).toEqual(["Miss", "Hit"]);
    expect(promised(hit)).toEqual(promised(miss));
  });
});

const streamed: Page["handler"] = (_request, response) => {
  response.write("01234");
  setTimeout(() => response.end("56789"), 1);
};
