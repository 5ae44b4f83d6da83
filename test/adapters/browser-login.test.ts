/** What a real browser shows after a login, from its own cache. */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import express, { type Request } from "express";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { expressCache } from "../../src/adapters/express/index.ts";
import { createCache } from "../../src/cache.ts";
import { CHROMIUM_FLAGS, installedBrowser } from "../browser.ts";

let browser: Browser;

beforeAll(async () => {
  browser = await chromium.launch({ executablePath: installedBrowser(), args: [...CHROMIUM_FLAGS] });
}, 12 * 60_000);

afterAll(() => browser?.close());

function userOf(request: Request): string | undefined {
  return /(?:^|; )sid=(\w+)/.exec(request.headers.cookie ?? "")?.[1];
}

/** An application with a login, and a page of it in a browser. `runs` counts how often the start page was made. */
async function visit(): Promise<{ readonly page: Page; readonly url: string; readonly runs: () => number }> {
  const cached = expressCache(createCache());
  const app = express();
  let runs = 0;
  app.get("/", cached("5m"), (request, response) => {
    runs++;
    response.send(`Hello ${userOf(request) ?? "stranger"} <a href="/">home</a>`);
  });
  // The page of a handler that states a lifetime of its own, and a Vary of its own.
  app.get("/own", cached("5m"), (request, response) => {
    response.set("Cache-Control", "max-age=300").set("Vary", "Accept-Language");
    response.send(`Hello ${userOf(request) ?? "stranger"}`);
  });
  app.get("/api/me", cached("5m"), (request, response) => {
    response.set("Cache-Control", "max-age=300").json(request.get("authorization") ?? "stranger");
  });
  app.get("/basket", cached({ expire: "5m", audience: userOf, browser: "5m" }), (request, response) => {
    response.send(`Basket of ${userOf(request) ?? "stranger"}`);
  });
  app.get("/login/:user", (request, response) => {
    response.cookie("sid", request.params.user).send('in <a href="/">home</a>');
  });
  app.get("/logout", (_request, response) => void response.clearCookie("sid").send('out <a href="/">home</a>'));
  app.get("/favicon.ico", (_request, response) => void response.status(404).end());
  const server = createServer(app);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const context = await browser.newContext();
  onTestFinished(async () => {
    await context.close();
    server.close();
    server.closeAllConnections();
  });
  const page = await context.newPage();
  return { page, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, runs: () => runs };
}

describe("a browser after a login", () => {
  it("shows the page of its user, and after the logout that of a stranger", async () => {
    const { page, url, runs } = await visit();
    const show = async (path: string): Promise<string> => {
      await page.goto(url + path);
      return ((await page.textContent("body")) ?? "").trim();
    };
    const follow = async (): Promise<string> => {
      await Promise.all([page.waitForURL(`${url}/`), page.click("a")]);
      return ((await page.textContent("body")) ?? "").trim();
    };

    expect(await show("/")).toContain("Hello stranger");
    await show("/login/ann");
    expect(await follow()).toContain("Hello ann");
    await show("/login/bob");
    expect(await follow()).toContain("Hello bob");
    await show("/logout");
    expect(await follow()).toContain("Hello stranger");
    // The stranger's page was made once: ours is the cache that kept it.
    expect(runs()).toBe(3);
  });

  it("does so where the handler states a lifetime and a Vary of its own", async () => {
    const { page, url } = await visit();
    const shown: (string | null)[] = [];
    for (const path of ["/own", "/login/ann", "/own", "/login/bob", "/own", "/logout", "/own"]) {
      // A reload would ask in any case.
      await page.goto("about:blank");
      await page.goto(url + path);
      if (path === "/own") shown.push(await page.textContent("body"));
    }
    expect(shown).toEqual(["Hello stranger", "Hello ann", "Hello bob", "Hello stranger"]);
  });

  it("shows nobody the response of another user that it may keep", async () => {
    const { page, url } = await visit();
    const shown: (string | null)[] = [];
    for (const path of ["/login/ann", "/basket", "/login/bob", "/basket", "/logout", "/basket"]) {
      await page.goto("about:blank");
      await page.goto(url + path);
      if (path === "/basket") shown.push(await page.textContent("body"));
    }
    expect(shown).toEqual(["Basket of ann", "Basket of bob", "Basket of stranger"]);
  });

  it("gives a script that sends Authorization its own answer, and one without it the stranger's", async () => {
    const { page, url } = await visit();
    await page.goto(url);
    const ask = (headers: string): Promise<unknown> =>
      page.evaluate(`fetch("/api/me", { headers: ${headers} }).then((response) => response.json())`);
    expect(await ask("{}")).toBe("stranger");
    expect(await ask('{ authorization: "ann" }')).toBe("ann");
    expect(await ask('{ authorization: "bob" }')).toBe("bob");
    expect(await ask("{}")).toBe("stranger");
  });
});
