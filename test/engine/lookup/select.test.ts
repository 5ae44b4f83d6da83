import { describe, expect, it } from "vitest";
import type { CacheStore } from "../../../src/http.ts";
import { harness, later, openBody, STORES } from "../harness.ts";

const echo =
  (field: string, vary = field) =>
  (request: Request): Response =>
    new Response(`${field}: ${request.headers.get(field) ?? "none"}`, { headers: { vary } });

describe.each(STORES)("selecting by Vary over $kind (RFC 9111 §4.1)", ({ store }) => {
  it("keeps a variant for each value, side by side", async () => {
    const { origin, get } = harness({ store });
    origin.replies(echo("accept-language"));
    expect((await get("/", { "accept-language": "en" })).outcome).toMatchObject({
      forwarded: "uri-miss",
      stored: true,
    });
    expect(await get("/", { "accept-language": "de" })).toMatchObject({
      body: "accept-language: de",
      outcome: { hit: false, forwarded: "vary-miss", stored: true },
    });
    for (const language of ["en", "de"]) {
      const hit = await get("/", { "accept-language": language });
      expect(hit).toMatchObject({ body: `accept-language: ${language}`, outcome: { hit: true } });
      expect(hit.fields["vary"]).toBe("accept-language, Cookie, Authorization");
    }
    expect(origin.requests).toHaveLength(2);
  });

  it("tells an absent field from an empty one", async () => {
    const { origin, get } = harness({ store });
    origin.replies(
      (request) => new Response(JSON.stringify(request.headers.get("x-tenant")), { headers: { vary: "x-tenant" } }),
    );
    await get("/");
    expect(await get("/", { "x-tenant": "" })).toMatchObject({
      body: '""',
      outcome: { hit: false, forwarded: "vary-miss" },
    });
    expect(await get("/")).toMatchObject({ body: "null", outcome: { hit: true } });
    expect(await get("/", { "x-tenant": "" })).toMatchObject({ body: '""', outcome: { hit: true } });
  });

  it("does not mistake whitespace or the order of codings for another value", async () => {
    const { origin, get } = harness({ store });
    origin.replies(echo("accept-encoding", "Accept-Encoding"));
    await get("/", { "accept-encoding": "gzip, br" });
    expect((await get("/", { "accept-encoding": "br,GZIP" })).outcome.hit).toBe(true);
    expect((await get("/", { "accept-encoding": "br" })).outcome.forwarded).toBe("vary-miss");
  });

  it("does not let crafted values pass for another variant", async () => {
    const { origin, get } = harness({ store });
    origin.replies(
      (request) =>
        new Response(`${request.headers.get("x-a")}|${request.headers.get("x-b")}`, { headers: { vary: "x-a, x-b" } }),
    );
    await get("/", { "x-a": "1 x-b =2", "x-b": "3" });
    expect(await get("/", { "x-a": "1", "x-b": "2 x-b =3" })).toMatchObject({
      body: "1|2 x-b =3",
      outcome: { hit: false },
    });
    expect(await get("/", { "x-a": "1 x-b =2", "x-b": "3" })).toMatchObject({
      body: "1 x-b =2|3",
      outcome: { hit: true },
    });
  });

  it("follows a later response that varies by something else", async () => {
    const { origin, get, clock } = harness({ store, route: { expire: 10 } });
    origin.replies(echo("x-a"));
    await get("/", { "x-a": "1", "x-b": "1" });
    clock.advance({ seconds: 10 });
    origin.replies(echo("x-b"));
    await get("/", { "x-a": "1", "x-b": "1" });
    expect(await get("/", { "x-a": "2", "x-b": "1" })).toMatchObject({ body: "x-b: 1", outcome: { hit: true } });
    expect(await get("/", { "x-a": "1", "x-b": "2" })).toMatchObject({
      body: "x-b: 2",
      outcome: { hit: false, forwarded: "vary-miss" },
    });
  });

  it("follows a later response that does not vary", async () => {
    const { origin, get, clock } = harness({ store, route: { expire: 10 } });
    origin.replies(echo("x-a"));
    await get("/", { "x-a": "1" });
    clock.advance({ seconds: 10 });
    origin.replies("for all");
    await get("/", { "x-a": "1" });
    expect(await get("/", { "x-a": "2" })).toMatchObject({ body: "for all", outcome: { hit: true } });
    expect(await get("/")).toMatchObject({ body: "for all", outcome: { hit: true } });
  });

  it("follows a later response that begins to vary", async () => {
    const { origin, get, clock } = harness({ store, route: { expire: 10 } });
    origin.replies("for all");
    await get("/", { "x-a": "1" });
    clock.advance({ seconds: 10 });
    origin.replies(echo("x-a"));
    await get("/", { "x-a": "1" });
    expect(await get("/", { "x-a": "2" })).toMatchObject({
      body: "x-a: 2",
      outcome: { hit: false, forwarded: "vary-miss" },
    });
    expect(await get("/", { "x-a": "1" })).toMatchObject({ body: "x-a: 1", outcome: { hit: true } });
  });

  it("keeps no more variants of a resource than the cache allows", async () => {
    const { origin, get, trace } = harness({ store, maxVariants: 3 });
    origin.replies(echo("user-agent"));
    for (const agent of ["a", "b", "c"]) expect((await get("/", { "user-agent": agent })).outcome.stored).toBe(true);
    const over = await get("/", { "user-agent": "d" });
    expect(over).toMatchObject({
      body: "user-agent: d",
      outcome: { hit: false, stored: false, detail: "variant-limit" },
    });
    expect(over.fields["cache-status"]).toBe("reprise; fwd=vary-miss; fwd-status=200; detail=variant-limit");
    expect(trace().at(-1)).toBe("not-stored: variant-limit");
    expect((await get("/", { "user-agent": "d" })).outcome.hit).toBe(false);
    for (const agent of ["a", "b", "c"]) expect((await get("/", { "user-agent": agent })).outcome.hit).toBe(true);
    expect((await get("/other", { "user-agent": "d" })).outcome.stored).toBe(true);
  });

  it("makes room for new variants when old ones have ended, while others go on", async () => {
    const { origin, get, clock } = harness({ store, maxVariants: 2, route: { expire: 10 } });
    origin.replies(echo("user-agent"));
    await get("/", { "user-agent": "a" });
    clock.advance({ seconds: 6 });
    await get("/", { "user-agent": "b" });
    expect((await get("/", { "user-agent": "c" })).outcome.stored).toBe(false);
    clock.advance({ seconds: 5 });
    expect((await get("/", { "user-agent": "c" })).outcome.stored).toBe(true);
    expect((await get("/", { "user-agent": "b" })).outcome.hit).toBe(true);
    expect((await get("/", { "user-agent": "c" })).outcome.hit).toBe(true);
  });

  it("says so too when the variant over the limit was streamed", async () => {
    const { origin, get, settled } = harness({ store, maxVariants: 1 });
    origin.replies(echo("user-agent"));
    await get("/", { "user-agent": "a" });
    const body = openBody();
    origin.replies(body.stream, { vary: "user-agent" });
    const pending = get("/", { "user-agent": "b" });
    await settled();
    body.write("late");
    body.end();
    expect(await pending).toMatchObject({ body: "late", outcome: { stored: false, detail: "variant-limit" } });
  });

  it("lets a route put fields into the key, and names them in Vary on miss and hit", async () => {
    const { origin, get } = harness({ store, route: { expire: "1m", vary: ["Accept-Language"] } });
    origin.replies((request) => new Response(request.headers.get("accept-language"), { headers: { vary: "origin" } }));
    const miss = await get("/", { "accept-language": "en" });
    expect(miss.fields["vary"]).toBe("origin, accept-language, Cookie, Authorization");
    expect(await get("/", { "accept-language": "de" })).toMatchObject({
      body: "de",
      outcome: { hit: false, forwarded: "uri-miss" },
    });
    const hit = await get("/", { "accept-language": "en" });
    expect(hit).toMatchObject({ body: "en", outcome: { hit: true } });
    expect(hit.fields["vary"]).toBe("origin, accept-language, Cookie, Authorization");
  });
});

describe("what is stored while look-ups are under way", () => {
  it("is for those that had begun: once it is gone from the store, no later one finds it", async () => {
    const answered: (() => void)[] = [];
    let isHeld = false;
    let isGone = false;
    const store = (now: () => number): CacheStore => {
      const inner = later(now);
      return {
        ...inner,
        get: async (key) => {
          if (isHeld) await new Promise<void>((resolve) => void answered.push(resolve));
          return isGone ? undefined : inner.get(key);
        },
      };
    };
    const { origin, get, settled } = harness({ store });
    origin.replies("first");
    isHeld = true;
    const early = [get("/"), get("/")];
    answered.shift()?.();
    await early[0];
    // It overlaps the one that began before.
    const late = get("/");
    await settled();
    isGone = true;
    origin.replies("second");
    answered.shift()?.();
    expect(await early[1]).toMatchObject({ body: "first", outcome: { hit: true } });
    answered.shift()?.();
    expect(await late).toMatchObject({ body: "second", outcome: { hit: false } });
  });
});

describe("the look-ups of one hit", () => {
  /** A store that says which keys were asked for together, before any was answered. */
  function watched(): { rounds: string[][]; store: (now: () => number) => CacheStore } {
    const rounds: string[][] = [];
    let open: string[] | undefined;
    return {
      rounds,
      store: (now) => {
        const inner = later(now);
        return {
          ...inner,
          get(key) {
            if (open === undefined) rounds.push((open = []));
            open.push(key);
            return Promise.resolve(inner.get(key)).then((entry) => {
              open = undefined;
              return entry;
            });
          },
        };
      },
    };
  }

  it("are one for a resource that does not vary", async () => {
    const { rounds, store } = watched();
    const { get } = harness({ store });
    await get("/");
    rounds.length = 0;
    expect((await get("/")).outcome.hit).toBe(true);
    expect(rounds.map((keys) => keys.length)).toEqual([1]);
  });

  it("are made together for a resource whose Vary this process knows: one round trip", async () => {
    const { rounds, store } = watched();
    const { origin, get } = harness({ store });
    origin.replies(echo("x-a"));
    await get("/", { "x-a": "1" });
    rounds.length = 0;
    expect((await get("/", { "x-a": "1" })).outcome.hit).toBe(true);
    expect(rounds.map((keys) => keys.length)).toEqual([2]);
  });

  it("are made one after the other where another process stored it, and together from then on", async () => {
    const { rounds, store } = watched();
    let known: CacheStore | undefined;
    const shared = (now: () => number): CacheStore => (known ??= store(now));
    const [first, second] = [harness({ store: shared }), harness({ store: shared })];
    first.origin.replies(echo("x-a"));
    await first.get("/", { "x-a": "1" });
    await first.settled();
    rounds.length = 0;
    for (let round = 0; round < 2; round++) {
      expect(await second.get("/", { "x-a": "1" })).toMatchObject({ body: "x-a: 1", outcome: { hit: true } });
    }
    expect(rounds.map((keys) => keys.length)).toEqual([1, 1, 2]);
    expect(second.origin.requests).toHaveLength(0);
  });

  it("end at the record of names: without it no variant is found", async () => {
    const { origin, get, store, cache } = harness();
    origin.replies(echo("x-a"));
    await get("/", { "x-a": "1" });
    await store.delete(`${cache.prefix} GET http://origin.test / `);
    expect((await get("/", { "x-a": "1" })).outcome).toMatchObject({ hit: false, forwarded: "uri-miss", stored: true });
    expect((await get("/", { "x-a": "1" })).outcome.hit).toBe(true);
  });

  it("follow a new record, though variants of the old one are still there", async () => {
    let known: CacheStore | undefined;
    const shared = (now: () => number): CacheStore => (known ??= later(now));
    const [first, second] = [harness({ store: shared }), harness({ store: shared })];
    first.origin.replies(echo("x-a"));
    await first.get("/", { "x-a": "1" });
    await first.settled();
    await first.store.delete(`${first.cache.prefix} GET http://origin.test / `);
    second.origin.replies("newer", { vary: "x-a" });
    await second.get("/", { "x-a": "1" });
    await second.settled();
    expect(await first.get("/", { "x-a": "1" })).toMatchObject({ body: "newer", outcome: { hit: true } });
  });
});
