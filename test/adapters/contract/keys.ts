import { expect, it } from "vitest";

import { counter, hitOrMiss, type Setup } from "./world.ts";

/** Fields that frameworks, proxies and other caches let change the answer; each was the means of an attack. */
const UNKEYED_ELSEWHERE = [
  "X-Forwarded-Host",
  "X-Forwarded-Proto",
  "X-Forwarded-Scheme",
  "X-Forwarded-Port",
  "X-Forwarded-Prefix",
  "X-Forwarded-Path",
  "X-Forwarded-Server",
  "X-Forwarded-SSL",
  "X-Host",
  "X-Original-Host",
  "X-Original-URL",
  "X-Rewrite-URL",
  "X-HTTP-Host-Override",
  "X-HTTP-Method-Override",
  "X-Matched-Path",
  "X-Invoke-Path",
  "X-Middleware-Prefetch",
  "X-Nextjs-Data",
  "X-Now-Route-Matches",
  "X-React-Router-SPA-Mode",
  "X-React-Router-Prerender-Data",
  "RSC",
  "Next-Router-Prefetch",
  "Next-Router-State-Tree",
  "Next-Url",
  "CloudFront-Forwarded-Proto",
  "CF-Visitor",
  "X-ARR-SSL",
  "X-Envoy-Original-Path",
  "X-Replaced-Path",
  "X-Middleware-Subrequest",
  "HX-Request",
  "Turbo-Frame",
  "X-Inertia",
  "X-PJAX",
  "X-Requested-With",
];

/** Targets that must never share an answer. */
const DIFFERENT: readonly { targets: readonly string[]; trap: string }[] = [
  { targets: ["/a:b", "/a/b", "/a%2Fb", "/ab"], trap: "delimiters of a key are data in a path" },
  { targets: ["/?a%3D1%26b=2", "/?a=1&b=2", "/?a=1%26b=2"], trap: "escaped delimiters stay escaped" },
  { targets: ["/items:a=1", "/items?a=1", "/items%3Fa=1"], trap: "a path cannot pass for a query" },
  { targets: ["/a%20b", "/a+b", "/a%5C%20b", "/a%00b", "/a%1Eb", "/a{}b"], trap: "blanks, NUL and hash tags" },
  { targets: ["/?id=1&id=2", "/?id=2", "/?id=1", "/?id=2&id=1"], trap: "repeated parameters do not merge" },
  { targets: ["/?a=1;b=2", "/?a=1&b=2", "/?a=1%3Bb=2"], trap: "a semicolon is data" },
  { targets: ["/?a", "/?a=", "/?a=null", "/?a=undefined", "/"], trap: "absent, empty and null" },
  { targets: ["/Item/aB", "/item/ab", "/ITEM/AB"], trap: "the case of a path counts" },
  { targets: ["/?Q=1", "/?q=1"], trap: "the case of a name counts" },
  { targets: ["/x", "/x/_payload.json", "/x?/_payload.json", "/x/", "//x"], trap: "a route's variants" },
  { targets: ["/__proto__", "/constructor", "/?__proto__=1", "/?constructor=1"], trap: "names of the prototype" },
];

/** What tells requests apart. */
export function keys(setup: Setup): void {
  it.each(DIFFERENT)("$trap", async ({ targets }) => {
    const { get } = await setup.start(anyPath(counter().handler));

    const bodies: string[] = [];
    for (const target of targets) bodies.push((await get(target)).text);
    expect(new Set(bodies).size).toBe(targets.length);
    for (const [at, target] of targets.entries()) {
      const again = await get(target);
      expect([again.text, hitOrMiss(again)], target).toEqual([bodies[at], "Hit"]);
    }
  });

  it("the order of parameters makes no difference, and the same query is the same key", async () => {
    const { get } = await setup.serve(counter().handler);

    await get("/?b=2&a=1&c=3");
    for (const target of ["/?a=1&b=2&c=3", "/?c=3&b=2&a=1"]) expect(hitOrMiss(await get(target)), target).toBe("Hit");
  });

  it("T70 parameters that elsewhere force a refresh are parameters like others", async () => {
    const { get } = await setup.serve(counter().handler);

    for (const outcome of ["Miss", "Hit"]) {
      expect(hitOrMiss(await get("/?force=true"))).toBe(outcome);
      expect(hitOrMiss(await get("/?x=1", { "X-Apicache-Bypass": "true" }))).toBe(outcome);
    }
  });

  it.each(UNKEYED_ELSEWHERE)("what %s does to a response never reaches somebody who did not send it", async (name) => {
    const { get } = await setup.serve((seen) => ({
      text: `https://${seen.header(name.toLowerCase()) ?? "api.example"}/script.js`,
    }));

    const poisoned = await get("/", { [name]: "evil.example" });
    const victim = await get("/");

    expect(poisoned.text).toBe("https://evil.example/script.js");
    expect(victim.text).toBe("https://api.example/script.js");
    expect((await get("/", { [name]: "evil.example" })).text).toBe(poisoned.text);
  });

  it("Host is in the key, whatever its case", async () => {
    const { get } = await setup.serve((seen) => ({ text: seen.header("host") ?? "none" }));

    expect((await get("/", { Host: "one.example" })).text).toBe("one.example");
    expect((await get("/", { Host: "two.example" })).text).toBe("two.example");
    expect(hitOrMiss(await get("/", { Host: "ONE.example" }))).toBe("Hit");
  });

  it.each(["ONE.example", "one.example:80", "ONE.example:80"])(
    "what the handler makes of Host: %s is not given to a visitor who sends another spelling",
    async (spelling) => {
      const { get, cache } = await setup.serve((seen) => ({ text: seen.header("host") ?? "none" }));

      const forged = await get("/", { Host: spelling });
      expect((await get("/", { Host: "one.example" })).text).toBe("one.example");
      expect((await get("/", { Host: spelling })).text).toBe(forged.text);

      await cache.purge({ url: "http://one.example/" });
      expect(hitOrMiss(await get("/", { Host: spelling }))).toBe("Miss");
    },
  );

  it("with an authority for all keys, the handler sees that and not the client's Host", async () => {
    const { get } = await setup.serve(
      (seen) => ({ text: seen.header("host") ?? "none" }),
      {},
      { authority: "api.example" },
    );

    expect((await get("/", { Host: "evil.example" })).text).toBe("api.example");
    const other = await get("/", { Host: "other.example" });
    expect([other.text, hitOrMiss(other)]).toEqual(["api.example", "Hit"]);
  });

  it("routes of one factory never share", async () => {
    const make = (name: string) => ({
      path: `/${name}`,
      handler: () => ({ text: name }),
      options: { query: "none" as const },
    });
    const { get } = await setup.start([make("a"), make("b")]);

    for (const outcome of ["Miss", "Hit"]) {
      for (const name of ["a", "b"]) {
        const received = await get(`/${name}?x=${outcome}`);
        expect([received.text, hitOrMiss(received)]).toEqual([name, outcome]);
      }
    }
  });

  it("what is cached is decided by the route, never by the text of the URL", async () => {
    const account = counter();
    const { get } = await setup.start([
      { path: "/account/:rest", handler: account.handler, isCached: false },
      { path: "/account", handler: account.handler, isCached: false },
      { path: "/static/:file", handler: () => ({ text: "static" }) },
    ]);

    const targets = [
      "/account/x.css",
      "/account/x.js?static",
      "/account/..%2fstatic%2fx.css",
      "/account/%00.css",
      "/account/;x.css",
      "/account?/static/x.css",
    ];
    for (const target of [...targets, ...targets]) {
      const received = await get(target);
      expect(received.headers["x-reprise-cache"], target).toBeUndefined();
      expect(received.headers["cache-control"], target).toBeUndefined();
    }
    expect(account.runs).toBe(targets.length * 2);
  });
}

/** The same handler under every path of up to two segments. */
function anyPath(handler: Parameters<Setup["serve"]>[0]) {
  return ["/", "/:a", "/:a/:b", "//:a", "/:a/"].map((path) => ({ path, handler }));
}
