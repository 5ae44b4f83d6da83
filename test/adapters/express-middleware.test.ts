/** Caching among the middleware of Express: what stands in front of it, behind it and around it. */

import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";

import compression from "compression";
import express5, { type RequestHandler, type Response } from "express";
import express4 from "express4";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";

import { serveExpress } from "./contract/express-driver.ts";
import { linesOf } from "./contract/http-client.ts";
import { cacheStatusOf, hitOrMiss, onEachStore, untilStored } from "./contract/world.ts";

describe.each([
  { name: "Express 5", express: express5 },
  { name: "Express 4", express: express4 },
])("$name", ({ express }) => {
  let directory = "";
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "reprise-static-"));
    writeFileSync(join(directory, "file.txt"), "0123456789");
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  const serve = serveExpress.bind(undefined, express);

  onEachStore("ioredis", (kind) => {
    it("headers of outer middleware are those of this request, on a hit as on a miss", async () => {
      const { get } = await serve(kind, (app, cached) => {
        app.use((_request, response, next) => {
          response.set("X-Request-Id", randomUUID());
          response.set("X-Frame-Options", "DENY");
          next();
        });
        app.get("/", cached(), (_request, response) => void response.json({ id: response.get("X-Request-Id") }));
      });

      const received = [await get("/"), await get("/"), await get("/")];

      expect(received.map(hitOrMiss)).toEqual(["Miss", "Hit", "Hit"]);
      const ids = received.map(({ headers }) => headers["x-request-id"]);
      expect(new Set(ids).size).toBe(3);
      for (const one of received) expect(one.headers["x-frame-options"]).toBe("DENY");
    });

    it("harmless cookies that cookie-parser has read in front of the cache are hidden from the handler", async () => {
      const { get, advance, events } = await serve(kind, (app, cached) => {
        app.use((request, _response, next) => {
          const parsed = Object.create(null) as Record<string, string>;
          for (const pair of (request.headers.cookie ?? "").split("; ")) parsed[pair.split("=")[0] ?? ""] = pair;
          request.cookies = parsed;
          request.signedCookies = { ...parsed };
          next();
        });
        const handler: RequestHandler = (request, response) =>
          void response.json([request.cookies, request.signedCookies, request.headers.cookie ?? null]);
        app.get("/", cached({ expire: 60, staleWhileRevalidate: 60 }), handler);
        app.get("/mine", cached({ audience: () => 7 }), handler);
      });

      expect(JSON.parse((await get("/", { Cookie: "_ga=1" })).text)).toEqual([{}, {}, null]);
      advance(70);
      await get("/", { Cookie: "_ga=2" });
      await vi.waitFor(() => expect(events.filter(({ type }) => type === "stored").length).toBeGreaterThan(1));
      expect(JSON.parse((await get("/")).text)).toEqual([{}, {}, null]);
      const seen = { _ga: "_ga=1" };
      expect(JSON.parse((await get("/mine", { Cookie: "_ga=1" })).text)).toEqual([seen, seen, "_ga=1"]);
      expect(JSON.parse((await get("/", { Cookie: "_ga=1", Authorization: "a" })).text)).toEqual([seen, seen, "_ga=1"]);
    });

    it("Vary for an identity stays beside what a handler sets by writeHead, set or vary", async () => {
      const { get } = await serve(kind, (app, cached) => {
        const forms: Record<string, (response: Response) => unknown> = {
          set: (response) => response.set("Vary", "Origin"),
          vary: (response) => response.vary("Origin"),
          object: (response) => response.writeHead(200, { VARY: "Origin" }),
          reason: (response) => response.writeHead(200, "Fine", { vary: "Origin" }),
          flat: (response) => response.writeHead(200, ["Vary", "Origin", "X-A", "Vary"]),
          flushed: (response) => response.set("Vary", "Origin").flushHeaders(),
          any: (response) => response.set("Vary", "*"),
        };
        app.get("/:form", cached(), (request, response) => {
          forms[String(request.params.form)]?.(response);
          response.end("page");
        });
      });

      for (const form of ["set", "vary", "object", "reason", "flat", "flushed", "any"]) {
        const expected = form === "any" ? "*" : "Origin, Cookie, Authorization";
        for (const headers of [{ Cookie: "sid=1" }, { "Cache-Control": "no-store" }, { "If-Match": '"a"' }, {}, {}]) {
          const received = await get(`/${form}`, headers);
          expect(received.headers["vary"], form).toBe(expected);
          if (form === "flat") expect(received.headers["x-a"]).toBe("Vary");
        }
      }
    });

    it("a cookie of an outer session is set for its own client and never stored", async () => {
      let visitors = 0;
      const { get } = await serve(kind, (app, cached) => {
        app.use((_request, response, next) => {
          response.cookie("visitor", `v${++visitors}`);
          next();
        });
        app.get("/", cached(), (_request, response) => void response.send("page"));
      });

      for (const [at, outcome] of ["Miss", "Hit", "Hit"].entries()) {
        const received = await get("/");
        expect(hitOrMiss(received)).toBe(outcome);
        expect(linesOf(received, "set-cookie")).toEqual([`visitor=v${at + 1}; Path=/`]);
      }
    });

    it("a response whose cookie an outer session sets as the head is written is not stored", async () => {
      let visitors = 0;
      const { get } = await serve(kind, (app, cached) => {
        app.use(atHead((response) => void response.append("Set-Cookie", `visitor=v${++visitors}`)));
        app.get("/", cached(), (_request, response) => void response.send("page"));
        app.get("/streamed", cached(), (_request, response) => {
          response.write("pa");
          setTimeout(() => response.end("ge"), 2);
        });
      });

      for (const path of ["/", "/streamed"]) {
        for (let round = 0; round < 3; round++) {
          const received = await get(path);
          expect(received.text).toBe("page");
          expect(cacheStatusOf(received)).toBe("reprise; fwd=uri-miss; fwd-status=200; detail=set-cookie");
          expect(received.headers["cache-control"]).toBeUndefined();
          expect(linesOf(received, "set-cookie")).toEqual([`visitor=v${visitors}`]);
        }
      }
      expect(visitors).toBe(6);
    });

    it("a cookie that inner middleware sets keeps the response out of the store", async () => {
      const { get } = await serve(kind, (app, cached) => {
        const login: RequestHandler = (_request, response, next) => {
          response.cookie("login", "a");
          next();
        };
        app.get("/", cached(), login, (_request, response) => void response.send("page"));
      });

      for (let round = 0; round < 2; round++) {
        expect(cacheStatusOf(await get("/"))).toBe("reprise; fwd=uri-miss; fwd-status=200; detail=set-cookie");
      }
    });

    it("CORS by outer middleware: each origin has its own answer and Vary names Origin", async () => {
      const { get } = await serve(kind, (app, cached) => {
        app.use((request, response, next) => {
          response.set("Access-Control-Allow-Origin", request.get("origin") ?? "null");
          response.vary("Origin");
          next();
        });
        app.get("/", cached({ vary: ["accept-language"] }), (_request, response) => void response.json({ a: 1 }));
      });

      for (const [origin, outcome] of [
        ["https://a.example", "Miss"],
        ["https://b.example", "Hit"],
        ["https://a.example", "Hit"],
      ] as const) {
        const received = await get("/", { Origin: origin });
        expect(hitOrMiss(received)).toBe(outcome);
        expect(received.headers["access-control-allow-origin"]).toBe(origin);
        expect(linesOf(received, "vary").join(", ").toLowerCase()).toBe(
          "origin, accept-language, cookie, authorization",
        );
      }
    });

    it("an outer Cache-Control: no-store is meant for the route too", async () => {
      const { get } = await serve(kind, (app, cached) => {
        app.use((_request, response, next) => {
          response.set("Cache-Control", "no-store");
          next();
        });
        app.get("/", cached(), (_request, response) => void response.send("page"));
      });

      for (let round = 0; round < 2; round++) {
        const received = await get("/");
        expect(cacheStatusOf(received)).toContain("detail=no-store");
        expect(received.headers["cache-control"]).toBe("no-store");
      }
    });

    it("compression() in front: each client gets what it can read, and the store keeps the plain body", async () => {
      const text = "compress me ".repeat(500);
      let runs = 0;
      const { get } = await serve(kind, (app, cached) => {
        app.use(compression({ threshold: 0 }));
        app.get("/", cached(), (_request, response) => {
          runs++;
          response.type("text").send(text);
        });
      });

      for (let round = 0; round < 2; round++) {
        const gzip = await get("/", { "Accept-Encoding": "gzip" });
        expect(gzip.headers["content-encoding"]).toBe("gzip");
        expect(gunzipSync(gzip.body).toString()).toBe(text);
        const plain = await get("/");
        expect(plain.headers["content-encoding"]).toBeUndefined();
        expect([plain.text, plain.headers["content-length"]]).toEqual([text, String(text.length)]);
        expect(gzip.headers.vary?.toLowerCase()).toContain("accept-encoding");
      }
      expect(runs).toBe(1);
    });

    it("compression() behind: each coding is a variant of its own", async () => {
      const text = "compress me ".repeat(500);
      let runs = 0;
      const { get } = await serve(kind, (app, cached) => {
        app.get("/", cached(), compression({ threshold: 0 }), (_request, response) => {
          runs++;
          response.type("text").send(text);
        });
      });

      for (const outcome of ["Miss", "Hit"]) {
        const gzip = await get("/", { "Accept-Encoding": "gzip" });
        expect([gzip.headers["content-encoding"], hitOrMiss(gzip)]).toEqual(["gzip", outcome]);
        expect(gunzipSync(gzip.body).toString()).toBe(text);
        const plain = await get("/");
        expect([plain.headers["content-encoding"], plain.text, hitOrMiss(plain)]).toEqual([undefined, text, outcome]);
        if (outcome === "Hit") expect(plain.headers.etag).not.toBe(gzip.headers.etag);
      }
      expect(runs).toBe(2);
    });

    it("the weak tag Express makes gives way to a strong one; a tag of the handler stays", async () => {
      const { get } = await serve(kind, (app, cached) => {
        app.get("/made", cached(), (_request, response) => void response.json({ a: 1 }));
        app.get("/own", cached(), (_request, response) => void response.set("ETag", 'W/"mine"').json({ a: 1 }));
      });

      for (const outcome of ["Miss", "Hit"]) {
        const made = await get("/made");
        expect([made.headers.etag?.startsWith('"'), hitOrMiss(made)]).toEqual([true, outcome]);
        expect((await get("/own")).headers.etag).toBe('W/"mine"');
      }
    });

    it("errors: next(error), a throw and a late next(error) are the error handler's, and are not stored", async () => {
      let isBroken = true;
      const { get } = await serve(kind, (app, cached) => {
        app.get("/next", cached(), (_request, response, next) =>
          isBroken ? next(new Error("n")) : void response.send("ok"),
        );
        app.get("/throw", cached(), (_request, response) => {
          if (isBroken) throw new Error("t");
          response.send("ok");
        });
        app.get("/later", cached(), (_request, response, next) => {
          setTimeout(() => (isBroken ? next(new Error("l")) : void response.send("ok")), 2);
        });
        const onError: express5.ErrorRequestHandler = (error, _request, response, _next) => {
          response.status(500).send(`handled ${(error as Error).message}`);
        };
        app.use(onError);
      });

      for (const path of ["/next", "/throw", "/later"]) {
        const broken = await get(path);
        expect([broken.status, broken.text]).toEqual([500, `handled ${path.charAt(1)}`]);
        expect(cacheStatusOf(broken)).toBe("reprise; fwd=uri-miss; fwd-status=500; detail=status");
      }
      isBroken = false;
      for (const path of ["/next", "/throw", "/later"]) {
        expect((await get(path)).text).toBe("ok");
        expect(hitOrMiss(await get(path))).toBe("Hit");
      }
    });

    it("express.static behind: a range of the first client is answered, and the whole is stored", async () => {
      const world = await serve(kind, (app, cached) => {
        app.use("/files", cached("1h"), express.static(directory));
      });
      const { get } = world;

      const miss = await get("/files/file.txt", { Range: "bytes=2-4", "If-None-Match": '"other"' });
      expect([miss.status, miss.text, hitOrMiss(miss)]).toEqual([206, "234", "Miss"]);
      await untilStored(world, 1);
      const hit = await get("/files/file.txt");
      expect([hit.text, hitOrMiss(hit)]).toEqual(["0123456789", "Hit"]);
      expect(hit.headers["last-modified"]).toBe(miss.headers["last-modified"]);
      expect(hit.headers["content-type"]).toMatch(/^text\/plain/);
      expect((await get("/files/file.txt", { "If-None-Match": hit.headers.etag ?? "" })).status).toBe(304);
      expect((await get("/files/file.txt", { "If-Modified-Since": hit.headers["last-modified"] ?? "" })).status).toBe(
        304,
      );
      expect((await get("/files/none.txt")).status).toBe(404);
      expect(hitOrMiss(await get("/files/none.txt"))).toBe("Miss");
    });

    it("res.sendFile and res.download answer ranges, and the whole is stored", async () => {
      const world = await serve(kind, (app, cached) => {
        app.get("/send", cached(), (_request, response) => response.sendFile(join(directory, "file.txt")));
        app.get("/download", cached(), (_request, response) => response.download(join(directory, "file.txt")));
      });
      const { get } = world;

      for (const [at, path] of ["/send", "/download"].entries()) {
        const part = await get(path, { Range: "bytes=0-1" });
        expect([part.status, part.text]).toEqual([206, "01"]);
        await untilStored(world, at + 1);
        const hit = await get(path);
        expect([hit.text, hitOrMiss(hit)]).toEqual(["0123456789", "Hit"]);
      }
      expect((await get("/download")).headers["content-disposition"]).toContain("file.txt");
    });

    it("res.redirect: 302, 303 and 307 are not stored, 301 is", async () => {
      const { get } = await serve(kind, (app, cached) => {
        for (const status of [301, 302, 303, 307]) {
          app.get(`/${status}`, cached(), (_request, response) => response.redirect(status, "/login"));
        }
      });

      for (const status of [301, 302, 303, 307]) {
        await get(`/${status}`);
        const again = await get(`/${status}`);
        expect([again.status, again.headers.location]).toEqual([status, "/login"]);
        expect(hitOrMiss(again)).toBe(status === 301 ? "Hit" : "Miss");
      }
    });

    it("res.format: each type is a variant", async () => {
      const { get } = await serve(kind, (app, cached) => {
        app.get("/", cached(), (_request, response) => {
          response.format({ json: () => response.json({ a: 1 }), html: () => response.send("<p>a") });
        });
      });

      for (const outcome of ["Miss", "Hit"]) {
        const json = await get("/", { Accept: "application/json" });
        expect([json.text, hitOrMiss(json)]).toEqual(['{"a":1}', outcome]);
        const html = await get("/", { Accept: "text/html" });
        expect([html.text, hitOrMiss(html)]).toEqual(["<p>a", outcome]);
      }
    });

    it("routers: the whole path is in the key, and params reach callbacks and handlers", async () => {
      const { get } = await serve(kind, (app, cached) => {
        for (const mount of ["/v1", "/v2"]) {
          const router = express.Router();
          router.get(
            "/users/:id",
            cached({ query: ["lang"], key: (request) => request.params["id"] }),
            (request, response) => {
              response.json({ mount, url: request.url, baseUrl: request.baseUrl, id: request.params["id"] });
            },
          );
          app.use(mount, router);
        }
      });

      for (const outcome of ["Miss", "Hit"]) {
        for (const mount of ["/v1", "/v2"]) {
          const received = await get(`${mount}/users/7?lang=en&utm=1`);
          expect(JSON.parse(received.text)).toEqual({ mount, url: "/users/7?lang=en", baseUrl: mount, id: "7" });
          expect(hitOrMiss(received)).toBe(outcome);
        }
      }
    });

    it("a route nobody answers is Express's 404, and is not stored", async () => {
      const { get } = await serve(kind, (app, cached) => void app.use(cached()));

      for (let round = 0; round < 2; round++) {
        const received = await get("/nowhere");
        expect([received.status, hitOrMiss(received)]).toEqual([404, "Miss"]);
      }
    });
  });
});

/** Calls `then` when the head is about to be written, as session middleware does. */
function atHead(then: (response: Response) => void): RequestHandler {
  return (_request, response, next) => {
    const writeHead = response.writeHead.bind(response);
    response.writeHead = function atLast(this: Response, ...given: unknown[]) {
      then(this);
      return writeHead(...(given as Parameters<typeof writeHead>));
    } as typeof writeHead;
    next();
  };
}
