/** One page with code in front of it, on each adapter of the Node family, with and without a cache. */

import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import express5 from "express";
import express4 from "express4";

import { expressCache } from "../../src/adapters/express/index.ts";
import { nodeCache } from "../../src/adapters/node/index.ts";
import type { Cache, RouteOptions } from "../../src/index.ts";
import { listen } from "./contract/listen.ts";
import { memoryKind } from "./contract/stores.ts";
import { startWorld, type World } from "./contract/world.ts";

type Listener = (request: IncomingMessage, response: ServerResponse) => void;

export interface Page {
  /** Runs in front of the route, for every request. */
  readonly inFront: Listener;
  readonly handler: Listener;
  /** Default: `{ expire: "1h", audience: "public", query: "none" }`. */
  readonly options?: RouteOptions<IncomingMessage>;
}

/** Without a cache the page is what the application gives by itself. */
type Serve = (cache: Cache | undefined, page: Page) => RequestListener;

function onExpress(express: typeof express5): Serve {
  return (cache, { inFront, handler, options = PUBLIC }) => {
    const app = express();
    app.set("env", "test");
    // Express tells of itself and tags bodies; both are no concern of these tests.
    app.disable("x-powered-by");
    app.disable("etag");
    app.use((request, response, next) => {
      inFront(request, response);
      next();
    });
    if (cache !== undefined) app.use("/", expressCache(cache)(options));
    app.get("/", handler);
    return app;
  };
}

const PUBLIC = { expire: "1h", audience: "public", query: "none" } as const;

export const ADAPTERS: Readonly<Record<string, Serve>> = {
  "Express 5": onExpress(express5),
  "Express 4": onExpress(express4),
  "node:http"(cache, { inFront, handler, options = PUBLIC }) {
    const route = cache === undefined ? handler : nodeCache(cache)(options, handler);
    return (request, response) => {
      inFront(request, response);
      route(request, response);
    };
  },
};

/** The page behind a cache in memory. */
export function startPage(serve: Serve, page: Page): Promise<World> {
  return startWorld(memoryKind, {}, (cache) => listen(serve(cache, page)));
}

/** The same application without the cache. */
export function startPlain(serve: Serve, page: Page): Promise<World> {
  return startWorld(memoryKind, {}, () => listen(serve(undefined, page)));
}
