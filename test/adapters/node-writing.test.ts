/** Every way to write a response on `node:http`: the client gets the same on a miss and on a hit, and what it would get without a cache. */

import type { IncomingMessage, ServerResponse } from "node:http";

import { describe, expect, it } from "vitest";

import { nodeCache, type NodeHandler } from "../../src/adapters/node/index.ts";
import type { RouteOptions } from "../../src/options/route-options.ts";
import { linesOf, open, read, send } from "./contract/http-client.ts";
import { listen } from "./contract/listen.ts";
import type { StoreKind } from "./contract/stores.ts";
import { cacheStatusOf, gate, hitOrMiss, onEachStore, startWorld, until, type World } from "./contract/world.ts";

interface Way {
  readonly way: string;
  readonly write: (response: ServerResponse) => void;
  readonly status?: number;
  readonly body: string;
  readonly fields?: Readonly<Record<string, readonly string[]>>;
}

const WAYS: readonly Way[] = [
  { way: "end(text)", write: (response) => response.end("a body"), body: "a body" },
  { way: "end(bytes)", write: (response) => response.end(new TextEncoder().encode("a body")), body: "a body" },
  { way: "end()", write: (response) => response.end(), body: "" },
  { way: "end(text, encoding)", write: (response) => response.end("YSBib2R5", "base64"), body: "a body" },
  { way: "end(text, latin1)", write: (response) => response.end("\u00fc", "latin1"), body: "\ufffd" },
  {
    way: "statusCode and setHeader",
    write(response) {
      response.statusCode = 203;
      response.setHeader("X-A", "1").setHeader("X-B", ["1", "2"]).end("a");
    },
    status: 203,
    body: "a",
    fields: { "x-a": ["1"], "x-b": ["1", "2"] },
  },
  {
    way: "appendHeader",
    write: (response) => void response.appendHeader("X-A", "1").appendHeader("X-A", "2").end("a"),
    body: "a",
    fields: { "x-a": ["1", "2"] },
  },
  {
    way: "a number as a header",
    write: (response) => void response.setHeader("X-A", 7).end("a"),
    body: "a",
    fields: { "x-a": ["7"] },
  },
  {
    way: "writeHead(status, object)",
    write: (response) => void response.writeHead(200, { "X-A": "1", "x-b": ["1", "2"], "X-C": 3 }).end("a"),
    body: "a",
    fields: { "x-a": ["1"], "x-b": ["1", "2"], "x-c": ["3"] },
  },
  {
    way: "writeHead over setHeader",
    write: (response) =>
      void response.setHeader("X-A", "old").setHeader("X-B", "b").writeHead(200, { "x-a": "new" }).end("a"),
    body: "a",
    fields: { "x-a": ["new"], "x-b": ["b"] },
  },
  {
    way: "writeHead(status, reason, flat list)",
    write: (response) => void response.writeHead(200, "Fine", ["X-A", "1", "X-B", "1", "X-B", "2"]).end("a"),
    body: "a",
    fields: { "x-a": ["1"], "x-b": ["1", "2"] },
  },
  {
    way: "writeHead(status, pairs)",
    write: (response) =>
      void response
        .writeHead(203, [
          ["X-A", "1"],
          ["X-B", "2"],
        ] as unknown as string[])
        .end("a"),
    status: 203,
    body: "a",
    fields: { "x-a": ["1"], "x-b": ["2"] },
  },
  {
    way: "setHeaders(Headers)",
    write: (response) => void response.setHeaders(new Headers({ "X-A": "1" })).end("a"),
    body: "a",
    fields: { "x-a": ["1"] },
  },
  {
    way: "pieces in several encodings",
    write(response) {
      response.setHeader("Content-Type", "text/plain");
      response.write("one,");
      response.write("dHdvLA==", "base64");
      response.write(Buffer.from("three,"));
      response.write("66 6f 75 72 2c".replaceAll(" ", ""), "hex");
      response.end("five");
    },
    body: "one,two,three,four,five",
  },
  {
    way: "pieces after writeHead",
    write(response) {
      response.writeHead(200, { "X-A": "1" });
      response.write("one,");
      setTimeout(() => response.end("two"), 2);
    },
    body: "one,two",
    fields: { "x-a": ["1"] },
  },
  {
    way: "cork and uncork",
    write(response) {
      response.cork();
      response.write("one,");
      response.write("two");
      response.uncork();
      response.end();
    },
    body: "one,two",
  },
  {
    way: "a buffer that is used again",
    write(response) {
      const buffer = Buffer.from("one,");
      response.write(buffer, () => {
        buffer.write("two!");
        response.end(buffer);
      });
    },
    body: "one,two!",
  },
  {
    way: "a Content-Length of its own",
    write(response) {
      response.setHeader("Content-Length", 7);
      response.write("one,");
      response.end("two");
    },
    body: "one,two",
  },
];

describe("node:http", () => {
  onEachStore("ioredis", (kind) => {
    it.each(WAYS)("$way", async ({ write, status = 200, body, fields = {} }) => {
      let runs = 0;
      const handler: NodeHandler = (_, response) => {
        runs++;
        write(response);
      };
      const { get } = await serve(kind, handler);
      const bare = await listen(handler);
      const without = await send(bare.url);
      await bare.close();
      runs = 0;

      for (const outcome of ["Miss", "Hit", "Hit"]) {
        const received = await get("/");
        expect([received.status, received.text, hitOrMiss(received)]).toEqual([status, body, outcome]);
        expect(received.status).toBe(without.status);
        expect(received.body.equals(without.body)).toBe(true);
        for (const [name, lines] of Object.entries(fields)) {
          expect(linesOf(received, name)).toEqual(lines);
          expect(linesOf(without, name)).toEqual(lines);
        }
      }
      expect(runs).toBe(1);
    });

    it("callbacks of write and end are called, and finish and close come once", async () => {
      const called: string[] = [];
      const closed = gate();
      const { get } = await serve(kind, (_, response) => {
        response.once("finish", () => called.push("finish"));
        response.once("close", () => {
          called.push("close");
          closed.open();
        });
        response.write("a", () => called.push("write"));
        response.end("b", "utf8", () => called.push("end"));
      });

      await get("/");
      await closed.opened;
      expect(called.toSorted()).toEqual(["close", "end", "finish", "write"]);
    });

    it("end(callback) and end(text, callback) on a body that is known at once", async () => {
      const called: string[] = [];
      const { get } = await serve(kind, (request, response) => {
        if (request.url === "/a") response.end(() => called.push("end(callback)"));
        else response.end("b", () => called.push("end(text, callback)"));
      });

      await get("/a");
      await get("/b");
      expect(called).toEqual(["end(callback)", "end(text, callback)"]);
    });

    it("headersSent, writableEnded and writeHead's return value are what handlers rely on", async () => {
      const seen: unknown[] = [];
      const { get } = await serve(kind, (_, response) => {
        seen.push(response.headersSent);
        const returned = response.writeHead(200, { "X-A": "1" });
        seen.push(returned === response, response.headersSent, response.writableEnded);
        const ended = response.end("a");
        seen.push(ended === response, response.headersSent, response.writableEnded);
        response.end();
        seen.push(response.statusCode);
      });

      expect((await get("/")).text).toBe("a");
      expect(seen).toEqual([false, true, true, false, true, true, true, 200]);
    });

    it("trailers that no field announces reach the client of the miss, and no other", async () => {
      const { url } = await serve(kind, (_request, response) => {
        response.write("a ");
        response.addTrailers({ "X-Sum": "1" });
        response.end("body");
      });
      const received = async (): Promise<unknown> => {
        const response = await open(`${url}/`);
        return { text: String(await read(response)), trailers: response.trailers };
      };
      expect(await received()).toEqual({ text: "a body", trailers: { "x-sum": "1" } });
      await until(async () => JSON.stringify(await received()) === JSON.stringify({ text: "a body", trailers: {} }));
    });

    it("a response with trailers is not stored", async () => {
      const { get } = await serve(kind, (_, response) => {
        response.writeHead(200, { Trailer: "X-Sum" });
        response.write("a");
        response.addTrailers({ "X-Sum": "1" });
        response.end();
      });

      expect(cacheStatusOf(await get("/"))).toBe("reprise; fwd=uri-miss; fwd-status=200; detail=trailer");
      expect(hitOrMiss(await get("/"))).toBe("Miss");
    });

    it("a handler that reads its request to the end before it answers", async () => {
      const { get, advance } = await serve(
        kind,
        (request, response) => {
          request.resume();
          request.once("end", () => response.end("read"));
        },
        { expire: 10, staleWhileRevalidate: 60 },
      );

      expect((await get("/")).text).toBe("read");
      advance(15);
      expect((await get("/")).text).toBe("read");
    });

    it("flushHeaders sends the head at once", async () => {
      const body = gate();
      const { url, get } = await serve(kind, (_, response) => {
        response.setHeader("X-A", "1");
        response.flushHeaders();
        void body.opened.then(() => response.end("late"));
      });

      const response = await open(url);
      expect(response.headers["x-a"]).toBe("1");
      expect(hitOrMiss(response)).toBe("Miss");
      body.open();
      expect((await read(response)).toString()).toBe("late");
      const hit = await get("/");
      expect([hit.text, hitOrMiss(hit)]).toEqual(["late", "Hit"]);
    });

    it("a handler that destroys its response: nothing is stored and the next request is answered", async () => {
      let isFirst = true;
      const { url, get } = await serve(kind, (_, response) => {
        if (!isFirst) return void response.end("works");
        isFirst = false;
        response.destroy();
      });

      await expect(send(url)).rejects.toThrow(/socket hang up|ECONNRESET/);
      expect((await get("/")).text).toBe("works");
    });
  });
});

function serve(kind: StoreKind, handler: NodeHandler, options: RouteOptions<IncomingMessage> = {}): Promise<World> {
  return startWorld(kind, {}, (cache) => {
    const route = nodeCache(cache)(options, handler);
    return listen((request, response) => void route(request, response));
  });
}
