/** Two middlewares of the cache on one request, with middleware between them that works on the response. */

import compression from "compression";
import express, { type RequestHandler, type Response } from "express";
import session from "express-session";
import responseTime from "response-time";
import { describe, expect, it } from "vitest";

import { expressCache } from "../../src/adapters/express/index.ts";
import { createCache } from "../../src/index.ts";
import { watchUnhandled } from "../redis/unhandled.ts";
import { send } from "./contract/http-client.ts";
import { listen } from "./contract/listen.ts";

type Cached = ReturnType<typeof expressCache>;

const MIDDLEWARES: Readonly<Record<string, (cached: Cached) => RequestHandler>> = {
  "cached()": (cached) => cached("1m"),
  "cached.purges()": (cached) => cached.purges(),
  "cached.refresh()": (cached) => cached.refresh("1m"),
  "cached.byHeaders()": (cached) => cached.byHeaders(),
  "cached() of another cache": () => expressCache(createCache())("1m"),
};

const BETWEEN: Readonly<Record<string, () => RequestHandler>> = {
  "a session": () => session({ secret: "s", resave: false, saveUninitialized: true }),
  "a session that is always saved": () => session({ secret: "s", resave: true, saveUninitialized: false }),
  compression: () => compression({ threshold: 0 }),
  "response-time": () => responseTime(),
  "a late end": () => (_request, response, next) => {
    // It is called on the response.
    // oxlint-disable-next-line typescript/unbound-method
    const { end } = response;
    response.end = ((...args: unknown[]) => {
      setTimeout(() => Reflect.apply(end, response, args), 1);
      return response;
    }) as Response["end"];
    next();
  },
};

const HANDLERS: Readonly<Record<string, (response: Response) => unknown>> = {
  "late send": (response) => setTimeout(() => response.send("hello"), 1),
  end: (response) => response.end("hello"),
  write: (response) => {
    response.write("hel");
    return setTimeout(() => response.end("lo"), 1);
  },
  writeHead: (response) => response.writeHead(200, { "content-type": "text/plain" }).end("hello"),
};

const rows = Object.keys(BETWEEN).flatMap((between) => Object.keys(HANDLERS).map((handler) => ({ between, handler })));

describe("a middleware of the cache around another one", () => {
  it.each(rows)("$between in between, answered by $handler: the same as without the cache", async (row) => {
    const expectNoneUnhandled = watchUnhandled();
    const names = Object.keys(MIDDLEWARES);
    const app = express().set("env", "test");
    const handler: RequestHandler = (_request, response) => void HANDLERS[row.handler]?.(response);
    app.all("/plain", BETWEEN[row.between]!(), handler);
    for (const [first, outer] of names.entries()) {
      for (const [second, inner] of names.entries()) {
        const cached = expressCache(createCache());
        const [front, back] = [MIDDLEWARES[outer]!(cached), MIDDLEWARES[inner]!(cached)];
        app.all(`/${first}-${second}`, front, BETWEEN[row.between]!(), back, handler);
      }
    }
    const served = await listen(app);
    const ask = async (path: string, method: string): Promise<unknown> => {
      const { status, text, headers } = await send(served.url + path, { method });
      return [status, text, headers["set-cookie"]?.length, headers["content-encoding"]];
    };

    for (const method of ["GET", "GET", "HEAD", "POST", "PUT"]) {
      const plain = await ask("/plain", method);
      for (const first of names.keys()) {
        for (const second of names.keys()) {
          const pair = `${method} ${names[first]} around ${names[second]}`;
          expect([pair, await ask(`/${first}-${second}`, method)]).toEqual([pair, plain]);
        }
      }
    }

    await served.close();
    await expectNoneUnhandled();
  });
});
