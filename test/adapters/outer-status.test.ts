/** Code in front of `cached()` that sets the status of a response: it leaves with it, as without the cache. */

import { describe, expect, it } from "vitest";

import { until } from "../redis/store.ts";
import { isRenewal } from "../../src/index.ts";
import { ADAPTERS, startPage, startPlain, type Page } from "./in-front.ts";
import { hitOrMiss, untilStored, type World } from "./contract/world.ts";

/** Sets the status, and the reason phrase, that a request asks for in `X-Outer`. */
const inFront: Page["inFront"] = (request, response) => {
  const [status, reason] = String(request.headers["x-outer"] ?? "").split(" ");
  if (status !== "") response.statusCode = Number(status);
  if (reason !== undefined) response.statusMessage = reason;
};

const page: Page = { inFront, handler: (_request, response) => void response.end("page") };

describe.each(Object.entries(ADAPTERS))("%s", (_, serve) => {
  const start = (more: Partial<Page> = {}): Promise<World> => startPage(serve, { ...page, ...more });

  it.each([
    { outer: "503", outcomes: ["Miss", "Miss"] },
    { outer: "402", outcomes: ["Miss", "Miss"] },
    { outer: "203", outcomes: ["Miss", "Hit"] },
    { outer: "200 Degraded", outcomes: ["Miss", "Hit"] },
  ])("$outer leaves as without the cache, and with no other request", async ({ outer, outcomes }) => {
    const plain = await startPlain(serve, page);
    const { get } = await start();

    const visits = [undefined, outer, undefined, outer, undefined];
    const seen: (string | undefined)[] = [];
    for (const visit of visits) {
      const headers: Record<string, string> = visit === undefined ? {} : { "X-Outer": visit };
      const [expected, received] = [await plain.get("/", headers), await get("/", headers)];
      expect([received.status, received.statusMessage, received.text]).toEqual([
        expected.status,
        expected.statusMessage,
        expected.text,
      ]);
      seen.push(hitOrMiss(received));
    }
    expect(seen).toEqual(["Miss", outcomes[0], "Hit", outcomes[1], "Hit"]);
  });

  it("a status of the handler's own is stored for requests with the same status in front", async () => {
    const { get } = await start({
      handler(_request, response) {
        response.statusCode = 200;
        response.end("page");
      },
    });
    for (const outcome of ["Miss", "Hit"]) {
      const received = await get("/", { "X-Outer": "503" });
      expect([received.status, hitOrMiss(received)]).toEqual([200, outcome]);
    }
    expect(hitOrMiss(await get("/"))).toBe("Miss");
  });

  it("a purge of the URL reaches what was stored beside a status", async () => {
    const { get, cache } = await start();
    await get("/", { "X-Outer": "203" });
    expect(hitOrMiss(await get("/", { "X-Outer": "203" }))).toBe("Hit");
    await cache.purge({ url: "/" });
    expect(hitOrMiss(await get("/", { "X-Outer": "203" }))).toBe("Miss");
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
