/** The adapters for fetch handlers and Hono in Bun, Deno and workerd, as served there. */

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { until } from "../adapters/contract/world.ts";
import { type Received, send } from "../adapters/contract/http-client.ts";
import { type Running, RUNTIMES } from "./runtimes.ts";

const hitOrMiss = (received: Received): unknown => received.headers["x-reprise-cache"];
const status = (received: Received): string => String(received.headers["cache-status"]);

describe.each(RUNTIMES)("$name", ({ collapses, start }) => {
  let running: Running | undefined;
  const get = (path: string, headers: Record<string, string> = {}): Promise<Received> =>
    send(`${running?.url}${path}`, { headers });

  beforeAll(async () => {
    running = await start();
  }, 60_000);
  afterAll(() => running?.stop());

  it("serves the sample of the README from the cache", async () => {
    for (const outcome of ["Miss", "Hit", "Hit"]) {
      const received = await get("/sample");
      expect([received.status, JSON.parse(received.text), hitOrMiss(received)]).toEqual([
        200,
        { path: "/sample" },
        outcome,
      ]);
    }
  });

  it.each(["/slow", "/hono/slow"])("answers requests that miss together: %s", async (path) => {
    const together = await Promise.all([get(path), get(path), get(path), get(path)]);
    expect(together.map((received) => received.status)).toEqual([200, 200, 200, 200]);
    const runs = new Set(together.map((received) => received.text));
    if (collapses) expect(runs.size).toBe(1);
    expect(hitOrMiss(await get(path))).toBe("Hit");
  });

  it.each(["/mine", "/hono/mine"])("runs the handler in the context of each request: %s", async (path) => {
    const users = ["ann", "bob", "eve"];
    const answers = await Promise.all(users.map((user) => get(path, { "X-User": user })));
    expect(answers.map((received) => received.text)).toEqual(users.map((user) => `hello ${user}`));
  });

  it.each(["/renewed", "/hono/renewed"])("serves stale and renews in the background: %s", async (path) => {
    const first = await get(path);
    expect(hitOrMiss(first)).toBe("Miss");
    await get("/control/advance?seconds=11");
    const stale = await get(path);
    expect([stale.text, hitOrMiss(stale)]).toEqual([first.text, "Hit"]);
    await until(async () => (await get(path)).text !== first.text);
    const renewed = await get(path);
    expect([hitOrMiss(renewed), status(renewed)]).toEqual(["Hit", expect.stringContaining("ttl=10")]);
    expect(JSON.parse((await get("/control/events")).text)).not.toContain("revalidation-failed");
  });

  it("shows layers the client's address when a response is renewed", async () => {
    // Workers have no address to tell.
    const headers = { "X-Address": "none" };
    const first = await get("/hono/restricted", headers);
    expect(first.status).toBe(200);
    await get("/control/advance?seconds=11");
    expect((await get("/hono/restricted", headers)).text).toBe(first.text);
    await until(async () => (await get("/hono/restricted", headers)).text !== first.text);
    expect(JSON.parse((await get("/control/events")).text)).not.toContain("revalidation-failed");
  });

  it("streams, and keeps what it streamed", async () => {
    const first = await get("/streamed");
    expect(first.text).toMatch(/^one,two,run \d+$/);
    const second = await get("/streamed");
    expect([second.text, hitOrMiss(second)]).toEqual([first.text, "Hit"]);
  });

  it.each(["/late", "/hono/late"])("stores no page beside which a cookie is set late: %s", async (path) => {
    const pages = [await get(path), await get(path), ...(await Promise.all([get(path), get(path)]))];
    expect(new Set(pages.map((page) => page.text)).size).toBe(4);
    for (const page of pages) {
      expect(page.headers["set-cookie"]).toHaveLength(1);
      expect(status(page)).toContain("detail=set-cookie");
      expect([page.headers["cache-control"], page.headers["expires"]]).toEqual([undefined, undefined]);
    }
  });

  it.each(["/moved", "/hono/moved"])("stores a response without a body: %s", async (path) => {
    expect((await get(path)).status).toBe(301);
    await until(async () => hitOrMiss(await get(path)) === "Hit");
  });

  it.each([
    ["/text", "/uncached/text"],
    ["/text-later", "/uncached/text"],
    ["/hono/text", "/uncached/text"],
    ["/bytes", "/uncached/bytes"],
  ])("names the type that the runtime does: %s", async (path, uncached) => {
    const type = (received: Received): unknown => received.headers["content-type"];
    const own = type(await get(uncached));
    const [miss, hit, bypassed] = [await get(path), await get(path), await get(path, { Authorization: "Basic a" })];
    expect([miss, hit].map(hitOrMiss)).toEqual(["Miss", "Hit"]);
    expect(status(bypassed)).toContain("bypass");
    expect([miss, hit, bypassed].map(type)).toEqual([own, own, own]);

    await get("/control/advance?seconds=11");
    if (hitOrMiss(await get(path)) === "Miss" || path.startsWith("/bytes") || path.endsWith("later")) return;
    await until(async () => (await get(path)).text !== miss.text);
    expect(type(await get(path))).toBe(own);
  });
});
