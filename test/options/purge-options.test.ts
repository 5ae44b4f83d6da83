import { describe, expect, inject, it, onTestFinished } from "vitest";
import { createCache, type Cache } from "../../src/cache.ts";
import { fetchCache } from "../../src/adapters/fetch/index.ts";
import { purgeTargets, resolveWrites, type PurgeSelection } from "../../src/options/purge-options.ts";
import { redisStore } from "../../src/stores/redis/index.ts";
import { ownPrefix } from "../redis/store.ts";

describe("what a selection names", () => {
  it.each<{ what: "all" | PurgeSelection; named: readonly string[] }>([
    { what: "all", named: ["all"] },
    { what: { tag: "user:7" }, named: ["name #user:7"] },
    { what: { tags: ["a", "b"], tag: "c" }, named: ["name #a", "name #b", "name #c"] },
    { what: { tags: [] }, named: [] },
    { what: { url: "/users/7" }, named: ["uri /users/7"] },
    { what: { url: "/users?b=2&a=1" }, named: ["uri /users?a=1&b=2", "name ?/users"] },
    { what: { url: "https://API.example:8443/users#top" }, named: ["uri https://api.example:8443/users"] },
    { what: { url: "/caf\u00e9/x y?q=a b" }, named: ["uri /caf%c3%a9/x%20y?q=a%20b", "name ?/caf%c3%a9/x%20y"] },
    { what: { url: "/caf%c3%a9" }, named: ["uri /caf%c3%a9"] },
    { what: { url: "/\ud800" }, named: ["uri /%ef%bf%bd"] },
    { what: { prefix: "/caf\u00e9" }, named: ["under /caf%c3%a9"] },
    { what: { urls: ["/a", "/b"] }, named: ["uri /a", "uri /b"] },
    { what: { route: "/users/:id" }, named: ["name @/users/:id"] },
    { what: { prefix: "/users/" }, named: ["under /users"] },
    { what: { prefix: "/Us%65rs//" }, named: ["under /users"] },
    { what: { prefix: "/a//b" }, named: ["under /a//b", "under /a/b"] },
    { what: { url: "/Users/7/" }, named: ["uri /users/7"] },
    { what: { url: "http://API.example:80/x" }, named: ["uri http://api.example/x"] },
    { what: { url: "https://api.example.:443/x" }, named: ["uri https://api.example/x"] },
    { what: { url: "https://m\u00fcnchen.example/x" }, named: ["uri https://xn--mnchen-3ya.example/x"] },
    { what: { url: "/a/./b/../c" }, named: ["uri /a/./b/../c", "uri /a/c"] },
    { what: { prefix: "/" }, named: ["under /"] },
    { what: { prefix: "https://api.example/users" }, named: ["under https://api.example/users"] },
  ])("$what → $named", ({ what, named }) => {
    const targets = purgeTargets("purge", what);
    expect(targets.map((target) => (target.kind === "all" ? "all" : `${target.kind} ${target.text}`))).toEqual(named);
  });

  it("takes a tag and a route of the same name apart", () => {
    expect(purgeTargets("purge", { tag: "users" })).not.toEqual(purgeTargets("purge", { route: "users" }));
  });
});

describe("a purge of a URL on a route with a part of the query in its key", () => {
  it("reaches what another process stored, and without such a route only by the URL of the key", async () => {
    const prefix = ownPrefix();
    const ofProcess = (): Cache => {
      const cache = createCache({ prefix, store: redisStore({ url: inject("redisUrl") }) });
      onTestFinished(() => cache.close());
      return cache;
    };
    let version = 0;
    const [server, other, script] = [ofProcess(), ofProcess(), ofProcess()];
    const read = fetchCache(server)({ query: ["page"] }, () => new Response(`v${(version += 1)}`));
    fetchCache(other)({ query: ["page"] }, () => new Response());
    const text = async (): Promise<string> => (await read(new Request("http://a.test/list?page=2&utm=x"))).text();
    const stored = async (): Promise<string> => {
      for (let last = await text(); ;) {
        const next = await text();
        if (next === last) return next;
        last = next;
      }
    };
    await Promise.all([server.ready(), other.ready(), script.ready()]);

    const before = await stored();
    await other.purge({ url: "/list?page=1&utm=x" });
    await script.purge({ url: "/list?page=2&utm=x" });
    expect(await text()).toBe(before);
    await other.purge({ url: "/list?utm=y&page=2" });
    expect(await text()).not.toBe(before);
    const after = await stored();
    await script.purge({ url: "/list?page=2" });
    expect(await text()).not.toBe(after);
  });
});

describe("what a write route purges", () => {
  it("is what its options name, fixed or by request", () => {
    const writes = resolveWrites({ tags: (id: number) => [`user:${id}`], route: "users", soft: true });
    expect(writes).toMatchObject({ soft: true, through: false });
    expect(writes.targets(7)).toEqual([
      { kind: "name", text: "@users" },
      { kind: "name", text: "#user:7" },
    ]);
  });

  it("is also its own URL, by the key of the route that reads it", async () => {
    const cached = fetchCache(createCache());
    const query = ["lang"];
    let version = 1;
    const read = cached({ expire: "1h", query }, () => new Response(`v${version}`));
    const seen: string[] = [];
    const write = cached.purges({ tag: "another", query }, (request: Request) => {
      seen.push(request.url);
      version += 1;
      return new Response();
    });
    const url = "http://a.test/s?lang=en&session=9";
    const text = async (): Promise<string> => (await read(new Request(url))).text();
    expect([await text(), await text()]).toEqual(["v1", "v1"]);
    await (await write(new Request(url, { method: "PUT" }))).text();
    expect(await text()).toBe("v2");
    expect(seen).toEqual([url]);
  });

  it.each<{ options: object; says: string }>([
    { options: { tag: "a", query: 7 }, says: "{ query }): expected" },
    { options: { soft: true }, says: "cached.purges({ soft }): expected something else to purge" },
    { options: { tags: undefined }, says: "cached.purges({ tags }): expected what to purge, got undefined" },
    { options: null as never, says: 'For example { tag: "users" }.' },
    { options: { prefix: "/users/*" }, says: "cached.purges({ prefix }): expected a path without a wildcard" },
    { options: { tags: "user:7" }, says: "cached.purges({ tags }): expected a list of texts" },
    { options: { url: "users" }, says: "cached.purges({ url }): expected a path or an absolute URL" },
    { options: { tag: "a", soft: 1 }, says: "cached.purges({ soft }): expected true or false" },
    { options: { expire: "1h" }, says: 'cached.purges(): there is no option "expire"' },
  ])("$options is refused when the route is made", ({ options, says }) => {
    const cached = fetchCache(createCache());
    expect(() => cached.purges(options, () => new Response())).toThrow(says);
  });

  it("is judged at the request where it is computed", () => {
    const writes = resolveWrites({ tags: () => "user:7" as never });
    expect(() => writes.targets(undefined)).toThrow("cached.purges({ tags }): expected a list of texts");
  });
});
