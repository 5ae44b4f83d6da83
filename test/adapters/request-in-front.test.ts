/** Code in front of `cached()` reads the request when the response leaves: as the client sent it, on misses too. */

import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import cookieParser from "cookie-parser";
import express5, { type Request, type RequestHandler } from "express";
import express4 from "express4";
import { describe, expect, it } from "vitest";

import { expressCache } from "../../src/adapters/express/index.ts";
import { nodeCache } from "../../src/adapters/node/index.ts";
import type { Cache } from "../../src/index.ts";
import type { RouteOptions } from "../../src/options/route-options.ts";
import { listen } from "./contract/listen.ts";
import { memoryKind } from "./contract/stores.ts";
import { startWorld, until } from "./contract/world.ts";

interface Page {
  readonly cached: boolean;
  readonly ends: "end" | "write";
  /** Called with what code in front sees at a moment of the response. */
  readonly see: (moment: string, request: IncomingMessage) => void;
}

const OPTIONS: RouteOptions = { expire: "1h", query: ["page"], audience: "public" };

function watch({ see }: Page, request: IncomingMessage, response: ServerResponse): void {
  const end = response.end.bind(response) as (...args: unknown[]) => ServerResponse;
  const writeHead = response.writeHead.bind(response) as (...args: unknown[]) => ServerResponse;
  response.on("finish", () => see("finish", request));
  response.on("close", () => see("close", request));
  response.end = (...args: unknown[]) => {
    see("end", request);
    return end(...args);
  };
  response.writeHead = (...args: unknown[]) => {
    see("writeHead", request);
    return writeHead(...args);
  };
}

function answer({ ends }: Page, response: ServerResponse): void {
  if (ends === "write") response.write("pa");
  response.end(ends === "write" ? "ge" : "page");
}

type Serve = (cache: Cache, page: Page) => RequestListener;

function onExpress(express: typeof express5): Serve {
  return (cache, page) => {
    const app = express();
    app.use(cookieParser());
    app.use((request, response, next) => {
      watch(page, request, response);
      next();
    });
    const handler: RequestHandler = (_request, response) => answer(page, response);
    if (page.cached) app.get("/x", expressCache(cache)(OPTIONS), handler);
    else app.get("/x", handler);
    return app;
  };
}

const ADAPTERS: Readonly<Record<string, Serve>> = {
  "Express 5": onExpress(express5),
  "Express 4": onExpress(express4),
  "node:http": (cache, page) => {
    const handler = (_request: IncomingMessage, response: ServerResponse): void => answer(page, response);
    const route = page.cached ? nodeCache(cache)(OPTIONS, handler) : handler;
    return (request, response) => {
      watch(page, request, response);
      void route(request, response);
    };
  },
};

describe.each(Object.entries(ADAPTERS))("%s", (_, serve) => {
  async function seen(page: Omit<Page, "see">): Promise<readonly unknown[]> {
    const moments: unknown[] = [];
    const see = (moment: string, request: IncomingMessage): void => {
      const { url, headers } = request;
      const { originalUrl, query, cookies } = request as Request;
      const { cookie, "if-none-match": condition } = headers;
      moments.push({ moment, url, originalUrl, query: { ...query }, cookies: { ...cookies }, cookie, condition });
    };
    const { send } = await startWorld(memoryKind, {}, (cache) => listen(serve(cache, { ...page, see })));
    const headers = { Cookie: "sid=7; _ga=1", "If-None-Match": '"old"' };
    await send("/x?page=1&utm_source=ad", { headers });
    await until(() => moments.some((each) => (each as { moment: string }).moment === "close"));
    return moments;
  }

  it.each(["end", "write"] as const)("a miss whose handler uses %s()", async (ends) => {
    const plain = await seen({ cached: false, ends });
    expect(plain.length).toBeGreaterThan(3);
    const moments = (all: readonly unknown[]) =>
      all.filter((each) => (each as { moment: string }).moment !== "writeHead");
    const cached = await seen({ cached: true, ends });
    expect(moments(cached)).toEqual(moments(plain));
    for (const each of cached) expect(each).toMatchObject({ cookie: "sid=7; _ga=1", condition: '"old"' });
  });
});
