import { setTimeout as pause } from "node:timers/promises";
import { expect, it } from "vitest";

import { cacheStatusOf, counter, hitOrMiss, type Setup } from "./world.ts";

/** Makes a promise of what is given; lint would ask for `async` otherwise, which is refused when the route is made. */
const later = (value: unknown): Promise<unknown> => Promise.resolve(value);
const failing = (): Promise<unknown> => Promise.reject(new Error("too late"));

/** Callbacks of JavaScript users, whose types nothing checks. */
const UNUSABLE: readonly { what: string; options: object; names: string; detail: string }[] = [
  ...[true, false].map((answer) => ({
    what: `when gives a promise of ${answer}`,
    options: { when: () => later(answer) },
    names: "cached({ when })",
    detail: "fwd=bypass; detail=callback-failed",
  })),
  ...[undefined, null, 1, "yes"].map((answer) => ({
    what: `when gives ${JSON.stringify(answer)}`,
    options: { when: () => answer },
    names: "cached({ when })",
    detail: "fwd=bypass; detail=callback-failed",
  })),
  ...(["when", "key", "audience"] as const).map((name) => ({
    what: `${name} gives a promise that rejects`,
    options: { [name]: failing },
    names: `cached({ ${name} })`,
    detail: "fwd=bypass; detail=callback-failed",
  })),
  ...[later(true), undefined, 1].map((answer) => ({
    what: `storeWhen gives ${answer instanceof Promise ? "a promise" : String(answer)}`,
    options: { storeWhen: () => answer },
    names: "cached({ storeWhen })",
    detail: "fwd=uri-miss; fwd-status=200; detail=callback-failed",
  })),
  ...[later(["a"]), undefined].map((answer) => ({
    what: `tags gives ${answer instanceof Promise ? "a promise" : String(answer)}`,
    options: { tags: () => answer },
    names: "cached({ tags })",
    detail: "fwd=uri-miss; fwd-status=200; detail=callback-failed",
  })),
  {
    what: "storeWhen gives a promise that rejects",
    options: { storeWhen: failing },
    names: "cached({ storeWhen })",
    detail: "fwd=uri-miss; fwd-status=200; detail=callback-failed",
  },
];

/** What a developer can choose for a route. */
export function choices(setup: Setup): void {
  it.each(UNUSABLE)("$what: it counts as neither yes nor no, and the event names the option", async (wrong) => {
    const { get, events } = await setup.serve(counter().handler, wrong.options);
    for (const run of [1, 2]) {
      const received = await get("/");
      expect([received.status, received.text]).toEqual([200, `{"run":${run}}`]);
      expect(cacheStatusOf(received)).toBe(`reprise; ${wrong.detail}`);
    }
    const failures = events.filter((event) => event.type === "callback-failed");
    expect(failures).toHaveLength(2);
    for (const { error } of failures) expect(error.message).toContain(`${wrong.names}: expected `);
  });

  it("5.11 key adds a part to the key", async () => {
    const { get } = await setup.serve(
      (seen) => ({ text: `for ${seen.header("x-tenant") ?? "nobody"}` }),
      (header) => ({ key: (native) => [header(native, "x-tenant"), null] }),
    );

    expect((await get("/", { "X-Tenant": "a" })).text).toBe("for a");
    expect((await get("/", { "X-Tenant": "b" })).text).toBe("for b");
    const again = await get("/", { "X-Tenant": "a" });
    expect([again.text, hitOrMiss(again)]).toEqual(["for a", "Hit"]);
  });

  it("5.11 T7 parts of a key are never confused, whatever they hold", async () => {
    const { get } = await setup.serve(counter().handler, (header) => ({
      key: (native) => JSON.parse(header(native, "x-key") ?? "") as unknown,
    }));

    const keys = [
      '"a/b"',
      '"ab"',
      '["a","b"]',
      '["a,b"]',
      '"null"',
      "null",
      '""',
      "[]",
      '[["a"],"b"]',
      "1",
      '"1"',
      '{"a":1}',
      '"a b"',
      '"a\\\\ b"',
    ];
    const bodies = new Set<string>();
    for (const key of keys) bodies.add((await get("/", { "X-Key": key })).text);
    expect(bodies.size).toBe(keys.length);
    for (const key of keys) expect(hitOrMiss(await get("/", { "X-Key": key })), key).toBe("Hit");
  });

  it("5.11 T9 a key of one's own takes nothing away: path, host, query and prefix still count", async () => {
    const options = { key: () => "always the same" };
    const { get } = await setup.start([
      { path: "/a", ...counter(), options },
      { path: "/b", handler: () => ({ text: "b" }), options },
    ]);

    expect((await get("/a")).text).toBe('{"run":1}');
    expect((await get("/b")).text).toBe("b");
    expect((await get("/a?q=1")).text).toBe('{"run":2}');
    expect((await get("/a", { Host: "other.example" })).text).toBe('{"run":3}');
    expect((await get("/a")).text).toBe('{"run":1}');
  });

  it("5.11 when(request) false: the request takes no part, and Cache-Status says so", async () => {
    const { get } = await setup.serve(counter().handler, (header) => ({
      when: (native) => header(native, "x-preview") === undefined,
    }));

    await get("/");
    const preview = await get("/", { "X-Preview": "1" });
    expect(preview.text).toBe('{"run":2}');
    expect(cacheStatusOf(preview)).toBe("reprise; fwd=bypass; detail=when");
    expect((await get("/")).text).toBe('{"run":1}');
  });

  it("5.11 storeWhen(response) sees status, fields and body, and false keeps it out", async () => {
    let run = 0;
    const { get } = await setup.serve(
      () => {
        run++;
        return { json: { run, results: run < 3 ? [] : ["found"] }, headers: { "X-Kind": "search" } };
      },
      {
        storeWhen: ({ status, fields, body }) => {
          const { results } = JSON.parse(new TextDecoder().decode(body)) as { results: string[] };
          return status === 200 && fields["x-kind"] === "search" && results.length > 0;
        },
      },
    );

    for (const text of ['{"run":1,"results":[]}', '{"run":2,"results":[]}']) {
      const empty = await get("/");
      expect([empty.text, hitOrMiss(empty)]).toEqual([text, "Miss"]);
    }
    const full = await get("/");
    expect((await get("/")).text).toBe(full.text);
    expect(run).toBe(3);
  });

  it("5.11 query: only those named are in the key, and only they reach the handler", async () => {
    const { get } = await setup.serve(
      (seen) => ({ json: { url: seen.url, lang: seen.query("lang") ?? null, utm: seen.query("utm") ?? null } }),
      { query: ["lang", "page"] },
    );

    const first = await get("/?utm=evil&lang=en&x=%3Cscript%3E");
    expect(first.text).toBe('{"url":"/?lang=en","lang":"en","utm":null}');
    for (const path of ["/?lang=en", "/?lang=en&utm=2", "/?fbclid=3&lang=en"]) {
      const hit = await get(path);
      expect([hit.text, hitOrMiss(hit)], path).toEqual([first.text, "Hit"]);
    }
    expect((await get("/?lang=de&utm=1")).text).toBe('{"url":"/?lang=de","lang":"de","utm":null}');
    expect((await get("/?utm=1")).text).toBe('{"url":"/","lang":null,"utm":null}');
    expect(hitOrMiss(await get("/"))).toBe("Hit");
  });

  it('5.11 query: { except } and "none"', async () => {
    const handler = (seen: { url: string }) => ({ text: seen.url });
    const { get } = await setup.start([
      { path: "/except", handler, options: { query: { except: ["utm", "fbclid"] } } },
      { path: "/none", handler, options: { query: "none" } },
    ]);

    expect((await get("/except?utm=1&a=1")).text).toBe("/except?a=1");
    expect(hitOrMiss(await get("/except?a=1&fbclid=7"))).toBe("Hit");
    expect(hitOrMiss(await get("/except?a=2&fbclid=7"))).toBe("Miss");
    expect((await get("/none?a=1")).text).toBe("/none");
    expect(hitOrMiss(await get("/none?b=2"))).toBe("Hit");
  });

  it("5.11 vary: fields of the request are in the key, and the response says so", async () => {
    const { get } = await setup.serve(
      (seen) => ({ text: `in ${seen.header("accept-language") ?? "any"}`, headers: { Vary: "Accept" } }),
      { vary: ["Accept-Language"] },
    );

    for (const outcome of ["Miss", "Hit"]) {
      for (const language of ["en", "de"]) {
        const received = await get("/", { "Accept-Language": language });
        expect([received.text, hitOrMiss(received)]).toEqual([`in ${language}`, outcome]);
        expect(received.headers.vary?.toLowerCase().split(/, */).toSorted()).toEqual([
          "accept",
          "accept-language",
          "authorization",
          "cookie",
        ]);
      }
      expect((await get("/")).text).toBe("in any");
    }
  });

  it("5.11 the handler's own Vary keeps a variant each, and an absent field is not an empty one", async () => {
    const { get } = await setup.serve((seen) => ({
      text: `as ${JSON.stringify(seen.header("accept") ?? null)}`,
      headers: { Vary: "Accept" },
    }));

    for (const outcome of ["Miss", "Hit"]) {
      for (const accept of ["text/html", "application/json"]) {
        const received = await get("/", { Accept: accept });
        expect([received.text, hitOrMiss(received)]).toEqual([`as "${accept}"`, outcome]);
      }
      expect((await get("/")).text).toBe("as null");
    }
  });

  it("5.11 statuses: further ones are stored, for the route's lifetime or their own", async () => {
    const routes = [404, 410, 302].map((status) => ({
      path: `/${status}`,
      handler: () => ({ status, text: String(status) }),
    }));
    const { get, advance } = await setup.start([
      ...routes.map((route) => ({ ...route, options: { expire: 60, statuses: { 404: "10s", 410: 30 } as const } })),
      { path: "/list/404", handler: () => ({ status: 404, text: "none" }), options: { expire: 60, statuses: [404] } },
    ]);

    for (const outcome of ["Miss", "Hit"]) {
      for (const path of ["/404", "/410", "/list/404"]) {
        const received = await get(path);
        expect([received.status, hitOrMiss(received)], path).toEqual([Number(path.slice(-3)), outcome]);
      }
      expect(hitOrMiss(await get("/302"))).toBe("Miss");
    }
    advance(10);
    expect(hitOrMiss(await get("/404"))).toBe("Miss");
    expect(hitOrMiss(await get("/410"))).toBe("Hit");
    expect((await get("/list/404")).headers["cache-control"]).toBe("max-age=50");
  });

  it("5.11 maxBodyBytes: a larger body is served and not stored", async () => {
    const { get } = await setup.start([
      { path: "/fits", handler: () => ({ text: "x".repeat(1000) }), options: { maxBodyBytes: 1000 } },
      { path: "/large", handler: () => ({ text: "x".repeat(1001) }), options: { maxBodyBytes: 1000 } },
      { path: "/streamed", handler: () => ({ stream: () => thousands(3) }), options: { maxBodyBytes: 2500 } },
    ]);

    for (const outcome of ["Miss", "Hit"]) {
      expect(hitOrMiss(await get("/fits"))).toBe(outcome);
      const large = await get("/large");
      expect([large.body.length, cacheStatusOf(large)]).toEqual([
        1001,
        "reprise; fwd=uri-miss; fwd-status=200; detail=too-large",
      ]);
      const streamed = await get("/streamed");
      expect([streamed.body.length, hitOrMiss(streamed)]).toEqual([3000, "Miss"]);
    }
  });
}

async function* thousands(count: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < count; at++) {
    await pause(2);
    yield Buffer.alloc(1000, 120);
  }
}
