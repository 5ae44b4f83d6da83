import { expect, it, vi } from "vitest";

import { cacheStatusOf, counter, hitOrMiss, type Setup } from "./world.ts";

const SESSIONS = [
  "connect.sid=a",
  "theme=dark",
  "theme=dark; session=a",
  "__Host-session=a",
  "PHPSESSID=a",
  "wordpress_logged_in_5f4dcc3b5aa765d61d8327deb882cf99=a",
  "__Secure-next-auth.session-token.0=a",
  ".AspNetCore.CookiesC1=a",
  "_myapp_session=a",
  "sb-abcdefgh-auth-token.0=a",
  "_ga=1; SID=a",
];

const HARMLESS = "_ga=GA1.2.3; _ga_G1A2B3=GS1; __cf_bm=x; AWSALB=y";

/** Whose response it is. */
export function identity(setup: Setup): void {
  it("5.11 T16 a request with Authorization bypasses, and Cache-Status says why", async () => {
    const { get } = await setup.serve((seen) => ({ text: `hello ${seen.header("authorization") ?? "stranger"}` }));

    for (const user of ["Bearer a", "Bearer b", "Bearer a"]) {
      const received = await get("/", { Authorization: user });
      expect(received.text).toBe(`hello ${user}`);
      expect(cacheStatusOf(received)).toBe("reprise; fwd=bypass; detail=authorization");
      expect(hitOrMiss(received)).toBe("Miss");
      expect(received.headers["cache-control"]).toBeUndefined();
    }
    expect((await get("/")).text).toBe("hello stranger");
    expect((await get("/", { Authorization: "Bearer a" })).text).toBe("hello Bearer a");
    expect(hitOrMiss(await get("/"))).toBe("Hit");
  });

  it.each(["X-Api-Key", "X-Auth-Token", "CF-Access-Jwt-Assertion", "X-Amzn-Oidc-Data", "X-Auth-Request-User"])(
    "a field that stands for a login counts like Authorization: %s",
    async (name) => {
      const { get } = await setup.serve((seen) => ({ text: `hello ${seen.header(name.toLowerCase()) ?? "stranger"}` }));

      await get("/");
      for (const user of ["ann", "bob"]) {
        const received = await get("/", { [name]: user });
        expect([received.text, cacheStatusOf(received)]).toEqual([
          `hello ${user}`,
          "reprise; fwd=bypass; detail=authorization",
        ]);
      }
      expect(hitOrMiss(await get("/"))).toBe("Hit");
    },
  );

  it.each(SESSIONS)("5.11 T16 any cookie that is not known to be harmless bypasses: %s", async (cookie) => {
    const { get } = await setup.serve((seen) => ({ text: `cookie ${seen.header("cookie") ?? "none"}` }));

    await get("/");
    const mine = await get("/", { Cookie: cookie });

    expect(mine.text).toBe(`cookie ${cookie}`);
    expect(cacheStatusOf(mine)).toBe("reprise; fwd=bypass; detail=cookie");
    expect((await get("/")).text).toBe("cookie none");
  });

  it("a handler that reads a session and says no Vary: its answer reaches nobody else", async () => {
    const { get } = await setup.serve((seen) => ({ text: `cart of ${seen.header("cookie") ?? "nobody"}` }));

    expect((await get("/", { Cookie: "sid=a" })).text).toBe("cart of sid=a");
    const stranger = await get("/");
    expect([stranger.text, hitOrMiss(stranger)]).toEqual(["cart of nobody", "Miss"]);
    expect((await get("/", { Cookie: "sid=b" })).text).toBe("cart of sid=b");
  });

  it("5.11 harmless cookies make no difference, and the handler does not see them", async () => {
    const { get } = await setup.serve((seen) => ({ text: `cookie ${seen.header("cookie") ?? "none"}` }));

    const first = await get("/", { Cookie: HARMLESS });
    expect([first.text, hitOrMiss(first)]).toEqual(["cookie none", "Miss"]);
    expect(hitOrMiss(await get("/", { Cookie: "_ga=GA1.2.4" }))).toBe("Hit");
    expect(hitOrMiss(await get("/"))).toBe("Hit");
  });

  it("5.11 a request that takes no part shows its handler all cookies as they were sent", async () => {
    const { get } = await setup.serve((seen) => ({ text: `cookie ${seen.header("cookie") ?? "none"}` }));

    for (const headers of [{ Authorization: "Bearer a" }, { "Cache-Control": "no-cache" }]) {
      expect((await get("/", { ...headers, Cookie: HARMLESS })).text).toBe(`cookie ${HARMLESS}`);
    }
    expect((await get("/", { Cookie: `${HARMLESS}; sid=a` })).text).toBe(`cookie ${HARMLESS}; sid=a`);
  });

  it("5.11 further cookies can be declared harmless, by name and by pattern", async () => {
    const { get } = await setup.serve(
      (seen) => ({ text: `cookie ${seen.header("cookie") ?? "none"}` }),
      {},
      { identity: { harmlessCookies: ["theme", /^exp_/g] } },
    );

    expect((await get("/", { Cookie: "theme=dark; exp_1=a" })).text).toBe("cookie none");
    for (const cookie of ["theme=light", "exp_2=b; exp_3=c", "exp_4=b", "_ga=1; theme=dark"]) {
      expect(hitOrMiss(await get("/", { Cookie: cookie })), cookie).toBe("Hit");
    }
    expect(cacheStatusOf(await get("/", { Cookie: "Theme=dark" }))).toContain("detail=cookie");
  });

  it("5.11 a renewal in the background does not see harmless cookies either", async () => {
    let run = 0;
    const { get, advance, events } = await setup.serve(
      (seen) => ({ text: `run ${++run}, cookie ${seen.header("cookie") ?? "none"}` }),
      { expire: 60, staleWhileRevalidate: 60 },
    );

    await get("/");
    advance(70);
    const stored = (): number => events.filter(({ type }) => type === "stored").length;
    await vi.waitFor(async () => {
      await get("/", { Cookie: "_ga=1" });
      expect(stored()).toBeGreaterThan(1);
    });
    expect((await get("/")).text).toBe(`run ${run}, cookie none`);
  });

  it("5.11 the identity rules of a cache can be changed", async () => {
    const { get } = await setup.serve(
      counter().handler,
      {},
      { identity: { authorization: false, fields: ["X-Acme-User", "x-sso-*"], harmlessFields: ["X-Api-Key"] } },
    );

    await get("/");
    expect(hitOrMiss(await get("/", { "X-Api-Key": "a" }))).toBe("Hit");
    expect(hitOrMiss(await get("/", { Authorization: "a" }))).toBe("Hit");
    for (const name of ["X-Acme-User", "X-SSO-Mail"]) {
      expect(cacheStatusOf(await get("/", { [name]: "a" }))).toContain("detail=authorization");
    }
    expect((await get("/")).headers["vary"]).toBe("Cookie, Authorization, x-acme-user");
  });

  it('5.11 audience "public": everybody shares, and the handler sees no cookie', async () => {
    const { get } = await setup.serve((seen) => ({ text: `cookie ${seen.header("cookie") ?? "none"}` }), {
      audience: "public",
    });

    const first = await get("/", { Authorization: "Bearer a", Cookie: "session=a" });
    expect([first.text, hitOrMiss(first)]).toEqual(["cookie none", "Miss"]);
    expect(first.headers["vary"]).toBeUndefined();
    for (const headers of [{ Authorization: "Bearer b" }, { Cookie: "session=a" }, {}]) {
      const received = await get("/", headers);
      expect([received.text, hitOrMiss(received)]).toEqual(["cookie none", "Hit"]);
      expect(received.headers["vary"]).toBeUndefined();
    }
  });

  it("5.11 audience per user: each has a response of their own, private to downstream caches", async () => {
    const { get, events } = await setup.serve(
      (seen) => ({ text: `hello ${seen.header("authorization") ?? "stranger"}, ${seen.header("cookie") ?? "none"}` }),
      (header) => ({ expire: 60, audience: (native) => header(native, "authorization") }),
    );

    for (const outcome of ["Miss", "Hit"]) {
      for (const user of ["user-secret-a", "user-secret-b"]) {
        const received = await get("/", { Authorization: user, Cookie: "theme=dark" });
        expect([received.text, hitOrMiss(received)]).toEqual([`hello ${user}, theme=dark`, outcome]);
        expect(received.headers["cache-control"]).toBe("private, no-cache");
        expect(received.headers["expires"]).toBeUndefined();
      }
      // What those share who have no id depends on no cookie.
      const anonymous = await get("/", { Cookie: "_ga=1" });
      expect([anonymous.text, hitOrMiss(anonymous)]).toEqual(["hello stranger, none", outcome]);
    }
    expect(JSON.stringify(events)).not.toContain("user-secret");
  });

  it("5.11 audience ids of different types are different users", async () => {
    const ids: Record<string, string | number | bigint> = {
      text: "1",
      number: 1,
      bigint: 1n,
      high: "\ud800",
      higher: "\ud801",
      quoted: '"1"',
      suffixed: "1n",
      zero: 0,
    };
    const { get } = await setup.serve(counter().handler, (header) => ({
      audience: (native) => ids[header(native, "x-id") ?? ""],
    }));

    for (const name of Object.keys(ids)) expect(hitOrMiss(await get("/", { "X-Id": name })), name).toBe("Miss");
    for (const name of Object.keys(ids)) expect(hitOrMiss(await get("/", { "X-Id": name })), name).toBe("Hit");
  });

  it.each([
    { gives: "undefined", id: undefined },
    { gives: "null", id: null },
    { gives: '""', id: "" },
  ])("an audience that gives $gives for a request with an identity bypasses, and warns once", async ({ id }) => {
    const warn = vi.fn<(message: string) => void>();
    const logger = { debug() {}, info() {}, warn };
    const { get } = await setup.serve(
      (seen) => ({ text: `hello ${seen.header("authorization") ?? seen.header("cookie") ?? "stranger"}` }),
      { audience: () => id },
      { logger },
    );

    for (const user of ["ann", "bob"]) {
      const received = await get("/?token=secret", { Authorization: user });
      expect(received.text).toBe(`hello ${user}`);
      expect(cacheStatusOf(received)).toBe("reprise; fwd=bypass; detail=audience");
    }
    expect((await get("/", { Cookie: "sid=ann" })).text).toBe("hello sid=ann");
    expect(warn.mock.calls.filter(([message]) => message.startsWith("audience"))).toEqual([
      [
        "audience gave no id for a request with Authorization on GET /; it is not cached. That is right where nobody is " +
          "logged in. If this user is: does cached() stand before your login middleware?",
      ],
    ]);
    await get("/");
    expect(hitOrMiss(await get("/", { Cookie: "_ga=1" }))).toBe("Hit");
  });

  it.each([
    { gives: "an object", id: { id: 7 } },
    { gives: "NaN", id: NaN },
    { gives: "Infinity", id: Infinity },
    { gives: "true", id: true },
    { gives: "a symbol", id: Symbol("ann") },
    { gives: "a promise", id: Promise.resolve("ann") },
    { gives: "an array", id: ["ann"] },
  ])("5.11 an audience that gives $gives bypasses", async ({ id }) => {
    const { get, events } = await setup.serve(counter().handler, { audience: (() => id) as unknown as () => string });

    for (const run of [1, 2]) {
      const received = await get("/");
      expect(received.text).toBe(`{"run":${run}}`);
      expect(cacheStatusOf(received)).toBe("reprise; fwd=bypass; detail=callback-failed");
    }
    expect(events.filter(({ type }) => type === "callback-failed")).toHaveLength(2);
  });

  it("5.11 an audience whose promise rejects ends nothing", async () => {
    const { get } = await setup.serve(counter().handler, {
      audience: (() => Promise.reject(new Error("no session"))) as unknown as () => string,
    });
    expect(cacheStatusOf(await get("/"))).toBe("reprise; fwd=bypass; detail=callback-failed");
    expect((await get("/")).text).toBe('{"run":2}');
  });

  it("5.11 a cookie that keeps a route from being cached is named once in development, with both cures", async () => {
    const warn = vi.fn<(message: string) => void>();
    const logger = { debug() {}, info() {}, warn };
    const { get } = await setup.serve(counter().handler, {}, { logger });

    vi.stubEnv("NODE_ENV", "production");
    await get("/", { Cookie: "plan=a" });
    expect(warn).not.toHaveBeenCalled();
    vi.stubEnv("NODE_ENV", "development");
    for (const cookie of ["_ga=1; plan=secret-a", "plan=secret-b", "theme=dark", "secret-c"]) {
      await get("/?q=secret", { Cookie: cookie });
    }
    vi.unstubAllEnvs();
    const messages = warn.mock.calls.map(([message]) => message);
    expect(messages).toHaveLength(3);
    expect(messages[0]).toContain('the cookie "plan" on GET / is not cached');
    expect(messages[0]).toContain('harmlessCookies: ["plan"]');
    expect(messages[0]).toContain('audience: "public"');
    expect(messages[1]).toContain('the cookie "theme"');
    expect(messages[2]).toContain("a cookie without a name");
    expect(messages.join()).not.toContain("secret");
  });

  it("5.11 strangers cannot make it warn without end", async () => {
    const warn = vi.fn<(message: string) => void>();
    const { get } = await setup.serve(counter().handler, {}, { logger: { debug() {}, info() {}, warn } });

    for (let at = 0; at < 50; at++) await get("/", { Cookie: `stranger${at}=1` });
    expect(warn.mock.calls.length).toBeLessThanOrEqual(32);
    await get("/", { Cookie: `${"x".repeat(4_000)}=1` });
    for (const [message] of warn.mock.calls) expect(message.length).toBeLessThan(500);
  });

  it.each([401, 403])("a stored %i is not the answer to a request that shows an identity", async (status) => {
    const { get } = await setup.start([
      {
        path: "/",
        handler: (seen) =>
          seen.header("authorization") === undefined
            ? { status, text: "log in", headers: { "Cache-Control": "max-age=60" } }
            : { text: `hello ${seen.header("authorization")}`, headers: { "Cache-Control": "max-age=60, public" } },
        make: (cached, rest) =>
          cached.byHeaders({ profile: "proxy", requestDirectives: "rfc9111", statuses: [status] }, ...rest),
      },
    ]);

    expect((await get("/")).status).toBe(status);
    expect(hitOrMiss(await get("/"))).toBe("Hit");
    const welcome = await get("/", { Authorization: "ann" });
    expect([welcome.status, welcome.text]).toEqual([200, "hello ann"]);
  });

  it("nor is one that another request is waiting for", async () => {
    let open = (): void => {};
    const opened = new Promise<void>((resolve) => (open = resolve));
    let runs = 0;
    const { get } = await setup.start([
      {
        path: "/",
        handler: async (seen) => {
          runs++;
          if (seen.header("authorization") !== undefined) return { text: "hello" };
          await opened;
          return { status: 401, text: "log in", headers: { "Cache-Control": "max-age=60" } };
        },
        make: (cached, rest) => cached.byHeaders({ profile: "proxy", requestDirectives: "rfc9111" }, ...rest),
      },
    ]);

    const stranger = get("/");
    await vi.waitFor(() => expect(runs).toBe(1));
    const ann = get("/", { Authorization: "ann" });
    await new Promise((resolve) => setImmediate(resolve));
    open();
    expect((await stranger).status).toBe(401);
    expect((await ann).text).toBe("hello");
  });

  it("says in Vary that requests with an identity are answered apart, whatever is in Vary already", async () => {
    const { get } = await setup.start([
      { path: "/plain", handler: counter().handler },
      { path: "/vary", handler: () => ({ text: "a", headers: { Vary: "Accept-Language, Origin" } }) },
      { path: "/declared", handler: counter().handler, options: { vary: ["accept-language"] } },
      { path: "/refused", handler: () => ({ text: "a", headers: { Vary: "cookie", "Set-Cookie": "a=b" } }) },
      {
        path: "/stream",
        handler: () => ({
          stream: async function* () {
            yield new Uint8Array([1]);
            await new Promise((resolve) => setTimeout(resolve, 5));
            yield new Uint8Array([2]);
          },
          headers: { Vary: "Origin" },
        }),
      },
      {
        path: "/headers",
        handler: () => ({ text: "a", headers: { "Cache-Control": "max-age=60", Vary: "Origin" } }),
        make: (cached, rest) => cached.byHeaders({}, ...rest),
      },
    ]);

    const expected: Record<string, string> = {
      "/plain": "cookie, authorization",
      "/vary": "accept-language, origin, cookie, authorization",
      "/declared": "accept-language, cookie, authorization",
      "/refused": "cookie, authorization",
      "/stream": "origin, cookie, authorization",
      "/headers": "origin, cookie, authorization",
    };
    for (const [path, vary] of Object.entries(expected)) {
      const lower = (received: { headers: Record<string, unknown> }): string =>
        String(received.headers["vary"]).toLowerCase();
      const miss = await get(path);
      expect(lower(miss), path).toBe(vary);
      const second = await get(path);
      if (path !== "/refused") expect(hitOrMiss(second), path).toBe("Hit");
      expect(lower(second), path).toBe(vary);
      const etag = second.headers.etag;
      if (typeof etag === "string" && path !== "/refused") {
        const notModified = await get(path, { "If-None-Match": etag });
        expect([notModified.status, lower(notModified)], path).toEqual([304, vary]);
      }
      for (const headers of [{ Cookie: "sid=a" }, { "Cache-Control": "no-cache" }]) {
        const bypassed = lower(await get(path, headers));
        for (const name of vary.split(", ")) {
          if (path !== "/declared" || name !== "accept-language") expect(bypassed, path).toContain(name);
        }
        expect(bypassed.match(/cookie/g), path).toHaveLength(1);
      }
    }
  });

  it("Vary for an identity does not split what is stored", async () => {
    const { get } = await setup.serve(counter().handler);

    await get("/", { Cookie: "_ga=1" });
    for (const cookie of ["_ga=2", "_ga=3; _gid=1", ""]) {
      expect(hitOrMiss(await get("/", cookie === "" ? {} : { Cookie: cookie }))).toBe("Hit");
    }
  });

  it("a field in vary is in the key, so it is no identity, and the response is for one user", async () => {
    const { get } = await setup.serve((seen) => ({ text: `cookie ${seen.header("cookie") ?? "none"}` }), {
      vary: ["cookie"],
    });

    for (const outcome of ["Miss", "Hit"]) {
      for (const cookie of ["sid=a", "sid=b", "_ga=1; sid=a"]) {
        const received = await get("/", { Cookie: cookie });
        expect([received.text, hitOrMiss(received)]).toEqual([`cookie ${cookie}`, outcome]);
        expect(received.headers["cache-control"]).toBe("private, no-cache");
      }
    }
  });

  it("what can be purged by a tag is not kept by browsers, unless the route says how long", async () => {
    const { get, cache } = await setup.start([
      { path: "/route", handler: counter().handler, options: { expire: 60, tags: ["a"] } },
      { path: "/none", handler: counter().handler, options: { expire: 60, tags: () => [] } },
      {
        path: "/handler",
        handler: (seen) => {
          cache.tag(seen.native, "a");
          return { text: "a" };
        },
        options: { expire: 60 },
      },
      { path: "/field", handler: () => ({ text: "a", headers: { "Cache-Tag": "a" } }), options: { expire: 60 } },
      { path: "/browser", handler: counter().handler, options: { expire: 60, tags: ["a"], browser: 10 } },
      { path: "/cdn", handler: counter().handler, options: { expire: 60, tags: ["a"], cdn: 30 } },
      {
        path: "/own",
        handler: () => ({ text: "a", headers: { "Cache-Control": "max-age=7" } }),
        options: { expire: 60, tags: ["a"] },
      },
    ]);

    for (const [path, told] of [
      ["/route", "no-cache"],
      ["/none", "no-cache"],
      ["/handler", "no-cache"],
      ["/field", "no-cache"],
      ["/browser", "max-age=10"],
      ["/cdn", "no-cache"],
      ["/own", "max-age=7"],
    ] as const) {
      for (const outcome of ["Miss", "Hit"]) {
        const received = await get(path);
        expect([hitOrMiss(received), received.headers["cache-control"]], path).toEqual([outcome, told]);
        if (told === "no-cache") expect(received.headers["expires"], path).toBeUndefined();
        if (path === "/cdn") expect(received.headers["cdn-cache-control"]).toBe("max-age=30");
      }
    }
  });

  it("what is for one user is never shared downstream, whatever its handler says", async () => {
    const audience = (): string => "ann";
    const own = (headers: Record<string, string>) => () => ({ text: "hello ann", headers });
    const { get } = await setup.start([
      { path: "/public", handler: own({ "Cache-Control": "public" }), options: { expire: 60, audience } },
      {
        path: "/lifetime",
        handler: own({ "Cache-Control": "public, max-age=7, s-maxage=9", "CDN-Cache-Control": "max-age=9" }),
        options: { expire: 60, audience },
      },
      { path: "/shared", handler: own({ "Cache-Control": "s-maxage=9" }), options: { expire: 60, audience } },
      { path: "/browser", handler: own({}), options: { expire: 60, audience, browser: 10 } },
      {
        path: "/surrogate",
        handler: own({
          "Surrogate-Control": "max-age=9",
          "X-Accel-Expires": "9",
          "Vercel-CDN-Cache-Control": "max-age=9",
        }),
        options: { expire: 60, audience },
      },
      {
        path: "/headers",
        handler: own({ "Cache-Control": "public, max-age=7" }),
        make: (cached, rest) => cached.byHeaders({ audience }, ...rest),
      },
    ]);

    const told: Record<string, Record<string, string | undefined>> = {
      "/public": { "cache-control": "private, no-cache", vary: undefined },
      "/lifetime": {
        "cache-control": "private, max-age=7",
        "cdn-cache-control": "private",
        vary: "Cookie, Authorization",
      },
      "/shared": { "cache-control": "private, no-cache" },
      "/browser": { "cache-control": "private, max-age=10", vary: "Cookie, Authorization" },
      "/surrogate": {
        "surrogate-control": "no-store",
        "x-accel-expires": "0",
        "vercel-cdn-cache-control": "private",
      },
      "/headers": { "cache-control": "private, max-age=7", vary: "Cookie, Authorization" },
    };
    for (const [path, fields] of Object.entries(told)) {
      for (const outcome of ["Miss", "Hit"]) {
        const received = await get(path);
        expect(hitOrMiss(received), path).toBe(outcome);
        for (const [name, value] of Object.entries(fields)) {
          expect(received.headers[name], `${path} ${name}`).toBe(value);
        }
      }
    }
  });

  it("a response to Authorization may be shared if its handler says public", async () => {
    const { get } = await setup.serve(
      () => ({ text: "everybody's", headers: { "Cache-Control": "public" } }),
      {},
      { identity: { authorization: false } },
    );

    await get("/", { Authorization: "Bearer a" });
    expect(hitOrMiss(await get("/", { Authorization: "Bearer b" }))).toBe("Hit");
  });

  it("without that it is not stored, even where Authorization does not bypass", async () => {
    const { get } = await setup.serve(counter().handler, {}, { identity: { authorization: false } });

    const mine = await get("/", { Authorization: "Bearer a" });
    expect(cacheStatusOf(mine)).toBe("reprise; fwd=uri-miss; fwd-status=200; detail=authorization");
    expect((await get("/")).text).toBe('{"run":2}');
  });

  it("in profile proxy a login without Authorization is stored as one with it: if its response says so", async () => {
    const { get } = await setup.start([
      {
        path: "/:what",
        handler: (seen) => ({
          text: `hello ${seen.header("x-api-key") ?? "stranger"}`,
          headers: { "Cache-Control": seen.url === "/public" ? "public, max-age=60" : "max-age=60" },
        }),
        make: (cached, rest) => cached.byHeaders({ profile: "proxy", requestDirectives: "rfc9111" }, ...rest),
      },
    ]);

    const own = await get("/own", { "X-Api-Key": "ann" });
    expect(cacheStatusOf(own)).toBe("reprise; fwd=uri-miss; fwd-status=200; detail=authorization");
    expect((await get("/own", { "X-Api-Key": "bob" })).text).toBe("hello bob");
    await get("/public", { "X-Api-Key": "ann" });
    expect(hitOrMiss(await get("/public", { "X-Api-Key": "bob" }))).toBe("Hit");
  });

  it("Cache-Status and the log of events hold no credentials", async () => {
    const { get, events } = await setup.serve(counter().handler);

    const received = await get("/", { Authorization: "Bearer very-secret", Cookie: "session=also-secret" });

    expect(JSON.stringify(received.headers)).not.toContain("secret");
    expect(JSON.stringify(events)).not.toContain("secret");
  });
}
