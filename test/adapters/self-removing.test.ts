/** Layers in front of a cached route that take their methods off the response before they act, as express-winston does. */

import { createServer, type ServerResponse } from "node:http";

import express5, { type NextFunction, type Request, type RequestHandler, type Response } from "express";
import express4 from "express4";
import { describe, expect, it, onTestFinished } from "vitest";

import { expressCache } from "../../src/adapters/express/index.ts";
import { nodeCache } from "../../src/adapters/node/index.ts";
import { createCache } from "../../src/index.ts";
import { send } from "./contract/http-client.ts";
import { listen } from "./contract/listen.ts";

interface Visit {
  readonly calls: string[];
  readonly denies: boolean;
}

/** The methods of a response, to be replaced and called. */
type Methods = Record<"write" | "end", (...args: unknown[]) => unknown>;

/** Layers that take themselves off, by when. Each notes its calls and throws for a visitor that it denies. */
const LAYERS: Readonly<Record<string, (response: Methods, visit: Visit) => void>> = {
  "at its end": (response, visit) => {
    const { end } = response;
    response.end = (...args: unknown[]) => {
      visit.calls.push("end");
      response.end = end;
      if (visit.denies) throw new Error("denied");
      return Reflect.apply(response.end, response, args);
    };
  },
  "at the first write": (response, visit) => {
    const { write, end } = response;
    response.write = (...args: unknown[]) => {
      visit.calls.push("write");
      Object.assign(response, { write, end });
      if (visit.denies) throw new Error("denied");
      return Reflect.apply(response.write, response, args);
    };
    response.end = (...args: unknown[]) => {
      visit.calls.push("end");
      Object.assign(response, { write, end });
      if (visit.denies) throw new Error("denied");
      return Reflect.apply(response.end, response, args);
    };
  },
  "at the first write, by deleting": (response, visit) => {
    const { write } = response;
    response.write = (...args: unknown[]) => {
      visit.calls.push("write");
      Reflect.deleteProperty(response, "write");
      if (visit.denies) throw new Error("denied");
      return Reflect.apply(write, response, args);
    };
  },
  "at the first write, for an end of its own": (response, visit) => {
    const { write, end } = response;
    response.write = (...args: unknown[]) => {
      visit.calls.push("write");
      response.write = write;
      response.end = (...last: unknown[]) => {
        visit.calls.push("end");
        response.end = end;
        return Reflect.apply(end, response, last);
      };
      if (visit.denies) throw new Error("denied");
      return Reflect.apply(write, response, args);
    };
  },
};

const PAGES: Readonly<Record<string, (response: ServerResponse) => void>> = {
  "end(body)": (response) => void response.end("one two three"),
  "write and end(chunk)": (response) => {
    response.write("one ");
    response.end("two three");
  },
  "three writes": (response) => {
    response.write("one ");
    response.write("two ");
    response.write("three");
    response.end();
  },
  "a later end": (response) => {
    response.write("one ");
    setImmediate(() => {
      try {
        response.end("two three");
      } catch (error) {
        response.end((error as Error).message);
      }
    });
  },
};

const ROWS = Object.keys(LAYERS).flatMap((when) => Object.keys(PAGES).map((way) => ({ when, way })));

interface Seen {
  readonly status: number;
  readonly text: string;
  readonly calls: readonly string[];
}

/** What a client gets from one place, and which methods of the layer were called for it. */
type Ask = (place: "cached" | "plain", denied?: "denied") => Promise<Seen>;

async function outcomeOf(url: string, denied: "denied" | undefined, visit: () => Visit): Promise<Seen> {
  try {
    const { status, text } = await send(url, { headers: denied === undefined ? {} : { "X-Deny": "1" } });
    return { status, text, calls: visit().calls };
  } catch {
    return { status: 0, text: "cut off", calls: visit().calls };
  }
}

async function expectSame(ask: Ask): Promise<void> {
  const denied = await ask("plain", "denied");
  expect(await ask("cached", "denied")).toEqual(denied);
  const miss = await ask("plain");
  expect(miss).toMatchObject({ status: 200, text: "one two three" });
  expect(await ask("cached")).toEqual(miss);
  expect(await ask("cached")).toMatchObject({ status: 200, text: "one two three" });
}

describe.each([
  { name: "Express 5", express: express5 },
  { name: "Express 4", express: express4 },
])("$name", ({ express }) => {
  it.each(ROWS)("a layer that takes itself off $when, and $way: as without the cache", async ({ when, way }) => {
    let visit: Visit = { calls: [], denies: false };
    const app = express().set("env", "test");
    app.use((request, response, next) => {
      visit = { calls: [], denies: request.headers["x-deny"] !== undefined };
      LAYERS[when]!(response as unknown as Methods, visit);
      next();
    });
    const page: RequestHandler = (_request, response) => PAGES[way]!(response);
    app.get("/plain", page);
    app.get("/cached", expressCache(createCache())("5m"), page);
    app.use((error: Error, _request: Request, response: Response, next: NextFunction) => {
      if (response.headersSent) next(error);
      else response.status(403).send(error.message);
    });
    const served = await listen(app);
    onTestFinished(() => served.close());
    await expectSame((place, denied) => outcomeOf(`${served.url}/${place}`, denied, () => visit));
  });
});

describe("node:http", () => {
  it.each(ROWS)("a layer that takes itself off $when, and $way: as without the cache", async ({ when, way }) => {
    let visit: Visit = { calls: [], denies: false };
    const plain = (_request: unknown, response: ServerResponse): void => PAGES[way]!(response);
    const cached = nodeCache(createCache())("5m", plain);
    const server = createServer((request, response) => {
      visit = { calls: [], denies: request.headers["x-deny"] !== undefined };
      LAYERS[when]!(response as unknown as Methods, visit);
      try {
        if (request.url === "/plain") plain(request, response);
        else void cached(request, response);
      } catch (error) {
        response.statusCode = 403;
        response.end((error as Error).message);
      }
    });
    const served = await listen((request, response) => server.emit("request", request, response));
    onTestFinished(() => served.close());
    await expectSame((place, denied) => outcomeOf(`${served.url}/${place}`, denied, () => visit));
  });
});
