/** A request that takes no part is answered as without the cache, but for the fields that the cache adds. */

import { getRequestListener } from "@hono/node-server";
import { Hono, type Context, type MiddlewareHandler } from "hono";
import { describe, expect, it, onTestFinished } from "vitest";

import { fetchCache } from "../../src/adapters/fetch/index.ts";
import { honoCache } from "../../src/adapters/hono/index.ts";
import { createCache } from "../../src/index.ts";
import { send } from "./contract/http-client.ts";
import { listen } from "./contract/listen.ts";
import { byFetch, onNode, site, status } from "./hono-sites.ts";

const LOGIN = { Authorization: "Bearer t" };
const pass: MiddlewareHandler = async (_, next) => next();

/** Fields without those of the connection, and those that the cache documents. */
function fieldsOf(headers: Iterable<[string, unknown]>): Record<string, unknown> {
  const own = new Set(["date", "connection", "keep-alive", "cache-status", "x-reprise-cache"]);
  return Object.fromEntries([...headers].filter(([name]) => !own.has(name)));
}

describe.each([onNode, byFetch])("Hono $name", (kind) => {
  const layers: Readonly<Record<string, (context: Context) => void>> = {
    "a copy with fields of its own": (context) => {
      const headers = { "Content-Type": "text/plain", Vary: "Origin", ETag: '"layer"', "Cache-Control": "max-age=5" };
      context.res = new Response(context.res.body, { status: context.res.status, headers });
    },
    "a copy with a field more": (context) => {
      context.res = new Response(context.res.body, context.res);
      context.res.headers.append("Vary", "Origin");
    },
    "another response": (context) => {
      context.res = undefined;
      context.res = new Response("denied", { status: 403, headers: { Vary: "X-Y" } });
    },
    "a field": (context) => context.header("Vary", "Origin", { append: true }),
    nothing: () => {},
  };

  it.each(Object.keys(layers))("what a layer in front makes of it: %s", async (name) => {
    const answers = await Promise.all(
      [true, false].map(async (isCached) => {
        const { get } = await site(kind, (app, cached) => {
          app.use(async (context, next) => {
            await next();
            layers[name]?.(context);
          });
          app.get("/", isCached ? cached("1h") : pass, (context) => context.text("hello", 200, { Vary: "X-Own" }));
        });
        const response = await get("/", LOGIN);
        return { status: response.status, text: await response.text(), headers: response.headers };
      }),
    );
    const [cached, without] = answers;
    const vary = without?.headers.get("vary") ?? null;
    without?.headers.set("vary", [vary, "Cookie", "Authorization"].filter((member) => member !== null).join(", "));

    expect([cached?.status, cached?.text]).toEqual([without?.status, without?.text]);
    expect(fieldsOf(cached?.headers ?? [])).toEqual(fieldsOf(without?.headers ?? []));
    // Without a server a response that a layer puts in the place of another has nothing of that.
    const isTold = kind === onNode || name !== "another response";
    expect(cached?.headers.get("cache-status")).toBe(isTold ? "reprise; fwd=bypass; detail=authorization" : null);
  });

  it("a response that a handler keeps is not changed", async () => {
    const kept = new Response(null, { status: 404 });
    const { get } = await site(kind, (app, cached) => {
      app.use(pass);
      app.get("/", cached("1h"), () => kept);
    });
    const response = await get("/", LOGIN);
    expect([response.status, status(response)]).toEqual([404, "reprise; fwd=bypass; detail=authorization"]);
    expect([...kept.headers]).toEqual([]);
  });
});

describe("on @hono/node-server a bypassed response is the handler's own object", () => {
  const handlers: Readonly<Record<string, (context: Context) => Response>> = {
    text: (context) => context.text("hello"),
    html: (context) => context.html("<p>hello</p>"),
    json: (context) => context.json({ a: 1 }),
    "a plain text": () => new Response("hello"),
    "a text with a field": () => new Response("hello", { headers: { "X-A": "1" } }),
    "a blob": () => new Response(new Blob(["x"], { type: "image/png" })),
    bytes: () => new Response(new Uint8Array([1, 2, 3])),
    parameters: () => new Response(new URLSearchParams("a=1")),
    "no body": (context) => context.body(null, 204),
    "a stream": () => new Response(new Blob(["x"]).stream()),
    "a stream that fails at its first read": () =>
      new Response(
        new ReadableStream({
          pull(controller) {
            controller.error(new Error("bad"));
          },
        }),
      ),
  };

  async function answerOf(handler: (request: Request, bindings: object) => Response | Promise<Response>) {
    const { url, ...served } = await listen(getRequestListener(handler));
    try {
      const { status: code, text, headers } = await send(url, { headers: LOGIN });
      return { code, text, headers: fieldsOf(Object.entries({ ...headers, vary: undefined })) };
    } catch (error) {
      return { error: String(error) };
    } finally {
      await served.close();
    }
  }

  it.each(Object.keys(handlers))("%s", async (name) => {
    const cache = createCache();
    onTestFinished(() => cache.close());
    const handler = handlers[name] ?? ((context: Context) => context.text("none"));
    const plain = new Hono().get("/", pass, handler);
    const cached = new Hono().get("/", honoCache(cache)("1h"), handler);
    const layered = new Hono().use(pass).get("/", honoCache(cache)("1h"), handler);
    const asFetch = fetchCache(cache)("1h", async (request, bindings: never) => plain.fetch(request, bindings));

    const without = await answerOf(plain.fetch);
    expect(await answerOf(cached.fetch)).toEqual(without);
    expect(await answerOf(layered.fetch)).toEqual(without);
    expect(await answerOf(asFetch)).toEqual(without);
  });
});

it("on @hono/node-server the type of a text is spelt on misses and hits as without the cache", async () => {
  const answers = await Promise.all(
    [true, false].map(async (isCached) => {
      const { get } = await site(onNode, (app, cached) => {
        app.get("/", isCached ? cached("1h") : pass, (context) => context.text("hello"));
      });
      return [await get("/"), await get("/")].map(({ headers }) => headers.get("content-type"));
    }),
  );
  expect(answers[0]).toEqual(answers[1]);
});
