/** Hono apps with a cache: on a server of Node, and by `app.fetch` alone. */

import type { IncomingHttpHeaders } from "node:http";
import { getRequestListener } from "@hono/node-server";
import { Hono } from "hono";
import { onTestFinished } from "vitest";

import { honoCache, type HonoCacheOptions } from "../../src/adapters/hono/index.ts";
import { createCache, type CacheEvent, type CacheOptions } from "../../src/index.ts";
import { send } from "./contract/http-client.ts";
import { listen } from "./contract/listen.ts";

type Cached = ReturnType<typeof honoCache>;

export interface Site {
  readonly get: (path: string, headers?: Record<string, string>, method?: string) => Promise<Response>;
  readonly events: CacheEvent[];
  readonly advance: (seconds: number) => void;
}

/** Builds an app with a cache; how requests get in is what the two kinds differ in. */
export type Build = (app: Hono, cached: Cached, cache: ReturnType<typeof createCache>) => void;

export interface Kind {
  readonly name: string;
  readonly entry: (app: Hono) => HonoCacheOptions;
  readonly start: (app: Hono) => Promise<Site["get"]>;
}

export const onNode: Kind = {
  name: "on @hono/node-server",
  entry: () => ({}),
  async start(app) {
    const { url, ...served } = await listen(getRequestListener(app.fetch));
    onTestFinished(() => served.close());
    return async (path, headers = {}, method = "GET") => {
      const received = await send(url + path, { headers, method });
      const body = received.body.byteLength === 0 ? null : new Uint8Array(received.body);
      return new Response(body, { status: received.status, headers: headersOf(received.headers) });
    };
  },
};

export const byFetch: Kind = {
  name: "by app.fetch alone, as on Bun, Deno and Workers",
  entry: (app) => ({ app }),
  start:
    async (app) =>
    async (path, headers = {}, method = "GET") =>
      app.request(path, { headers, method }),
};

function headersOf(received: IncomingHttpHeaders): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(received)) {
    for (const line of typeof value === "string" ? [value] : (value ?? [])) headers.append(name, line);
  }
  return headers;
}

export function site({ entry, start }: Kind, build: Build, options: CacheOptions = {}): Promise<Site> {
  let nowMs = Date.UTC(2026, 2, 1, 12);
  const cache = createCache({ ...options, now: () => nowMs });
  const events: CacheEvent[] = [];
  cache.events.on("*", (event) => events.push(event));
  onTestFinished(() => cache.close());
  const app = new Hono();
  build(app, honoCache(cache, entry(app)), cache);
  return start(app).then((get) => ({ get, events, advance: (seconds) => void (nowMs += seconds * 1000) }));
}

export const status = (response: Response): string => response.headers.get("cache-status") ?? "";
export const hitOrMiss = (response: Response): string => response.headers.get("x-reprise-cache") ?? "";
