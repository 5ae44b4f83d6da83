/** Layers in front of a cached route that change bodies in an `end` or a `write` of their own: live reload, footers, filters. */

import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";

import express5, { type RequestHandler } from "express";
import express4 from "express4";
import { describe, expect, it } from "vitest";

import { expressCache } from "../../src/adapters/express/index.ts";
import { nodeCache } from "../../src/adapters/node/index.ts";
import type { RouteOptions } from "../../src/options/route-options.ts";
import type { Served } from "./contract/driver.ts";
import type { Received } from "./contract/http-client.ts";
import { listen } from "./contract/listen.ts";
import { gate, hitOrMiss, onEachStore, startWorld, until, untilStored, type World } from "./contract/world.ts";

/** The methods of a response, to be replaced and called. */
type Methods = Record<"write" | "end" | "writeHead", (...args: unknown[]) => unknown>;

const textOf = (chunk: unknown): string => (chunk as string | Buffer).toString();
const masked = (chunk: unknown): Buffer => Buffer.from(textOf(chunk).replace(/secret=\w+/g, "***"));

/** What layers do to a body. */
const LAYERS: Readonly<Record<string, (response: Methods, user: string) => void>> = {
  "an end that adds": (response, user) => {
    const { end } = response;
    response.end = (chunk, ...rest) =>
      Reflect.apply(end, response, [chunk ? `${textOf(chunk)}<!-- ${user} -->` : chunk, ...rest]);
  },
  "an end that shortens": (response) => {
    const { end } = response;
    response.end = (chunk, ...rest) => Reflect.apply(end, response, [chunk ? "no" : chunk, ...rest]);
  },
  "an end that empties": (response) => {
    const { end } = response;
    response.end = () => Reflect.apply(end, response, []);
  },
  "an end that writes": (response, user) => {
    const { write, end } = response;
    response.end = (chunk, ...rest) => {
      if (chunk) Reflect.apply(write, response, [chunk, ...rest]);
      return Reflect.apply(end, response, [`<!-- ${user} -->`]);
    };
  },
  "an end that adds, below a hook": (response, user) => {
    const { end, writeHead } = response;
    response.end = (chunk, ...rest) =>
      Reflect.apply(end, response, [chunk ? `${textOf(chunk)}<!-- ${user} -->` : chunk, ...rest]);
    response.writeHead = (...head) => {
      (response as unknown as ServerResponse).setHeader("X-Hook", "1");
      return Reflect.apply(writeHead, response, head);
    };
  },
  "an end in two pieces": (response) => {
    const { write, end } = response;
    response.end = (chunk) => {
      if (!chunk) return Reflect.apply(end, response, []);
      const bytes = Buffer.from(chunk as string);
      Reflect.apply(write, response, [bytes.subarray(0, -1)]);
      return Reflect.apply(end, response, [bytes.subarray(-1)]);
    };
  },
  "a write that masks": (response) => {
    const { write } = response;
    response.write = (chunk, ...rest) => Reflect.apply(write, response, [masked(chunk), ...rest]);
  },
  "a write and an end that mask": (response) => {
    const { write, end } = response;
    response.write = (chunk, ...rest) => Reflect.apply(write, response, [masked(chunk), ...rest]);
    response.end = (chunk, ...rest) => Reflect.apply(end, response, [chunk ? masked(chunk) : chunk, ...rest]);
  },
  "an end that calls its own write": (response) => {
    const { write, end } = response;
    response.write = (chunk, ...rest) => Reflect.apply(write, response, [masked(chunk), ...rest]);
    response.end = (chunk) => {
      if (chunk) response.write(chunk);
      return Reflect.apply(end, response, []);
    };
  },
};

const PAGES: Readonly<Record<string, (response: ServerResponse) => void>> = {
  "end(text)": (response) => void response.end("page secret=one"),
  "end(bytes)": (response) => void response.end(Buffer.from("page secret=one")),
  "writeHead and end": (response) =>
    void response.writeHead(200, { "content-type": "text/html" }).end("page secret=one"),
  writes: (response) => {
    response.write("page ");
    response.write("secret=one");
    response.end();
  },
  "write and end(chunk)": (response) => {
    response.write("page ");
    response.end("secret=one");
  },
  "a pipe": (response) => void Readable.from(["page ", "secret=one"]).pipe(response),
  "no body": (response) => void response.end(),
};

const ROWS = Object.keys(LAYERS).flatMap((layer) => Object.keys(PAGES).map((way) => ({ layer, way })));

interface Adapter {
  readonly name: string;
  readonly start: (
    cache: World["cache"],
    layer: (request: IncomingMessage, response: ServerResponse) => void,
    page: (request: IncomingMessage, response: ServerResponse) => void,
  ) => Promise<Served>;
}

const options: RouteOptions<IncomingMessage> = { expire: "1m", staleWhileRevalidate: "1m" };

const expressAdapter = (name: string, express: typeof express5): Adapter => ({
  name,
  start(cache, layer, page) {
    const app = express().set("env", "test");
    app.use((request, response, next) => {
      layer(request, response);
      next();
    });
    const handler: RequestHandler = (request, response) => page(request, response);
    app.get("/plain", handler);
    app.get("/cached", expressCache(cache)(options), handler);
    return listen(app);
  },
});

const ADAPTERS: readonly Adapter[] = [
  expressAdapter("Express 5", express5),
  expressAdapter("Express 4", express4),
  {
    name: "node:http",
    start(cache, layer, page) {
      const cached = nodeCache(cache)(options, page);
      return listen((request, response) => {
        layer(request, response);
        return (request.url === "/plain" ? page : cached)(request, response);
      });
    },
  },
];

/** What a client gets. Where a length is declared it is that of the body; Node may leave it out. */
function bodyOf({ status, text, headers }: Received): unknown {
  const declared = headers["content-length"] ?? String(Buffer.byteLength(text));
  return { status, text, declared };
}

describe.each(ADAPTERS)("$name", ({ start }) => {
  onEachStore("node-redis", (kind) => {
    const serve = (layer: string, page: (response: ServerResponse) => void): Promise<World> =>
      startWorld(kind, {}, (cache) =>
        start(
          cache,
          (request, response) =>
            LAYERS[layer]!(response as unknown as Methods, String(request.headers["x-user"] ?? "ann")),
          (_request, response) => page(response),
        ),
      );

    const rows = kind.name === "memory" ? ROWS : ROWS.filter(({ layer }) => layer === "a write and an end that mask");
    it.each(rows)("$layer, and a page by $way: the client gets what it gets without the cache", async (row) => {
      const world = await serve(row.layer, PAGES[row.way]!);
      const plain = await world.get("/plain");
      const miss = await world.get("/cached");
      expect(bodyOf(miss)).toEqual(bodyOf(plain));
      await untilStored(world, 1);
      const hit = await world.get("/cached");
      expect([hitOrMiss(hit), bodyOf(hit)]).toEqual(["Hit", bodyOf(plain)]);
      const head = await world.send("/cached", { method: "HEAD" });
      expect([undefined, String(plain.body.byteLength)]).toContain(head.headers["content-length"]);
      world.advance(90);
      const stale = await world.get("/cached");
      expect(stale.text).toBe(plain.text);
      // Another visitor's, on the connection of nobody else.
      const other = { "X-User": "bob the second" };
      expect((await world.get("/cached", other)).text).toBe((await world.get("/plain", other)).text);
    });

    it.each(["end(text)", "a pipe"])(
      "a length that the handler declares stays on hits, also where a layer ends in two pieces",
      async (way) => {
        const world = await serve("an end in two pieces", (response) => {
          response.setHeader("Content-Length", "15");
          PAGES[way]!(response);
        });
        const plain = await world.get("/plain");
        expect(plain.headers["content-length"]).toBe("15");
        expect(bodyOf(await world.get("/cached"))).toEqual(bodyOf(plain));
        await untilStored(world, 1);
        expect(bodyOf(await world.get("/cached"))).toEqual(bodyOf(plain));
        expect((await world.send("/cached", { method: "HEAD" })).headers["content-length"]).toBe("15");
      },
    );

    it.each(Object.keys(LAYERS))("%s: those who wait for a response get it as without the cache", async (layer) => {
      const { opened, open } = gate();
      let runs = 0;
      const world = await serve(layer, (response) => {
        runs += 1;
        void opened.then(() => response.end("page secret=one"));
      });
      const users = ["ann", "bob the second", "c"];
      const asked = users.map((user) => world.get("/cached", { "X-User": user }));
      await until(() => runs === 1);
      await new Promise((resolve) => void setTimeout(resolve, 20));
      open();
      for (const [at, user] of users.entries()) {
        expect((await asked[at]!).text).toBe((await world.get("/plain", { "X-User": user })).text);
      }
    });
  });
});
