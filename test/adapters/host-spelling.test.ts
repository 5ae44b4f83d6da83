/** What a handler reads of `Host` is in the key, as the client spelt it; a purge reaches every spelling. */

import { createServer, type RequestListener } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { getRequestListener } from "@hono/node-server";
import express, { type Request } from "express";
import express4 from "express4";
import { Hono } from "hono";
import { describe, expect, it, onTestFinished } from "vitest";

import { expressCache } from "../../src/adapters/express/index.ts";
import { fetchCache } from "../../src/adapters/fetch/index.ts";
import { honoCache } from "../../src/adapters/hono/index.ts";
import { nodeCache } from "../../src/adapters/node/index.ts";
import { createCache, type Cache, type CacheOptions } from "../../src/index.ts";

type Listener = (...args: Parameters<RequestListener>) => unknown;

const ADAPTERS: readonly { readonly name: string; readonly make: (cache: Cache) => Listener }[] = [
  {
    name: "node:http",
    make: (cache) => nodeCache(cache)("5m", (request, response) => void response.end(`host ${request.headers.host}`)),
  },
  {
    name: "Express 5",
    make: (cache) =>
      express().use(expressCache(cache)("5m"), (request, response) => void response.send(`host ${request.host}`)),
  },
  {
    name: "Express 4",
    make: (cache) => {
      const handler = (request: Request, response: { send(text: string): void }): void =>
        response.send(`host ${request.get("host")}`);
      return express4().use(expressCache(cache)("5m") as never, handler as never);
    },
  },
  {
    name: "Hono",
    make: (cache) => {
      const app = new Hono();
      app.get("/", honoCache(cache)("5m"), (context) => context.text(`host ${context.req.header("host")}`));
      return getRequestListener(app.fetch);
    },
  },
  {
    name: "fetch handler",
    make: (cache) =>
      getRequestListener(
        fetchCache(cache)("5m", (request: globalThis.Request) => new Response(`host ${request.headers.get("host")}`)),
      ),
  },
];

describe.each(ADAPTERS)("the spelling of Host, with $name", ({ make }) => {
  async function served(options: CacheOptions = {}) {
    const cache = createCache(options);
    const listener = make(cache);
    const server = createServer((request, response) => void listener(request, response));
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    onTestFinished(async () => {
      server.close();
      server.closeAllConnections();
      await cache.close();
    });
    const { port } = server.address() as AddressInfo;
    return { cache, get: (host: string) => textFor(port, host) };
  }

  it("each is shown its own", async () => {
    const { get } = await served();
    for (const round of ["a miss", "a hit"]) {
      for (const host of ["shop.test:80", "SHOP.test", "shop.test", "Shop.Test:80", "shop.test:8080"])
        expect(await get(host), round).toBe(`host ${host}`);
    }
  });

  it("a purge by URL reaches all", async () => {
    const { cache, get } = await served();
    const hosts = ["shop.test:80", "SHOP.test", "shop.test"];
    const stored = async (): Promise<boolean[]> => Promise.all(hosts.map(async (host) => (await get(host)).length > 0));
    await stored();
    let purged = 0;
    cache.events.on("outcome", ({ outcome }) => void (purged += outcome.hit ? 0 : 1));
    await stored();
    expect(purged).toBe(0);

    await cache.purge({ url: "http://shop.test/" });
    await stored();
    expect(purged).toBe(3);
    await cache.purge({ url: "http://shop.test:80/" });
    await stored();
    expect(purged).toBe(6);
  });

  it("with the cache's authority all share a response, and the handler is shown that", async () => {
    const { get } = await served({ authority: "shop.test" });
    for (const host of ["shop.test:80", "SHOP.test", "other.test"]) expect(await get(host)).toBe("host shop.test");
  });
});

/** The body of the answer to a GET with this `Host`. */
function textFor(port: number, host: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const head = `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
    const socket = connect({ host: "127.0.0.1", port }, () => socket.write(head));
    let text = "";
    socket.setEncoding("utf8").on("data", (piece: string) => (text += piece));
    socket.once("error", reject).once("end", () => {
      const body = text.split("\r\n\r\n")[1] ?? "";
      resolve(/host \S+/.exec(body)?.[0] ?? body);
    });
  });
}
