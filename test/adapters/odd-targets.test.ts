import { createServer, type RequestListener } from "node:http";
import { type AddressInfo, connect } from "node:net";
import express from "express";
import express4 from "express4";
import { describe, expect, it, onTestFinished } from "vitest";
import { expressCache } from "../../src/adapters/express/index.ts";
import { fetchCache } from "../../src/adapters/fetch/index.ts";
import { nodeCache } from "../../src/adapters/node/index.ts";
import { createCache, type Cache } from "../../src/cache.ts";
import { createProxy } from "../../src/proxy/server.ts";
import type { Outcome } from "../../src/http.ts";

async function served(listener: RequestListener): Promise<number> {
  const server = createServer({ requireHostHeader: false }, listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}

function raw(port: number, head: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port }, () => socket.write(`${head}\r\nConnection: close\r\n\r\n`));
    let text = "";
    socket.setEncoding("utf8").on("data", (piece: string) => (text += piece));
    socket.once("end", () => resolve(text)).once("error", reject);
  });
}

const ODD = [
  { head: "GET / HTTP/1.1\r\nHost: a b", detail: "host" },
  { head: "GET / HTTP/1.1\r\nHost: a/b", detail: "host" },
  { head: "GET / HTTP/1.1\r\nHost: a@b", detail: "host" },
  { head: "GET / HTTP/1.1\r\nHost:", detail: "host" },
  { head: "GET / HTTP/1.0", detail: "host" },
  { head: "GET http://a.test/ HTTP/1.1\r\nHost: a.test", detail: "target" },
  { head: "HEAD http://a.test/ HTTP/1.1\r\nHost: a.test", detail: "target" },
];

const NODE_ADAPTERS: readonly { readonly name: string; readonly make: (cache: Cache) => RequestListener }[] = [
  {
    name: "node:http",
    make: (cache) => nodeCache(cache)("5m", (_request, response) => void response.end("page")),
  },
  {
    name: "Express 5",
    make: (cache) => express().use(expressCache(cache)("5m"), (_request, response) => void response.send("page")),
  },
  {
    name: "Express 4",
    make: (cache) => {
      const handler = (_request: unknown, response: { send(text: string): void }): void => response.send("page");
      return express4().use(expressCache(cache)("5m") as never, handler as never);
    },
  },
];

describe.each(NODE_ADAPTERS)("a request without a key, with $name", ({ make }) => {
  it.each(ODD)("$head is answered by its handler, and Cache-Status says why: $detail", async ({ head, detail }) => {
    const cache = createCache();
    const outcomes: Outcome[] = [];
    cache.events.on("outcome", ({ outcome }) => outcomes.push(outcome));
    const port = await served(make(cache));

    for (let time = 0; time < 2; time++) {
      const answer = await raw(port, head);
      expect(answer).toMatch(/^HTTP\/1\.1 200 /);
      expect(answer.toLowerCase()).toContain(`\r\ncache-status: reprise; fwd=bypass; detail=${detail}\r\n`);
      expect(answer.toLowerCase()).not.toContain("\r\nexpires:");
    }
    expect(outcomes).toHaveLength(2);
    expect(outcomes[0]).toMatchObject({ hit: false, forwarded: "bypass", stored: false, detail });
  });

  it("of a method that is not cached has no field of the cache", async () => {
    const port = await served(make(createCache()));
    expect(await raw(port, "POST / HTTP/1.1\r\nHost: a b\r\nContent-Length: 0")).not.toMatch(/cache-status/i);
  });
});

describe("a request without a key, with the proxy", () => {
  it.each(ODD.filter(({ head }) => head.endsWith("HTTP/1.0")))(
    "$head is answered by the upstream",
    async ({ head }) => {
      const upstream = await served((_request, response) => {
        response.setHeader("cache-control", "max-age=60");
        response.end("page");
      });
      const proxy = createProxy({ upstream: `http://127.0.0.1:${upstream}` });
      const { port } = await proxy.listen({ host: "127.0.0.1", port: 0 });
      onTestFinished(() => proxy.close());
      for (let time = 0; time < 2; time++) {
        const answer = await raw(port, head);
        expect(answer).toMatch(/^HTTP\/1\.1 200 /);
        expect(answer.toLowerCase()).toContain("\r\ncache-status: reprise; fwd=bypass; detail=host\r\n");
      }
    },
  );
});

describe("a request without a key, with a fetch handler", () => {
  it("is answered by its handler, and Cache-Status says why", async () => {
    const handler = fetchCache(createCache())("5m", () => new Response("page"));
    const response = await handler(new Request("data:text/plain,x"));
    expect(await response.text()).toBe("page");
    expect(response.headers.get("cache-status")).toBe("reprise; fwd=bypass; detail=target");
  });
});
