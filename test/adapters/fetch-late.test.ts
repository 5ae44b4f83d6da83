/** Code around a cached fetch handler that changes its response: as without the cache, on misses and on hits. */

import { setTimeout as pause } from "node:timers/promises";
import { getRequestListener } from "@hono/node-server";
import { describe, expect, it, onTestFinished } from "vitest";

import { fetchCache } from "../../src/adapters/fetch/index.ts";
import { createCache } from "../../src/index.ts";
import { send } from "./contract/http-client.ts";
import { listen } from "./contract/listen.ts";

type Handler = (request: Request, ...rest: unknown[]) => Response | Promise<Response>;
type Get = (headers?: Record<string, string>) => Promise<Response>;

interface Kind {
  readonly name: string;
  readonly start: (handler: Handler) => Promise<Get>;
}

const onNode: Kind = {
  name: "on @hono/node-server",
  async start(handler) {
    const { url, ...served } = await listen(getRequestListener(handler));
    onTestFinished(() => served.close());
    return async (headers = {}) => {
      const received = await send(url, { headers });
      const lines = Object.entries(received.headers).flatMap(([name, value]) =>
        [value ?? []].flat().map((line) => [name, line] as [string, string]),
      );
      return new Response(received.text, { status: received.status, headers: lines });
    };
  },
};

const direct: Kind = {
  name: "called directly",
  start:
    async (handler) =>
    async (headers = {}) =>
      handler(new Request("http://api.example/", { headers })),
};

async function start(kind: Kind, around: (inner: Handler) => Handler, handler: Handler): Promise<Get> {
  const cache = createCache();
  onTestFinished(() => cache.close());
  return kind.start(around(fetchCache(cache)({ expire: "1h", cdn: "1d" }, handler)));
}

describe.each([onNode, direct])("a fetch handler $name", (kind) => {
  it("code around it that adds to the body: the length is that of the new body", async () => {
    const get = await start(
      kind,
      (inner) => async (request, env) => {
        const response = await inner(request, env);
        return new Response(`${await response.text()} and more`, response);
      },
      async () => new Response("a page"),
    );

    for (let round = 0; round < 2; round++) {
      const response = await get();
      const length = response.headers.get("content-length");
      expect(await response.text()).toBe("a page and more");
      if (length !== null) expect(length).toBe("15");
    }
  });

  it.each([
    { "If-None-Match": "*" },
    { "If-None-Match": '"v"' },
    { "If-Modified-Since": "Fri, 02 Jan 2026 00:00:00 GMT" },
  ])("a cookie that is set late on the answer to %o counts", async (condition) => {
    const get = await start(
      kind,
      (inner) => async (request, env) => {
        const response = await inner(request, env);
        await pause(10);
        response.headers.append("Set-Cookie", `sid=${request.headers.get("x-user")}`);
        return response;
      },
      async (request) =>
        new Response(`page of ${request.headers.get("x-user")}`, {
          headers: { ETag: '"v"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT" },
        }),
    );
    const first = await get({ "X-User": "ann", ...condition });
    expect([first.status, first.headers.get("set-cookie")]).toEqual([304, "sid=ann"]);
    const second = await get({ "X-User": "bob" });
    expect(await second.text()).toBe("page of bob");
  });

  it.each(["Accept-Language", "*"])("Vary: %s that is set late counts", async (vary) => {
    let runs = 0;
    const get = await start(
      kind,
      (inner) => async (request, env) => {
        const response = await inner(request, env);
        response.headers.append("Vary", vary);
        return response;
      },
      async () => new Response(`run ${++runs}`),
    );

    for (const run of [1, 2]) expect(await (await get()).text()).toBe(`run ${run}`);
  });

  it.each([
    ["a cookie", "Set-Cookie", "visitor=new"],
    ["private", "Cache-Control", "private"],
    ["a lifetime of its own", "Cache-Control", "max-age=5"],
  ])("no freshness beside %s that is set late on a hit, or for one who waited", async (_, name, value) => {
    const get = await start(
      kind,
      (inner) => async (request, env) => {
        const response = await inner(request, env);
        if (request.headers.get("x-visitor") === null) response.headers.set(name, value);
        return response;
      },
      async () => {
        await pause(20);
        return new Response("page");
      },
    );
    const known = { "X-Visitor": "1" };
    const read = async (headers?: Record<string, string>): Promise<Response> => {
      const response = await get(headers);
      await response.clone().text();
      return response;
    };
    const [first, waited] = await Promise.all([read(known), read()]);
    expect(first.headers.get("cdn-cache-control")).toBe("max-age=3600");

    for (const response of [waited, await read()]) {
      expect(response.headers.get("cache-status")).toMatch(/collapsed|hit/);
      const promised = ["expires", "cdn-cache-control"].map((field) => response.headers.get(field));
      expect(promised).toEqual([null, null]);
      expect(response.headers.get("cache-control")).toBe(name === "Cache-Control" ? value : null);
    }
    expect((await read(known)).headers.get("cache-control")).toBe("max-age=3600");
  });
});
