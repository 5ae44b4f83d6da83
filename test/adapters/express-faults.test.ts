/** Layers in front of a cached route that throw or change their mind while the response leaves, and handlers that fail. */

import csurf from "csurf";
import express5, { type NextFunction, type Request, type RequestHandler, type Response } from "express";
import express4 from "express4";
import session from "express-session";
import { describe, expect, inject, it } from "vitest";

import { expressCache } from "../../src/adapters/express/index.ts";
import { createCache } from "../../src/index.ts";
import { redisStore } from "../../src/stores/redis/index.ts";
import { ownPrefix } from "../redis/store.ts";
import { watchUnhandled } from "../redis/unhandled.ts";
import { send } from "./contract/http-client.ts";
import { listen } from "./contract/listen.ts";
import { cacheStatusOf, hitOrMiss } from "./contract/world.ts";

type Express = typeof express5;
type Act = (response: Response) => void;

/** Where a layer in front does something while the response leaves. */
const PLACES: Readonly<Record<string, (response: Response, act: () => void) => void>> = {
  "a hook on writeHead": (response, act) => {
    const writeHead = response.writeHead.bind(response);
    let isDone = false;
    response.writeHead = (...args: unknown[]) => {
      if (!isDone) {
        isDone = true;
        // As the package on-headers does it.
        response.statusCode = args[0] as number;
        act();
        args[0] = response.statusCode;
      }
      return Reflect.apply(writeHead, undefined, args) as Response;
    };
  },
  "a write of its own": (response, act) => {
    const write = response.write.bind(response);
    response.write = (...args: unknown[]) => {
      act();
      return Reflect.apply(write, undefined, args) as boolean;
    };
  },
  "an end of its own": (response, act) => {
    const end = response.end.bind(response);
    response.end = (...args: unknown[]) => {
      act();
      return Reflect.apply(end, undefined, args) as Response;
    };
  },
};

const HANDLERS: Readonly<Record<string, Act>> = {
  send: (response) => void response.send("page"),
  "write and end": (response) => {
    response.write("pa");
    response.end("ge");
  },
};

/** Status and text of an answer, or that the connection was cut. */
async function ask(url: string, headers: Record<string, string> = {}): Promise<readonly [number, string] | "cut"> {
  try {
    const { status, text } = await send(url, { headers });
    return [status, text];
  } catch {
    return "cut";
  }
}

async function serve(express: Express, layer: RequestHandler, handler: RequestHandler) {
  const app = express().set("env", "test");
  app.use(layer);
  app.get("/plain", handler);
  app.get("/cached", expressCache(createCache())({ expire: "5m", cdn: "1m" }), handler);
  app.use((error: Error, _request: Request, response: Response, next: NextFunction) => {
    if (response.headersSent) return next(error);
    return response.status(500).send(`failed: ${error.message}`);
  });
  return listen(app);
}

describe.each([
  { name: "Express 5", express: express5 },
  { name: "Express 4", express: express4 },
])("$name", ({ express }) => {
  const rows = Object.keys(PLACES).flatMap((place) => Object.keys(HANDLERS).map((way) => ({ place, way })));

  it.each(rows)("$place that throws for one client, answered by $way: as without the cache", async ({ place, way }) => {
    const served = await serve(
      express,
      (request, response, next) => {
        const isBad = request.headers["x-bad"] !== undefined;
        PLACES[place]!(response, () => {
          if (isBad && response.statusCode === 200) throw new Error("layer");
        });
        next();
      },
      (_request, response) => HANDLERS[way]!(response),
    );
    const bad = { "X-Bad": "1" };
    expect(await ask(`${served.url}/cached`, bad)).toEqual(await ask(`${served.url}/plain`, bad));
    expect(await ask(`${served.url}/cached`)).toEqual([200, "page"]);
    expect(await ask(`${served.url}/cached`)).toEqual([200, "page"]);
    await served.close();
  });

  it.each(["If-Modified-Since", "If-None-Match"])(
    "a handler that fails in the middle, for a client with %s: the connection is cut, and nothing is kept",
    async (condition) => {
      let fails = true;
      const served = await serve(
        express,
        (_request, _response, next) => next(),
        (_request, response, next) => {
          response.set({ ETag: '"v"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT" });
          response.write("row 1 ");
          setTimeout(() => (fails ? next(new Error("lost")) : void response.end("row 2")), 5);
        },
      );
      const value = condition === "If-None-Match" ? '"v"' : "Fri, 02 Jan 2026 00:00:00 GMT";
      expect(await ask(`${served.url}/plain`, { [condition]: value })).toBe("cut");
      expect(await ask(`${served.url}/cached`, { [condition]: value })).toBe("cut");
      fails = false;
      expect(await ask(`${served.url}/cached`)).toEqual([200, "row 1 row 2"]);
      await served.close();
    },
  );

  it.each(["a hook on writeHead", "an end of its own"])(
    "%s that denies: nothing of the page is promised",
    async (place) => {
      const served = await serve(
        express,
        (request, response, next) => {
          PLACES[place]!(response, () => {
            if (request.headers["x-deny"] !== undefined) response.statusCode = 403;
          });
          next();
        },
        (_request, response) => void response.send("page"),
      );
      for (const isStored of [false, true]) {
        if (isStored) await send(`${served.url}/cached`);
        const { status, headers } = await send(`${served.url}/cached`, { headers: { "X-Deny": "1" } });
        expect(status).toBe(403);
        for (const name of ["cache-control", "expires", "cdn-cache-control", "etag"])
          expect([name, headers[name]]).toEqual([name, undefined]);
        if (!isStored) expect(hitOrMiss(await send(`${served.url}/cached`)), "not kept").toBe("Miss");
      }
      await served.close();
    },
  );

  it("the answer to an error of a layer has the fields that were set behind the cached route", async () => {
    const app = express().set("env", "test");
    app.use((_request, response, next) => {
      PLACES["a hook on writeHead"]!(response, () => {
        throw new Error("layer");
      });
      next();
    });
    const fields: RequestHandler = (_request, response, next) => {
      response.set("X-Behind", "1").cookie("a", "1");
      next();
    };
    const page: RequestHandler = (_request, response) => void response.send("page");
    app.get("/plain", fields, page);
    app.get("/cached", expressCache(createCache())("5m"), fields, page);
    app.use((_error: Error, _request: Request, response: Response, _next: NextFunction) => {
      response.status(500).send("failed");
    });
    const served = await listen(app);
    for (const path of ["/plain", "/cached"]) {
      const { status, headers } = await send(served.url + path);
      expect([path, status, headers["x-behind"], headers["set-cookie"]]).toEqual([path, 500, "1", ["a=1; Path=/"]]);
    }
    await served.close();
  });

  it.each(["in front of a route", "of a route", "of a router"])(
    "what an end in front throws once a purge of cached.purges() %s is acknowledged goes to the error handler",
    async (place) => {
      const expectNoneUnhandled = watchUnhandled();
      const app = express().set("env", "test");
      let throws = true;
      app.use((_request, response, next) => {
        PLACES["an end of its own"]!(response, () => {
          if (throws && response.statusCode === 200) throw new Error("layer");
        });
        next();
      });
      const cache = createCache({ store: redisStore({ url: inject("redisUrl") }), prefix: ownPrefix() });
      await cache.ready();
      const purges = expressCache(cache).purges();
      const write: RequestHandler = (_request, response) => void response.set("X-Behind", "1").send("written");
      const answerError = (error: Error, _request: Request, response: Response, _next: NextFunction): void =>
        void response.status(500).send(`${place}: ${error.message}`);
      const router = express.Router();
      router.post("/", write);
      // With its own error handler.
      router.use(answerError);
      if (place === "in front of a route") app.use("/cached", purges).post("/cached", write);
      if (place === "of a route") app.post("/cached", purges, write);
      if (place === "of a router") app.use("/cached", purges, router);
      app.post("/plain", write);
      app.use(answerError);
      const served = await listen(app);
      const post = async (path: string): Promise<unknown> => {
        const { status, text, headers } = await send(served.url + path, { method: "POST" });
        return [status, text, headers["x-behind"]];
      };
      expect(await post("/cached")).toEqual(await post("/plain"));
      throws = false;
      expect(await post("/cached")).toEqual([200, "written", "1"]);
      await served.close();
      await cache.close();
      await expectNoneUnhandled();
    },
  );

  it("code that looks whether a request has csrfToken sees what is there", async () => {
    const seen: unknown[] = [];
    const served = await serve(
      express,
      (_request, _response, next) => next(),
      (request, response) => {
        seen.push("csrfToken" in request, Object.keys(request).includes("csrfToken"));
        response.send("page");
      },
    );
    await ask(`${served.url}/cached`);
    expect(seen).toEqual([false, false]);
    await served.close();
  });

  it.each(["a getter", "a fixed value"])("a csrfToken that is %s counts as asked for", async (kind) => {
    const served = await serve(
      express,
      (request, _response, next) => {
        const token = (): string => "token";
        Object.defineProperty(request, "csrfToken", kind === "a getter" ? { get: () => token } : { value: token });
        next();
      },
      (request, response) => void response.send((request as unknown as { csrfToken(): string }).csrfToken()),
    );
    const received = await send(`${served.url}/cached`);
    expect([received.text, cacheStatusOf(received)]).toEqual(["token", expect.stringContaining("detail=csrf-token")]);
    await served.close();
  });

  const MARKS: Readonly<Record<string, Act>> = {
    "a cookie": (response) => void response.setHeader("Set-Cookie", "sid=bob"),
    private: (response) => void response.setHeader("Cache-Control", "private"),
    "another status": (response) => void response.status(403),
  };
  it.each(Object.keys(MARKS))("%s that an end in front sets: no freshness leaves beside it", async (mark) => {
    const served = await serve(
      express,
      (request, response, next) => {
        PLACES["an end of its own"]!(response, () => {
          if (request.headers["x-mark"] !== undefined) MARKS[mark]!(response);
        });
        next();
      },
      (_request, response) => void response.send("page"),
    );
    for (const isStored of [false, true]) {
      if (isStored) await send(`${served.url}/cached`);
      const { status, headers } = await send(`${served.url}/cached`, { headers: { "X-Mark": "1" } });
      expect(status).toBe(mark === "another status" ? 403 : 200);
      expect([headers["expires"], headers["cdn-cache-control"]]).toEqual([undefined, undefined]);
      expect(headers["cache-control"] ?? "").not.toContain("max-age");
      if (!isStored) expect(hitOrMiss(await send(`${served.url}/cached`)), "not kept").toBe("Miss");
    }
    const plain = await send(`${served.url}/cached`);
    expect([plain.headers["cache-control"], plain.headers["cdn-cache-control"]]).toEqual(["max-age=300", "max-age=60"]);
    await served.close();
  });

  it("an end in front is given what handlers give: a text or a Buffer", async () => {
    const served = await serve(
      express,
      (_request, response, next) => {
        const end = response.end.bind(response);
        response.end = ((chunk: Buffer, ...rest: unknown[]) =>
          Reflect.apply(end, undefined, [chunk.toString("utf8").toUpperCase(), ...rest])) as Response["end"];
        next();
      },
      (_request, response) => void response.type("text").end("page"),
    );
    for (const path of ["/plain", "/cached", "/cached"]) expect(await ask(served.url + path)).toEqual([200, "PAGE"]);
    await served.close();
  });

  it("csurf behind the cached route: a page with a token is not kept", async () => {
    const app = express().set("env", "test");
    app.use(session({ secret: "s", resave: false, saveUninitialized: true }));
    const cached = expressCache(createCache())({ expire: "1m", audience: () => "ann" });
    app.get("/", cached, csurf() as RequestHandler, (request, response) => {
      response.send((request as unknown as { csrfToken(): string }).csrfToken());
    });
    const served = await listen(app);
    const pages = [await send(served.url), await send(served.url)];
    for (const page of pages) expect(cacheStatusOf(page)).toMatch(/detail=(?:csrf-token|set-cookie)/);
    expect(pages[0]!.text).not.toBe(pages[1]!.text);
    await served.close();
  });
});
