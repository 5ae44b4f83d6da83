/** A field that a handler sets is its own, also where code in front had given it the same value for the first visitor. */

import type { Response } from "express";
import { describe, expect, it } from "vitest";

import { ADAPTERS, startPage, startPlain, type Page } from "./in-front.ts";
import { linesOf } from "./contract/http-client.ts";
import { cacheStatusOf, hitOrMiss } from "./contract/world.ts";

/** Gives `X-Field` and `Content-Language` the value that the client sends as `X-Outer`. */
const inFront: Page["inFront"] = (request, response) => {
  const { "x-outer": outer } = request.headers;
  if (outer === undefined) return;
  response.setHeader("X-Field", outer);
  response.setHeader("Content-Language", outer);
};

/** The ways a handler can set a field to `en`. */
const WAYS: Readonly<Record<string, Page["handler"]>> = {
  setHeader: (_request, response) => void response.setHeader("x-field", "en").end("page"),
  setHeaders: (_request, response) => void response.setHeaders(new Headers({ "X-Field": "en" })).end("page"),
  "removeHeader and appendHeader": (_request, response) => {
    response.removeHeader("X-Field");
    response.appendHeader("X-Field", "en").end("page");
  },
  "writeHead with an object": (_request, response) => void response.writeHead(200, { "X-FIELD": "en" }).end("page"),
  "writeHead with a list": (_request, response) => void response.writeHead(200, ["X-Field", "en"]).end("page"),
  "before a body in pieces": (_request, response) => {
    response.setHeader("X-Field", "en");
    response.write("pa");
    setTimeout(() => response.end("ge"), 1);
  },
};

describe.each(Object.entries(ADAPTERS))("%s", (adapter, serve) => {
  it.each(Object.entries(WAYS))("%s: every visitor gets the handler's value", async (_, handler) => {
    const page: Page = { inFront, handler };
    const plain = await startPlain(serve, page);
    const { get } = await startPage(serve, page);

    for (const [visit, outcome] of [
      [{ "X-Outer": "en" }, "Miss"],
      [{ "X-Outer": "de" }, "Hit"],
      [{}, "Hit"],
    ] as const) {
      const [expected, received] = [await plain.get("/", visit), await get("/", visit)];
      expect(hitOrMiss(received)).toBe(outcome);
      expect(linesOf(received, "x-field")).toEqual(linesOf(expected, "x-field"));
      // What the handler did not set is each visitor's own.
      expect(linesOf(received, "content-language")).toEqual(linesOf(expected, "content-language"));
    }
  });

  it("a Vary that the handler sets counts whole", async () => {
    const { get } = await startPage(serve, {
      inFront: (_request, response) => void response.setHeader("Vary", "Origin"),
      handler(request, response) {
        response.setHeader("Vary", "Origin");
        response.end(`for ${String(request.headers.origin)}`);
      },
    });
    for (const origin of ["https://a.example", "https://b.example"]) {
      expect((await get("/", { Origin: origin })).text).toBe(`for ${origin}`);
      expect((await get("/", { Origin: origin })).text).toBe(`for ${origin}`);
    }
  });

  it("a cookie that the handler sets is its own although code in front had set the same", async () => {
    const { get, events } = await startPage(serve, {
      inFront: (_request, response) => void response.setHeader("Set-Cookie", "theme=dark"),
      handler: (_request, response) => void response.setHeader("Set-Cookie", "theme=dark").end("page"),
    });
    const first = await get("/");
    expect(cacheStatusOf(first)).toContain("detail=set-cookie");
    expect(linesOf(first, "set-cookie")).toEqual(["theme=dark"]);
    expect(events.map(({ type }) => type)).not.toContain("stored");
  });

  it("a setter that code in front or behind has replaced goes on working, on hits too", async () => {
    const { get } = await startPage(serve, {
      inFront(request, response) {
        const set = response.setHeader.bind(response);
        response.setHeader = (name, value) => set(name, name === "X-Field" ? `front ${String(value)}` : value);
        inFront(request, response);
      },
      handler(_request, response) {
        const set = response.setHeader.bind(response);
        response.setHeader = (name, value) => set(name, name === "X-Field" ? `behind ${String(value)}` : value);
        response.setHeader("X-Field", "en");
        response.end("page");
      },
    });
    for (const outcome of ["Miss", "Hit"]) {
      const received = await get("/");
      expect(hitOrMiss(received)).toBe(outcome);
      expect(received.headers["x-field"]).toBe("front behind en");
    }
  });

  if (adapter === "node:http") return;

  it("res.set and the type that res.json gives are the handler's own", async () => {
    const page: Page = {
      inFront(request, response) {
        const { "x-outer": outer } = request.headers;
        if (outer === undefined) return;
        response.setHeader("X-Set", outer);
        response.setHeader("Content-Type", "application/json; charset=utf-8");
      },
      handler(_request, response) {
        (response as Response).set("X-Set", "en").json({ page: true });
      },
    };
    const plain = await startPlain(serve, page);
    const { get } = await startPage(serve, page);
    for (const visit of [{ "X-Outer": "en" }, { "X-Outer": "de" }, {}] as Record<string, string>[]) {
      const [expected, received] = [await plain.get("/", visit), await get("/", visit)];
      expect(received.headers).toMatchObject({
        "x-set": expected.headers["x-set"],
        "content-type": expected.headers["content-type"],
      });
    }
  });
});
