/** A renewal comes through everything in front once more, where it may become another user's request. */

import { getRequestListener } from "@hono/node-server";
import express5 from "express";
import express4 from "express4";
import { Hono } from "hono";
import { describe, expect, it } from "vitest";

import { expressCache } from "../../src/adapters/express/index.ts";
import { fetchCache } from "../../src/adapters/fetch/index.ts";
import { honoCache } from "../../src/adapters/hono/index.ts";
import { nodeCache } from "../../src/adapters/node/index.ts";
import { isRenewal, type Cache } from "../../src/index.ts";
import type { RouteOptions } from "../../src/options/route-options.ts";
import type { Served } from "./contract/driver.ts";
import { listen } from "./contract/listen.ts";
import { cacheStatusOf, onEachStore, startWorld, until } from "./contract/world.ts";

interface Application {
  /** Whose session it is when a renewal comes through; it is ann's when a client's request does. */
  readonly next: string | undefined;
  /** Whom the handler answered. */
  readonly answered: (string | undefined)[];
}

type Options = (whoOf: (native: unknown) => string | undefined) => RouteOptions;
type Serve = (cache: Cache, options: Options, application: Application) => Promise<Served>;

const sessions = new WeakMap<object, string | undefined>();
const known = (request: unknown): string | undefined => sessions.get(request as object);

/** What middleware in front does. */
function readSession(request: object, { next }: Application): void {
  sessions.set(request, isRenewal(request) ? next : "ann");
}

function pageOf(request: object, { answered }: Application): string {
  answered.push(known(request));
  return `page of ${known(request)}`;
}

function serveOnExpress(express: typeof express5): Serve {
  return (cache, options, application) => {
    const app = express();
    app.use((request, _response, next) => {
      readSession(request, application);
      next();
    });
    app.get("/", expressCache(cache)(options(known)), (request, response) => {
      response.send(pageOf(request, application));
    });
    return listen(app);
  };
}

function honoApp(cache: Cache, options: Options, application: Application, isAppGiven: boolean): Hono {
  const app = new Hono();
  app.use(async (context, next) => {
    readSession(context, application);
    await next();
  });
  const cached = honoCache(cache, isAppGiven ? { app } : {});
  app.get("/", cached(options(known)), (context) => context.text(pageOf(context, application)));
  return app;
}

const ADAPTERS: Readonly<Record<string, Serve>> = {
  "Express 5": serveOnExpress(express5),
  "Express 4": serveOnExpress(express4),
  "Hono on Node": (...given) => listen(getRequestListener(honoApp(...given, false).fetch)),
  "Hono by its app": (...given) => {
    const { fetch } = honoApp(...given, true);
    return listen(getRequestListener((request) => fetch(request)));
  },
  "node:http": (cache, options, application) => {
    const route = nodeCache(cache)(options(known), (request, response) => {
      response.end(pageOf(request, application));
    });
    return listen((request, response) => {
      readSession(request, application);
      void route(request, response);
    });
  },
  "a fetch handler": (cache, options, application) => {
    const outermost = (request: Request): Response | Promise<Response> => {
      readSession(request, application);
      return route(request);
    };
    const cached = fetchCache(cache, { fetch: outermost });
    const route = cached(options(known), (request) => new Response(pageOf(request, application)));
    return listen(getRequestListener(outermost, { overrideGlobalObjects: false }));
  },
};

const STALE = { expire: 10, staleWhileRevalidate: "1h" } as const;

const ROWS: readonly { readonly what: string; readonly options: Options; readonly next: string | undefined }[] = [
  { what: "another audience", options: (who) => ({ ...STALE, audience: who }), next: "bob" },
  { what: "no audience any more", options: (who) => ({ ...STALE, audience: who }), next: undefined },
  { what: "another key", options: (who) => ({ ...STALE, key: (native) => who(native) ?? "" }), next: "bob" },
  {
    what: "no part in caching",
    options: (who) => ({ ...STALE, when: (native) => who(native) === "ann" }),
    next: "bob",
  },
];

describe.each(Object.entries(ADAPTERS))("%s", (_, serve) => {
  onEachStore("ioredis", (kind) => {
    it.each(ROWS)("a renewal that has $what is not stored as the page it renews", async ({ options, next }) => {
      const application: Application = { next, answered: [] };
      const { get, advance, events } = await startWorld(kind, {}, (cache) => serve(cache, options, application));
      await get("/");
      await until(async () => cacheStatusOf(await get("/"))?.includes("hit") === true);
      advance(15);
      expect((await get("/")).text).toBe("page of ann");
      await until(() => events.some(({ type }) => type === "revalidation-failed"));
      expect(application.answered).toEqual(["ann", next]);
      expect((await get("/")).text).toBe("page of ann");
    });

    it("a renewal that is the same request is stored", async () => {
      const application: Application = { next: "ann", answered: [] };
      const options: Options = (who) => ({ ...STALE, audience: who, key: () => "a" });
      const { get, advance, events } = await startWorld(kind, {}, (cache) => serve(cache, options, application));
      await get("/");
      await until(async () => cacheStatusOf(await get("/"))?.includes("hit") === true);
      advance(15);
      await get("/");
      await until(async () => cacheStatusOf(await get("/"))?.includes("ttl=10") === true);
      expect(application.answered).toEqual(["ann", "ann"]);
      expect(events.filter(({ type }) => type === "revalidation-failed")).toEqual([]);
    });
  });
});
