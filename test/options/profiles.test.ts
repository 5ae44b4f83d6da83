import { describe, expect, it } from "vitest";
import { fetchCache } from "../../src/adapters/fetch/index.ts";
import { nodeCache } from "../../src/adapters/node/index.ts";
import { createCache } from "../../src/cache.ts";
import { originStub } from "../../src/testing.ts";
import { harness, STORES } from "../engine/harness.ts";
import http from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";

const DATE = "Thu, 01 Jan 1970 00:00:00 GMT";

describe.each(STORES)("profile rfc9111-shared over $kind", ({ store }) => {
  const shared = (): ReturnType<typeof harness> =>
    harness({
      store,
      byHeaders: { profile: "rfc9111-shared", requestDirectives: "rfc9111", query: { except: ["mark"] } },
    });

  it("guesses a lifetime from Last-Modified (RFC 9111 §4.2.2)", async () => {
    const { origin, get } = shared();
    origin.replies("old", { "last-modified": DATE });
    await get("/");
    expect((await get("/")).outcome).toMatchObject({ hit: true, ttlSeconds: 86_400 });
  });

  it.each([204, 404, 500])("stores a %i that states its lifetime (RFC 9111 §3)", async (status) => {
    const { origin, get } = shared();
    origin.replies(status === 204 ? null : "no", { status, headers: { "cache-control": "max-age=10" } });
    await get("/");
    expect(await get("/")).toMatchObject({ status, outcome: { hit: true } });
  });

  it("obeys CDN-Cache-Control before Cache-Control (RFC 9213)", async () => {
    const { origin, get, clock } = shared();
    origin.replies("v1", { "cdn-cache-control": "max-age=60", "cache-control": "no-store" });
    await get("/");
    clock.advance({ seconds: 59 });
    const hit = await get("/");
    expect(hit.outcome.hit).toBe(true);
    expect(hit.fields["cdn-cache-control"]).toBe("max-age=60");
    origin.replies("v2", { "cdn-cache-control": "no-store", "cache-control": "max-age=60" });
    clock.advance({ seconds: 2 });
    await get("/");
    expect((await get("/")).outcome).toMatchObject({ hit: false, detail: "no-store" });
  });

  it("serves stale for a minute while the origin cannot be reached, and not what forbids it (RFC 9111 §4.2.4)", async () => {
    const { origin, get, clock } = shared();
    origin.replies("v1", { "cache-control": "max-age=10" });
    await get("/a");
    origin.replies("v1", { "cache-control": "max-age=10, must-revalidate" });
    await get("/b");
    origin.fails(new Error("unreachable"));
    clock.advance({ seconds: 69 });
    expect(await get("/a")).toMatchObject({ body: "v1", age: 69, outcome: { detail: "stale-if-error" } });
    await expect(get("/b")).rejects.toThrow("unreachable");
    clock.advance({ seconds: 2 });
    await expect(get("/a")).rejects.toThrow("unreachable");
  });

  it("stores what must be validated each time, and validates it (RFC 9111 §5.2.2.4)", async () => {
    const { origin, get } = shared();
    origin.replies("v1", { "cache-control": "no-cache", etag: '"v1"' });
    await get("/");
    origin.replies(null, { status: 304, headers: { etag: '"v1"' } });
    expect(await get("/")).toMatchObject({ status: 200, body: "v1", outcome: { originStatus: 304 } });
    expect(origin.requests[1]!.headers.get("if-none-match")).toBe('"v1"');
  });

  it("freshens by HEAD what the HEAD describes, and drops what it contradicts (RFC 9111 §4.3.5)", async () => {
    const { origin, get, clock } = shared();
    origin.replies("body", { "cache-control": "max-age=10", etag: '"v1"' });
    await get("/");
    clock.advance({ seconds: 11 });
    origin.replies("", { "cache-control": "max-age=100", etag: '"v1"', "x-new": "yes" });
    await get("/", {}, "HEAD");
    expect(await get("/")).toMatchObject({ body: "body", fields: { "x-new": "yes" }, outcome: { hit: true } });
    clock.advance({ seconds: 101 });
    origin.replies("", { "cache-control": "max-age=100", etag: '"v2"' });
    await get("/", {}, "HEAD");
    origin.replies("new", { "cache-control": "max-age=100", etag: '"v2"' });
    expect(await get("/")).toMatchObject({ body: "new", outcome: { hit: false, forwarded: "uri-miss" } });
  });

  it("keeps a part and gives it again (RFC 9111 §3.3)", async () => {
    const { origin, get } = shared();
    const part = { status: 206, headers: { "cache-control": "max-age=10", "content-range": "bytes 2-5/10" } };
    origin.replies("2345", part);
    expect(await get("/", { range: "bytes=2-5" })).toMatchObject({ status: 206, body: "2345" });
    expect(origin.requests[0]!.headers.get("range")).toBe("bytes=2-5");
    const again = await get("/", { range: "bytes=2-5" });
    expect(again).toMatchObject({ status: 206, body: "2345", outcome: { hit: true } });
    expect(await get("/", { range: "bytes=3-4" })).toMatchObject({
      status: 206,
      body: "34",
      fields: { "content-range": "bytes 3-4/10" },
      outcome: { hit: true },
    });
    origin.replies("0123456789", { "cache-control": "max-age=10" });
    expect(await get("/")).toMatchObject({ status: 200, body: "0123456789", outcome: { hit: false } });
  });

  it.each<{ says: string; seconds: number; outcome: object; status?: number }>([
    { says: "max-age=60", seconds: 20, outcome: { hit: true, ttlSeconds: 40 } },
    { says: "no-cache", seconds: 20, outcome: { hit: false, forwarded: "request" } },
    { says: "max-age=0", seconds: 20, outcome: { hit: false, forwarded: "request" } },
    { says: "max-age=19", seconds: 20, outcome: { hit: false, forwarded: "request" } },
    { says: "min-fresh=41", seconds: 20, outcome: { hit: false, forwarded: "request" } },
    { says: "min-fresh=40", seconds: 20, outcome: { hit: true } },
    { says: "only-if-cached", seconds: 20, outcome: { hit: true } },
    { says: "only-if-cached, no-cache", seconds: 20, outcome: { hit: false, detail: "only-if-cached" }, status: 504 },
    { says: "only-if-cached", seconds: 61, outcome: { hit: false, detail: "only-if-cached" }, status: 504 },
    { says: "max-stale=5", seconds: 61, outcome: { hit: true, ttlSeconds: -1 } },
    { says: "max-stale=5", seconds: 70, outcome: { hit: false, forwarded: "stale" } },
    { says: "max-age=600", seconds: 61, outcome: { hit: false, forwarded: "stale" } },
  ])("a stored part obeys $says after $seconds s as a whole response does (RFC 9111 §5.2.1)", async (row) => {
    const { origin, get, clock } = shared();
    const headers = { "cache-control": "max-age=60", "content-range": "bytes 2-5/10" };
    origin.replies("2345", { status: 206, headers });
    await get("/", { range: "bytes=2-5" });
    clock.advance({ seconds: row.seconds });
    const answer = await get("/", { range: "bytes=2-5", "cache-control": row.says });
    expect(answer).toMatchObject({ status: row.status ?? 206, outcome: row.outcome });
    expect(origin.requests).toHaveLength("forwarded" in row.outcome ? 2 : 1);
  });

  it("asks for a part that is not in the stored one, and says so", async () => {
    const { origin, get } = shared();
    const headers = { "cache-control": "max-age=60", "content-range": "bytes 2-5/10" };
    origin.replies("2345", { status: 206, headers });
    await get("/", { range: "bytes=2-5" });
    expect((await get("/", { range: "bytes=4-8" })).outcome).toMatchObject({ forwarded: "partial" });
  });

  it("completes a part with one of the same strong tag, and only with such a one (RFC 9111 §3.4)", async () => {
    const { origin, get } = shared();
    const headers = (range: string, etag: string): Record<string, string> => ({
      "cache-control": "max-age=10",
      "content-range": `bytes ${range}/10`,
      etag,
    });
    origin.replies("01234", { status: 206, headers: headers("0-4", '"v1"') });
    await get("/", { range: "bytes=0-4" });
    origin.replies("56789", { status: 206, headers: headers("5-9", '"v1"') });
    await get("/", { range: "bytes=5-9" });
    expect(await get("/")).toMatchObject({ status: 200, body: "0123456789", outcome: { hit: true } });

    origin.replies("01234", { status: 206, headers: headers("0-4", '"v1"') });
    await get("/other", { range: "bytes=0-4" });
    origin.replies("56789", { status: 206, headers: headers("5-9", '"v2"') });
    await get("/other", { range: "bytes=5-9" });
    origin.replies("whole", { "cache-control": "max-age=10" });
    expect((await get("/other")).body).toBe("whole");
  });

  it("leaves out of the key what No-Vary-Search says makes no difference", async () => {
    const { origin, get } = shared();
    origin.replies("page", { "cache-control": "max-age=10", "no-vary-search": 'key-order, params=("utm")' });
    await get("/?a=1&b=2&utm=x");
    expect((await get("/?b=2&utm=y&a=1")).outcome.hit).toBe(true);
    expect((await get("/?b=2&a=3")).outcome.hit).toBe(false);
    expect((await get("/other?b=2&a=1")).outcome.hit).toBe(false);
  });

  it.each(["purge", "unsafe request"])("loses what it left out of the key to a %s of the whole URL", async (how) => {
    const shares = store(Date.now);
    const url = "http://origin.test/b?x=1&utm=2";
    let runs = 0;
    const handlerOf = () => {
      const cache = createCache({ store: shares });
      const handle = fetchCache(cache).byHeaders({ profile: "proxy" }, () => {
        runs += 1;
        const headers = { "cache-control": "max-age=60", "no-vary-search": 'params=("utm")' };
        return new Response(`run ${runs}`, { headers });
      });
      return { cache, ask: async (init?: RequestInit) => (await handle(new Request(url, init))).text() };
    };
    // The second, as another process, has not seen the field.
    const [one, two] = [handlerOf(), handlerOf()];
    await one.ask();
    expect(await one.ask()).toBe("run 1");
    if (how === "purge") await two.cache.purge({ url });
    else expect(await two.ask({ method: "POST" })).toBe("run 2");
    expect(await one.ask()).toBe(`run ${how === "purge" ? 2 : 3}`);
  });

  it("keeps queries in another order apart: an unknown origin may care", async () => {
    const origin = originStub();
    origin.replies("page", { "cache-control": "max-age=10" });
    const cached = fetchCache(createCache({ store: store(Date.now) })).byHeaders({ profile: "proxy" }, origin.handler);
    for (const query of ["b=1&a=2", "a=2&b=1", "b=1&a=2"]) await cached(new Request(`http://origin.test/?${query}`));
    expect(origin.requests).toHaveLength(2);
  });
});

describe("unsafe requests", () => {
  it("store what a POST makes of its own URI for GET (RFC 9110 §9.3.3), after invalidating it", async () => {
    const cached = fetchCache(createCache({ requestDirectives: "rfc9111" })).byHeaders(
      { profile: "rfc9111-shared" },
      (request) =>
        new Response(request.method, {
          headers: {
            "cache-control": "max-age=60",
            ...(request.method === "POST" ? { "content-location": "/a" } : {}),
          },
        }),
    );
    const ask = async (method: string, path: string): Promise<string> =>
      (await cached(new Request(`http://origin.test${path}`, { method }))).text();
    expect(await ask("GET", "/a")).toBe("GET");
    expect(await ask("POST", "/a")).toBe("POST");
    expect(await ask("GET", "/a")).toBe("POST");
    expect(await ask("POST", "/b")).toBe("POST");
    expect(await ask("GET", "/b")).toBe("GET");
  });

  it("invalidate the groups they name, on their own origin and only they (RFC 9875)", async () => {
    let run = 0;
    const cached = fetchCache(createCache()).byHeaders(
      { profile: "proxy", requestDirectives: "rfc9111" },
      (request) =>
        new Response(`${++run}`, {
          headers: {
            "cache-control": "max-age=60",
            "cache-groups": '"users", "all"',
            "cache-group-invalidation": '"users"',
          },
          status: request.headers.has("fail") ? 500 : 200,
        }),
    );
    const ask = async (method: string, url: string, fields: Record<string, string> = {}): Promise<string> =>
      (await cached(new Request(url, { method, headers: fields }))).text();
    expect(await ask("GET", "http://a.test/1")).toBe("1");
    expect(await ask("GET", "http://a.test/1")).toBe("1");
    await ask("POST", "http://b.test/x");
    expect(await ask("GET", "http://a.test/1")).toBe("1");
    await ask("POST", "http://a.test/x", { fail: "1" });
    expect(await ask("GET", "http://a.test/1")).toBe("1");
    await ask("POST", "http://a.test/x");
    expect(await ask("GET", "http://a.test/1")).toBe("5");
  });

  it("name their tags as groups where a route asks for it", async () => {
    const cached = fetchCache(createCache())(
      { tags: ["user:7", "users"], cacheGroups: true },
      async () => new Response("ok"),
    );
    const response = await cached(new Request("http://origin.test/"));
    expect(response.headers.get("cache-groups")).toBe('"user:7", "users"');
  });
});

describe("QUERY (RFC 10008)", () => {
  const content = (request: Request): Promise<string> => request.text();

  it("passes without effect unless the route asks for it", async () => {
    let runs = 0;
    const cached = fetchCache(createCache())("1m", () => new Response(`${++runs}`));
    const ask = (): Request =>
      new Request("http://origin.test/", { method: "QUERY", body: "q", headers: { "content-length": "1" } });
    await cached(ask());
    const second = await cached(ask());
    expect(await second.text()).toBe("2");
    expect(second.headers.get("cache-status")).toBeNull();
  });

  it("is cached by its content and what says how to read it, and keeps apart from GET", async () => {
    let runs = 0;
    const cached = fetchCache(createCache())(
      { queryMethod: true },
      async (request) =>
        new Response(`${++runs} ${request.method} ${request.method === "QUERY" ? await content(request) : ""}`),
    );
    const ask = async (body: string, type = "text/plain"): Promise<string> => {
      const fields = { "content-length": String(body.length), "content-type": type };
      return (await cached(new Request("http://origin.test/", { method: "QUERY", body, headers: fields }))).text();
    };
    expect(await ask("a")).toBe("1 QUERY a");
    expect(await ask("a")).toBe("1 QUERY a");
    expect(await ask("b")).toBe("2 QUERY b");
    expect(await ask("a", "application/sql")).toBe("3 QUERY a");
    expect(await (await cached(new Request("http://origin.test/"))).text()).toBe("4 GET ");
    expect(await ask("a")).toBe("1 QUERY a");
    expect(await ask("x".repeat(70_000))).toMatch(/^5 QUERY/);
    expect(await ask("x".repeat(70_000))).toMatch(/^6 QUERY/);
  });

  it("leaves the content to a node:http handler", async () => {
    let runs = 0;
    const cached = nodeCache(createCache())({ queryMethod: true }, async (request, response) => {
      let text = "";
      for await (const piece of request) text += String(piece);
      response.end(`${++runs} ${text}`);
    });
    const server = http.createServer(cached).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const ask = async (body: string): Promise<string> =>
      (await fetch(`http://127.0.0.1:${port}/`, { method: "QUERY", body })).text();
    try {
      const large = "y".repeat(60_000);
      expect(await ask("a")).toBe("1 a");
      expect(await ask("a")).toBe("1 a");
      expect(await ask(large)).toBe(`2 ${large}`);
      expect(await ask(large)).toBe(`2 ${large}`);
      expect(await ask("")).toBe("3 ");
      expect(await ask("")).toBe("3 ");
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});

describe("options that say it with a field", () => {
  it("query: { noVarySearch } is obeyed, told downstream, and hides the rest from the handler", async () => {
    const seen: string[] = [];
    const query = { noVarySearch: 'key-order, params=("utm")' };
    const cached = fetchCache(createCache())({ query }, async (request) => {
      seen.push(new URL(request.url).search);
      return new Response("ok");
    });
    const ask = (search: string): Promise<Response> =>
      Promise.resolve(cached(new Request(`http://origin.test/${search}`)));
    expect((await ask("?b=1&utm=x&a=2")).headers.get("no-vary-search")).toBe(query.noVarySearch);
    expect((await ask("?a=2&b=1&utm=y")).headers.get("x-reprise-cache")).toBe("Hit");
    expect((await ask("?a=3&b=1")).headers.get("x-reprise-cache")).toBe("Miss");
    expect(seen).toEqual(["?a=2&b=1", "?a=3&b=1"]);
    // Another process that was asked otherwise makes the same tag.
    const elsewhere = fetchCache(createCache())({ query }, async () => new Response("ok"));
    const tag = (await elsewhere(new Request("http://origin.test/?utm=z&a=2&b=1"))).headers.get("etag");
    expect(tag).toBe((await ask("?b=1&a=2")).headers.get("etag"));
  });

  it("targetedFields are an own list, in order, and passed on (RFC 9213)", async () => {
    const fields = { "shop-cache-control": "max-age=60", "cdn-cache-control": "no-store", "cache-control": "no-store" };
    const targetedFields = ["Shop-Cache-Control", "CDN-Cache-Control"];
    const { origin, get } = harness({ byHeaders: { targetedFields } });
    origin.replies("ok", fields);
    await get("/");
    const hit = await get("/");
    expect(hit.outcome.hit).toBe(true);
    expect(hit.fields).toMatchObject(fields);
  });
});

describe("languages of the application", () => {
  it("let requests that get the same language share it", async () => {
    const { origin, get } = harness({ languages: ["en", "de"], route: { expire: "1m" } });
    origin.replies(
      (request) => new Response(request.headers.get("accept-language"), { headers: { vary: "accept-language" } }),
    );
    await get("/", { "accept-language": "de-AT, en;q=0.5" });
    expect((await get("/", { "accept-language": "de" })).outcome.hit).toBe(true);
    expect((await get("/", { "accept-language": "fr" })).outcome.hit).toBe(false);
  });
});
