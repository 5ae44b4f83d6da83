import { afterEach, describe, expect, it, vi } from "vitest";

import { fetchCache } from "../../../src/adapters/fetch/index.ts";
import type * as RealTime from "../../../src/real-time.ts";
import { harness, openBody, type Harness, type HarnessOptions } from "../harness.ts";
import { sharedStore, type SharedStore } from "../shared-store.ts";

// The timers of the engine are the real ones, whatever a test fakes; here time is to stand still.
vi.mock("../../../src/real-time.ts", async (importOriginal) => ({
  ...(await importOriginal<typeof RealTime>()),
  performance: { now: () => performance.now() },
  setTimeout: (callback: () => void, ms: number) => setTimeout(callback, ms),
}));

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

interface Shared {
  readonly store: SharedStore;
  readonly one: Harness;
  readonly two: Harness;
  readonly advance: (seconds: number) => void;
}

/** Two caches with handlers of their own over one store, as in two processes. */
function twoCaches(options: Omit<HarnessOptions, "store"> = {}): Shared {
  let store: SharedStore | undefined;
  const make = (): Harness => harness({ ...options, store: (now) => (store ??= sharedStore(now)) });
  const [one, two] = [make(), make()];
  const advance = (seconds: number): void => {
    for (const { clock } of [one, two]) clock.advance({ seconds });
  };
  return { store: one.store as SharedStore, one, two, advance };
}

async function untilIdle({ one }: Shared): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await one.settled();
}

describe("two caches that want to fill one key", () => {
  it("are one call of the origin: the second waits and gets what the first stored", async () => {
    const shared = twoCaches();
    const { one, two, store } = shared;
    one.origin.replies("from one");
    const hold = one.origin.holds();
    const first = one.get("/");
    await untilIdle(shared);
    const waiting = [two.get("/"), two.get("/"), two.get("/")];
    await untilIdle(shared);
    expect(store.leased()).toEqual(["GET /"]);
    hold.release();
    const answers = await Promise.all([first, ...waiting]);
    expect(answers.map(({ body }) => body)).toEqual(Array.from({ length: 4 }, () => "from one"));
    expect(two.origin.requests).toHaveLength(0);
    expect(answers[0].outcome).toMatchObject({ stored: true, collapsed: false });
    for (const { outcome } of answers.slice(1)) {
      expect(outcome).toMatchObject({ hit: false, forwarded: "uri-miss", stored: false, collapsed: true });
    }
    expect(store.leased()).toEqual([]);
    expect(store.trace.slice(0, 2)).toEqual(["lease GET /", "fill GET /"]);
  });

  it("look again once they may fill: another may have done so since they looked", async () => {
    const { one, two, store } = twoCaches();
    one.origin.replies("from one");
    store.beforeAnswer = () => one.get("/");
    expect(await two.get("/")).toMatchObject({ body: "from one", outcome: { collapsed: true } });
    expect(two.origin.requests).toHaveLength(0);
    expect(store.leased()).toEqual([]);
  });

  it("give nobody who looks after a purge what was stored before it while others still looked", async () => {
    const { one, two, store } = twoCaches();
    const { answersAfter } = store;
    let answer = (): void => {};
    store.answersAfter = () => new Promise((resolve) => (answer = resolve));
    const slow = two.get("/");
    store.answersAfter = answersAfter;
    expect(await two.get("/")).toMatchObject({ body: "ok", outcome: { stored: true } });
    two.origin.replies("newer");
    await one.cache.purge("all");
    expect(await two.get("/")).toMatchObject({ body: "newer", outcome: { hit: false } });
    answer();
    expect((await slow).body).toBe("newer");
  });

  it("while the store does not answer, share only what was asked for after they came", async () => {
    const shared = twoCaches();
    const { one, store } = shared;
    store.isCutOff = true;
    one.origin.replies(() => new Response(`version ${one.origin.requests.length}`));
    const before = one.origin.holds();
    const early = [one.get("/"), one.get("/")];
    await untilIdle(shared);
    expect(before.waiting).toBe(1);
    // Here another process may purge, of which this one hears nothing.
    const late = [one.get("/"), one.get("/"), one.get("/")];
    await untilIdle(shared);
    expect(before.waiting).toBe(1);
    before.release();
    const after = one.origin.holds();
    await untilIdle(shared);
    expect(after.waiting).toBe(1);
    after.release();
    expect((await Promise.all(early)).map(({ body }) => body)).toEqual(["version 1", "version 1"]);
    for (const { body } of await Promise.all(late)) expect(body).toBe("version 2");
    expect(one.origin.requests).toHaveLength(2);
  });

  it("renew a stale response once: the second sees that it was renewed since it looked", async () => {
    const shared = twoCaches({ route: { expire: 10, staleWhileRevalidate: "1h" } });
    const { one, two, store } = shared;
    await one.get("/");
    shared.advance(15);
    one.origin.replies("renewed");
    store.beforeAnswer = async () => {
      await one.get("/");
      await untilIdle(shared);
    };
    expect(await two.get("/")).toMatchObject({ body: "ok", outcome: { hit: true } });
    await untilIdle(shared);
    expect([one.origin.requests.length, two.origin.requests.length]).toEqual([2, 0]);
    expect((await two.get("/")).body).toBe("renewed");
    expect(store.leased()).toEqual([]);
  });

  it("give nobody who came after a purge what was looked up before it, while the lease was awaited", async () => {
    const shared = twoCaches();
    const { one, two, store } = shared;
    one.origin.replies("old");
    const acquire = store.leases.acquire.bind(store.leases);
    let open = (): void => {};
    const opened = new Promise<void>((resolve) => (open = resolve));
    let tries = 0;
    store.leases.acquire = async (key) => {
      tries += 1;
      if (tries === 1) {
        await one.get("/");
        return "taken";
      }
      // The first request of the other cache, and then the try after the pause.
      if (tries === 3) await opened;
      return acquire(key);
    };
    const early = two.get("/");
    await vi.waitFor(() => expect(tries).toBe(3));
    await untilIdle(shared);
    await one.cache.purge("all");
    two.origin.replies("new");
    const late = two.get("/");
    await untilIdle(shared);
    open();
    expect((await late).body).toBe("new");
    await early;
  });

  it.each([
    { how: "rejects", fails: () => Promise.reject(new Error("no lease today")) },
    {
      how: "throws",
      fails: () => {
        throw new Error("no lease today");
      },
    },
  ])("go without leases where the store $how when asked for one", async ({ fails }) => {
    const { one, store } = twoCaches();
    store.leases.acquire = fails;
    const answers = await Promise.all([one.get("/"), one.get("/")]);
    for (const { body } of answers) expect(body).toBe("ok");
    expect(one.origin.requests).toHaveLength(1);
    expect(one.trace()).toContain("operation-failed");
  });

  it("say that nothing was stored when the lease was lost", async () => {
    const shared = twoCaches();
    const { one, store } = shared;
    const hold = one.origin.holds();
    const slow = one.get("/");
    await untilIdle(shared);
    store.expires();
    hold.release();
    await slow;
    await untilIdle(shared);
    expect(one.trace()).toEqual(["not-stored: lease-lost"]);
  });

  it("ask for no lease on a hit, nor for what will not be stored", async () => {
    const { one, store } = twoCaches({ requestDirectives: "rfc9111" });
    await one.get("/head", {}, "HEAD");
    await one.get("/no-store", { "cache-control": "no-store" });
    await one.handle("/written", { method: "POST" });
    expect(store.tries()).toBe(0);
    await one.get("/");
    expect(store.tries()).toBe(1);
    await one.get("/");
    expect(store.tries()).toBe(1);
  });

  it("do not share what may not be shared: the second asks at once, and so do all who come next", async () => {
    const shared = twoCaches();
    const { one, two, store } = shared;
    one.origin.replies("own", { "set-cookie": "who=one" });
    two.origin.replies("own too", { "set-cookie": "who=two" });
    const hold = one.origin.holds();
    const first = one.get("/");
    await untilIdle(shared);
    const waiting = [two.get("/"), two.get("/")];
    await untilIdle(shared);
    expect(two.origin.requests).toHaveLength(0);
    const side = two.origin.holds();
    hold.release();
    await first;
    await vi.waitFor(() => expect(side.waiting).toBe(2));
    const more = [two.get("/"), two.get("/"), two.get("/")];
    await vi.waitFor(() => expect(side.waiting).toBe(5));
    side.release();
    for (const { body } of await Promise.all([...waiting, ...more])) expect(body).toBe("own too");
    expect(store.leased()).toEqual([]);
  });

  it.each([
    { what: "answers 500", act: (one: Harness) => one.origin.replies("broken", { status: 500 }) },
    { what: "throws", act: (one: Harness) => one.origin.fails() },
  ])("the second asks at once when the handler of the first $what", async ({ act }) => {
    const shared = twoCaches();
    const { one, two, store } = shared;
    const hold = one.origin.holds();
    const first = one.get("/").catch((error: unknown) => error);
    await untilIdle(shared);
    const second = two.get("/");
    await untilIdle(shared);
    act(one);
    hold.release();
    await first;
    expect(await second).toMatchObject({ body: "ok", outcome: { stored: true } });
    expect(store.leased()).toEqual([]);
    expect(store.trace.slice(0, 2)).toEqual(["lease GET /", "release GET /"]);
  });

  it("the second gets a whole body when the client of the first leaves in the middle", async () => {
    const shared = twoCaches();
    const { one, two, store } = shared;
    const body = openBody();
    one.origin.replies(body.stream);
    const leaving = one.handle("/");
    await untilIdle(shared);
    body.write("half");
    const second = two.get("/");
    await untilIdle(shared);
    two.origin.replies("whole");
    await (await leaving).body!.cancel();
    expect(await second).toMatchObject({ body: "whole", outcome: { stored: true } });
    expect(store.leased()).toEqual([]);
  });

  it("each fill their own where nobody can be told who does", async () => {
    const { one, two, store } = twoCaches();
    store.knowsNothing();
    const [hold, side] = [one.origin.holds(), two.origin.holds()];
    const answers = [one.get("/"), one.get("/"), two.get("/"), two.get("/")];
    await vi.waitFor(() => expect([hold.waiting, side.waiting]).toEqual([1, 1]));
    hold.release();
    side.release();
    const stored = (await Promise.all(answers)).filter(({ outcome }) => outcome.stored);
    expect(stored).toHaveLength(2);
  });
});

describe("a response that turns out to have another key", () => {
  it("is asked for once for each variant; the record of what it varies by is there after the variant", async () => {
    const shared = twoCaches();
    const { one, two, store } = shared;
    for (const { origin } of [one, two]) {
      origin.replies(
        (request) => new Response(request.headers.get("accept-language"), { headers: { vary: "accept-language" } }),
      );
    }
    const hold = one.origin.holds();
    const german = { "accept-language": "de" };
    const french = { "accept-language": "fr" };
    const asked = [one.get("/", german), one.get("/", french)];
    await untilIdle(shared);
    asked.push(two.get("/", german), two.get("/", french));
    await untilIdle(shared);
    hold.release();
    expect((await Promise.all(asked)).map(({ body }) => body)).toEqual(["de", "fr", "de", "fr"]);
    expect(one.origin.requests.length + two.origin.requests.length).toBe(2);
    const [lease, variant, record] = store.trace;
    expect([lease, record]).toEqual(["lease GET /", "fill GET /"]);
    expect(variant).toMatch(/^put GET \/ … /);
    expect(store.leased()).toEqual([]);
  });

  it("replaces neither record nor variant of one that was faster", async () => {
    const shared = twoCaches();
    const { one, two, store } = shared;
    one.origin.replies("old", { vary: "accept-language" });
    two.origin.replies("new", { vary: "accept-language" });
    const hold = one.origin.holds();
    const slow = one.get("/");
    await untilIdle(shared);
    store.expires();
    await two.get("/");
    hold.release();
    expect((await slow).body).toBe("old");
    await untilIdle(shared);
    for (const { get } of [one, two]) expect(await get("/")).toMatchObject({ body: "new", outcome: { hit: true } });
    expect(store.trace).toContain("refused GET /");
  });

  it("replaces nothing by a note that it cannot be shared", async () => {
    const shared = twoCaches();
    const { one, two, store } = shared;
    one.origin.replies("old", { "set-cookie": "who=you" });
    two.origin.replies("new");
    const hold = one.origin.holds();
    const slow = one.get("/");
    await untilIdle(shared);
    store.expires();
    await two.get("/");
    hold.release();
    await slow;
    await untilIdle(shared);
    expect(await two.get("/")).toMatchObject({ body: "new", outcome: { hit: true } });
  });

  it("is stored where all who know its No-Vary-Search look, and where those wait who do not", async () => {
    const shared = twoCaches();
    const { one, two, store } = shared;
    const [first, second] = [one, two].map(({ cache, origin }) =>
      fetchCache(cache).byHeaders({ profile: "proxy" }, origin.handler),
    );
    const url = "http://origin.test/?id=7&utm=a";
    one.origin.replies("from one", { "cache-control": "max-age=60", "no-vary-search": 'params=("utm")' });
    const hold = one.origin.holds();
    const asked = [first!(new Request(url))];
    await untilIdle(shared);
    asked.push(second!(new Request(url)));
    await untilIdle(shared);
    hold.release();
    for (const response of asked) expect(await (await response).text()).toBe("from one");
    expect(two.origin.requests).toHaveLength(0);
    const another = await first!(new Request("http://origin.test/?id=7&utm=b"));
    expect([await another.text(), another.headers.get("x-reprise-cache")]).toEqual(["from one", "Hit"]);
    expect(store.leased()).toEqual([]);
  });
});

describe("waiting for another process", () => {
  const fakeTime = (): void =>
    void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"], now: 1_000_000 });

  /** Lets `ms` go by and everything happen that is due. */
  const pass = async (ms: number): Promise<void> => {
    for (let step = 0; step < ms; step += 10) {
      await vi.advanceTimersByTimeAsync(10);
      for (let turn = 0; turn < 4; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    }
  };

  it("ends at the deadline; then the requests of this process ask at once, and one after that stores", async () => {
    fakeTime();
    const { one, store } = twoCaches({ collapseDeadline: "3s" });
    store.takes();
    const hold = one.origin.holds();
    const answers = [one.get("/"), one.get("/"), one.get("/")];
    await pass(2900);
    expect(hold.waiting).toBe(0);
    await pass(200);
    expect(hold.waiting).toBe(3);
    hold.release();
    await pass(100);
    for (const { body, outcome } of await Promise.all(answers)) {
      expect([body, outcome.collapsed]).toEqual(["ok", false]);
    }
    expect((await one.get("/")).outcome.hit).toBe(true);
  });

  it("counts the time of a store that answers slowly", async () => {
    fakeTime();
    const { one, store } = twoCaches({ collapseDeadline: "3s" });
    store.takes();
    store.answersAfter = () => new Promise((resolve) => setTimeout(resolve, 90));
    const hold = one.origin.holds();
    const answer = one.get("/");
    // 90 ms for the look-up before, and for the one that is under way at the end.
    await pass(3000 + 3 * 90);
    expect(hold.waiting).toBe(1);
    hold.release();
    await pass(300);
    await answer;
  });

  it("asks more and more seldom: after 10, 20, 40, 80 and then each 100 ms, but for chance", async () => {
    fakeTime();
    vi.spyOn(Math, "random").mockReturnValue(0.5);
    const { one, store } = twoCaches({ collapseDeadline: "10s" });
    store.takes();
    void one.get("/").catch(() => {});
    await pass(1150);
    // At 0, 10, 30, 70, 150, and at 250, 350, … 1,150 ms.
    expect(store.tries()).toBeGreaterThanOrEqual(14);
    expect(store.tries()).toBeLessThanOrEqual(15);
    store.knowsNothing();
    await pass(200);
  });

  it("is different for each process: pauses are between half and one and a half of that", async () => {
    fakeTime();
    const random = vi.spyOn(Math, "random").mockReturnValue(0);
    const hasty = twoCaches({ collapseDeadline: "10s" });
    hasty.store.takes();
    void hasty.one.get("/").catch(() => {});
    await pass(1000);
    random.mockReturnValue(0.999);
    const calm = twoCaches({ collapseDeadline: "10s" });
    calm.store.takes();
    void calm.one.get("/").catch(() => {});
    await pass(1000);
    expect(hasty.store.tries()).toBeGreaterThan(2 * calm.store.tries());
    hasty.store.knowsNothing();
    calm.store.knowsNothing();
    await pass(300);
  });

  it("does not take a response for another because the clocks of two machines are read anew", async () => {
    const shared = twoCaches({ route: { expire: 10, staleWhileRevalidate: "1h" } });
    const { one, two, store } = shared;
    await one.get("/");
    shared.advance(60);
    let reads = 0;
    store.onGet = (entry) => ({ ...entry, clockShiftMs: 5000 + (reads++ % 3) });
    two.origin.replies("renewed");
    expect((await two.get("/")).body).toBe("ok");
    await untilIdle(shared);
    expect(two.origin.requests).toHaveLength(1);
    expect(store.leased()).toEqual([]);
  });
});
