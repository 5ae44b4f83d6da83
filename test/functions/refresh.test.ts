import { describe, expect, it } from "vitest";
import { createCache } from "../../src/cache.ts";
import { wrapFunction } from "../../src/functions/wrap.ts";
import { withPurgeLog } from "../../src/stores/purging/judged-store.ts";
import { memoryStore } from "../../src/stores/memory/index.ts";
import type { CacheStore, PurgeLog } from "../../src/http.ts";
import { watchUnhandled } from "../redis/unhandled.ts";
import { gate, harness, settled } from "./harness.ts";

class User {
  readonly id = 7;
}

describe("refresh", () => {
  it.each([
    { what: "storeWhen refuses", options: { storeWhen: () => false }, result: (): unknown => "new" },
    {
      what: "storeWhen gives a promise for",
      options: { storeWhen: (() => Promise.resolve(true)) as never },
      result: (): unknown => "new",
    },
    { what: "has a class", options: {}, result: (): unknown => new User() },
    {
      what: "has no tags",
      options: {
        tags: () => {
          throw new Error("none");
        },
      },
      result: (): unknown => "new",
    },
  ])("purges the old result also where the new one $what", async ({ options, result }) => {
    const { context } = harness();
    const giving = (results: unknown[]) => (): unknown => results.shift();
    const old = wrapFunction(context, "rates", giving(["old"]));
    await old();
    const rates = wrapFunction({ ...context }, "rates", giving([result(), "later"]), options);
    expect(await rates()).toBe("old");
    expect(await rates.refresh()).not.toBe("old");
    expect(await rates()).toBe("later");
  });

  it.each(["when", "key"] as const)("purges the old result where `%s` throws", async (callback) => {
    const { context } = harness();
    let price = 1;
    let isBroken = false;
    const answer = (): unknown => {
      if (isBroken) throw new Error("flags are away");
      return callback === "when" ? true : "a";
    };
    const find = wrapFunction(context, "price", (_id: string) => price, { [callback]: answer });
    await find("a");
    price = 2;
    isBroken = true;
    expect(await find.refresh("a")).toBe(2);
    isBroken = false;
    expect(await find("a")).toBe(2);
  });

  it("purges the old result also through a wrapper that a later one has replaced", async () => {
    const { context } = harness();
    let price = 1;
    const older = wrapFunction(context, "price", (_id: string) => price);
    const newer = wrapFunction(context, "price", (_id: string) => price + 0);
    await newer("a");
    price = 2;
    expect(await older.refresh("a")).toBe(2);
    expect(await newer("a")).toBe(2);
  });

  it("purges the old result where an argument was changed while it ran", async () => {
    const { context, trace } = harness();
    const run = gate<string>();
    const results = [() => "old", () => run.promise, () => "later"];
    const find = wrapFunction(context, "find", (_query: { id: number }) => results.shift()?.());
    await find({ id: 1 });
    const query = { id: 1 };
    const refreshed = find.refresh(query);
    query.id = 2;
    run.open("new");
    expect(await refreshed).toBe("new");
    expect(trace()).toEqual(["stored", "not-stored: arguments-changed"]);
    expect(await find({ id: 1 })).toBe("later");
  });

  it("is not joined by later callers who would get the result of an earlier run", async () => {
    const { context } = harness();
    const early = gate<string>();
    const results = [() => early.promise, () => "refreshed"];
    const rates = wrapFunction(context, "rates", () => results.shift()?.());
    const before = rates();
    expect(await rates.refresh()).toBe("refreshed");
    expect(await rates()).toBe("refreshed");
    early.open("early");
    expect(await before).toBe("early");
    expect(await rates()).toBe("refreshed");
  });

  it("only runs the function where `when` says no", async () => {
    const { context, trace } = harness();
    const page = wrapFunction(context, "page", (id: number, draft: boolean) => `${draft ? "draft" : "public"} ${id}`, {
      key: (id) => id,
      when: (_id, draft) => !draft,
    });
    await page(1, false);
    expect(await page.refresh(1, true)).toBe("draft 1");
    expect(await page(1, false)).toBe("public 1");
    expect(trace()).toEqual(["stored", "found"]);
  });

  it("runs with the `this` that is named or, without one, with the only one there was", async () => {
    const { context } = harness();
    const get = wrapFunction(context, "get", async function (this: unknown, id: number) {
      return `${(this as { table: string }).table} ${id}`;
    });
    const users = { table: "users", get };
    const orders = { table: "orders", get };
    await users.get(1);
    expect(await users.get.refresh(1)).toBe("users 1");
    expect(await get.refresh(1)).toBe("users 1");
    await orders.get(2);
    expect(await get.refresh.call(orders, 1)).toBe("orders 1");
    await expect(get.refresh(1)).rejects.toThrow(
      "get: refresh() needs the object that the function is called on, and it is not the only one or not known here.\n" +
        "Say which one: refresh.call(object, …).",
    );
  });

  it("does not ask for an object that the function does not read", async () => {
    const { context } = harness();
    const get = wrapFunction(context, "get", async (id: number) => id);
    await Promise.all([{ get }, { get }].map((owner) => owner.get(1)));
    expect(await get.refresh(1)).toBe(1);
  });
});

describe("refresh where the purge is not acknowledged", () => {
  const refusing = (now: () => number): CacheStore => {
    const inner = memoryStore({ now });
    const { purges } = withPurgeLog(inner);
    const log: PurgeLog = {
      generation: (prefix) => purges.generation(prefix),
      judge: (prefix, key, entry) => purges.judge(prefix, key, entry),
      verifiedAtMs: (prefix) => purges.verifiedAtMs(prefix),
      verify: (prefix) => purges.verify(prefix),
      purge: () => Promise.reject(new Error("gone")),
    };
    return { ...inner, purges: log };
  };

  it("rejects with the new result, which is not stored", async () => {
    const { context, trace } = harness({ store: refusing });
    let runs = 0;
    const rates = wrapFunction(context, "rates", () => ++runs);
    await rates();
    await expect(rates.refresh()).rejects.toMatchObject({ message: "gone", result: 2 });
    expect(trace()).toEqual(["stored", "store-failed"]);
  });

  it("does not end the process when it is not awaited", async () => {
    const { context } = harness({ store: refusing });
    const rates = wrapFunction(context, "rates", () => 1);
    const expectNoneUnhandled = watchUnhandled();
    void rates.refresh();
    await settled();
    await expectNoneUnhandled();
  });
});

describe("purgeAll", () => {
  it("purges every result of the function and no other, and bars the runs that began before", async () => {
    const { context } = harness();
    const early = gate<string>();
    let runs = 0;
    const rates = wrapFunction(context, "rates", (currency: string) =>
      currency === "slow" ? early.promise : `${currency} ${++runs}`,
    );
    const others = wrapFunction(context, "rates.others", () => `other ${++runs}`);
    await rates("EUR");
    await rates("USD");
    await others();
    const before = rates("slow");
    await rates.purgeAll();
    early.open("early");
    await before;
    expect(await rates("EUR")).toBe("EUR 4");
    expect(await rates("USD")).toBe("USD 5");
    expect(await others()).toBe("other 3");
    expect(await context.store.get('test rates("slow")')).toBeUndefined();
  });

  it("purges what a cache has stored under tags as well", async () => {
    const cache = createCache();
    let runs = 0;
    const rates = cache.wrap("rates", async () => ++runs, { tags: ["money"] });
    await rates();
    await rates.purgeAll();
    expect(await rates()).toBe(2);
    await cache.purge({ tag: "money" });
    expect(await rates()).toBe(3);
  });
});
