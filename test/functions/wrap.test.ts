import { describe, expect, it } from "vitest";
import { wrapFunction } from "../../src/functions/wrap.ts";
import { harness, remoteStore, settled } from "./harness.ts";

const STORES = [
  { kind: "a store that answers at once", store: undefined },
  { kind: "a store that answers later", store: remoteStore },
];

describe.each(STORES)("a cached function over $kind", ({ store }) => {
  const cache = (): ReturnType<typeof harness> => harness(store === undefined ? {} : { store });

  it("runs once for equal arguments, and again when its result has expired", async () => {
    const { context, advance, trace } = cache();
    let runs = 0;
    const rates = wrapFunction(context, "rates", async (currency: string) => `${currency} ${++runs}`, {
      expire: "10m",
    });
    expect(await rates("EUR")).toBe("EUR 1");
    await settled();
    expect(await rates("EUR")).toBe("EUR 1");
    expect(await rates("USD")).toBe("USD 2");
    await settled();
    advance(599);
    expect(await rates("EUR")).toBe("EUR 1");
    advance(1);
    expect(await rates("EUR")).toBe("EUR 3");
    await settled();
    expect(trace()).toEqual(["stored", "found", "stored", "found", "stored"]);
  });

  it("reports what it found and for how long it is fresh", async () => {
    const { context, advance, events } = cache();
    const rates = wrapFunction(context, "rates", () => 1, { expire: 60 });
    await rates();
    await settled();
    advance(15);
    await rates();
    expect(events).toEqual([
      { type: "stored", key: "test rates()", name: "rates", freshnessLifetimeSeconds: 60 },
      { type: "found", key: "test rates()", name: "rates", ttlSeconds: 45 },
    ]);
  });

  it("keeps a result for a year unless told otherwise", async () => {
    const { context, advance } = cache();
    let runs = 0;
    const count = wrapFunction(context, "count", () => ++runs);
    await count();
    await settled();
    advance(365 * 86_400 - 1);
    expect(await count()).toBe(1);
    advance(1);
    expect(await count()).toBe(2);
  });

  it.each([[undefined], [null], [0], [""], [false], ["null"], [Number.NaN], [7n]])(
    "keeps %s like any other result",
    async (result) => {
      const { context } = cache();
      let runs = 0;
      const find = wrapFunction(context, "find", () => (runs++, result));
      expect(await find()).toStrictEqual(result);
      await settled();
      expect(await find()).toStrictEqual(result);
      expect(runs).toBe(1);
    },
  );

  it("gives back what is changed on no later hit", async () => {
    const { context } = cache();
    const list = wrapFunction(context, "list", () => ({ users: ["a"], at: new Date(0) }));
    for (let call = 0; call < 3; call++) {
      const result = await list();
      expect(result).toStrictEqual({ users: ["a"], at: new Date(0) });
      result.users.push("changed");
      result.at.setTime(1);
      await settled();
    }
  });

  it("does not keep what was thrown", async () => {
    const { context, trace } = cache();
    let runs = 0;
    const find = wrapFunction(context, "find", () => {
      runs++;
      if (runs === 1) throw new Error("down");
      return runs;
    });
    await expect(find()).rejects.toThrow("down");
    expect(await find()).toBe(2);
    await settled();
    expect(trace()).toEqual(["not-stored: threw", "stored"]);
  });

  it("returns what cannot be kept, and says why it was not", async () => {
    class User {
      readonly id = 7;
    }
    const { context, events } = cache();
    const find = wrapFunction(context, "find", () => ({ user: new User() }));
    expect((await find()).user).toBeInstanceOf(User);
    expect((await find()).user).toBeInstanceOf(User);
    expect(events).toHaveLength(2);
    expect(events[0]).toMatchObject({
      type: "not-stored",
      because: "not-serializable",
      error: { code: "ERR_UNKEEPABLE_RESULT", path: ".user", message: expect.stringContaining("an instance of User") },
    });
  });

  it("takes no part where `when` says so", async () => {
    const { context, events } = cache();
    let runs = 0;
    const find = wrapFunction(context, "find", (id: number, isDraft: boolean) => [id, isDraft, ++runs].join(" "), {
      ignoreArgs: [1],
      when: (_, isDraft) => !isDraft,
    });
    expect(await find(7, false)).toBe("7 false 1");
    await settled();
    events.length = 0;
    expect(await find(7, true)).toBe("7 true 2");
    expect(events).toEqual([]);
    expect(await find(7, false)).toBe("7 false 1");
  });

  it("keeps only what `storeWhen` wants", async () => {
    const { context, trace } = cache();
    const results = [null, { id: 7 }, { id: 8 }];
    const find = wrapFunction(context, "find", () => results.shift(), { storeWhen: (user) => user !== null });
    expect(await find()).toBeNull();
    expect(await find()).toEqual({ id: 7 });
    await settled();
    expect(await find()).toEqual({ id: 7 });
    expect(trace()).toEqual(["not-stored: store-when", "stored", "found"]);
  });

  it("hands times and tags to the store, and keeps stale values as long as they are of use", async () => {
    const { context, store } = cache();
    const put: unknown[] = [];
    const recording = {
      ...store,
      put(...args: Parameters<typeof store.put>) {
        put.push(args);
        return store.put(...args);
      },
    };
    const find = wrapFunction({ ...context, store: recording }, "find", (id: number) => id, {
      expire: 60,
      staleWhileRevalidate: 10,
      staleIfError: 30,
      tags: (id) => [`user:${id}`, "users", "users"],
    });
    await find(7);
    const meta = {
      kind: "value",
      madeBy: expect.any(String) as string,
      requestedAtMs: context.now(),
      receivedAtMs: context.now(),
      freshnessLifetimeSeconds: 60,
      staleWhileRevalidateSeconds: 10,
      staleIfErrorSeconds: 30,
    };
    const names = ["#user:7", "#users", "(find"];
    const body = new TextEncoder().encode("[7]");
    expect(put).toEqual([["test find(7)", expect.objectContaining({ meta, body, names }), 90_000]]);
  });

  it.each([
    {
      what: "throws",
      tags: () => {
        throw new Error("no user");
      },
    },
    { what: "gives something else", tags: () => [7] as never },
  ])("stores nothing, and answers, when tags() $what", async ({ tags }) => {
    const { context, trace } = cache();
    const find = wrapFunction(context, "find", () => 7, { tags });
    expect(await find()).toBe(7);
    expect(trace()).toEqual(["not-stored: tags"]);
  });

  it("passes `this` on", async () => {
    const { context } = cache();
    const owner = {
      name: "owner",
      find: wrapFunction(context, "find", function (this: unknown) {
        return (this as { name: string }).name;
      }),
    };
    expect(await owner.find()).toBe("owner");
  });

  it("always returns a promise, also for what is thrown at once", async () => {
    const { context } = cache();
    const fail = wrapFunction(context, "fail", (): never => {
      throw new Error("at once");
    });
    const refuse = wrapFunction(context, "refuse", (value: unknown) => value);
    await expect(fail()).rejects.toThrow("at once");
    await expect(refuse(() => 1)).rejects.toThrow("refuse(…): argument 1 is a function");
  });
});

describe("arguments that change while the store is asked", () => {
  it("do not put a result under another call's key", async () => {
    const { context, trace } = harness({ store: remoteStore });
    const find = wrapFunction(context, "find", (query: { id: number }) => `user ${query.id}`);
    const query = { id: 1 };
    const call = find(query);
    const sameCall = find({ id: 1 });
    query.id = 2;
    expect(await call).toBe("user 2");
    expect(trace()).toEqual(["not-stored: arguments-changed"]);
    expect(await sameCall).toBe("user 1");
    expect(await find({ id: 1 })).toBe("user 1");
  });
});

describe("what a cached function tells about itself", () => {
  it("has the name and length of the function, and the name of its keys", () => {
    const fetchRates = (currency: string, _at: Date): string => currency;
    const rates = wrapFunction(harness().context, "rates", fetchRates);
    expect({ name: rates.name, length: rates.length, cacheName: rates.cacheName }).toEqual({
      name: "fetchRates",
      length: 2,
      cacheName: "rates",
    });
  });
});
