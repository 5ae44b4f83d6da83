/** Code around a cached fetch handler that changes its response: as without the cache, on misses and on hits. */

import { getRequestListener } from "@hono/node-server";
import { describe, expect, it, onTestFinished } from "vitest";

import { fetchCache } from "../../src/adapters/fetch.ts";
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
});
