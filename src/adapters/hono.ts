import type { Context, MiddlewareHandler, Next } from "hono";
import type { Cache, Route } from "../cache.ts";
import { shareTags } from "../engine/request-tags.ts";
import { cachedFamily, type Cached } from "./_cached.ts";
import { respondOnWeb } from "./_web.ts";

export type { Cached, RouteArgument } from "./_cached.ts";

/**
 * Caching for Hono: middleware in front of a handler, a route or an app. Callbacks (`tags`, `key`, …) get the context.
 *
 * @example
 * const cached = honoCache(createCache());
 * app.get("/users/:id", cached({ expire: "1h", tags: (c) => [`user:${c.req.param("id")}`] }), getUser);
 */
export function honoCache(cache: Cache): Cached<Context, [], MiddlewareHandler> {
  return cachedFamily(cache, (route: Route): MiddlewareHandler => {
    return async (context, next) => {
      const start = context.req.routeIndex + 1;
      const outer = new OuterHeaders();
      const response = await respondOnWeb(route, {
        request: context.req.raw,
        native: context,
        env: context.env as unknown,
        get pattern() {
          // Its successor, of hono/route, is not in the oldest version we support.
          // oxlint-disable-next-line typescript/no-deprecated
          return context.req.routePath;
        },
        run: (request) => runNext(context, next, request, outer),
        rerun: matchSymbol(context) === undefined ? undefined : (request) => runBehind(context, start, request),
      });
      // The handler did not run.
      if (!context.finalized) outer.note(context);
      // Without this Hono would lay the handler's own headers over ours.
      context.res = undefined;
      context.res = outer.addTo(response);
      return undefined;
    };
  });
}

async function runNext(context: Context, next: Next, request: Request, outer: OuterHeaders): Promise<Response> {
  outer.note(context);
  context.req.raw = request;
  await next();
  return outer.takeFrom(context.res);
}

/** Headers that outer middleware had set before the handler ran: theirs are not stored, and stay on every response. */
class OuterHeaders {
  #headers: [string, string][] = [];

  note(context: Context): void {
    // Not `context.res`: once that is made, Hono lays its headers over those of the handler's response.
    this.#headers = [...context.newResponse(null).headers];
  }

  takeFrom(response: Response): Response {
    if (this.#headers.length === 0) return response;
    const own = new Response(response.body, response);
    const cookies = own.headers.getSetCookie();
    for (const [name, value] of this.#headers) {
      // A `Cache-Control` set further out is meant for this response too.
      if (name !== "cache-control" && own.headers.get(name) === value) own.headers.delete(name);
    }
    own.headers.delete("set-cookie");
    const outerCookies = this.#cookies();
    for (const cookie of cookies) if (!outerCookies.has(cookie)) own.headers.append("set-cookie", cookie);
    return own;
  }

  addTo(response: Response): Response {
    const { headers } = response;
    for (const [name, value] of this.#headers) {
      if (name === "set-cookie") continue;
      const own = headers.get(name);
      if (own === null) headers.set(name, value);
      else if (name === "vary") headers.set(name, mergedList(value, own));
    }
    for (const cookie of this.#cookies()) headers.append("set-cookie", cookie);
    return response;
  }

  #cookies(): ReadonlySet<string> {
    return new Set(this.#headers.filter(([name]) => name === "set-cookie").map(([, value]) => value));
  }
}

/** The members of both lists, each once whatever its case. */
function mergedList(...lists: readonly string[]): string {
  const members = lists.flatMap((list) => list.split(",").map((member) => member.trim()));
  return [...new Map(members.map((member) => [member.toLowerCase(), member])).values()].join(", ");
}

type Handler = (context: Context, next: Next) => unknown;
type MatchResult = readonly [readonly (readonly [readonly [Handler, unknown], unknown])[], ...unknown[]];

/** Where this version of Hono keeps what it matched; `undefined` where it does not tell, looked up once. */
let knownSymbol: symbol | undefined;

function matchSymbol(context: Context): symbol | undefined {
  if (knownSymbol !== undefined) return knownSymbol;
  const request = context.req as unknown as Record<symbol, unknown>;
  const symbols = Object.getOwnPropertySymbols(Object.getPrototypeOf(request) as object);
  knownSymbol = symbols.find((symbol) => isMatchResult(request[symbol]));
  return knownSymbol;
}

function isMatchResult(value: unknown): value is MatchResult {
  if (!Array.isArray(value) || !Array.isArray(value[0])) return false;
  return (value[0] as unknown[]).every(
    (entry) => Array.isArray(entry) && Array.isArray(entry[0]) && typeof entry[0][0] === "function",
  );
}

type ContextClass = new (request: Request, options: Record<string, unknown>) => Context;

/** Runs the handlers behind this middleware once more, in a context of their own: the first one's response is sent. */
async function runBehind(context: Context, start: number, request: Request): Promise<Response> {
  const match = (context.req as unknown as Record<symbol, MatchResult>)[matchSymbol(context) ?? Symbol.iterator];
  const shadow = new (context.constructor as ContextClass)(request, {
    path: context.req.path,
    matchResult: match,
    env: context.env as unknown,
    executionCtx: executionContext(context),
    notFoundHandler: () => new Response(null, { status: 404 }),
  });
  shareTags(shadow, context);
  for (const [name, value] of Object.entries(context.var as Record<string, unknown>))
    shadow.set(name as never, value as never);
  const dispatch = async (at: number): Promise<void> => {
    const handler = match?.[0][at]?.[0][0];
    if (handler === undefined) throw new Error("no handler of the route answered");
    shadow.req.routeIndex = at;
    const result: unknown = await handler(shadow, () => dispatch(at + 1));
    if (result instanceof Response && !shadow.finalized) shadow.res = result;
  };
  await dispatch(start);
  return shadow.res;
}

function executionContext(context: Context): unknown {
  try {
    return context.executionCtx;
  } catch {
    // There is none on servers.
    return undefined;
  }
}
