import { afterEach, describe, expect, it, vi } from "vitest";

import { isDueEarly } from "../../../src/engine/reply/early-refresh.ts";
import type { Engine } from "../../../src/engine/state.ts";
import type { ClockStep } from "../../../src/testing/fake-clock.ts";
import type { StoredResponse } from "../../../src/http.ts";
import { harness, type Harness, type HarnessOptions } from "../harness.ts";
import { sharedStore, type SharedStore } from "../shared-store.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

function engine(random: () => number, refreshesEarly = true): Engine {
  return { random, refreshesEarly } as Engine;
}

function stored(fetchMs: number, lifetimeFrom: "route" | "fields" = "route"): StoredResponse {
  return { requestedAtMs: 1_000_000, receivedAtMs: 1_000_000 + fetchMs, lifetimeFrom } as StoredResponse;
}

describe("a fresh response is due for renewal", () => {
  it.each([
    { random: 0.5, ttlSeconds: 1, due: false, because: "138 ms ahead is not a second" },
    { random: 0.5, ttlSeconds: 0.13, due: true, because: "138 ms ahead it is stale" },
    { random: 0.999, ttlSeconds: 1, due: true, because: "one in a thousand looks 1.4 s ahead" },
    { random: 0.999, ttlSeconds: 2, due: false, because: "but not 2 s" },
    { random: 0, ttlSeconds: 0.001, due: false, because: "some do not look ahead at all" },
    { random: 1 - 2 ** -53, ttlSeconds: 60, due: false, because: "37 fetch times are the most that chance can give" },
  ])("random $random with $ttlSeconds s left → $due: $because", ({ random, ttlSeconds, due }) => {
    expect(
      isDueEarly(
        engine(() => random),
        stored(200),
        ttlSeconds,
      ),
    ).toBe(due);
  });

  it.each([
    {
      what: "the lifetime is the response's own",
      due: isDueEarly(
        engine(() => 0.999),
        stored(200, "fields"),
        0.001,
      ),
    },
    {
      what: "no other process shares the store",
      due: isDueEarly(
        engine(() => 0.999, false),
        stored(200),
        0.001,
      ),
    },
    {
      what: "it cost no time",
      due: isDueEarly(
        engine(() => 0.999),
        stored(0),
        0.001,
      ),
    },
    {
      what: "the clock went back while it was made",
      due: isDueEarly(
        engine(() => 0.999),
        stored(-50),
        0.001,
      ),
    },
  ])("never where $what", ({ due }) => {
    expect(due).toBe(false);
  });

  it("in time where it is busy, not much before, and not at all where it is idle", () => {
    const fetchMs = 300;
    const lifetimeMs = 60_000;
    const random = seeded(1);
    /** How long before the end the first of the requests that come each `everyMs` is due; 0 when none is. */
    const aheadMs = (everyMs: number): number => {
      for (let atMs = random() * everyMs; atMs < lifetimeMs; atMs += everyMs) {
        if (isDueEarly(engine(random), stored(fetchMs), (lifetimeMs - atMs) / 1000)) return lifetimeMs - atMs;
      }
      return 0;
    };
    const busy = Array.from({ length: 300 }, () => aheadMs(10));
    const mean = busy.reduce((sum, ms) => sum + ms, 0) / busy.length;
    // 100 requests a second: the first is due about ln(30) fetch times ahead.
    expect(mean).toBeGreaterThan(2 * fetchMs);
    expect(mean).toBeLessThan(6 * fetchMs);
    expect(busy.filter((ms) => ms === 0)).toEqual([]);
    expect(Math.max(...busy)).toBeLessThan(lifetimeMs / 10);
    const idle = Array.from({ length: 300 }, () => aheadMs(20_000));
    expect(idle.filter((ms) => ms > 0).length).toBeLessThan(30);
  });
});

describe("renewing early", () => {
  interface Shared {
    readonly one: Harness;
    readonly two: Harness;
    readonly store: SharedStore;
    readonly advance: (step: ClockStep) => void;
  }

  /** Two caches over one store, whose handlers need 300 ms. */
  function twoCaches(options: Pick<HarnessOptions, "earlyRefresh"> = {}): Shared {
    let store: SharedStore | undefined;
    const make = (): Harness =>
      harness({ ...options, store: (now) => (store ??= sharedStore(now)), route: { expire: 60 } });
    const [one, two] = [make(), make()];
    const advance = (step: ClockStep): void => {
      for (const { clock } of [one, two]) clock.advance(step);
    };
    for (const { origin, clock } of [one, two]) {
      origin.replies(() => {
        advance({ ms: 300 });
        return new Response(`made at ${clock.now()}`);
      });
    }
    return { one, two, store: one.store as SharedStore, advance };
  }

  it("is done by one of two caches, and no reader waits for it", async () => {
    const random = vi.spyOn(Math, "random").mockReturnValue(0);
    const { advance, one, two, store } = twoCaches();
    const first = (await one.get("/")).body;
    advance({ seconds: 59 });
    expect((await one.get("/")).outcome.hit).toBe(true);
    expect(one.origin.requests).toHaveLength(1);

    random.mockReturnValue(0.999);
    const [held, side] = [one.origin.holds(), two.origin.holds()];
    const reads = await Promise.all([one, two, one, two, one].map(({ get }) => get("/")));
    for (const { body, outcome } of reads) expect([body, outcome.hit]).toEqual([first, true]);
    await vi.waitFor(() => expect(held.waiting + side.waiting).toBe(1));
    expect((await two.get("/")).body).toBe(first);
    held.release();
    side.release();
    await vi.waitFor(() => expect(store.leased()).toEqual([]));
    random.mockReturnValue(0);
    advance({ seconds: 30 });
    for (const { get } of [one, two]) {
      const { body, outcome } = await get("/");
      expect(body).not.toBe(first);
      expect(outcome.hit).toBe(true);
    }
    expect(one.origin.requests.length + two.origin.requests.length).toBe(2);
  });

  it("that fails leaves the response as it was, until it is stale", async () => {
    const random = vi.spyOn(Math, "random").mockReturnValue(0.999);
    const { advance, one, store } = twoCaches();
    const first = (await one.get("/")).body;
    advance({ seconds: 59 });
    one.origin.fails();
    expect((await one.get("/")).outcome.hit).toBe(true);
    await vi.waitFor(() => expect(one.origin.requests).toHaveLength(2));
    await vi.waitFor(() => expect(store.leased()).toEqual([]));
    random.mockReturnValue(0);
    expect(await one.get("/")).toMatchObject({ body: first, outcome: { hit: true } });
  });

  it("is not done with `earlyRefresh: false`", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0.999);
    const { advance, one, store } = twoCaches({ earlyRefresh: false });
    await one.get("/");
    advance({ ms: 59_900 });
    expect((await one.get("/")).outcome.hit).toBe(true);
    await one.settled();
    expect(one.origin.requests).toHaveLength(1);
    expect(store.tries()).toBe(1);
  });

  it("is not done where no other process shares the store: there it would only be sooner", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0.999);
    const { origin, clock, get, settled } = harness({ route: { expire: 60 } });
    origin.replies(() => {
      clock.advance({ ms: 300 });
      return new Response("ok");
    });
    await get("/");
    clock.advance({ ms: 59_900 });
    expect((await get("/")).outcome.hit).toBe(true);
    await settled();
    expect(origin.requests).toHaveLength(1);
  });
});

/** Even enough for a test, and the same in each run (a linear congruential generator). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
