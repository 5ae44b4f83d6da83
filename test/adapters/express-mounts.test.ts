/** What `purge({ route })` calls a route of Express in three apps and routers, each mounted in the one before. */

import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";

import express5, { type Express, type RequestHandler, type Router } from "express";
import express4 from "express4";
import { afterEach, describe, expect, it } from "vitest";

import { expressCache } from "../../src/adapters/express/index.ts";
import { createCache } from "../../src/cache.ts";

type Container = "app" | "router";

interface Mount {
  /** Argument of `use`; `undefined`: no path. */
  readonly path: string | RegExp | (string | RegExp)[] | undefined;
  readonly requested: string;
  /** The pattern as one writes it by hand: by text and by source. */
  readonly patterns: readonly [string, string];
}

/** The kinds of mount paths, with names of their own on each level. */
function mountsAt(level: number): readonly Mount[] {
  const withParameter = `/with${level}/:x${level}`;
  const expression = new RegExp(String.raw`^/regexp${level}-(?:\d|[|)])`);
  const ofExpression = [String(expression), expression.source] as const;
  return [
    { path: withParameter, requested: `/with${level}/7`, patterns: [withParameter, withParameter] },
    { path: [expression, withParameter], requested: `/with${level}/7`, patterns: [withParameter, withParameter] },
    // Its list is one expression in Express 4.
    {
      path: level === 2 ? expression : ["/other/:y", expression],
      requested: `/regexp${level}-7`,
      patterns: ofExpression,
    },
    { path: undefined, requested: "", patterns: ["", ""] },
  ];
}

const page: RequestHandler = (_request, response) => void response.send(String(Math.random()));

function use(outer: Express | Router, { path }: Mount, inner: Express | Router): void {
  if (path === undefined) (outer as Router).use(inner);
  else (outer as Router).use(path, inner);
}

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

const cache = createCache();
const cached = expressCache(cache);

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  ends.push(() => {
    server.close();
    server.closeAllConnections();
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function get(url: string): Promise<string> {
  return (await fetch(url)).text();
}

/** Expects that a purge of this route reaches what is stored of this URL. */
async function expectPurged(url: string, route: string): Promise<void> {
  const before = await get(url);
  expect(await get(url), url).toBe(before);
  await cache.purge({ route });
  expect(await get(url), `${url} by ${route}`).not.toBe(before);
}

const CONTAINERS: readonly Container[] = ["app", "router"];
const NESTINGS = CONTAINERS.flatMap((one) => CONTAINERS.flatMap((two) => CONTAINERS.map((three) => [one, two, three])));

describe.each([
  { name: "Express 5", express: express5 },
  { name: "Express 4", express: express4 },
])("$name", ({ express }) => {
  it.each(NESTINGS)("%s, %s, %s", async (first, second, third) => {
    const containers = [first, second, third];
    // The outer app is hidden by a function of Express, and the inner one has no parent.
    const isRouterHidden = containers.join() === "app,router,app";
    for (const one of mountsAt(1)) {
      for (const two of mountsAt(2)) {
        for (const three of mountsAt(3)) {
          if (isRouterHidden && (two.path ?? three.path) !== undefined) continue;
          const mounts = [one, two, three];
          const app = express();
          let outer: Express | Router = app;
          for (const [level, mount] of mounts.entries()) {
            const inner: Express | Router = containers[level] === "app" ? express() : express.Router();
            use(outer, mount, inner);
            outer = inner;
          }
          (outer as Express).get("/q/:id", cached(), page);
          const url = (await serve(app)) + mounts.map(({ requested }) => requested).join("");
          for (const form of [0, 1] as const) {
            await expectPurged(`${url}/q/7`, `${mounts.map(({ patterns }) => patterns[form]).join("")}/q/:id`);
          }
        }
      }
    }
  });

  it("an app in a router of an app on an app has the concrete path of that router", async () => {
    const inner = express();
    inner.get("/q/:id", cached(), page);
    const router = express.Router();
    router.use("/s/:y", inner);
    const middle = express();
    middle.use(router);
    const app = express();
    app.use("/:any", express());
    app.use("/r/:x", middle);
    await expectPurged(`${await serve(app)}/r/1/s/2/q/3`, "/r/:x/s/2/q/:id");
  });

  it.each(["on the server", "on an app"])("a function %s leaves the concrete path of what it hides", async (place) => {
    const router = express.Router();
    router.get("/q/:id", cached(), page);
    const inner = express();
    inner.use("/s/:y", router);
    const outer = express.Router();
    outer.use("/r/:x", (request, response, next) => void (inner as RequestHandler)(request, response, next));
    const app = express();
    app.use(outer);
    const listener: RequestListener = place === "on an app" ? app : (request, response) => void app(request, response);
    await expectPurged(`${await serve(listener)}/r/1/s/2/q/3`, "/r/1/s/:y/q/:id");
  });
});
