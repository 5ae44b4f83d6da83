import { afterEach, describe, expect, it, vi } from "vitest";
import { createCache } from "../../../src/cache.ts";
import type { Exchange, Fill } from "../../../src/engine/exchange.ts";
import { memoryStore } from "../../../src/stores/memory/index.ts";
import { harness, openBody, recordedExchange, cacheRequest, bytes, text, STORES, type Answer } from "../harness.ts";

afterEach(() => {
  vi.useRealTimers();
});

const many = (count: number, ask: () => Promise<Answer>): Promise<Answer>[] => Array.from({ length: count }, ask);

describe.each(STORES)("overlapping requests over $kind", ({ store }) => {
  it("run the handler once for a thousand callers", async () => {
    const { origin, get, settled } = harness({ store });
    origin.replies("one for all");
    const hold = origin.holds();
    const answers = many(1_000, () => get("/"));
    await settled();
    hold.release();
    const [leader, ...waiters] = await Promise.all(answers);
    expect(origin.requests).toHaveLength(1);
    expect(leader!.outcome).toMatchObject({
      hit: false,
      forwarded: "uri-miss",
      originStatus: 200,
      stored: true,
      collapsed: false,
    });
    for (const { body, outcome } of waiters) {
      expect(body).toBe("one for all");
      expect(outcome).toMatchObject({
        hit: false,
        forwarded: "uri-miss",
        originStatus: 200,
        stored: false,
        collapsed: true,
      });
    }
    expect(waiters[0]!.fields["cache-status"]).toMatch(/^reprise; fwd=uri-miss; fwd-status=200; .*collapsed$/);
  });

  it("wait only for a request of the same key", async () => {
    const { origin, get, settled } = harness({ store });
    const hold = origin.holds();
    const answers = ["/a", "/b", "/a?x=1", "/A"].map((path) => get(path));
    await settled();
    expect(hold.waiting).toBe(4);
    hold.release();
    for (const { outcome } of await Promise.all(answers))
      expect(outcome).toMatchObject({ stored: true, collapsed: false });
  });

  it("get the full body of a stream, also those who came in its middle", async () => {
    const { origin, get, settled, handle } = harness({ store });
    const body = openBody();
    origin.replies(body.stream);
    const leader = handle("/");
    await settled();
    body.write("one ");
    const early = get("/");
    const reading = (await leader).text();
    body.write("two ");
    await settled();
    const late = get("/");
    await settled();
    body.write("three");
    body.end();
    expect(await reading).toBe("one two three");
    for (const { body: received, outcome } of await Promise.all([early, late])) {
      expect(received).toBe("one two three");
      expect(outcome).toMatchObject({ collapsed: true });
    }
    expect(origin.requests).toHaveLength(1);
  });

  it.each([
    { what: "private", headers: { "cache-control": "private" } },
    { what: "no-store", headers: { "cache-control": "no-store" } },
    { what: "Set-Cookie", headers: { "set-cookie": "who=you" } },
    { what: "Vary: *", headers: { vary: "*" } },
    { what: "Vary: Cookie", headers: { vary: "cookie" } },
  ])("never share a response with $what: 50 callers, 50 runs at once, 50 answers", async ({ headers }) => {
    const { origin, get, settled } = harness({ store });
    let runs = 0;
    origin.replies(() => new Response(`answer ${++runs}`, { headers }));
    const hold = origin.holds();
    const answers = many(50, () => get("/"));
    await settled();
    expect(hold.waiting).toBe(1);
    hold.releaseOne();
    await settled();
    expect(hold.waiting).toBe(49);
    hold.release();
    const ended = await Promise.all(answers);
    expect(new Set(ended.map(({ body }) => body)).size).toBe(50);
    expect(origin.requests).toHaveLength(50);
    for (const { outcome } of ended) expect(outcome).toMatchObject({ stored: false, collapsed: false });
  });

  it("do not queue at a key whose last response could not be stored, for a while", async () => {
    const { origin, get, settled, clock } = harness({ store });
    origin.replies("own", { "cache-control": "private" });
    await get("/");
    const hold = origin.holds();
    clock.advance({ seconds: 9 });
    const unqueued = many(20, () => get("/"));
    await settled();
    expect(hold.waiting).toBe(20);
    hold.release();
    await Promise.all(unqueued);

    clock.advance({ seconds: 11 });
    origin.replies("shared again");
    const next = origin.holds();
    const queued = many(20, () => get("/"));
    await settled();
    expect(next.waiting).toBe(1);
    next.release();
    for (const { body } of await Promise.all(queued)) expect(body).toBe("shared again");
  });

  it("queue again as soon as a response of the key was stored", async () => {
    const { origin, get, settled, clock } = harness({ store, route: { expire: 1 } });
    origin.replies("own", { "cache-control": "private" });
    await get("/");
    origin.replies("shared");
    await get("/");
    clock.advance({ seconds: 1 });
    const hold = origin.holds();
    const answers = many(20, () => get("/"));
    await settled();
    expect(hold.waiting).toBe(1);
    hold.release();
    await Promise.all(answers);
  });

  it("that wait for a broken-off leader get one new leader, and from it the full body", async () => {
    const { origin, get, settled, handle } = harness({ store });
    const broken = openBody();
    origin.replies(broken.stream);
    const leader = handle("/");
    await settled();
    broken.write("half");
    const answers = many(20, () => get("/"));
    await settled();
    origin.replies("whole");
    const hold = origin.holds();
    await (await leader).body!.cancel();
    await settled();
    expect(hold.waiting).toBe(1);
    hold.release();
    for (const { body } of await Promise.all(answers)) expect(body).toBe("whole");
    expect(origin.requests).toHaveLength(2);
  });

  it("wait for no more than three leaders that are broken off, one at a time", async () => {
    const { origin, get, settled, handle } = harness({ store });
    origin.replies(() => new Response(openBody().stream));
    const leaders: (Response | Promise<Response>)[] = [handle("/")];
    await settled();
    // They queue behind the leader; each that takes its place is broken off as well.
    leaders.push(handle("/"), handle("/"));
    await settled();
    const patient = many(10, () => get("/"));
    await settled();
    for (const [index, leader] of leaders.entries()) {
      expect(origin.requests).toHaveLength(index + 1);
      if (index === 2) origin.replies("at last");
      await (await leader).body!.cancel();
      await settled();
    }
    for (const { body, outcome } of await Promise.all(patient)) {
      expect(body).toBe("at last");
      expect(outcome.collapsed).toBe(false);
    }
    // Those who look again while one of them stores its response get that one.
    expect(origin.requests.length).toBeGreaterThan(3);
    expect(origin.requests.length).toBeLessThanOrEqual(3 + 10);
    expect((await get("/")).outcome.hit).toBe(true);
  });

  it("ask again, one for all, when what they wait for was purged meanwhile", async () => {
    const { cache, origin, get, settled } = harness({ store });
    const first = origin.holds();
    const leader = get("/");
    await settled();
    await cache.purge("all");
    const answers = many(50, () => get("/"));
    await settled();
    expect(origin.requests).toHaveLength(1);
    const second = origin.holds();
    first.release();
    expect((await leader).outcome).toMatchObject({ stored: false, detail: "purged" });
    await settled();
    expect(second.waiting).toBe(1);
    second.release();
    const outcomes = (await Promise.all(answers)).map(({ outcome }) => outcome);
    expect(outcomes.filter(({ collapsed }) => collapsed)).toHaveLength(49);
    expect(outcomes.filter(({ stored }) => stored)).toHaveLength(1);
    expect(origin.requests).toHaveLength(2);
  });

  it("ask on their own when the leader's handler throws", async () => {
    const { origin, get, settled, outcomes } = harness({ store });
    origin.fails(new Error("first run failed"));
    const hold = origin.holds();
    const leader = get("/");
    const failed = expect(leader).rejects.toThrow("first run failed");
    await settled();
    const waiting = many(5, () => get("/"));
    await settled();
    expect(hold.waiting).toBe(1);
    hold.releaseOne();
    await failed;
    origin.replies("works");
    hold.release();
    for (const { body } of await Promise.all(waiting)) expect(body).toBe("works");
    expect(outcomes[0]).toMatchObject({ hit: false, forwarded: "uri-miss", stored: false, detail: "origin-error" });
  });

  it("ask on their own when the leader gets a 500, which is not theirs", async () => {
    const { origin, get, settled } = harness({ store });
    origin.replies("broken", { status: 500 });
    const hold = origin.holds();
    const leader = get("/");
    await settled();
    const waiting = many(5, () => get("/"));
    await settled();
    hold.releaseOne();
    expect(await leader).toMatchObject({ status: 500, outcome: { stored: false } });
    origin.replies("works");
    hold.release();
    for (const { status, body } of await Promise.all(waiting)) expect([status, body]).toEqual([200, "works"]);
  });

  it("ask on their own when the leader's body breaks", async () => {
    const { origin, get, settled } = harness({ store });
    const body = openBody();
    origin.replies(body.stream);
    const leader = get("/");
    const failed = expect(leader).rejects.toThrow();
    await settled();
    const waiting = many(5, () => get("/"));
    await settled();
    origin.replies("works");
    body.write("ha");
    body.fail(new Error("cut off"));
    await failed;
    for (const { body: received } of await Promise.all(waiting)) expect(received).toBe("works");
  });

  it.each([
    { what: "no-cache", cacheControl: "no-cache, max-age=60" },
    { what: "no lifetime left", cacheControl: "max-age=0" },
  ])(
    "do not share a response with $what, which nobody may reuse unvalidated (RFC 9111 §4)",
    async ({ cacheControl }) => {
      const { origin, get, settled } = harness({ store, byHeaders: {} });
      let runs = 0;
      origin.replies(
        () => new Response(`answer ${++runs}`, { headers: { "cache-control": cacheControl, etag: `"${runs}"` } }),
      );
      const hold = origin.holds();
      const answers = many(10, () => get("/"));
      await settled();
      hold.releaseOne();
      await settled();
      expect(hold.waiting).toBe(9);
      hold.release();
      const bodies = (await Promise.all(answers)).map(({ body }) => body);
      expect(new Set(bodies).size).toBe(10);
    },
  );

  it("of different variants do not share: each waiter's fields are compared", async () => {
    const { origin, get, settled } = harness({ store });
    origin.replies(
      (request) => new Response(request.headers.get("accept-language"), { headers: { vary: "accept-language" } }),
    );
    const hold = origin.holds();
    const answers = ["en", "de", "en", "fr", "de"].map((language) => get("/", { "accept-language": language }));
    await settled();
    expect(hold.waiting).toBe(1);
    hold.releaseOne();
    await settled();
    hold.release();
    expect((await Promise.all(answers)).map(({ body }) => body)).toEqual(["en", "de", "en", "fr", "de"]);
    expect(origin.requests.length).toBeLessThanOrEqual(5);
  });
});

describe.each(STORES)("a handler that hangs over $kind", ({ store }) => {
  const fakeTimeouts = (): void => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const immediates = async (): Promise<void> => {
    for (let turn = 0; turn < 10; turn++) {
      await vi.advanceTimersByTimeAsync(0);
      await new Promise((resolve) => setImmediate(resolve));
    }
  };

  it("is waited for through a deadline that is longer than timers are", async () => {
    fakeTimeouts();
    const { origin, get } = harness({ store, fillDeadline: "30d" });
    const hold = origin.holds();
    const hanging = get("/");
    await immediates();
    const waiting = get("/");
    await immediates();
    await vi.advanceTimersByTimeAsync(30 * 86_400_000 - 1);
    await immediates();
    expect(hold.waiting).toBe(1);
    await vi.advanceTimersByTimeAsync(1);
    await immediates();
    expect(hold.waiting).toBe(2);
    hold.release();
    for (const answer of [hanging, waiting]) {
      await immediates();
      expect((await answer).body).toBe("ok");
    }
  });

  it("frees its key and those who wait when the deadline is over", async () => {
    fakeTimeouts();
    const { origin, get } = harness({ store, fillDeadline: "5s" });
    const hold = origin.holds();
    const hanging = get("/");
    await immediates();
    const waiting = many(3, () => get("/"));
    await immediates();
    await vi.advanceTimersByTimeAsync(4_999);
    await immediates();
    expect(hold.waiting).toBe(1);
    await vi.advanceTimersByTimeAsync(1);
    await immediates();
    expect(hold.waiting).toBe(4);

    const newcomers = many(3, () => get("/"));
    await immediates();
    expect(hold.waiting).toBe(5);
    hold.release();
    for (const answer of [hanging, ...waiting, ...newcomers]) {
      await immediates();
      expect((await answer).body).toBe("ok");
    }
  });

  it("keeps stale responses going, with one more try after each deadline", async () => {
    fakeTimeouts();
    const { origin, get, clock } = harness({
      store,
      fillDeadline: "5s",
      route: { expire: 10, staleWhileRevalidate: "1h" },
    });
    origin.replies("v1");
    const first = get("/");
    await immediates();
    await first;
    clock.advance({ seconds: 15 });
    const hold = origin.holds();
    for (const tries of [1, 2, 3]) {
      const stale = await Promise.all(many(10, () => get("/")));
      for (const { body, outcome } of stale) {
        expect(body).toBe("v1");
        expect(outcome.hit).toBe(true);
      }
      for (let turn = 0; hold.waiting < tries && turn < 1_000; turn += 1) await immediates();
      await immediates();
      expect(hold.waiting).toBe(tries);
      await vi.advanceTimersByTimeAsync(5_000);
    }
    hold.release();
    await immediates();
  });
});

describe("a flight", () => {
  it("keeps nobody who has left it: its response is stored once and waiters are told once", () => {
    const cache = createCache();
    const route = cache.route();
    const [leader, waiter] = [recordedExchange(), recordedExchange()];
    route.respond(cacheRequest(), leader);
    route.respond(cacheRequest(), waiter);
    const [fill] = leader.fills;
    fill!.head({ status: 200, fields: {} }, undefined);
    fill!.chunk(bytes("body"));
    fill!.end();
    fill!.end();
    fill!.abort();
    expect(fill!.fail(new Error("late"))).toBe(false);
    expect(waiter.sent.map(({ body }) => text(body))).toEqual(["body"]);
    expect(waiter.fills).toHaveLength(0);
  });
});

describe("look-ups that are answered later", () => {
  it("find what a handler that answers at once has stored meanwhile", async () => {
    const kept = memoryStore();
    const cache = createCache({
      store: {
        name: "later",
        get: (key) => new Promise((resolve) => setTimeout(() => resolve(kept.get(key)), 5)),
        put: (key, entry, retainMs) => kept.put(key, entry, retainMs),
        delete: (key) => kept.delete(key),
      },
    });
    const route = cache.route({ expire: "1m" });
    const bodies: string[] = [];
    let runs = 0;
    const exchange: Exchange = {
      native: undefined,
      send: ({ body }) => void bodies.push(new TextDecoder().decode(body ?? undefined)),
      pass: () => {},
      forward: (fill) => void fill.head({ status: 200, fields: {} }, new TextEncoder().encode(`run ${++runs}`)),
    };
    const request = { method: "GET", scheme: "http", authority: "a.example", path: "/", fields: {} };
    for (let caller = 0; caller < 10; caller += 1) route.respond(request, exchange);
    await vi.waitFor(() => expect(bodies).toHaveLength(10));
    expect(new Set(bodies)).toEqual(new Set(["run 1"]));
  });
});

describe("those who wait for a response that cannot be shared", () => {
  it("all go on, also where the handler of one of them throws", () => {
    const route = createCache().route({ expire: "1m" });
    const request = { method: "GET", scheme: "http", authority: "a.example", path: "/", fields: {} };
    let leader: Fill | undefined;
    const asked: string[] = [];
    const exchange = (forward: (fill: Fill) => void): Exchange => ({
      native: undefined,
      send: () => {},
      pass: () => {},
      forward,
    });
    route.respond(
      request,
      exchange((fill) => {
        leader = fill;
      }),
    );
    for (const name of ["first", "throws", "last"]) {
      route.respond(
        request,
        exchange(() => {
          asked.push(name);
          if (name === "throws") throw new Error("the handler of one");
        }),
      );
    }
    expect(asked).toEqual([]);
    leader?.head({ status: 200, fields: { "set-cookie": "a=1" } }, new Uint8Array(0));
    expect(asked).toEqual(["first", "throws", "last"]);
  });
});

it("overlapping requests ask again when what they wait for was purged softly, and is kept as stale", async () => {
  const { cache, origin, get, settled } = harness();
  const first = origin.holds();
  const leader = get("/");
  await settled();
  await cache.purge("all", { soft: true });
  const answers = many(3, () => get("/"));
  await settled();
  first.release();
  await Promise.all([leader, ...answers]);
  expect(origin.requests).toHaveLength(2);
});
