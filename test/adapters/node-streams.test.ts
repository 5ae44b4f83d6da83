/** Streams on `node:http`: pipes, event streams, and ends that are none. */

import { createReadStream, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip, gunzipSync } from "node:zlib";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { nodeCache, type NodeHandler } from "../../src/adapters/node/index.ts";
import type { RouteOptions } from "../../src/options/route-options.ts";
import { firstPiece, open, read, send } from "./contract/http-client.ts";
import { listen } from "./contract/listen.ts";
import type { StoreKind } from "./contract/stores.ts";
import {
  cacheStatusOf,
  gate,
  hitOrMiss,
  onEachStore,
  startWorld,
  until,
  untilStored,
  type World,
} from "./contract/world.ts";

const FILE_BYTES = 300_000;

describe("node:http", () => {
  let directory = "";
  let file = "";
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "reprise-streams-"));
    file = join(directory, "data.bin");
    writeFileSync(file, Buffer.alloc(FILE_BYTES, "0123456789"));
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  onEachStore("node-redis", (kind) => {
    it("pipe() of a file, with back-pressure", async () => {
      const { get } = await serve(kind, (_, response) => void createReadStream(file).pipe(response));

      const [miss, hit] = [await get("/"), await get("/")];
      expect(miss.body.length).toBe(FILE_BYTES);
      expect([hitOrMiss(miss), hitOrMiss(hit), hit.body.equals(miss.body)]).toEqual(["Miss", "Hit", true]);
    });

    it("pipeline() through gzip", async () => {
      const { get } = await serve(kind, async (_, response) => {
        response.setHeader("Content-Encoding", "gzip");
        await pipeline(createReadStream(file), createGzip(), response);
      });

      const [miss, hit] = [await get("/"), await get("/")];
      expect(gunzipSync(hit.body).length).toBe(FILE_BYTES);
      expect([hitOrMiss(hit), hit.headers["content-encoding"], hit.body.equals(miss.body)]).toEqual([
        "Hit",
        "gzip",
        true,
      ]);
    });

    it("pipeline() of a source that fails: cut off for the client, and not stored", async () => {
      let isBroken = true;
      const { url, get } = await serve(kind, async (_, response) => {
        const source = isBroken ? failing() : Readable.from([Buffer.from("whole")]);
        await pipeline(source, response).catch(() => undefined);
      });

      await expect(send(url)).rejects.toThrow();
      isBroken = false;
      const next = await get("/");
      expect([next.text, hitOrMiss(next)]).toEqual(["whole", "Miss"]);
    });

    it("an event stream is neither delayed nor stored", async () => {
      const more = gate();
      const { url, get } = await serve(kind, (_, response) => {
        response.writeHead(200, { "Content-Type": "text/event-stream" });
        response.flushHeaders();
        response.write("data: 1\n\n");
        void more.opened.then(() => response.end("data: 2\n\n"));
      });

      const first = await open(url);
      expect(await firstPiece(first)).toBe("data: 1\n\n");
      expect(cacheStatusOf(first)).toBe("reprise; fwd=uri-miss; fwd-status=200; detail=event-stream");
      // Another subscriber does not wait for the first one's end.
      const second = await open(url);
      expect(await firstPiece(second)).toBe("data: 1\n\n");
      more.open();
      expect((await read(first)).toString()).toBe("data: 2\n\n");
      expect((await read(second)).toString()).toBe("data: 2\n\n");
      expect(hitOrMiss(await get("/"))).toBe("Miss");
    });

    it("the handler goes on writing after its client has left", async () => {
      const left = gate();
      const { url, events } = await serve(kind, (_, response) => {
        response.write("one,");
        response.once("close", () => {
          response.write("two");
          response.end();
          left.open();
        });
      });

      const leaving = await open(url);
      leaving.on("error", () => {});
      await firstPiece(leaving);
      leaving.destroy();
      await left.opened;
      await until(() => events.some((event) => event.type === "not-stored" && event.because === "incomplete"));
      expect(events.filter(({ type }) => type === "stored")).toHaveLength(0);
      const again = await open(url);
      again.on("error", () => {});
      expect(hitOrMiss(again)).toBe("Miss");
      again.destroy();
    });

    it("a body larger than may be stored streams on with back-pressure", async () => {
      const { url, get } = await serve(kind, (_, response) => void createReadStream(file).pipe(response), {
        maxBodyBytes: 100_000,
      });

      const slow = (await open(url)).pipe(new PassThrough({ highWaterMark: 1024 }));
      let bytes = 0;
      for await (const piece of slow) bytes += (piece as Buffer).length;
      expect(bytes).toBe(FILE_BYTES);
      expect(hitOrMiss(await get("/"))).toBe("Miss");
    });

    it("stale-if-error: a handler that throws after its head keeps what Node makes of it", async () => {
      let isBroken = false;
      const { url, get, advance } = await serve(
        kind,
        (_, response) => {
          if (!isBroken) return void response.end("v1");
          response.write("half");
          setTimeout(() => response.destroy(), 5);
        },
        { expire: 10, staleIfError: 60 },
      );
      await get("/");
      isBroken = true;
      advance(15);

      await expect(send(url)).rejects.toThrow();
      isBroken = false;
      expect((await get("/")).text).toBe("v1");
    });

    it("stale-while-revalidate: a client that leaves does not take the renewal with it", async () => {
      const renewal = gate();
      let run = 0;
      const world = await serve(
        kind,
        async (request, response) => {
          run++;
          if (run === 1) return void response.end("v1");
          await renewal.opened;
          if (request.destroyed || response.destroyed) return;
          response.write("v2");
          response.end();
        },
        { expire: 10, staleWhileRevalidate: 60 },
      );
      const { url, get, advance } = world;
      await get("/");
      advance(15);

      const stale = await open(url);
      stale.on("error", () => {});
      stale.destroy();
      await until(() => run === 2);
      renewal.open();
      await untilStored(world, 2);
      expect((await get("/")).text).toBe("v2");
    });

    it("stale-while-revalidate: a renewal that is cut off leaves the stale response", async () => {
      let run = 0;
      const { get, advance, events } = await serve(
        kind,
        (_, response) => {
          run++;
          if (run !== 2) return void response.end(`v${run}`);
          response.write("half");
          setTimeout(() => response.destroy(), 5);
        },
        { expire: 10, staleWhileRevalidate: 60 },
      );
      await get("/");
      advance(15);

      expect((await get("/")).text).toBe("v1");
      await until(() => events.some(({ type }) => type === "revalidation-failed"));
      expect((await get("/")).text).toBe("v1");
    });
  });
});

function failing(): Readable {
  return new Readable({
    read() {
      this.push("half");
      setTimeout(() => this.destroy(new Error("the disk is gone")), 5);
    },
  });
}

function serve(kind: StoreKind, handler: NodeHandler, options: RouteOptions<IncomingMessage> = {}): Promise<World> {
  return startWorld(kind, {}, (cache) => {
    const route = nodeCache(cache)(options, handler);
    return listen((request: IncomingMessage, response: ServerResponse) => void route(request, response));
  });
}
