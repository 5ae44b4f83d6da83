/** Express middleware that has its say when the head of a response is written, in front of cached() and behind it. */

import { Readable } from "node:stream";
import { gunzipSync } from "node:zlib";

import compression from "compression";
import cookieSession from "cookie-session";
import flash from "connect-flash";
import csurf from "csurf";
import express5, { type RequestHandler, type Response } from "express";
import express4 from "express4";
import session from "express-session";
import helmet from "helmet";
import responseTime from "response-time";
import { describe, expect, it } from "vitest";

import { expressCache } from "../../src/adapters/express/index.ts";
import { createCache } from "../../src/index.ts";
import { serveExpress } from "./contract/express-driver.ts";
import { linesOf, type Received } from "./contract/http-client.ts";
import { cacheStatusOf, hitOrMiss, onEachStore, untilStored } from "./contract/world.ts";

/** The ways a handler can answer. */
const WAYS: Readonly<Record<string, (response: Response, text: string) => unknown>> = {
  send: (response, text) => response.send(text),
  json: (response, text) => response.json({ text }),
  end: (response, text) => response.end(text),
  write: (response, text) => {
    response.write(text.slice(0, 1));
    return setTimeout(() => response.end(text.slice(1)), 1);
  },
  pipe: (response, text) => Readable.from([text]).pipe(response),
  flushHeaders: (response, text) => {
    response.flushHeaders();
    return response.end(text);
  },
  writeHead: (response, text) => response.writeHead(200, { "content-type": "text/plain" }).end(text),
  redirect: (response, text) => response.redirect(301, `/${text}`),
};

/** Sessions as applications have them. Each gives a cookie to a visitor whose session is written to. */
const SESSIONS: Readonly<Record<string, () => RequestHandler>> = {
  "express-session": () => session({ secret: "s", resave: false, saveUninitialized: false }),
  "cookie-session": () => cookieSession({ keys: ["k"] }),
};

type WithSession = express5.Request & { session: { visit?: number } };

describe.each([
  { name: "Express 5", express: express5 },
  { name: "Express 4", express: express4 },
])("$name", ({ express }) => {
  const serve = serveExpress.bind(undefined, express);

  onEachStore("node-redis", (kind) => {
    const combinations = Object.keys(SESSIONS).flatMap((name) =>
      ["in front", "behind"].flatMap((place) => Object.keys(WAYS).map((way) => ({ name, place, way }))),
    );
    it.each(combinations)("$name $place: a page that began a session goes to its visitor alone ($way)", async (row) => {
      let visits = 0;
      const { get, events } = await serve(kind, (app, cached) => {
        const sessions = SESSIONS[row.name]?.() as RequestHandler;
        for (const layer of row.place === "in front" ? [sessions, cached()] : [cached(), sessions]) app.use(layer);
        app.get("/", (request, response) => {
          visits += 1;
          (request as WithSession).session.visit = visits;
          WAYS[row.way]?.(response, `visit ${visits}`);
        });
      });

      const [first, second] = [await get("/"), await get("/")];

      expect(textOf(first)).toContain("visit 1");
      expect(textOf(second)).toContain("visit 2");
      for (const received of [first, second]) {
        expect(linesOf(received, "set-cookie").length).toBeGreaterThan(0);
        expect(received.headers["cache-control"] ?? "").not.toContain("max-age");
        expect(received.headers["expires"]).toBeUndefined();
      }
      expect(events.filter(({ type }) => type === "stored")).toEqual([]);
    });

    it("csurf: every visitor gets a token of their own, and it works", async () => {
      const world = await serve(kind, (app, cached) => {
        app.use(session({ secret: "s", resave: false, saveUninitialized: false }));
        app.use(express.urlencoded({ extended: false }));
        app.use(csurf() as RequestHandler);
        app.get("/form", cached("1m"), (request, response) => {
          response.send((request as unknown as { csrfToken(): string }).csrfToken());
        });
        app.post("/form", (_request, response) => void response.send("taken"));
      });

      const tokens = new Set<string>();
      for (let visitor = 0; visitor < 2; visitor++) {
        const form = await world.get("/form");
        tokens.add(form.text);
        const cookie = linesOf(form, "set-cookie")
          .map((line) => line.split(";", 1)[0])
          .join("; ");
        const posted = await world.send("/form", {
          method: "POST",
          headers: { Cookie: cookie, "Content-Type": "application/x-www-form-urlencoded" },
          body: `_csrf=${encodeURIComponent(form.text)}`,
        });
        expect([posted.status, posted.text]).toEqual([200, "taken"]);
      }
      expect(tokens.size).toBe(2);
    });

    it("connect-flash: a message is for the visitor who caused it", async () => {
      let visits = 0;
      const { get } = await serve(kind, (app, cached) => {
        app.use(cookieSession({ keys: ["k"] }), flash());
        app.get("/", cached("1m"), (request, response) => {
          const noting = request as unknown as { flash(kind: string, text?: string): string[] };
          noting.flash("info", `visit ${++visits}`);
          response.send(noting.flash("info").join());
        });
      });

      expect([(await get("/")).text, (await get("/")).text]).toEqual(["visit 1", "visit 2"]);
    });

    it("a session that is not written to keeps no page out of the store", async () => {
      const { get } = await serve(kind, (app, cached) => {
        app.use(session({ secret: "s", resave: false, saveUninitialized: false }));
        app.get("/", cached("1m"), (_request, response) => void response.send("page"));
      });

      expect([hitOrMiss(await get("/")), hitOrMiss(await get("/"))]).toEqual(["Miss", "Hit"]);
    });

    it("an outer Cache-Control that comes as the head is written counts, and is kept", async () => {
      let value = "private";
      const { get } = await serve(kind, (app, cached) => {
        app.use(atHead((response) => void response.setHeader("Cache-Control", value)));
        app.get("/", cached("1m"), (_request, response) => void response.send("page"));
      });

      for (const [directive, detail] of [
        ["private", "private"],
        ["no-store", "no-store"],
        ["no-cache", "no-cache"],
      ] as const) {
        value = directive;
        for (let round = 0; round < 2; round++) {
          const received = await get("/");
          expect(received.headers["cache-control"]).toBe(directive);
          expect(cacheStatusOf(received)).toBe(`reprise; fwd=uri-miss; fwd-status=200; detail=${detail}`);
        }
      }
      value = "max-age=7";
      expect((await get("/")).headers["cache-control"]).toBe("max-age=7");
      const hit = await get("/");
      expect([hitOrMiss(hit), hit.headers["cache-control"]]).toEqual(["Hit", "max-age=7"]);
    });

    it("an outer cookie that comes as the head of a hit is written takes its freshness away", async () => {
      let sets = false;
      const { get } = await serve(kind, (app, cached) => {
        app.use(atHead((response) => (sets ? void response.append("Set-Cookie", "late=1") : undefined)));
        app.get("/", cached({ expire: "1m", cdn: "1m" }), (_request, response) => void response.send("page"));
      });
      await get("/");
      sets = true;

      const hit = await get("/");

      expect(hitOrMiss(hit)).toBe("Hit");
      expect(linesOf(hit, "set-cookie")).toEqual(["late=1"]);
      for (const name of ["cache-control", "expires", "cdn-cache-control"]) expect(hit.headers[name]).toBeUndefined();
    });

    it("an outer session that sets its cookie where the response ends keeps the page out of the store", async () => {
      const { get } = await serve(kind, (app, cached) => {
        app.use((_request, response, next) => {
          // oxlint-disable-next-line typescript/unbound-method
          const { end } = response;
          response.end = function later(this: Response, ...args: unknown[]) {
            setTimeout(() => {
              this.append("Set-Cookie", "late=1");
              Reflect.apply(end, this, args);
            }, 2);
            return this;
          } as typeof end;
          next();
        });
        app.get("/", cached("1m"), (_request, response) => void response.send("page"));
      });

      for (let round = 0; round < 2; round++) {
        const received = await get("/");
        expect([received.text, hitOrMiss(received)]).toEqual(["page", "Miss"]);
        expect(linesOf(received, "set-cookie")).toEqual(["late=1"]);
      }
    });

    it("an outer layer that makes a response private where it ends keeps it out of the store", async () => {
      const { get } = await serve(kind, (app, cached) => {
        app.use((_request, response, next) => {
          // oxlint-disable-next-line typescript/unbound-method
          const { end } = response;
          response.end = function closing(this: Response, ...args: unknown[]) {
            if (!this.headersSent) this.setHeader("Cache-Control", "private");
            return Reflect.apply(end, this, args) as Response;
          } as typeof end;
          next();
        });
        app.get("/", cached("1m"), (request, response) => void response.send(`page of ${request.get("x-user")}`));
      });

      for (const user of ["ann", "bob"]) {
        const received = await get("/", { "X-User": user });
        expect([received.text, received.headers["cache-control"]]).toEqual([`page of ${user}`, "private"]);
      }
    });

    it("an outer layer that sets a field where the response ends does so on hits as well", async () => {
      const { get } = await serve(kind, (app, cached) => {
        app.disable("x-powered-by");
        app.use((_request, response, next) => {
          // oxlint-disable-next-line typescript/unbound-method
          const { end } = response;
          response.end = function timed(this: Response, ...args: unknown[]) {
            this.setHeader("X-Time", "1");
            return Reflect.apply(end, this, args) as Response;
          } as typeof end;
          next();
        });
        app.get("/", cached("1m"), (_request, response) => void response.send("page"));
      });

      for (const outcome of ["Miss", "Hit", "Hit"]) {
        const received = await get("/");
        expect([received.text, received.headers["x-time"], hitOrMiss(received)]).toEqual(["page", "1", outcome]);
      }
    });

    it("a Vary that middleware in front sets counts, but for CORS and compression", async () => {
      const { get } = await serve(kind, (app, cached) => {
        app.use((request, response, next) => {
          response.vary("Accept-Language").vary("Origin");
          response.locals["language"] = request.acceptsLanguages(["en", "de"]);
          next();
        });
        app.get("/", cached("1m"), (_request, response) => void response.send(String(response.locals["language"])));
        app.get("/any", (_request, response, next) => {
          response.set("Vary", "*");
          next();
        });
        app.get("/any", cached("1m"), (_request, response) => void response.send("any"));
      });

      for (const outcome of ["Miss", "Hit"]) {
        for (const language of ["en", "de"]) {
          const received = await get("/", { "Accept-Language": language });
          expect([received.text, hitOrMiss(received)]).toEqual([language, outcome]);
        }
      }
      expect(hitOrMiss(await get("/", { "Accept-Language": "en", Origin: "https://a.example" }))).toBe("Hit");
      await get("/any");
      expect(cacheStatusOf(await get("/any"))).toContain("detail=vary-any");
    });

    it("helmet and response-time: their fields are those of each response, and what a handler removed stays away", async () => {
      const { get } = await serve(kind, (app, cached) => {
        app.use(helmet({ contentSecurityPolicy: false }), responseTime());
        app.get("/", cached("1m"), (_request, response) => {
          response.removeHeader("X-Frame-Options");
          response.setHeader("X-DNS-Prefetch-Control", "on");
          response.send("page");
        });
      });

      for (const outcome of ["Miss", "Hit", "Hit"]) {
        const received = await get("/");
        expect(hitOrMiss(received)).toBe(outcome);
        expect(received.headers["x-frame-options"]).toBeUndefined();
        expect(linesOf(received, "x-dns-prefetch-control")).toEqual(["on"]);
        expect(linesOf(received, "x-content-type-options")).toEqual(["nosniff"]);
        expect(received.headers["x-response-time"]).toMatch(/^[\d.]+ms$/);
      }
    });

    it.each(["in front", "behind"])(
      "compression %s, beside a session: bodies are whole on misses and hits",
      async (place) => {
        const page = "page ".repeat(1000);
        const { get } = await serve(kind, (app, cached) => {
          app.use(session({ secret: "s", resave: false, saveUninitialized: false }));
          const layers = place === "in front" ? [compression(), cached("1m")] : [cached("1m"), compression()];
          for (const layer of layers) app.use(layer);
          app.get("/", (_request, response) => void response.type("text").send(page));
          app.get("/streamed", (_request, response) => {
            response.type("text");
            Readable.from([page, page]).pipe(response);
          });
        });
        for (const [path, text] of [
          ["/", page],
          ["/streamed", page + page],
        ] as const) {
          for (const outcome of ["Miss", "Hit", "Hit"]) {
            const packed = await get(path, { "Accept-Encoding": "gzip" });
            expect([hitOrMiss(packed), packed.headers["content-encoding"]]).toEqual([outcome, "gzip"]);
            expect(gunzip(packed)).toBe(text);
            expect(packed.headers["vary"]).toContain("Accept-Encoding");
          }
          const plain = await get(path);
          expect([plain.text, plain.headers["content-encoding"]]).toEqual([text, undefined]);
        }
      },
    );

    it("two caches, one behind the other, both store", async () => {
      let run = 0;
      const second = createCache();
      const world = await serve(kind, (app, cached) => {
        app.use(cached("1m"), responseTime(), expressCache(second)("1h"));
        app.get("/", (_request, response) => void response.send(`run ${++run}`));
      });
      for (const outcome of ["Miss", "Hit", "Hit"]) {
        const received = await world.get("/");
        expect([received.text, hitOrMiss(received)]).toEqual(["run 1", outcome]);
      }
      await untilStored(world, 1);
      await world.cache.purge("all");
      const again = await world.get("/");
      expect(again.text).toBe("run 1");
      expect(cacheStatusOf(again)).toBe("reprise; hit; ttl=3600, reprise; fwd=uri-miss; fwd-status=200; stored");
      await second.close();
    });
  });
});

/** A hook on `writeHead`, as session middleware has it. */
function atHead(act: (response: Response) => void): RequestHandler {
  return (_request, response, next) => {
    // oxlint-disable-next-line typescript/unbound-method
    const { writeHead } = response;
    response.writeHead = function hooked(this: Response, ...head: unknown[]) {
      act(response);
      return Reflect.apply(writeHead, this, head) as Response;
    } as typeof writeHead;
    next();
  };
}

function textOf({ text, headers }: Received): string {
  return decodeURIComponent(`${text} ${headers.location ?? ""}`);
}

function gunzip({ body }: Received): string {
  return gunzipSync(body).toString();
}
