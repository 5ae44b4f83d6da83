/** Layers in front of a handler on `node:http` that throw when its response ends, where the end waits for a purge. */

import type { ServerResponse } from "node:http";

import { expect, it } from "vitest";

import { nodeCache, type NodeHandler } from "../../src/adapters/node/index.ts";
import { watchUnhandled } from "../redis/unhandled.ts";
import { listen } from "./contract/listen.ts";
import { onEachStore, startWorld } from "./contract/world.ts";

const HANDLERS: Readonly<Record<string, NodeHandler>> = {
  "returns nothing": (_request, response) => void response.end("written"),
  "returns the response": (_request, response) => response.end("written"),
  "is asynchronous": async (_request, response) => {
    await Promise.resolve();
    response.end("written");
  },
  "goes on for a while": async (_request, response) => {
    response.end("written");
    await new Promise((resolve) => void setTimeout(resolve, 50));
  },
};

onEachStore("node-redis", (kind) => {
  it.each(Object.keys(HANDLERS))("the error reaches the caller of a handler that %s", async (way) => {
    const expectNoneUnhandled = watchUnhandled();
    const world = await startWorld(kind, {}, async (cache) => {
      await cache.ready();
      const cached = nodeCache(cache).purges({}, HANDLERS[way]!);
      return listen(async (request, response) => {
        let throws = request.url === "/throws";
        const { end } = response as unknown as Record<"end", (...args: unknown[]) => ServerResponse>;
        response.end = (...args: unknown[]) => {
          if (!throws) return Reflect.apply(end, response, args);
          throws = false;
          throw new Error("denied");
        };
        try {
          await cached(request, response);
        } catch (error) {
          response.statusCode = 403;
          response.end((error as Error).message);
        }
      });
    });
    const denied = await world.send("/throws", { method: "POST" });
    expect([denied.status, denied.text]).toEqual([403, "denied"]);
    const written = await world.send("/", { method: "POST" });
    expect([written.status, written.text]).toEqual([200, "written"]);
    await expectNoneUnhandled();
  });
});
