/** A route that was given `cached` in place of `cached()` answers with the cure, and does not wait for ever. */

import express5, { type ErrorRequestHandler } from "express";
import express4 from "express4";
import { Hono } from "hono";
import { getRequestListener } from "@hono/node-server";
import { describe, expect, it } from "vitest";

import { expressCache } from "../../src/adapters/express/index.ts";
import { fetchCache } from "../../src/adapters/fetch/index.ts";
import { honoCache } from "../../src/adapters/hono/index.ts";
import { nodeCache } from "../../src/adapters/node/index.ts";
import { type Cache, createCache } from "../../src/index.ts";
import type { Served } from "./contract/driver.ts";
import { listen } from "./contract/listen.ts";
import { memoryKind } from "./contract/stores.ts";
import { startWorld } from "./contract/world.ts";

type Uncalled = (...given: unknown[]) => unknown;
type Choose = (cached: Readonly<Record<string, Uncalled>> & Uncalled) => Uncalled;
type Serve = (cache: Cache, choose: Choose) => Promise<Served>;

const messageOf = (error: unknown): string => (error as Error).message;

function serveOnExpress(express: typeof express5): Serve {
  return (cache, choose) => {
    const app = express();
    app.all("/", choose(expressCache(cache) as never) as never, (_request, response) => void response.send("page"));
    app.use(((error, _request, response, _next) => {
      response.status(500).send(messageOf(error));
    }) as ErrorRequestHandler);
    return listen(app);
  };
}

const ADAPTERS: Readonly<Record<string, Serve>> = {
  "Express 5": serveOnExpress(express5),
  "Express 4": serveOnExpress(express4),
  "node:http": (cache, choose) => {
    const route = choose(nodeCache(cache) as never);
    return listen((request, response) => {
      try {
        route(request, response);
      } catch (error) {
        response.statusCode = 500;
        response.end(messageOf(error));
      }
    });
  },
  Hono: (cache, choose) => {
    const app = new Hono();
    app.all("/", choose(honoCache(cache) as never) as never, (context) => context.text("page"));
    app.onError((error, context) => context.text(messageOf(error), 500));
    return listen(getRequestListener(app.fetch));
  },
  fetch: (cache, choose) => {
    const route = choose(fetchCache(cache) as never);
    const answer = async (request: Request): Promise<Response> => {
      try {
        return (await route(request)) as Response;
      } catch (error) {
        return new Response(messageOf(error), { status: 500 });
      }
    };
    return listen(getRequestListener(answer));
  },
};

const FORMS: readonly { name: string; choose: Choose; cure: string }[] = [
  { name: "cached", choose: (cached) => cached, cure: 'Write cached() or cached("5m") where the route is made' },
  { name: "cached.purges", choose: (cached) => cached["purges"]!, cure: "Write cached.purges() where" },
  { name: "cached.refresh", choose: (cached) => cached["refresh"]!, cure: "Write cached.refresh() where" },
  { name: "cached.byHeaders", choose: (cached) => cached["byHeaders"]!, cure: "Write cached.byHeaders() where" },
  { name: "cached.oneDay", choose: (cached) => cached["oneDay"]!, cure: "Write cached.oneDay() where" },
  { name: "cached.with", choose: (cached) => cached["with"]!, cure: 'Write cached.with({ expire: "2h" })() where' },
];

describe.each(Object.entries(ADAPTERS))("%s", (_name, serve) => {
  it.each(FORMS)("$name that was not called says how it is written", async ({ name, choose, cure }) => {
    const { get, send } = await startWorld(memoryKind, {}, (cache) => serve(cache, choose));
    for (const received of [await get("/"), await send("/", { method: "POST" })]) {
      expect(received.status).toBe(500);
      expect(received.text).toMatch(new RegExp(`^${name}\\(\\): expected options, got an instance of [\\w$]+\\.\\n`));
      expect(received.text).toContain(cure);
      expect(received.text).toContain(`not ${name} alone`);
    }
  });
});

it.each(["headers", "req"])("%s among the options is an unknown option", (name) => {
  const cached = expressCache(createCache());
  expect(() => cached({ [name]: ["x"] } as never)).toThrow(`there is no option "${name}"`);
});
