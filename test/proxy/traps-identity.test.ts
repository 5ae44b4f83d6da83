import type { IncomingMessage } from "node:http";
import { describe, expect, it } from "vitest";
import { client, head } from "./world.ts";
import { BOTH, outcome, story } from "./story.ts";

const FRESH = ["Cache-Control", "max-age=60"];

describe.each(BOTH)("whose response it is, profile %s", (profile) => {
  it("a GET with a body neither gets nor makes a shared response", async () => {
    const { get, send, requests } = await story(profile, (request) => ({
      fields: FRESH,
      body: `length ${request.headers["content-length"] ?? "none"}`,
    }));
    expect((await send("GET", "/", { body: "evil=1", headers: { "content-length": "6" } })).text).toBe("length 6");
    expect((await get()).text).toBe("length none");
    expect((await send("GET", "/", { body: "evil=1", headers: { "content-length": "6" } })).text).toBe("length 6");
    expect(await get()).toMatchObject({ text: "length none" });
    expect(requests).toHaveLength(3);
  });

  it("a GET with a chunked body is no different", async () => {
    const { get, send } = await story(profile, (request) => ({
      fields: FRESH,
      body: request.headers["transfer-encoding"] ?? "plain",
    }));
    expect((await send("GET", "/", { body: "evil", headers: { "transfer-encoding": "chunked" } })).text).toBe(
      "chunked",
    );
    expect((await get()).text).toBe("plain");
  });

  it.each(["x-http-method-override", "x-http-method", "x-method-override", "x-original-url", "x-rewrite-url", "x-forwarded-host", "x-host"])(
    "what %s makes of a request is for those who send it",
    async (name) => {
      const { get } = await story(profile, (request) => ({ fields: FRESH, body: String(request.headers[name] ?? "clean") }));
      const poisoned = await get("/", { [name]: "evil.example" });
      expect((await get()).text).toBe(poisoned.text === "evil.example" ? "clean" : poisoned.text);
      expect((await get()).text).not.toBe("evil.example");
    },
  ); // prettier-ignore

  it.each(["/account/x.css", "/account;x.css", "/account%2fx.css", "/account%00.js", "/account//x.png", "/account/..%2fstatic/x.js", "/account.ico?x.css"])(
    "%s is not stored for its looks",
    async (path) => {
      const { get, requests } = await story(profile, (_request, count) => ({ body: `account ${count}` }));
      await get(path, { cookie: "session=victim" });
      expect((await get(path)).text).toBe("account 2");
      expect(requests.map(({ url }) => url)).toEqual([path, path]);
    },
  ); // prettier-ignore

  it("paths an upstream may or may not take for one another are apart", async () => {
    const paths = [
      "/a/b",
      "/a%2fb",
      "/a%2Fb",
      "/a//b",
      "/a/./b",
      "/A/b",
      "/a;b",
      "/a/b/",
      "/a/b?",
      "/a/b%00",
      "/a\\b",
      "/a/b;",
    ];
    const { get } = await story(profile, { fields: FRESH });
    for (const path of paths) await get(path);
    for (const path of paths) {
      const { text } = await get(path);
      // An empty query may be the same as none (RFC 9111 §2 leaves the key to the cache), nothing else.
      expect(text.replace(/\?$/, "")).toBe(`GET ${path}`.replace(/\?$/, ""));
    }
  });

  it("one resource has so many variants and no more", async () => {
    const { get, requests } = await story(
      profile,
      (request) => ({ fields: [...FRESH, "Vary", "User-Agent"], body: request.headers["user-agent"] ?? "" }),
      { maxVariants: 4 },
    );
    for (let agent = 0; agent < 40; agent++) await get("/", { "user-agent": `bot ${agent}` });
    expect(requests).toHaveLength(40);
    const again = await Promise.all(
      Array.from({ length: 40 }, (_, agent) => get("/", { "user-agent": `bot ${agent}` })),
    );
    expect(again.map(({ text }) => text)).toEqual(Array.from({ length: 40 }, (_, agent) => `bot ${agent}`));
    expect(again.filter((answer) => outcome(answer) === "Hit")).toHaveLength(4);
  });

  it("query, cookies and fields of the client's own making do not refresh what is stored", async () => {
    const { get, requests } = await story(profile, { fields: FRESH, body: "x" });
    await get("/");
    for (const headers of [
      { "x-apicache-bypass": "true" },
      { "x-no-cache": "1" },
      { "cache-control": "x-no-cache, nocache, note=no-cache" },
      { pragma: "x-no-cache" },
      { "surrogate-control": "no-store" },
      { "x-purge": "1", "x-refresh": "1" },
    ]) {
      expect(outcome(await get("/", headers))).toBe("Hit");
    }
    expect(requests).toHaveLength(1);
  });

  it("fifty clients that ask for a fresh one at the same time cost one request, or one each, but nobody a stale answer", async () => {
    const { get, requests } = await story(profile, (_request, count) => ({ fields: FRESH, body: `v${count}` }));
    await get();
    const answers = await Promise.all(Array.from({ length: 50 }, () => get("/", { "cache-control": "no-cache" })));
    expect(new Set(answers.map(({ text }) => text))).not.toContain("v1");
    expect(requests.length).toBeLessThanOrEqual(51);
  });
});

describe("CORS", () => {
  const reflecting = (request: IncomingMessage): { readonly fields: readonly string[] } => ({
    fields: [...FRESH, "Access-Control-Allow-Origin", request.headers.origin ?? "null"],
  });

  it("an origin that is allowed alone and not in Vary is not stored (proxy)", async () => {
    const { get } = await story("proxy", reflecting);
    await get("/", { origin: "https://a.example" });
    expect((await get("/", { origin: "https://b.example" })).headers["access-control-allow-origin"]).toBe(
      "https://b.example",
    );
  });

  it.each(BOTH)("with Vary: Origin each has its own, profile %s", async (profile) => {
    const { get, requests } = await story(profile, (request) => ({
      fields: [...reflecting(request).fields, "Vary", "Origin"],
    }));
    for (const origin of ["https://a.example", "https://b.example", "https://a.example"]) {
      expect((await get("/", { origin })).headers["access-control-allow-origin"]).toBe(origin);
    }
    expect(requests).toHaveLength(2);
  });
});

it("a request hidden in the body of a GET is nobody's", async () => {
  const { port, get } = await story("proxy", { fields: FRESH });
  const hidden = head("GET /hidden HTTP/1.1", "Host: a");
  const peer = await client(port);
  peer.write(head("GET /first HTTP/1.1", "Host: a", `Content-Length: ${hidden.length}`) + hidden);
  peer.write(head("GET /second HTTP/1.1", "Host: a", "Connection: close"));
  const answers = await peer.rest();
  expect([...answers.matchAll(/GET (\/\w+)/g)].map(([, path]) => path)).toEqual(["/first", "/second"]);
  expect(outcome(await get("/hidden"))).toBe("Miss");
});
