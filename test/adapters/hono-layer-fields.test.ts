/** Fields that layers around a cached route of Hono set: they stay as without the cache, on misses and on hits. */

import type { MiddlewareHandler } from "hono";
import { compress } from "hono/compress";
import { etag } from "hono/etag";
import { describe, expect, it } from "vitest";

import { byFetch, onNode, site } from "./hono-sites.ts";

const pass: MiddlewareHandler = async (_, next) => next();

describe.each([onNode, byFetch])("Hono $name: an ETag that the cache makes up gives way to a layer's", (kind) => {
  const layers: Readonly<Record<string, MiddlewareHandler>> = {
    "on a copy": async (context, next) => {
      await next();
      context.res = new Response(context.res.body, { status: context.res.status, headers: { ETag: '"layer"' } });
    },
    "on a copy with all fields": async (context, next) => {
      await next();
      const headers = { ...Object.fromEntries(context.res.headers), etag: '"layer"' };
      context.res = new Response(context.res.body, { status: context.res.status, headers });
    },
    "on another body": async (context, next) => {
      await next();
      const text = await context.res.text();
      context.res = new Response(`${text}!`, {
        headers: { ETag: '"layer"', "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT" },
      });
    },
    "set late": async (context, next) => {
      await next();
      context.header("ETag", '"layer"');
    },
    "set before the handler": async (context, next) => {
      context.header("ETag", '"layer"');
      await next();
    },
    "of hono/etag": etag(),
  };

  it.each(Object.keys(layers))("%s", async (name) => {
    const answers = async (isCached: boolean): Promise<unknown[]> => {
      const { get } = await site(kind, (app, cached) => {
        app.use(layers[name] ?? pass);
        app.get("/", isCached ? cached("1h") : pass, (context) => context.body("hello"));
      });
      const seen: unknown[] = [];
      for (const _ of [1, 2, 3]) {
        const { headers, ...response } = await answerOf(await get("/"));
        seen.push([response, headers.get("etag"), headers.get("last-modified")]);
      }
      const tag = (await get("/")).headers.get("etag") ?? "";
      seen.push((await get("/", { "If-None-Match": tag })).status);
      return seen;
    };

    const without = await answers(false);
    if (name !== "of hono/etag") without[3] = expect.any(Number);
    expect(await answers(true)).toEqual(without);
  });

  it("where no layer has one, it is there, and is weak on a body in another coding", async () => {
    const { get } = await site(kind, (app, cached) => {
      app.use(compress({ threshold: 1 }));
      app.get("/", cached("1h"), (context) => context.text("hello ".repeat(500)));
    });

    const coded = { "Accept-Encoding": "gzip" };
    const tags = [await get("/"), await get("/"), await get("/", coded)].map(({ headers }) => headers.get("etag"));
    expect(tags[0]).toMatch(/^"[\w-]+"$/);
    expect(tags).toEqual([tags[0], tags[0], `W/${tags[0]}`]);
    for (const tag of tags) {
      const response = await get("/", { "If-None-Match": tag ?? "", ...coded });
      expect([response.status, response.headers.get("etag")]).toEqual([304, tags[0]]);
    }
  });

  it("a layer's own Age stays", async () => {
    const { get, advance } = await site(kind, (app, cached) => {
      app.use(async (context, next) => {
        await next();
        if (context.req.query("old") === "1") context.res = new Response(context.res.body, { headers: { Age: "77" } });
      });
      app.get("/", cached.byHeaders({ query: "none" }), (context) =>
        context.text("page", 200, { "Cache-Control": "max-age=100" }),
      );
    });

    await (await get("/")).text();
    advance(9);
    expect((await get("/")).headers.get("age")).toBe("9");
    expect((await get("/?old=1")).headers.get("age")).toBe("77");
  });
});

async function answerOf(response: Response) {
  return { status: response.status, text: await response.text(), headers: response.headers };
}
