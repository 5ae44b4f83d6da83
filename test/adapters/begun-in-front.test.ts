/** Code in front of `cached()` that has begun the response: as without the cache, and nothing is kept. */

import type { RequestListener, ServerResponse } from "node:http";
import express5 from "express";
import express4 from "express4";
import { describe, expect, it, vi } from "vitest";

import { expressCache } from "../../src/adapters/express/index.ts";
import { nodeCache } from "../../src/adapters/node/index.ts";
import type { Cache } from "../../src/index.ts";
import { listen } from "./contract/listen.ts";
import { memoryKind } from "./contract/stores.ts";
import { startWorld, type World } from "./contract/world.ts";

type Begin = (response: ServerResponse) => void;
interface Page {
  readonly begins: (url: string) => boolean;
  readonly begin: Begin;
}
type Serve = (cache: Cache, page: Page) => RequestListener;

function onExpress(express: typeof express5): Serve {
  return (cache, { begins, begin }) => {
    const app = express();
    const cached = expressCache(cache);
    app.use((request, response, next) => {
      if (begins(request.url)) begin(response);
      next();
    });
    app.get("/", cached({ expire: "1h", query: "none" }), (_request, response) => void response.end("<body>"));
    app.post("/", cached.purges(), (_request, response) => void response.end("done"));
    return app;
  };
}

const ADAPTERS: Readonly<Record<string, Serve>> = {
  "Express 5": onExpress(express5),
  "Express 4": onExpress(express4),
  "node:http"(cache, { begins, begin }) {
    const cached = nodeCache(cache);
    const get = cached({ expire: "1h", query: "none" }, (_request, response) => void response.end("<body>"));
    const post = cached.purges({}, (_request, response) => void response.end("done"));
    return (request, response) => {
      if (begins(request.url ?? "")) begin(response);
      return request.method === "POST" ? post(request, response) : get(request, response);
    };
  },
};

const WAYS: readonly { readonly way: string; readonly begin: Begin; readonly first: string }[] = [
  { way: "write()", begin: (response) => void response.write("<head>"), first: "<head>" },
  { way: "flushHeaders()", begin: (response) => response.flushHeaders(), first: "" },
  { way: "writeHead()", begin: (response) => void response.writeHead(200), first: "" },
];

describe.each(Object.entries(ADAPTERS))("%s", (_, serve) => {
  const start = (begin: Begin): Promise<World> =>
    startWorld(memoryKind, {}, (cache) => listen(serve(cache, { begins: (url) => url === "/?begun", begin })));

  it.each(WAYS)("$way before next(): the response is complete, and not kept", async ({ begin, first }) => {
    const warned = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const { get, events } = await start(begin);
    expect((await get("/?begun")).text).toBe(`${first}<body>`);
    expect(events.map(({ type }) => type)).not.toContain("stored");
    expect(warned.mock.calls.flat().map(String)).toContainEqual(expect.stringContaining("has sent its head already"));
    warned.mockRestore();
    expect((await get("/")).headers["x-reprise-cache"]).toBe("Miss");
    expect((await get("/?begun")).text).toBe(`${first}<body>`);
    expect((await get("/")).headers["x-reprise-cache"]).toBe("Hit");
  });

  it.each(WAYS)("$way before a write: the response is complete, and the write purges", async ({ begin, first }) => {
    const { get, send, events } = await start(begin);
    await get("/");
    expect((await get("/")).headers["x-reprise-cache"]).toBe("Hit");
    expect((await send("/?begun", { method: "POST" })).text).toBe(`${first}done`);
    await vi.waitFor(() => expect(events.map(({ type }) => type)).toContain("purged"));
    expect((await get("/")).headers["x-reprise-cache"]).toBe("Miss");
  });
});
