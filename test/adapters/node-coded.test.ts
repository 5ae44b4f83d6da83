/** Layers in front of cached() that apply a content coding to each response: tags, conditions and parts stay right. */

import type { IncomingMessage, ServerResponse } from "node:http";
import { gunzipSync, gzipSync } from "node:zlib";

import compression from "compression";
import express5 from "express";
import express4 from "express4";
import { describe, expect, it } from "vitest";

import { expressCache } from "../../src/adapters/express/index.ts";
import { nodeCache } from "../../src/adapters/node/index.ts";
import type { RouteOptions } from "../../src/options/route-options.ts";
import type { Served } from "./contract/driver.ts";
import type { Cache } from "../../src/index.ts";
import type { Received } from "./contract/http-client.ts";
import { listen } from "./contract/listen.ts";
import { memoryKind } from "./contract/stores.ts";
import { hitOrMiss, startWorld, type World } from "./contract/world.ts";

const TEXT = Array.from({ length: 2000 }, (_, at) => `line ${at} ${Math.sin(at)}`).join("\n");
const GZIP = { "Accept-Encoding": "gzip" };

type Layer = (request: IncomingMessage, response: ServerResponse, next: () => void) => void;
type Handler = (response: ServerResponse) => void;
type Serve = (cache: Cache, layer: Layer, handler: Handler, options: RouteOptions) => Promise<Served>;

const whole: Handler = (response) => {
  response.setHeader("Content-Type", "text/plain");
  response.end(TEXT);
};

const inPieces: Handler = (response) => {
  response.setHeader("Content-Type", "text/plain");
  response.setHeader("ETag", '"own"');
  response.write(TEXT.slice(0, 100));
  setTimeout(() => response.end(TEXT.slice(100)), 5);
};

function serveOnExpress(express: typeof express5): Serve {
  return (cache, layer, handler, options) => {
    const app = express();
    app.use(layer as express5.RequestHandler);
    app.get("/", expressCache(cache)(options as object), (_request, response) => handler(response));
    return listen(app);
  };
}

const ADAPTERS: Readonly<Record<string, Serve>> = {
  "Express 5": serveOnExpress(express5),
  "Express 4": serveOnExpress(express4),
  "node:http": (cache, layer, handler, options) => {
    const route = nodeCache(cache)(options, (_request, response) => handler(response));
    return listen((request, response) => layer(request, response, () => void route(request, response)));
  },
};

/** Codes the body in an `end` of its own, at once or later, as small middleware of applications does. */
function codingEnd(delayMs: number | undefined): Layer {
  return (request, response, next) => {
    // It is called on the response.
    // oxlint-disable-next-line typescript/unbound-method
    const { end } = response;
    response.end = ((body?: Uint8Array | string) => {
      const isPart = /no-transform/.test(String(response.getHeader("cache-control")));
      const isCoded = request.headers["accept-encoding"] === "gzip" && body !== undefined && !isPart;
      const leave = (): void => {
        if (isCoded) {
          response.setHeader("Content-Encoding", "gzip");
          response.removeHeader("Content-Length");
        }
        end.call(response, isCoded ? gzipSync(body) : body, "utf8");
      };
      if (delayMs === undefined) leave();
      else setTimeout(leave, delayMs);
      return response;
    }) as ServerResponse["end"];
    next();
  };
}

const LAYERS: Readonly<Record<string, Layer>> = {
  compression: compression({ threshold: 0 }) as unknown as Layer,
  "an end that codes": codingEnd(undefined),
  "an end that codes later": codingEnd(5),
};

const textOf = (received: Received): string =>
  (received.headers["content-encoding"] === "gzip" ? gunzipSync(received.body) : received.body).toString();

describe.each(Object.entries(ADAPTERS))("%s", (_name, serve) => {
  const start = (layer: Layer, handler: Handler = whole, options: RouteOptions = { expire: "1h" }): Promise<World> =>
    startWorld(memoryKind, {}, (cache) => serve(cache, layer, handler, options));

  describe.each(Object.entries(LAYERS))("%s in front", (_layer, layer) => {
    it("gives a strong tag to the bytes that are stored, and a weak one to coded ones (RFC 9110 §8.8.1)", async () => {
      for (const first of [{}, GZIP]) {
        const { get } = await start(layer);
        const received = [await get("/", first), await get("/"), await get("/", GZIP), await get("/")];
        expect(received.map(textOf)).toEqual([TEXT, TEXT, TEXT, TEXT]);
        expect(received.map(hitOrMiss)).toEqual(["Miss", "Hit", "Hit", "Hit"]);
        const strong = received[1]!.headers.etag!;
        expect(strong).toMatch(/^"/);
        for (const { headers } of received) {
          expect(headers.etag).toBe(headers["content-encoding"] === "gzip" ? `W/${strong}` : strong);
        }
        expect(received[2]!.headers["content-encoding"]).toBe("gzip");
      }
    });

    it("answers conditions by weak comparison, with a tag as weak as the client's", async () => {
      const { get } = await start(layer);
      const strong = (await get("/")).headers.etag!;

      for (const round of ["hit", "hit"]) {
        const weak = await get("/", { ...GZIP, "If-None-Match": `W/${strong}` });
        expect([weak.status, weak.headers.etag], round).toEqual([304, `W/${strong}`]);
        const plain = await get("/", { "If-None-Match": strong });
        expect([plain.status, plain.headers.etag], round).toEqual([304, strong]);
        const both = await get("/", { "If-None-Match": `W/${strong}, ${strong}` });
        expect([both.status, both.headers.etag], round).toEqual([304, strong]);
      }
    });

    it("answers conditions of a miss alike", async () => {
      const strong = (await (await start(layer, whole, { expire: "1h" })).get("/")).headers.etag!;
      // Another cache makes the same tag of the same content.
      const other = await startWorld(memoryKind, { authority: "same" }, (cache) => serve(cache, layer, whole, {}));
      const tag = (await other.get("/")).headers.etag!;
      expect(strong).toMatch(/^"/);
      const fresh = await startWorld(memoryKind, { authority: "same" }, (cache) => serve(cache, layer, whole, {}));
      const received = await fresh.get("/", { ...GZIP, "If-None-Match": `W/${tag}` });
      expect([received.status, received.headers.etag, hitOrMiss(received)]).toEqual([304, `W/${tag}`, "Miss"]);
    });

    it("resumes a download rightly: coded bytes are sent anew, plain ones in part (RFC 9110 §13.1.5)", async () => {
      const { get } = await start(layer);
      const plain = await get("/");
      const coded = await get("/", GZIP);

      const again = await get("/", { ...GZIP, Range: "bytes=500-", "If-Range": coded.headers.etag! });
      expect([again.status, again.headers["content-encoding"], textOf(again)]).toEqual([200, "gzip", TEXT]);

      const rest = await get("/", { ...GZIP, Range: "bytes=500-", "If-Range": plain.headers.etag! });
      expect(rest.status).toBe(206);
      expect(rest.headers["content-encoding"]).toBeUndefined();
      expect(rest.headers["content-range"]).toBe(`bytes 500-${TEXT.length - 1}/${TEXT.length}`);
      expect(rest.headers.etag).toBe(plain.headers.etag);
      expect(plain.text.slice(0, 500) + rest.text).toBe(TEXT);
    });

    it("leaves the bytes of a part as they are stored, by no-transform beside what is there (RFC 9110 §7.7)", async () => {
      const { get } = await start(layer);
      await get("/");
      const part = await get("/", { ...GZIP, Range: "bytes=0-99" });
      expect([part.status, part.text]).toEqual([206, TEXT.slice(0, 100)]);
      expect(part.headers["content-encoding"]).toBeUndefined();
      expect(part.headers["content-range"]).toBe(`bytes 0-99/${TEXT.length}`);
      expect(part.headers["cache-control"]).toBe("max-age=3600, no-transform");
      expect(part.headers["expires"]).toBeDefined();
      expect((await get("/", GZIP)).headers["cache-control"]).toBe("max-age=3600");
    });

    it("adds no-transform once, and beside what the handler says", async () => {
      const { get } = await start(layer, (response) => {
        response.setHeader("Cache-Control", "public, max-age=10");
        whole(response);
      });
      await get("/");
      const part = await get("/", { ...GZIP, Range: "bytes=0-99" });
      expect(part.headers["cache-control"]).toBe("public, max-age=10, no-transform");

      const own = await start(layer, (response) => {
        response.setHeader("Cache-Control", "no-transform");
        whole(response);
      });
      await own.get("/");
      const kept = await own.get("/", { ...GZIP, Range: "bytes=0-99" });
      expect(kept.headers["cache-control"]).toMatch(/^no-transform(, max-age=3600)?$/);
    });
  });

  it("weakens the handler's own tag on a response that streams, and keeps it strong in the store", async () => {
    const { get, events } = await start(LAYERS["compression"]!, inPieces);
    const miss = await get("/", GZIP);
    expect([textOf(miss), miss.headers.etag, hitOrMiss(miss)]).toEqual([TEXT, 'W/"own"', "Miss"]);
    expect(events.some(({ type }) => type === "stored")).toBe(true);
    const hit = await get("/");
    expect([hit.text, hit.headers.etag, hitOrMiss(hit)]).toEqual([TEXT, '"own"', "Hit"]);
  });

  it("keeps a weak tag of the handler as it is", async () => {
    const { get } = await start(LAYERS["compression"]!, (response) => {
      response.setHeader("ETag", 'W/"own"');
      whole(response);
    });
    for (const headers of [GZIP, GZIP, {}]) expect((await get("/", headers)).headers.etag).toBe('W/"own"');
  });

  it("keeps the strong tag of what the handler coded itself", async () => {
    const { get } = await start(
      (_request, response, next) => {
        response.setHeader("X-Layer", "there");
        next();
      },
      (response) => {
        response.setHeader("Content-Encoding", "gzip");
        response.setHeader("Vary", "Accept-Encoding");
        response.end(gzipSync(TEXT));
      },
    );
    for (const outcome of ["Miss", "Hit"]) {
      const received = await get("/", GZIP);
      expect([textOf(received), hitOrMiss(received)]).toEqual([TEXT, outcome]);
      expect(received.headers.etag).toMatch(/^"/);
    }
  });

  it("says nothing of transformations where no layer is around", async () => {
    const { get } = await start((_request, _response, next) => next());
    await get("/");
    const part = await get("/", { ...GZIP, Range: "bytes=0-99" });
    expect([part.status, part.headers["cache-control"]]).toEqual([206, "max-age=3600"]);
  });
});
