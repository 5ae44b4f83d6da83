/** Middleware of Hono that changes a response after `next()`: as without the cache, on misses and on hits. */

import { type Context, Hono, type MiddlewareHandler } from "hono";
import { describe, expect, it } from "vitest";

import { byFetch, type Kind, onNode, site } from "./hono-sites.ts";

const none: MiddlewareHandler = (_, next) => next();

/** What clients get with the cache and without it. */
async function bothWays(
  kind: Kind,
  build: (app: Hono, cached: MiddlewareHandler) => void,
  seen: (response: Response) => unknown,
  asked: readonly Record<string, string>[] = [{}, {}],
): Promise<{ readonly cached: unknown[]; readonly plain: unknown[] }> {
  const answers = async (isCached: boolean): Promise<unknown[]> => {
    const { get } = await site(kind, (app, cached) =>
      build(app, isCached ? cached({ expire: "1h", cdn: "1d" }) : none),
    );
    const all: unknown[] = [];
    for (const headers of asked) all.push(await seen(await get("/", headers)));
    return all;
  };
  return { cached: await answers(true), plain: await answers(false) };
}

/** The length on the wire, where there is a wire, and the content. */
async function content(response: Response): Promise<unknown> {
  const text = await response.text();
  const length = response.headers.get("content-length");
  return [response.status, text, length === null || Number(length) === text.length];
}

describe.each([onNode, byFetch])("Hono $name", (kind) => {
  const bodies: readonly (readonly [string, (context: Context) => Promise<void> | void])[] = [
    [
      "adds to the body",
      async (context) => {
        context.res = new Response(`${await context.res.text()} and more`, context.res);
      },
    ],
    [
      "cuts the body",
      async (context) => {
        context.res = new Response((await context.res.text()).slice(0, 2), context.res);
      },
    ],
  ];
  it.each(bodies)("a layer that %s: the length is that of its own body", async (_, change) => {
    const { cached, plain } = await bothWays(
      kind,
      (app, cache) => {
        app.use(async (context, next) => {
          await next();
          await change(context);
        });
        app.get("/", cache, (context) => context.html("a page"));
      },
      content,
    );

    expect(cached).toEqual(plain);
  });
});
