import type { IncomingMessage, ServerResponse } from "node:http";
import type { Cache, Route } from "../../cache.ts";
import type { Fill } from "../../engine/exchange.ts";
import { isRenewal } from "../../engine/fill/renewals.ts";
import { asError, invalidOption } from "../../errors.ts";
import { cachedFamily, type Cached } from "../shared/cached.ts";
import { respondOnNode, showFailedRequest } from "./respond.ts";

export type { Cached, RouteArgument } from "../shared/cached.ts";

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
    return function cachedHandler(this: unknown, request, response) {
      // Node calls a listener as a method of its server.
      return answer(route, handler, this, request, response);
    };
  });
}

/**
 * What the handler gives comes back to the caller, and what it throws: at once where the handler runs at once, else as
 * a promise. So an application that deals with its handlers' errors goes on doing so.
 */
function answer(
  route: Route,
  handler: NodeHandler,
  receiver: unknown,
  request: IncomingMessage,
  response: ServerResponse,
): unknown {
  let result: unknown;
  let isLate = false;
  let resolveLate: ((result: unknown) => void) | undefined;
  const end = new LateEnd(response);
  const url = request.url ?? "/";
  const { originalUrl } = request as { originalUrl?: unknown };
  // Connect and its kin cut off of `url` what they have matched, and keep the whole here.
  const sentUrl = typeof originalUrl === "string" ? originalUrl : url;
  respondOnNode(route, {
    request,
    response,
    url: sentUrl,
    shownUrl: sentUrl === url ? undefined : url,
    rewriteTarget,
    run(fill) {
      if (isLate) {
        resolveLate?.(resultOf(() => runHandler(handler, receiver, request, response, fill)).then(end.after));
      } else result = runHandler(handler, receiver, request, response, fill);
    },
    onLateError: end.fail,
    entry: (again, quiet) => void resultOf(() => answer(route, handler, receiver, again, quiet)),
  });
  isLate = true;
  if (result instanceof Promise) return result.then(end.after);
  if (end.isPending) return end.after(result);
  if (result !== undefined || response.writableEnded) return result;
  return new Promise((resolve) => {
    resolveLate = resolve;
    response.once("close", () => resolve(undefined));
  });
}

/** The end of a response that waits for a purge, while the handler has returned: what a layer throws then. */
class LateEnd {
  readonly #response: ServerResponse;
  #error: { readonly error: unknown } | undefined;
  #reject: ((error: unknown) => void) | undefined;

  constructor(response: ServerResponse) {
    this.#response = response;
  }

  /** The response is shown as ended, which it is not yet. */
  get isPending(): boolean {
    return Object.hasOwn(this.#response, "writableEnded");
  }

  /** Gives what the handler gave, once the response has ended. */
  readonly after = (result: unknown): unknown => {
    if (this.#error !== undefined) throw this.#error.error;
    if (!this.isPending) return result;
    return new Promise((resolve, reject) => {
      this.#reject = reject;
      this.#response.once("close", () => resolve(result));
    });
  };

  readonly fail = (error: unknown): void => {
    this.#error = { error };
    this.#reject?.(error);
  };
}

function rewriteTarget(request: IncomingMessage, sent: string): void {
  if ("originalUrl" in request) request.originalUrl = sent;
}

async function resultOf(run: () => unknown): Promise<unknown> {
  return run();
}

/** Tells `fill` of an error before the caller, who hears of it only if the client has no answer yet. */
function runHandler(
  handler: NodeHandler,
  receiver: unknown,
  request: IncomingMessage,
  response: ServerResponse,
  fill: Fill | undefined,
): unknown {
  if (fill === undefined) return handler.call(receiver, request, response);
  const fail = (error: unknown): void => {
    if (fill.fail(asError(error))) return;
    showFailedRequest(request, fill);
    if (!isRenewal(request)) throw error;
    // The fill has told it, and there is no client to be answered.
    response.destroy();
  };
  let result: unknown;
  try {
    result = handler.call(receiver, request, response);
  } catch (error) {
    return fail(error);
  }
  return result instanceof Promise ? result.catch(fail) : result;
}
