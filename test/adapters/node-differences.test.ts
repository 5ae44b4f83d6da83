/** What a handler does on `node:http` has the same effect with the cache as without it, on a miss and on a hit. */

import { type IncomingMessage, type ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { describe, expect, it, onTestFinished } from "vitest";

import { nodeCache } from "../../src/adapters/node/index.ts";
import { createCache } from "../../src/index.ts";
import { listen } from "./contract/listen.ts";
import { send, type Received } from "./contract/http-client.ts";
import { until } from "./contract/world.ts";

type Act = (
  response: ServerResponse,
  request: IncomingMessage,
  note: (name: string, call: () => unknown) => void,
) => void;

/** Each writes its response in another way; what throws is noted by its code. */
const ACTS: Readonly<Record<string, Act>> = {
  "end with text": (response) => void response.end("body"),
  "end with bytes": (response) => void response.end(Buffer.from("body")),
  "end with a coding": (response) => void response.end("626f6479", "hex"),
  "end with nothing": (response) => void response.end(),
  "end with null": (response) => void response.end(null as unknown as string),
  "end with an empty text": (response) => void response.end(""),
  "end with 0": (response) => void response.end(0 as unknown as string),
  "end with false": (response) => void response.end(false as unknown as string),
  "write in base64, then end": (response) => {
    response.write("Ym9k", "base64");
    response.end("y");
  },
  "write of nothing, then end": (response) => {
    response.write("");
    response.end("body");
  },
  "a pipe": (response) => void Readable.from(["bo", "dy"]).pipe(response),
  "writeHead, then a pipe": (response) =>
    void Readable.from(["bo", "dy"]).pipe(response.writeHead(200, { "x-a": "1" })),
  "flushHeaders, then end": (response) => {
    response.setHeader("x-a", "1");
    response.flushHeaders();
    response.end("body");
  },
  "a reason phrase of writeHead": (response) => void response.writeHead(200, "Fine").end("body"),
  "a reason phrase of statusMessage": (response) => {
    response.statusMessage = "Very Good";
    response.end("body");
  },
  "a reason phrase, written in pieces": (response) => {
    response.writeHead(203, "Second Hand");
    response.write("bo");
    response.end("dy");
  },
  "an object for a body": (response, _request, note) => {
    note("end", () => response.end({ not: "a chunk" } as unknown as string));
    note("write", () => response.write({ not: "a chunk" }));
    note("a number", () => response.write(7));
    note("null", () => response.write(null));
    note("undefined", () => response.write(undefined));
    response.end("body");
  },
  "a number for a body": (response, _request, note) => {
    note("end", () => response.end(7 as unknown as string));
    response.end("body");
  },
  "a status that is none": (response, _request, note) => {
    note("99", () => response.writeHead(99));
    note("1000", () => response.writeHead(1000));
    note("text", () => response.writeHead("abc" as unknown as number));
    response.end("body");
  },
  "statusCode that is none": (response, _request, note) => {
    response.statusCode = 99;
    note("end", () => response.end("body"));
    response.statusCode = 200;
    response.end("body");
  },
  "a field name that is none": (response, _request, note) => {
    note("writeHead", () => response.writeHead(200, { "x a": "1" }));
    note("setHeader", () => response.setHeader("x a", "1"));
    response.end("body");
  },
  "a field value that is none": (response, _request, note) => {
    note("object", () => response.writeHead(200, { "x-before": "1", "x-a": "a\nb" }));
    note("list", () => response.writeHead(200, ["x-a", "a\nb"]));
    note("odd list", () => response.writeHead(200, ["x-a"]));
    note("reason", () => response.writeHead(200, "a\nb"));
    response.statusMessage = "OK";
    response.end("body");
  },
  "fields after writeHead": (response, _request, note) => {
    response.writeHead(200, { "x-a": "1" });
    note("set", () => response.setHeader("x-b", "1"));
    note("append", () => response.appendHeader("x-a", "2"));
    note("remove", () => response.removeHeader("x-a"));
    note("second writeHead", () => response.writeHead(201));
    note("headersSent", () => {
      throw Object.assign(new Error(), { code: String(response.headersSent) });
    });
    response.end("body");
    note("set after end", () => response.setHeader("x-b", "1"));
    note("writeHead after end", () => response.writeHead(200));
  },
  "fields after the first bytes": (response, _request, note) => {
    response.write("bo");
    note("set", () => response.setHeader("x-b", "1"));
    note("writeHead", () => response.writeHead(200));
    response.end("dy");
  },
  "fields after end": (response, _request, note) => {
    response.end("body");
    note("set", () => response.setHeader("x-b", "1"));
    note("append", () => response.appendHeader("x-b", "1"));
    note("remove", () => response.removeHeader("x-b"));
    note("writeHead", () => response.writeHead(200));
    note("state", () => {
      throw Object.assign(new Error(), { code: `${response.headersSent} ${response.writableEnded}` });
    });
  },
  "a body of another length than writeHead said": (response, _request, note) => {
    response.strictContentLength = true;
    response.writeHead(200, { "Content-Length": 4 });
    note("too long", () => response.write("a body"));
    note("too short", () => response.end());
    note("too long at the end", () => response.end("a body"));
    note("half", () => response.write("bo"));
    note("too long after half", () => response.write("dy!"));
    note("too long at the end after half", () => response.end("dy!", "latin1"));
    note("too short after half", () => response.end());
    response.end("dy");
  },
  "a body of another length than setHeader said": (response, _request, note) => {
    response.strictContentLength = true;
    response.setHeader("Content-Length", "4");
    response.write(new TextEncoder().encode("bo"));
    note("too long", () => response.write("ZHkh", "base64"));
    note("too short", () => response.end());
    response.end("dy");
  },
  "a body without a length that is strict": (response, _request, note) => {
    response.strictContentLength = true;
    note("write", () => response.write("bo"));
    note("end", () => response.end("dy"));
  },
  "end twice": (response) => {
    response.end("body");
    response.end();
  },
  "a head hook behind the cache": (response) => {
    // oxlint-disable-next-line typescript/unbound-method
    const { writeHead } = response;
    response.writeHead = function hooked(this: ServerResponse, ...head: unknown[]) {
      this.setHeader("x-late", "1");
      return Reflect.apply(writeHead, this, head) as ServerResponse;
    };
    response.end("body");
  },
  "lists of fields": (response) =>
    void response.writeHead(200, ["link", "</a>; rel=next", "link", "</b>; rel=prev", "x-a", "1"]).end("body"),
  "an empty field": (response) => void response.writeHead(200, { "x-a": "", "x-b": "b" }).end("body"),
  "pairs of fields": (response) => void response.writeHead(200, [["x-a", "1"]] as never).end("body"),
  "a field with several lines": (response) => {
    response.setHeader("link", ["</a>; rel=next", "</b>; rel=prev"]);
    response.end("body");
  },
};

const OWN = new Set([
  "cache-control",
  "cache-status",
  "connection",
  "content-length",
  "date",
  "etag",
  "expires",
  "keep-alive",
  "transfer-encoding",
  "vary",
  "x-reprise-cache",
]);

describe("node:http with and without the cache", () => {
  it.each(Object.entries(ACTS))("%s", async (_, act) => {
    const notes: string[][] = [];
    const handler = (request: IncomingMessage, response: ServerResponse): void => {
      const own: string[] = [];
      notes.push(own);
      act(response, request, (name, call) => own.push(`${name}: ${codeOf(call)}`));
    };
    const cached = nodeCache(createCache())("1m", handler);
    const served = await listen((request, response) =>
      request.url === "/plain" ? handler(request, response) : void cached(request, response),
    );
    onTestFinished(() => served.close());
    const { url } = served;

    const plain = await send(`${url}/plain`, {});
    const miss = await send(`${url}/cached`, {});
    const hit = await send(`${url}/cached`, {});

    expect(notes[1]).toEqual(notes[0]);
    expect(seen(miss)).toEqual(seen(plain));
    expect(seen(hit)).toEqual(seen(plain));
    expect(hit.headers["x-reprise-cache"]).toBe("Hit");
    const bypass = await send(`${url}/cached`, { headers: { Cookie: "sid=1" } });
    expect(seen(bypass)).toEqual(seen(plain));
    expect(notes.at(-1)).toEqual(notes[0]);
    expect(bypass.headers["cache-status"]).toBe("reprise; fwd=bypass; detail=cookie");
  });
});

it.each(["a whole body", "a body in chunks"])(
  "calls back and reports as Node does after the end of %s",
  async (body) => {
    const notes: string[][] = [];
    const handler = (_request: IncomingMessage, response: ServerResponse): void => {
      const own: string[] = [];
      notes.push(own);
      const note =
        (name: string) =>
        (error?: Error | null): void =>
          void own.push(`${name}: ${(error as NodeJS.ErrnoException | undefined)?.code ?? "fine"}`);
      response.on("error", note("error"));
      if (body !== "a whole body") response.write("first, ");
      response.end("body", note("end"));
      response.end(note("at once"));
      response.end("more", note("more"));
      response.once("finish", () => {
        setImmediate(() => {
          response.end(note("late"));
        });
      });
    };
    const cached = nodeCache(createCache())("1m", handler);
    const served = await listen((request, response) =>
      request.url === "/plain" ? handler(request, response) : void cached(request, response),
    );
    onTestFinished(() => served.close());
    for (const [at, path] of ["/plain", "/cached"].entries()) {
      await send(served.url + path, {});
      await until(() => notes[at]?.includes("late: ERR_STREAM_ALREADY_FINISHED"));
    }
    expect(notes[1]).toEqual(notes[0]);
    expect(notes[0]).toContain("error: ERR_STREAM_WRITE_AFTER_END");
  },
);

function codeOf(call: () => unknown): string {
  try {
    call();
    return "fine";
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

function seen({ status, statusMessage, text, headers }: Received): unknown {
  return { status, statusMessage, text, headers: Object.entries(headers).filter(([name]) => !OWN.has(name)) };
}
