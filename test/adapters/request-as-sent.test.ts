/** What code in front of `cached()` reads of a request while its response leaves: what the client sent, as without the cache. */

import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";

import express5, { type Request, type RequestHandler } from "express";
import express4 from "express4";
import { describe, expect, it } from "vitest";

import { expressCache } from "../../src/adapters/express/index.ts";
import { nodeCache, type NodeHandler } from "../../src/adapters/node/index.ts";
import { type Cache, createCache, isRenewal } from "../../src/index.ts";
import type { RouteOptions } from "../../src/options/route-options.ts";
import type { Served } from "./contract/driver.ts";
import { firstPiece, open, send } from "./contract/http-client.ts";
import { listen } from "./contract/listen.ts";
import { memoryKind } from "./contract/stores.ts";
import { hitOrMiss, startWorld, until } from "./contract/world.ts";

type Next = () => void;
type Layer = (request: IncomingMessage, response: ServerResponse, next: Next) => void;
type Serve = (
  route: { cache?: Cache; options: RouteOptions },
  layers: readonly Layer[],
  handler: NodeHandler,
) => Promise<Served>;

/** What a logger may print of a request. */
function read(request: IncomingMessage): object {
  const { method, url, headers, originalUrl, query, cookies } = request as IncomingMessage & Partial<Request>;
  const { cookie, host, range, "if-none-match": tag, "x-set-behind": setBehind } = headers;
  return {
    method,
    url,
    originalUrl,
    query: { ...(query as object) },
    cookies: { ...(cookies as object) },
    cookie,
    host,
    range,
    tag,
    setBehind,
  };
}

/** As `cookie-parser` does. */
const parseCookies: Layer = (request, _response, next) => {
  const parsed = Object.create(null) as Record<string, string>;
  for (const pair of (request.headers.cookie ?? "").split("; ")) parsed[pair.split("=")[0] ?? ""] = pair;
  Object.assign(request, { cookies: parsed });
  next();
};

function onExpress(express: typeof express5): Serve {
  return ({ cache, options }, layers, handler) => {
    const app = express().set("env", "test");
    for (const layer of layers) app.use(layer as RequestHandler);
    const route = cache === undefined ? [] : [expressCache(cache)(options as object)];
    const router = express.Router();
    router.get("/page", ...route, handler as unknown as RequestHandler);
    app.use("/in", router);
    return listen(app);
  };
}

const ADAPTERS: Readonly<Record<string, Serve>> = {
  "Express 5": onExpress(express5),
  "Express 4": onExpress(express4),
  "node:http": ({ cache, options }, layers, handler) => {
    const route = cache === undefined ? handler : nodeCache(cache)(options, handler);
    return listen((request, response) => {
      const run = (at: number): void => {
        const layer = layers[at];
        if (layer !== undefined) return layer(request, response, () => run(at + 1));
        const result = route(request, response);
        if (result instanceof Promise) result.catch(() => response.destroy());
      };
      run(0);
    });
  },
};

const WAYS: Readonly<Record<string, (response: ServerResponse) => void>> = {
  "end(body)": (response) => void response.end("page"),
  "write and end": (response) => {
    response.write("pa");
    setTimeout(() => response.end("ge"), 2);
  },
  pipe: (response) => void Readable.from([Buffer.from("pa"), Buffer.from("ge")]).pipe(response),
  flushHeaders: (response) => {
    response.flushHeaders();
    setTimeout(() => response.end("page"), 2);
  },
  writeHead: (response) => void response.writeHead(200, { "X-A": "1" }).end("page"),
};

/** Where code in front is run while a response leaves. */
const PLACES: Readonly<Record<string, (response: ServerResponse, act: () => void) => void>> = {
  finish: (response, act) => void response.once("finish", act),
  close: (response, act) => void response.once("close", act),
  writeHead: (response, act) => patch(response, "writeHead", act),
  write: (response, act) => patch(response, "write", act),
  end: (response, act) => patch(response, "end", act),
};

function patch(response: ServerResponse, name: "writeHead" | "write" | "end", act: () => void): void {
  const original = response[name].bind(response) as (...args: unknown[]) => unknown;
  Object.assign(response, {
    [name]: (...args: unknown[]) => {
      act();
      return original(...args);
    },
  });
}

const OPTIONS: RouteOptions = { expire: "1h", query: ["page"], audience: "public" };
const URL = "/in/page?utm=ad&page=1";
const HEADERS = { Cookie: "sid=7; _ga=1", "If-None-Match": '"other"', Host: "Shop.example" };

describe.each(Object.entries(ADAPTERS))("%s", (_name, serve) => {
  const rows = Object.keys(PLACES).flatMap((place) => Object.keys(WAYS).map((way) => ({ place, way })));

  it.each(rows)("$place, answered by $way: code in front reads the request as it was sent", async ({ place, way }) => {
    const logs = await Promise.all(
      [undefined, createCache({ authority: "shop.example" })].map(async (cache) => {
        const log: object[] = [];
        const observe: Layer = (request, response, next) => {
          PLACES[place]!(response, () => log.push(read(request)));
          next();
        };
        const seen: object[] = [];
        const served = await serve(
          { ...(cache && { cache }), options: OPTIONS },
          [parseCookies, observe],
          (request, response) => {
            seen.push(read(request));
            WAYS[way]!(response);
            // A handler that writes its response is still running after the first piece.
            if (way === "write and end" || way === "flushHeaders") seen.push(read(request));
          },
        );
        for (let round = 0; round < 2; round++)
          expect((await send(served.url + URL, { headers: HEADERS })).text).toBe("page");
        if (place === "close" || place === "finish") await until(() => log.length >= 2);
        await served.close();
        return { log, seen };
      }),
    );
    const [without, within] = logs;
    // On a hit of a page that was streamed, `write` of a layer is not compared here.
    const misses = place === "write" ? without!.log.length / 2 : without!.log.length;
    expect(within!.log.slice(0, misses)).toEqual(without!.log.slice(0, misses));
    for (const seen of within!.seen)
      expect(seen).toMatchObject({
        url: expect.stringMatching(/\?page=1$/),
        cookie: undefined,
        tag: undefined,
        cookies: {},
      });
  });

  it("a client that leaves in the middle: a close listener in front reads the request as it was sent", async () => {
    const log: object[] = [];
    const served = await serve(
      { cache: createCache(), options: OPTIONS },
      [
        parseCookies,
        (request, response, next) => {
          response.once("close", () => log.push(read(request)));
          next();
        },
      ],
      (_request, response) => void response.write("begun"),
    );
    const response = await open(served.url + URL, { headers: HEADERS });
    await firstPiece(response);
    response.destroy();
    await until(() => log.length > 0);
    expect(log).toMatchObject([{ cookie: HEADERS.Cookie, tag: '"other"', url: expect.stringContaining("utm=ad") }]);
    await served.close();
  });

  it("what the handler changed of the request itself stays changed", async () => {
    const log: object[] = [];
    for (const cache of [undefined, createCache()]) {
      const served = await serve(
        { ...(cache && { cache }), options: OPTIONS },
        [
          (request, response, next) => {
            response.once("finish", () => log.push(read(request)));
            next();
          },
        ],
        (request, response) => {
          request.headers["x-set-behind"] = "1";
          request.url = "/elsewhere?x=1";
          response.end("page");
        },
      );
      await send(served.url + URL, { headers: HEADERS });
      await until(() => log.length === (cache === undefined ? 1 : 2));
      await served.close();
    }
    expect(log[0]).toMatchObject({ setBehind: "1", url: "/elsewhere?x=1", cookie: HEADERS.Cookie });
    // The host names the server, which differs between the two.
    expect(log[1]).toEqual(log[0]);
  });

  it("a renewal is logged with the whole URL of the request that it renews", async () => {
    const log: object[] = [];
    const options = { ...OPTIONS, expire: 10, staleWhileRevalidate: 60 };
    const world = await startWorld(memoryKind, {}, (cache) =>
      serve(
        { cache, options },
        [
          (request, response, next) => {
            if (isRenewal(request)) response.once("finish", () => log.push(read(request)));
            next();
          },
        ],
        (_request, response) => void response.end("page"),
      ),
    );
    await world.get(URL, HEADERS);
    world.advance(15);
    await world.get(URL, HEADERS);
    await until(() => log.length > 0);
    expect(log).toMatchObject([{ url: expect.stringMatching(/utm=ad&page=1$/), cookie: HEADERS.Cookie }]);
  });

  it("what the handler is shown decides what is stored, whatever code in front was shown meanwhile", async () => {
    const served = await serve(
      { cache: createCache(), options: OPTIONS },
      [
        parseCookies,
        (_request, response, next) => {
          PLACES["write"]!(response, () => {});
          next();
        },
      ],
      (request, response) => {
        response.write("cookies:");
        response.write(String(request.headers.cookie));
        setTimeout(() => response.end(String((request as Partial<Request>).cookies?.["sid"])), 2);
      },
    );
    for (let round = 0; round < 2; round++)
      expect((await send(served.url + URL, { headers: HEADERS })).text).toBe("cookies:undefinedundefined");
    await served.close();
  });
});

describe.each([
  { name: "Express 5", express: express5 },
  { name: "Express 4", express: express4 },
])("$name", ({ express }) => {
  it("the handler of a route for one user behind a public one sees the cookies that were parsed in front", async () => {
    const { get } = await startWorld(memoryKind, {}, (cache) => {
      const cached = expressCache(cache);
      const app = express();
      app.use(parseCookies as RequestHandler, cached({ expire: "1h", audience: "public" }));
      app.get("/", cached({ expire: "1h", audience: (request) => request.get("x-user") }), (request, response) => {
        response.send(String((request.cookies as Record<string, string>)["sid"]));
      });
      return listen(app);
    });
    const headers = { Cookie: "sid=7", "X-User": "ann" };
    for (const outcome of ["Miss", "Hit"]) {
      const received = await get("/", headers);
      expect([received.text, hitOrMiss(received)]).toEqual(["sid=7", outcome]);
    }
  });
});

it("node:http: what catches the error of a handler reads the request as it was sent", async () => {
  const log: object[] = [];
  const routes = ["now", "later"].map((when) =>
    nodeCache(createCache())(OPTIONS, () => {
      if (when === "now") throw new Error("now");
      return Promise.reject(new Error("later"));
    }),
  );
  const served = await listen(async (request, response) => {
    try {
      await routes[request.url?.startsWith("/now") === true ? 0 : 1]!(request, response);
    } catch {
      log.push(read(request));
      response.end("failed");
    }
  });
  for (const path of ["/now?utm=ad&page=1", "/later?utm=ad&page=1"]) {
    expect((await send(served.url + path, { headers: HEADERS })).text).toBe("failed");
    expect(log.at(-1)).toMatchObject({ url: path, cookie: HEADERS.Cookie, tag: '"other"' });
  }
  await served.close();
});
