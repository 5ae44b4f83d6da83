import type { IncomingMessage, ServerResponse } from "node:http";
import type { Cache, Route } from "../cache.ts";
import type { Fill } from "../engine/exchange.ts";
import { asError, invalidOption } from "../errors.ts";
import { cachedFamily, type Cached } from "./_cached.ts";
import { respondOnNode } from "./_node.ts";

export type { Cached, RouteArgument } from "./_cached.ts";

/** A request handler as `http.createServer` takes it. */
export type NodeHandler = (request: IncomingMessage, response: ServerResponse) => unknown;

/**
 * Caching for plain `node:http`: give `cached` your options and the handler, and get a handler back.
 *
 * @example
 * const cached = nodeCache(createCache());
 * http.createServer(cached("5m", (request, response) => response.end("hello"))).listen(3000);
 */
export function nodeCache(cache: Cache): Cached<IncomingMessage, [handler: NodeHandler], NodeHandler> {
  return cachedFamily(cache, (route: Route, handler: NodeHandler) => {
    if (typeof handler !== "function") {
      throw invalidOption(
        "cached(options, handler)",
        "a handler (request, response)",
        handler,
        "The handler comes after the options.",
      );
    }
    return (request, response) =>
      respondOnNode(route, {
        request,
        response,
        url: request.url ?? "/",
        run: (fill) => runHandler(handler, request, response, fill),
        rerun: (again, shadow, fill) => runHandler(handler, again, shadow, fill),
      });
  });
}

function runHandler(
  handler: NodeHandler,
  request: IncomingMessage,
  response: ServerResponse,
  fill: Fill | undefined,
): void {
  if (fill === undefined) {
    handler(request, response);
    return;
  }
  const background = fill;
  let result: unknown;
  try {
    result = handler(request, response);
  } catch (error) {
    if (!background.fail(asError(error))) throw error;
    return;
  }
  if (!(result instanceof Promise)) return;
  // A rejection nobody deals with stays one, as it would be without a cache.
  void result.catch((error: unknown) => {
    if (!background.fail(asError(error))) throw error;
  });
}
