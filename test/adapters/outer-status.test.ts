/** Code in front of `cached()` that sets the status of a response: it leaves with it, as without the cache. */

import { describe, expect, it, vi } from "vitest";

import { until } from "../redis/store.ts";
import { isRenewal } from "../../src/index.ts";
import { ADAPTERS, startPage, startPlain, type Page } from "./in-front.ts";
import { cacheStatusOf, hitOrMiss, untilStored, type World } from "./contract/world.ts";

/** Sets the status, and the reason phrase, that a request asks for in `X-Outer`. */
const inFront: Page["inFront"] = (request, response) => {
  const [status, reason] = String(request.headers["x-outer"] ?? "").split(" ");
  if (status !== "") response.statusCode = Number(status);
  if (reason !== undefined) response.statusMessage = reason;
};

const page: Page = { inFront, handler: (_request, response) => void response.end("page") };

describe.each(Object.entries(ADAPTERS))("%s", (_, serve) => {
  const start = (more: Partial<Page> = {}): Promise<World> => startPage(serve, { ...page, ...more });

  it.each(["503", "402", "203", "200 Degraded"])("%s leaves as without the cache, and is not kept", async (outer) => {
    const plain = await (await startPlain(serve, page)).get("/", { "X-Outer": outer });
    const warned = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const { get, events } = await start();

    for (const round of ["before a page is stored", "after"]) {
      const received = await get("/", { "X-Outer": outer });
      expect([received.status, received.statusMessage, received.text], round).toEqual([
        plain.status,
        plain.statusMessage,
        plain.text,
      ]);
      expect(cacheStatusOf(received)).toContain("detail=outer-status");
      expect(received.headers["cache-control"]).toBeUndefined();
      const own = [await get("/"), await get("/")];
      expect(own.map(({ status, statusMessage }) => [status, statusMessage])).toEqual([
        [200, "OK"],
        [200, "OK"],
      ]);
      expect(hitOrMiss(own[1]!)).toBe("Hit");
    }
    expect(events.filter(({ type }) => type === "stored")).toHaveLength(1);
    expect(warned.mock.calls.flat().map(String)).toContainEqual(expect.stringContaining("has set a status"));
    warned.mockRestore();
  });

  it("a range and a condition are not answered from the store either", async () => {
    const { get } = await start();
    const etag = String((await get("/")).headers["etag"]);
    const more = [{ Range: "bytes=0-1" }, { "If-None-Match": etag }];
    for (const headers of more) {
      const received = await get("/", { "X-Outer": "503", ...headers });
      expect([received.status, received.text]).toEqual([503, "page"]);
    }
    expect((await get("/", { "X-Outer": "200" })).headers["x-reprise-cache"]).toBe("Hit");
  });

  it("a renewal that has a status of code in front is not stored", async () => {
    let version = 0;
    let isDown = false;
    const { get, events, advance } = await start({
      options: { expire: "10s", staleWhileRevalidate: "1h", audience: "public" },
      inFront(request, response) {
        if (isDown && isRenewal(request)) response.statusCode = 203;
      },
      handler: (_request, response) => void response.end(`version ${++version}`),
    });
    await get("/");
    advance(20);
    isDown = true;
    expect((await get("/")).text).toBe("version 1");
    await until(() => events.some(({ type }) => type === "revalidation-failed"));
    isDown = false;
    expect((await get("/")).text).toBe("version 1");
    await untilStored({ events }, 2);
    expect((await get("/")).text).toBe("version 3");
  });
});
