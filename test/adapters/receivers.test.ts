/** A handler has the `this` that it has without the cache: of the server or object that calls it as a method. */

import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";

import { fetchCache } from "../../src/adapters/fetch/index.ts";
import { nodeCache } from "../../src/adapters/node/index.ts";
import { createCache } from "../../src/index.ts";
import { send } from "./contract/http-client.ts";
import { until } from "./contract/world.ts";

function cacheWithClock() {
  let nowMs = Date.UTC(2026, 2, 1, 12);
  const cache = createCache({ now: () => nowMs });
  onTestFinished(() => cache.close());
  return { cache, advance: (seconds: number) => void (nowMs += seconds * 1000) };
}

interface Worker {
  readonly name: string;
  fetch(request: Request): Response | Promise<Response>;
}

function named(this: unknown, request: Request): Response {
  return new Response(`${(this as Worker).name} answers ${request.method}`);
}

describe("a cached fetch handler", () => {
  it.each([
    ["a miss", {}, "GET"],
    ["a bypass", { authorization: "Bearer t" }, "GET"],
    ["another method", {}, "POST"],
  ] as [string, Record<string, string>, string][])("is a method of its object: %s", async (_, headers, method) => {
    const { cache } = cacheWithClock();
    const worker: Worker = { name: "worker", fetch: fetchCache(cache)("5m", named) };

    const response = await worker.fetch(new Request("http://api.example/", { headers, method }));
    expect(await response.text()).toBe(`worker answers ${method}`);
  });

  it("is one in a renewal, too", async () => {
    const { cache, advance } = cacheWithClock();
    let runs = 0;
    const worker = {
      name: "worker",
      fetch: fetchCache(cache)({ expire: 10, staleWhileRevalidate: 60 }, function (this: unknown) {
        return new Response(`${(this as Worker).name} ${++runs}`);
      }),
    };
    const get = async (): Promise<string> => (await worker.fetch(new Request("http://api.example/"))).text();

    await get();
    advance(11);
    await get();
    await until(() => runs === 2);
    await until(async () => (await get()) === "worker 2");
  });
});

it("a cached handler of node:http has the server as its `this`, on misses and on bypasses", async () => {
  const { cache } = cacheWithClock();
  const seen: unknown[] = [];
  const handler: RequestListener = function (this: unknown, _request, response) {
    seen.push(this);
    response.end("page");
  };
  const server = createServer(nodeCache(cache)("5m", handler));
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  onTestFinished(() => void server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;

  for (const headers of [{}, { authorization: "Bearer t" }]) expect((await send(url, { headers })).text).toBe("page");
  expect(seen).toEqual([server, server]);
});
