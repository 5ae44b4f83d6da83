/** Renewals on `node:http`: the same request once more, through everything that is around the handler. */

import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, IncomingMessage, ServerResponse } from "node:http";
import { createServer as createTlsServer, request as requestSecurely } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { Duplex, Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

import express from "express";
import inject from "light-my-request";
import { expect, it, onTestFinished } from "vitest";

import { expressCache } from "../../src/adapters/express/index.ts";
import { nodeCache } from "../../src/adapters/node/index.ts";
import { createCache, isRenewal, type Cache } from "../../src/index.ts";
import { send } from "./contract/http-client.ts";
import { until } from "./contract/world.ts";

const STALE = { expire: 10, staleWhileRevalidate: 60 } as const;

class OwnRequest extends IncomingMessage {
  get shout(): string {
    return String(this.url).toUpperCase();
  }
}

class OwnResponse extends ServerResponse<OwnRequest> {
  say(text: string): void {
    this.end(text);
  }
}

it("a server with classes of its own gets renewals of those classes", async () => {
  const { cache, advance, errors } = clocked();
  let run = 0;
  const cached = nodeCache(cache)(STALE, (request, response) => {
    (response as unknown as OwnResponse).say(`${(request as OwnRequest).shout} ${++run}`);
  });
  const server = createServer({ IncomingMessage: OwnRequest, ServerResponse: OwnResponse }, (request, response) => {
    void cached(request, response);
  });
  const url = await listening(server);

  expect((await send(`${url}/a`)).text).toBe("/A 1");
  advance(15);
  expect((await send(`${url}/a`)).text).toBe("/A 1");
  await until(() => run === 2);
  expect((await send(`${url}/a`)).text).toBe("/A 2");
  expect(errors).toEqual([]);
});

it("the renewal comes through what is around the cached handler, with the request as the client sent it", async () => {
  const { cache, advance } = clocked();
  const seen: unknown[] = [];
  const cached = nodeCache(cache)({ ...STALE, query: ["a"] }, (request, response) => {
    seen.push([request.url, request.headers["x-added"], request.headers["x-sent"], request.headers.cookie]);
    response.end("a");
  });
  const server = createServer((request, response) => {
    // Middleware that moves a field, and would not find it again on a copy of what it left.
    request.headers["x-added"] = request.headers["x-sent"] === undefined ? "lost" : "moved";
    delete request.headers["x-sent"];
    void cached(request, response);
  });
  const url = await listening(server);
  const ask = () => send(`${url}/?b=1&a=2`, { headers: { "X-Sent": "1" } });

  await ask();
  advance(15);
  await ask();
  await until(() => seen.length === 2);

  expect(seen[1]).toEqual(seen[0]);
  expect(seen[0]).toEqual(["/?a=2", "moved", undefined, undefined]);
});

it.each(["http", "https"])("the connection of a renewal has all that one of %s has", async (scheme) => {
  const { cache, advance } = clocked();
  const missing: string[] = [];
  let publicMembers: readonly (readonly [string, string])[] = [];
  let run = 0;
  const cached = nodeCache(cache)(STALE, ({ socket }, response) => {
    run += 1;
    if (run === 2) {
      for (const [name, kind] of publicMembers) if (typeof socket[name as "ref"] !== kind) missing.push(name);
      // What applications call when they end a connection.
      socket.setTimeout(1).setNoDelay().ref().unref();
      response.once("finish", () => socket.destroySoon());
    } else publicMembers = membersOf(socket);
    response.end("a");
  });
  const serve = (request: IncomingMessage, response: ServerResponse): void => void cached(request, response);
  const server = scheme === "http" ? createServer(serve) : createTlsServer(SERVER_IDENTITY, serve);
  const url = await listening(server);
  const get = (): Promise<unknown> => (scheme === "http" ? send(url) : getSecurely(url));

  await get();
  advance(15);
  await get();
  await until(() => run === 2);

  expect(publicMembers.length).toBeGreaterThan(scheme === "http" ? 15 : 30);
  expect(missing).toEqual([]);
});

const SERVER_IDENTITY = {
  cert: readFileSync(join(import.meta.dirname, "../proxy/localhost.pem")),
  key: readFileSync(join(import.meta.dirname, "../proxy/localhost-key.pem")),
};

function getSecurely(url: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const options = { port: new URL(url).port, servername: "localhost", ca: SERVER_IDENTITY.cert, agent: false };
    const request = requestSecurely(options, (response) => void response.resume().on("end", resolve));
    request.on("error", reject).end();
  });
}

/** Names and kinds of what a `net.Socket` or `tls.TLSSocket` adds to a stream. */
function membersOf(socket: object): readonly (readonly [string, string])[] {
  const names = new Set<string>();
  for (let at: object = Object.getPrototypeOf(socket); at !== Duplex.prototype; at = Object.getPrototypeOf(at)) {
    for (const name of Object.getOwnPropertyNames(at)) if (!name.startsWith("_")) names.add(name);
  }
  const inherited = [...names].filter((name) => name !== "constructor" && !(name in Duplex.prototype));
  return inherited.map((name) => [name, typeof socket[name as keyof typeof socket]] as const);
}

it("a renewal does not carry the condition and the range of the client whose request began it", async () => {
  const { cache, advance } = clocked();
  const seen: unknown[] = [];
  const names = ["if-none-match", "if-modified-since", "range", "if-range"];
  const url = await listening(
    createServer(
      nodeCache(cache)(STALE, ({ rawHeaders, headersDistinct }, response) => {
        const sent = rawHeaders.filter((_, at) => at % 2 === 0).map((name) => name.toLowerCase());
        seen.push(names.filter((name) => sent.includes(name) || headersDistinct[name] !== undefined));
        response.end("a page");
      }),
    ),
  );
  await send(url);
  advance(15);
  const headers = { "If-None-Match": '"v2"', "If-Modified-Since": "Fri, 02 Jan 2026 00:00:00 GMT", Range: "bytes=0-1" };
  await send(url, { headers });
  await until(() => seen.length === 2);
  expect(seen).toEqual([[], []]);
});

it("a renewal has each line of the fields that the client sent", async () => {
  const { cache, advance } = clocked();
  const seen: unknown[] = [];
  const url = await listening(
    createServer(
      nodeCache(cache)(STALE, ({ headersDistinct, headers }, response) => {
        seen.push([headersDistinct["x-list"], headersDistinct["accept-language"], headers["x-list"]]);
        response.end("a");
      }),
    ),
  );
  const headers = { "X-List": ["1", "2"], "Accept-Language": "de" };
  await send(url, { headers });
  advance(15);
  await send(url, { headers });
  await until(() => seen.length === 2);
  expect(seen[1]).toEqual(seen[0]);
  expect(seen[0]).toEqual([["1", "2"], ["de"], "1, 2"]);
});

it.each(["pipe", "pipeline", "write until it is full"])("a large response is renewed: %s", async (way) => {
  const { cache, advance } = clocked();
  const chunks = Array.from({ length: 200 }, (_, at) => Buffer.alloc(1000, at));
  let run = 0;
  const url = await listening(
    createServer(
      nodeCache(cache)(STALE, async (_request, response) => {
        const version = Buffer.from(`${++run} `);
        if (way === "pipe") return void Readable.from([version, ...chunks], { objectMode: false }).pipe(response);
        if (way === "pipeline") return pipeline(Readable.from([version, ...chunks], { objectMode: false }), response);
        for (const chunk of [version, ...chunks]) if (!response.write(chunk)) await once(response, "drain");
        response.end();
      }),
    ),
  );
  const get = async (): Promise<string> => {
    const bytes = Buffer.from(await (await fetch(url)).arrayBuffer());
    return `${bytes.subarray(0, 1).toString()} of ${bytes.byteLength}`;
  };

  expect(await get()).toBe("1 of 200002");
  advance(15);
  expect(await get()).toBe("1 of 200002");
  await until(async () => (await get()) === "2 of 200002");
  expect(run).toBe(2);
});

const MARKS: Readonly<Record<string, (response: ServerResponse) => unknown>> = {
  private: (response) => response.setHeader("Cache-Control", "private"),
  "Set-Cookie": (response) => response.setHeader("Set-Cookie", "app=1"),
  "Vary: X-User": (response) => response.setHeader("Vary", "X-User"),
  "Vary: *": (response) => response.setHeader("Vary", "*"),
};
/** Layers in front of a route that have their say late. */
const LATE_LAYERS: Readonly<Record<string, (response: ServerResponse, mark: () => void) => void>> = {
  "an end of its own that comes later": (response, mark) => {
    const end = response.end.bind(response);
    response.end = ((...args: unknown[]) => {
      setTimeout(() => {
        mark();
        Reflect.apply(end, undefined, args);
      }, 5);
      return response;
    }) as ServerResponse["end"];
  },
  "a write of its own": (response, mark) => {
    const write = response.write.bind(response);
    response.write = ((...args: unknown[]) => {
      mark();
      return Reflect.apply(write, undefined, args) as boolean;
    }) as ServerResponse["write"];
  },
  "a hook on writeHead": (response, mark) => {
    const writeHead = response.writeHead.bind(response);
    let isDone = false;
    response.writeHead = (...args: unknown[]) => {
      if (!isDone) mark();
      isDone = true;
      return Reflect.apply(writeHead, undefined, args) as ServerResponse;
    };
  },
};
const lateRows = Object.keys(MARKS).flatMap((mark) =>
  Object.keys(LATE_LAYERS).flatMap((layer) => ["renewal", "range"].map((first) => ({ mark, layer, first }))),
);
it.each(lateRows)("$mark, set late by $layer, counts in a run without a client: $first", async (row) => {
  const { cache, advance } = clocked();
  let visits = 0;
  let isMarked = row.first === "range";
  const route = nodeCache(cache)(STALE, (request, response) => {
    const page = `page of visit ${String(request.headers["x-visit"])}`;
    if (row.layer !== "a write of its own") return void response.end(page);
    response.write(page);
    response.end();
  });
  const url = await listening(
    createServer((request, response) => {
      request.headers["x-visit"] = String(++visits);
      LATE_LAYERS[row.layer]!(response, () => {
        if (isMarked && !response.headersSent) MARKS[row.mark]!(response);
      });
      void route(request, response);
    }),
  );

  if (row.first === "range") await send(url, { headers: { Range: "bytes=0-3" } });
  else {
    await send(url);
    advance(15);
    isMarked = true;
    await send(url);
  }
  await until(() => visits === (row.first === "range" ? 2 : 3));
  // The run without a client has ended by the time that two later ones have.
  await new Promise((resolve) => {
    setTimeout(resolve, 30);
  });
  advance(60);

  const pages = [(await send(url)).text, (await send(url)).text];
  expect(new Set(pages).size).toBe(2);
});

it("a handler that throws in a renewal is told, and ends nothing", async () => {
  for (const fails of [
    () => {
      throw new Error("thrown");
    },
    async () => {
      throw new Error("rejected");
    },
  ]) {
    const { cache, advance, errors } = clocked();
    let run = 0;
    const cached = nodeCache(cache)(STALE, (_request, response) => {
      run += 1;
      if (run > 1) return fails();
      response.end("v1");
      return undefined;
    });
    const url = await listening(createServer((request, response) => void cached(request, response)));
    await send(url);
    advance(15);

    expect((await send(url)).text).toBe("v1");
    await until(() => errors.length > 0);
    expect(errors).toEqual([run === 2 && fails.constructor.name === "AsyncFunction" ? "rejected" : "thrown"]);
    expect((await send(url)).text).toBe("v1");
  }
});

it("a renewal whose response breaks off is told, and ends nothing", async () => {
  const { cache, advance, errors } = clocked();
  let run = 0;
  const cached = nodeCache(cache)(STALE, (_request, response) => {
    run += 1;
    if (run === 1) return void response.end("v1");
    response.write("half");
    response.destroy(new Error("broken off"));
    return undefined;
  });
  const url = await listening(createServer((request, response) => void cached(request, response)));
  await send(url);
  advance(15);

  expect((await send(url)).text).toBe("v1");
  await until(() => errors.length > 0);
  expect((await send(url)).text).toBe("v1");
});

it("a handler into which a test injects requests is renewed", async () => {
  const { cache, advance } = clocked();
  let run = 0;
  const handler = nodeCache(cache)(STALE, (_request, response) => void response.end(`v${++run}`));
  const ask = async () => (await inject(handler, { url: "/" })).payload;

  expect(await ask()).toBe("v1");
  advance(15);
  expect(await ask()).toBe("v1");
  await until(() => run === 2);
  expect(await ask()).toBe("v2");
});

it("an app that is called without a server is renewed through the outermost app", async () => {
  const { cache, advance } = clocked();
  let run = 0;
  let renewals = 0;
  const app = express();
  app.use((request, _response, next) => {
    if (isRenewal(request)) renewals += 1;
    next();
  });
  const inner = express();
  inner.get("/a", expressCache(cache)(STALE), (_request, response) => void response.send(`v${++run}`));
  app.use("/in", inner);
  // The connection of a request that did not come from a server has none.
  const url = await listening(
    createServer((request, response) => {
      Object.defineProperty(request.socket, "server", { value: null });
      app(request, response);
    }),
  );

  expect((await send(`${url}/in/a`)).text).toBe("v1");
  advance(15);
  expect((await send(`${url}/in/a`)).text).toBe("v1");
  await until(() => run === 2);
  expect((await send(`${url}/in/a`)).text).toBe("v2");
  expect(renewals).toBe(1);
});

// Last: light-my-request makes what it injects the prototype of every later response.
it("an Express app into which a test injects requests: one reader waits for the renewal", async () => {
  const { cache, advance } = clocked();
  let run = 0;
  const app = express();
  app.get("/", expressCache(cache)(STALE), (_request, response) => void response.send(`v${++run}`));
  const ask = async () => (await inject(app, { url: "/" })).payload;

  expect(await ask()).toBe("v1");
  advance(15);
  expect(await ask()).toBe("v2");
});

function clocked(): { cache: Cache; advance: (seconds: number) => void; errors: string[] } {
  let nowMs = Date.UTC(2026, 2, 1);
  const cache = createCache({ now: () => nowMs });
  const errors: string[] = [];
  cache.events.on("revalidation-failed", ({ error }) => errors.push(error.message));
  return {
    cache,
    errors,
    advance: (seconds) => {
      nowMs += seconds * 1000;
    },
  };
}

async function listening(server: ReturnType<typeof createServer>): Promise<string> {
  server.listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
