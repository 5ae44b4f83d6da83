/** Field values outside ASCII: which bytes Node sends depends on how the body is given, and a hit sends the same. */

import { connect } from "node:net";
import { Readable } from "node:stream";

import express5, { type RequestHandler, type Response } from "express";
import express4 from "express4";
import { describe, expect, it, onTestFinished } from "vitest";

import { expressCache } from "../../src/adapters/express/index.ts";
import { createCache } from "../../src/index.ts";
import { listen } from "./contract/listen.ts";

const NAME = 'attachment; filename="Pr\u00fcfung.txt"';

const WAYS: Readonly<Record<string, (response: Response) => void>> = {
  "a pipe": (response) => void Readable.from([Buffer.from("x")]).pipe(response.set("Content-Disposition", NAME)),
  "a pipe of a declared length": (response) => {
    response.set({ "Content-Disposition": NAME, "Content-Length": "1" });
    Readable.from([Buffer.from("x")]).pipe(response);
  },
  "bytes in two writes": (response) => {
    response.set({ "Content-Disposition": NAME, "X-Name": "\u00e9" });
    response.write(Buffer.from("x"));
    response.end(Buffer.from("y"));
  },
  "end(bytes)": (response) => void response.set("Content-Disposition", NAME).end(Buffer.from("x")),
};

/** Layers in front, which decide on the way a reply is written. */
const LAYERS: Readonly<Record<string, (response: Response) => void>> = {
  none: () => {},
  "an end": (response) => {
    response.end = response.end.bind(response);
  },
  "a hook": (response) => {
    response.writeHead = response.writeHead.bind(response);
  },
};

/** The lines of the head whose values are not ASCII alone, a character for each byte. */
function foreignLines(url: string, path: string): Promise<readonly string[]> {
  const { port, hostname } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname);
    let text = "";
    socket.setEncoding("latin1");
    socket.on("data", (piece: string) => (text += piece));
    socket.once("error", reject);
    socket.once("close", () => {
      const [head = ""] = text.split("\r\n\r\n", 1);
      const lines = head.split("\r\n").filter((line) => /[\x80-\xff]/.test(line));
      // Names have no case, and the cache keeps them in lower case.
      resolve(lines.map((line) => line.replace(/^[^:]+/, (name) => name.toLowerCase())));
    });
    socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
  });
}

describe.each([
  { name: "Express 5", express: express5 },
  { name: "Express 4", express: express4 },
])("$name", ({ express }) => {
  const rows = Object.keys(WAYS).flatMap((way) => Object.keys(LAYERS).map((layer) => ({ way, layer })));
  it.each(rows)("$way behind a layer with $layer: the bytes are those without the cache", async ({ way, layer }) => {
    const app = express().set("env", "test");
    app.use((_request, response, next) => {
      LAYERS[layer]!(response);
      next();
    });
    const page: RequestHandler = (_request, response) => WAYS[way]!(response);
    app.get("/plain", page);
    app.get("/cached", expressCache(createCache())("5m"), page);
    const served = await listen(app);
    onTestFinished(() => served.close());
    const plain = await foreignLines(served.url, "/plain");
    expect(plain.length).toBeGreaterThan(0);
    expect(await foreignLines(served.url, "/cached")).toEqual(plain);
    expect(await foreignLines(served.url, "/cached")).toEqual(plain);
  });
});
