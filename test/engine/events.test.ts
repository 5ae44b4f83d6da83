import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { describe, expect, it } from "vitest";
import { createCache, type Cache } from "../../src/cache.ts";
import type { CacheEvent } from "../../src/engine/cache-events.ts";
import { EventHub } from "../../src/event-hub.ts";
import { memoryStore } from "../../src/stores/memory/index.ts";
import { fakeClock, type FakeClock } from "../../src/testing.ts";
import type { CacheRequest, Outcome } from "../../src/http.ts";
import { bytes, cacheRequest, harness, recordedExchange, text, type RecordedExchange } from "./harness.ts";

const HIT: Outcome = { hit: true, stored: false, collapsed: false, ttlSeconds: 1 };
const OUTCOME: CacheEvent = { type: "outcome", method: "GET", url: "/", outcome: HIT };

function cacheWithClock(prefix = "reprise"): { cache: Cache; clock: FakeClock } {
  const clock = fakeClock();
  return { cache: createCache({ prefix, store: memoryStore({ now: clock.now }), now: clock.now }), clock };
}

/** One GET whose handler, if it runs, answers `body`. */
function ask(cache: Cache, request: CacheRequest = cacheRequest(), body = "v1"): RecordedExchange {
  const exchange = recordedExchange();
  cache.route({ expire: "1m" }).respond(request, exchange);
  exchange.fills[0]?.head({ status: 200, fields: {} }, bytes(body));
  return exchange;
}

describe("events", () => {
  it("are one outcome for each request that took part, and what happened besides", () => {
    const { cache } = cacheWithClock();
    const events: CacheEvent[] = [];
    cache.events.on("*", (event) => events.push(event));
    ask(cache, cacheRequest("/a?x=1"));
    ask(cache, cacheRequest("/a?x=1"));
    ask(cache, cacheRequest("/a?x=1", { "cache-control": "no-store" }));
    ask(cache, cacheRequest("/a?x=1", { authorization: "Bearer a" }));
    ask(cache, cacheRequest("/a?x=1", {}, "POST"));
    const request = { type: "outcome", method: "GET", url: "/a?x=1" };
    const bypass = { hit: false, forwarded: "bypass", stored: false, collapsed: false };
    expect(events).toEqual([
      { type: "stored", subject: "GET /a?x=1", status: 200, bodyBytes: 2, freshnessLifetimeSeconds: 60 },
      { ...request, outcome: { hit: false, forwarded: "uri-miss", originStatus: 200, stored: true, collapsed: false } },
      { ...request, outcome: { hit: true, stored: false, collapsed: false, ttlSeconds: 60 } },
      { ...request, outcome: { ...bypass, detail: "request" } },
      { ...request, outcome: { ...bypass, detail: "authorization" } },
      { type: "purged", targets: [{ kind: "uri", text: "http://origin.test/a?x=1" }], soft: false },
    ]);
  });

  it("reach listeners of their type and of *, until those leave", () => {
    const { cache } = cacheWithClock();
    const heard: string[] = [];
    const leave = cache.events.on("outcome", ({ outcome }) => heard.push(`outcome ${outcome.hit}`));
    cache.events.on("stored", ({ subject }) => heard.push(`stored ${subject}`));
    ask(cache);
    ask(cache);
    leave();
    ask(cache);
    expect(heard).toEqual(["stored GET /", "outcome false", "outcome true"]);
  });

  it("say why a response was not stored, and what went wrong in the background", async () => {
    const { origin, get, clock, settled, trace } = harness({ route: { expire: 10, staleWhileRevalidate: 60 } });
    origin.replies("own", { "set-cookie": "a=b" });
    await get("/private");
    origin.replies("v1");
    await get("/");
    clock.advance({ seconds: 15 });
    origin.replies("down", { status: 503 });
    await get("/");
    await settled();
    expect(trace()).toEqual(["not-stored: set-cookie", "stored", "revalidation-failed"]);
  });
});

describe("listeners", () => {
  it("that throw hurt neither the request nor the others", () => {
    const { cache } = cacheWithClock();
    const heard: string[] = [];
    cache.events.on("*", () => {
      throw new Error("a listener");
    });
    cache.events.on("outcome", ({ outcome }) => heard.push(String(outcome.hit)));
    expect(text(ask(cache).sent[0]!.body)).toBe("v1");
    expect(text(ask(cache).sent[0]!.body)).toBe("v1");
    expect(heard).toEqual(["false", "true"]);
  });

  it("that are loggers may throw as well", () => {
    const broken = (): never => {
      throw new Error("disk full");
    };
    const cache = createCache({ logger: { debug: broken, info: broken, warn: broken } });
    ask(cache);
    expect(text(ask(cache).sent[0]!.body)).toBe("v1");
  });

  it("may leave while they are called", () => {
    const hub = new EventHub("test");
    const heard: string[] = [];
    const leave = hub.on("*", () => {
      heard.push("first");
      leave();
    });
    hub.on("*", () => heard.push("second"));
    hub.report?.(OUTCOME);
    hub.report?.(OUTCOME);
    expect(heard).toEqual(["first", "second", "second"]);
  });

  it("are what events are built for: without any there is nothing to report to", () => {
    const hub = new EventHub("test");
    expect(hub.report).toBeUndefined();
    const leave = hub.on("stored", () => {});
    expect(hub.report).toBeTypeOf("function");
    leave();
    expect(hub.report).toBeUndefined();
  });

  it("are looked for at each event: a hit reads nothing of the request for events nobody hears", () => {
    const { cache } = cacheWithClock();
    ask(cache);
    let reads = 0;
    const watched: CacheRequest = Object.defineProperty({ ...cacheRequest() }, "path", {
      get: () => {
        reads += 1;
        return "/";
      },
    });
    ask(cache, watched);
    const unheard = reads;
    const leave = cache.events.on("outcome", () => {});
    ask(cache, watched);
    expect(reads).toBe(unheard + unheard + 1);
    leave();
    reads = 0;
    ask(cache, watched);
    expect(reads).toBe(unheard);
  });
});

describe("node:diagnostics_channel", () => {
  it("hears each type on its own channel, with the cache it came from", () => {
    const messages: [string, unknown][] = [];
    const heard = (message: unknown, name: string | symbol): void => void messages.push([String(name), message]);
    const channels = ["outcome", "stored", "not-stored"].map((type) => `reprise:${type}`);
    for (const channel of channels) subscribe(channel, heard);
    try {
      ask(cacheWithClock("shop").cache);
    } finally {
      for (const channel of channels) unsubscribe(channel, heard);
    }
    expect(messages).toEqual([
      [
        "reprise:stored",
        { cache: "shop", event: expect.objectContaining({ type: "stored", subject: "GET /" }) as unknown },
      ],
      ["reprise:outcome", { cache: "shop", event: expect.objectContaining({ type: "outcome", url: "/" }) as unknown }],
    ]);
    const { length } = messages;
    ask(cacheWithClock("shop").cache);
    expect(messages).toHaveLength(length);
  });

  it("counts as a listener", () => {
    const hub = new EventHub("test");
    const listener = (): void => {};
    subscribe("reprise:found", listener);
    expect(hub.report).toBeTypeOf("function");
    unsubscribe("reprise:found", listener);
    expect(hub.report).toBeUndefined();
  });
});
