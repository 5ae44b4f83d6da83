/** Handlers from `Request` to `Response`: what they may return, and what becomes of their streams and signals. */

import { setTimeout as pause } from "node:timers/promises";
import { getRequestListener } from "@hono/node-server";
import { H3, serve as serveH3 } from "h3";
import { describe, expect, it, onTestFinished, vi } from "vitest";

import { fetchCache } from "../../src/adapters/fetch/index.ts";
import { createCache } from "../../src/index.ts";
import type { RouteOptions } from "../../src/options/route-options.ts";
import { firstPiece, open, read, send } from "./contract/http-client.ts";
import { listen } from "./contract/listen.ts";
import type { StoreKind } from "./contract/stores.ts";
import { cacheStatusOf, gate, hitOrMiss, onEachStore, startWorld, until, type World } from "./contract/world.ts";

type Handler = (request: Request) => Response | Promise<Response>;

const STALE = { expire: 10, staleWhileRevalidate: 60 } as const;

function serve(kind: StoreKind, handler: Handler, options: RouteOptions<Request> = {}): Promise<World> {
  return startWorld(kind, {}, (cache) => listen(getRequestListener(fetchCache(cache)(options, handler))));
}

describe("fetch handlers", () => {
  onEachStore("ioredis", (kind) => {
    it("a response that was fetched, whose headers nobody may change", async () => {
      const { url: upstream } = await startWorld(kind, {}, () =>
        listen((_request, response) => response.writeHead(200, { "X-Up": "1", "Content-Type": "text/css" }).end("css")),
      );
      const { get } = await serve(kind, () => fetch(upstream));

      for (const outcome of ["Miss", "Hit"]) {
        const received = await get("/");
        expect([received.text, received.headers["x-up"], hitOrMiss(received)]).toEqual(["css", "1", outcome]);
        expect(received.headers["content-type"]).toBe("text/css");
      }
    });

    it("a body that never waits and never ends is streamed at the client's pace", async () => {
      let pieces = 0;
      let isCancelled = false;
      const { url } = await serve(kind, () => {
        const endless = new ReadableStream<Uint8Array>({
          pull(controller) {
            pieces++;
            controller.enqueue(new Uint8Array(64 * 1024));
          },
          cancel() {
            isCancelled = true;
          },
        });
        return new Response(endless);
      });

      const response = await open(url);
      expect(hitOrMiss(response)).toBe("Miss");
      await pause(50);
      // 64 MiB would be a thousand pieces; what waits for the client is far less.
      expect(pieces).toBeLessThan(1000);
      response.on("error", () => {});
      response.destroy();
      await until(() => isCancelled);
    });

    it("a stream that fails after its head: cut off, and not stored", async () => {
      const failure = gate();
      let isBroken = true;
      const { url, get, events } = await serve(kind, () => {
        if (!isBroken) return new Response("whole");
        const broken = new ReadableStream<Uint8Array>({
          start: (controller) => controller.enqueue(new TextEncoder().encode("half")),
          async pull(controller) {
            await failure.opened;
            controller.error(new Error("upstream is gone"));
          },
        });
        return new Response(broken);
      });
      // The server writes such an error to the console.
      vi.spyOn(console, "error").mockImplementation(() => {});
      onTestFinished(() => void vi.restoreAllMocks());

      const response = await open(url);
      expect(await firstPiece(response)).toBe("half");
      failure.open();
      await expect(read(response)).rejects.toThrow();
      await until(() => events.some((event) => event.type === "not-stored" && event.because === "incomplete"));
      isBroken = false;
      const next = await get("/");
      expect([next.text, hitOrMiss(next)]).toEqual(["whole", "Miss"]);
    });

    it("stale-while-revalidate: a client that leaves does not abort the renewal's signal", async () => {
      let nowMs = Date.now();
      const cache = createCache({ store: kind.make(() => nowMs), prefix: `signal-${nowMs}`, now: () => nowMs });
      const renewal = gate();
      let run = 0;
      const handler = fetchCache(cache)(STALE, async (request: Request) => {
        if (++run === 1) return new Response("v1");
        await renewal.opened;
        request.signal.throwIfAborted();
        return new Response("v2");
      });
      const url = "http://api.example/signal";
      await (await handler(new Request(url))).text();
      nowMs += 15_000;

      const client = new AbortController();
      expect(await (await handler(new Request(url, { signal: client.signal }))).text()).toBe("v1");
      await until(() => run === 2);
      client.abort();
      renewal.open();
      await until(async () => (await (await handler(new Request(url))).text()) === "v2");
      expect(run).toBe(2);
      await cache.close();
    });

    it("a HEAD whose handler answers with a body, as routers do", async () => {
      const { get, send: sendTo } = await serve(kind, () => new Response("the body"));

      expect((await sendTo("/", { method: "HEAD" })).body).toHaveLength(0);
      const first = await get("/");
      expect([first.text, hitOrMiss(first)]).toEqual(["the body", "Miss"]);
      const head = await sendTo("/", { method: "HEAD" });
      expect([head.headers["content-length"], hitOrMiss(head)]).toEqual(["8", "Hit"]);
    });

    it("further arguments reach the handler, in the foreground and in the background", async () => {
      let nowMs = Date.now();
      const cache = createCache({ store: kind.make(() => nowMs), prefix: `args-${nowMs}`, now: () => nowMs });
      const seen: unknown[][] = [];
      const handler = fetchCache(cache)(STALE, (_request: Request, ...rest: unknown[]) => {
        seen.push(rest);
        return new Response(`v${seen.length}`);
      });
      const env = { KV: {} };
      const request = (): Request => new Request("http://api.example/x");

      expect(await (await handler(request(), env, "context")).text()).toBe("v1");
      nowMs += 15_000;
      expect(await (await handler(request(), env, "context")).text()).toBe("v1");
      await until(() => seen.length === 2);
      expect(seen.every(([first, second]) => first === env && second === "context")).toBe(true);
      await cache.close();
    });

    it("called directly, the response is an ordinary one: it can be read, cloned and changed", async () => {
      const cache = createCache({ store: kind.make(Date.now), prefix: `direct-${Date.now()}` });
      const handler: Handler = fetchCache(cache)({}, () => Response.json({ a: [1] }));

      for (const outcome of ["Miss", "Hit", "Hit"]) {
        const response = await handler(new Request("http://api.example/direct"));
        expect(response.headers.get("x-reprise-cache")).toBe(outcome);
        expect(await response.clone().json()).toEqual({ a: [1] });
        response.headers.set("x-later", "1");
        // the bytes a caller got are not those the next one gets.
        new Uint8Array(await response.arrayBuffer()).fill(0);
      }
      await cache.close();
    });

    it("an h3 app on its server for Node: the type of its light responses is as without the cache", async () => {
      const app = new H3().get("/", () => "hello");
      const cache = createCache({ store: kind.make(Date.now), prefix: `h3-${Date.now()}` });
      onTestFinished(() => cache.close());
      const typesOf = async (fetch: (request: Request) => Response | Promise<Response>): Promise<unknown[]> => {
        const server = serveH3({ fetch } as never, { port: 0, hostname: "127.0.0.1", silent: true });
        await server.ready();
        onTestFinished(() => server.close(true));
        const types: unknown[] = [];
        for (let round = 0; round < 3; round++) {
          const received = await send(server.url ?? "", {});
          types.push([received.text, received.headers["content-type"]]);
        }
        return types;
      };

      const handler = (request: Request): Response | Promise<Response> => app.fetch(request);
      expect(await typesOf(fetchCache(cache)("1m", handler))).toEqual(await typesOf(handler));
    });

    it("a query with a fragment-like sign and an empty query", async () => {
      const { get } = await serve(kind, (request) => new Response(new URL(request.url).search));

      expect((await get("/?a=%23b")).text).toBe("?a=%23b");
      expect(cacheStatusOf(await get("/?a=%23b"))).toContain("hit");
      expect((await get("/?")).status).toBe(200);
    });
  });
});

it("a body of texts is stored as it is sent", async () => {
  const cached = fetchCache(createCache())("1m", async () => {
    const stream = new ReadableStream({
      start(controller) {
        controller.enqueue("x");
        controller.enqueue("y");
        controller.close();
      },
    });
    return new Response(stream as ReadableStream<Uint8Array>);
  });
  const ask = async (): Promise<string> => (await cached(new Request("http://a.test/"))).text();

  expect([await ask(), await ask()]).toEqual(["xy", "xy"]);
});

it("a Host that is not the URL's is no part of a key, so the request takes no part", async () => {
  const cached = fetchCache(createCache())("1m", async (request) => new Response(request.headers.get("host")));
  const ask = (host: string): Promise<Response> | Response =>
    cached(new Request("http://victim.test/", { headers: { Host: host } }));

  const forged = await ask("evil.test");
  expect(forged.headers.get("cache-status")).toBe("reprise; fwd=bypass; detail=host");
  expect(await (await ask("victim.test")).text()).toBe("victim.test");
  expect(await (await ask("VICTIM.test:80")).text()).toBe("victim.test");
});
