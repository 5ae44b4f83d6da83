/** Types of wrapped functions: `npm run check` compiles this file, so each `@ts-expect-error` must be an error. */

import { describe, expect, it } from "vitest";
import { createCache } from "../../src/cache.ts";
import type { CachedFunction } from "../../src/functions/contract.ts";

const cache = createCache();

interface Row {
  readonly id: number;
}

function calledOnlyByTheCompiler(call: () => unknown): void {
  expect(call).toBeTypeOf("function");
}

describe("the parameters of a wrapped function", () => {
  it("stay optional beside callbacks of the options", () => {
    const find = cache.wrap("optional", async (id: number, lang?: string) => `${id} ${lang}`, {
      tags: (id, lang) => [`${id.toFixed()} ${lang?.length}`],
      key: (id, lang) => [id, lang],
      when: (id) => id > 0,
      storeWhen: (text) => text.length > 0,
    });
    calledOnlyByTheCompiler(() => [find(1), find(1, "de"), find.purge(1), find.refresh(1), find.keyOf(1)]);
    // @ts-expect-error the first one is required
    calledOnlyByTheCompiler(() => find());
    // @ts-expect-error a number is no text
    calledOnlyByTheCompiler(() => find(1, 2));
    // @ts-expect-error a text is no number
    calledOnlyByTheCompiler(() => find.purge("1"));
  });

  it("may have defaults, be a rest, also of a readonly array", () => {
    const page = cache.wrap("page", async (id: number, count = 2) => id + count);
    calledOnlyByTheCompiler(() => [page(1), page(1, 3), page.purge(1)]);
    // @ts-expect-error a text is no number
    calledOnlyByTheCompiler(() => page(1, "3"));
    const tagged = cache.wrap("tagged", async (id: number, ...tags: string[]) => id + tags.length, {
      tags: (id, ...tags) => [...tags, id.toFixed()],
    });
    calledOnlyByTheCompiler(() => [tagged(1), tagged(1, "a", "b"), tagged.purge(1, "a")]);
    // @ts-expect-error a number is no text
    calledOnlyByTheCompiler(() => tagged(1, 2));
    const all = cache.wrap("all", async (...ids: readonly string[]) => ids.length, { key: (...ids) => ids.join() });
    calledOnlyByTheCompiler(() => [all(), all("a", "b"), all.purge("a")]);
    // @ts-expect-error a number is no text
    calledOnlyByTheCompiler(() => all(1));
  });

  it("keep type parameters", async () => {
    const same = cache.wrap("same", async <T extends Row>(row: T): Promise<T> => row);
    const row: { id: number; name: string } = await same({ id: 1, name: "a" });
    const refreshed: { id: number; name: string } = await same.refresh(row);
    expect(refreshed.name).toBe("a");
    // @ts-expect-error it has no id
    calledOnlyByTheCompiler(() => same({ name: "a" }));
  });

  it("keep overloads", () => {
    function load(id: number): Promise<Row>;
    function load(name: string, isExact: boolean): Promise<Row[]>;
    async function load(of: number | string): Promise<Row | Row[]> {
      return typeof of === "number" ? { id: of } : [];
    }
    const loaded = cache.wrap("load", load, { key: (of, isExact) => [of, isExact] });
    calledOnlyByTheCompiler(async () => {
      const row: Row = await loaded(7);
      const rows: Row[] = await loaded("a", true);
      await Promise.all([loaded.purge(7), loaded.purge("a", true)]);
      return [row, rows];
    });
    // @ts-expect-error no overload has one text
    calledOnlyByTheCompiler(() => loaded("a"));
    // @ts-expect-error no overload has one text
    calledOnlyByTheCompiler(() => loaded.purge("a"));
  });

  it("keep a declared `this`, which callbacks are given", () => {
    const find = cache.wrap(
      "this",
      async function (this: { table: string }, id: number) {
        return this.table + id;
      },
      {
        key(id) {
          return [this.table, id];
        },
      },
    );
    const users = { table: "users", find };
    calledOnlyByTheCompiler(() => [users.find(1), find.refresh.call(users, 1), find.purge.call(users, 1)]);
    // @ts-expect-error it has no table
    calledOnlyByTheCompiler(() => find.call({}, 1));
  });

  it("may be none", () => {
    const now = cache.wrap("now", async () => 1);
    calledOnlyByTheCompiler(() => [now(), now.purge(), now.purgeAll(), now.refresh(), now.keyOf()]);
    // @ts-expect-error it takes none
    calledOnlyByTheCompiler(() => now(1));
    // @ts-expect-error it takes none
    calledOnlyByTheCompiler(() => now.purge(1));
  });
});

describe("the result of a wrapped function", () => {
  it("is a promise, whatever the function returns", async () => {
    const plain = cache.wrap("plain", (id: number): string | Promise<string> => String(id));
    const text: Promise<string> = plain(7);
    const unsafe = cache.wrap("any", (id: number) => JSON.parse(String(id)));
    expect([await text, await unsafe(7).then(String)]).toEqual(["7", "7"]);
    const typed: CachedFunction<[id: number], string> = plain;
    expect(typed.cacheName).toBe("plain");
    // @ts-expect-error it is a promise
    calledOnlyByTheCompiler(() => plain(7).length);
  });
});

describe("a wrapped function with overloads of which not all give a promise", () => {
  function mixed(id: number): number;
  function mixed(name: string): Promise<string>;
  function mixed(of: number | string): number | Promise<string> {
    return typeof of === "number" ? of : Promise.resolve(of);
  }
  function plain(id: number): number;
  function plain(name: string): string;
  function plain(of: number | string): number | string {
    return of;
  }

  it("gives a promise of what each overload gives", async () => {
    const wrapped = cache.wrap("mixed", mixed);
    const id: Promise<number> = wrapped(1);
    const name: Promise<string> = wrapped("a");
    expect([await id, await name]).toEqual([1, "a"]);
    // @ts-expect-error it is a promise
    calledOnlyByTheCompiler(() => wrapped(1).toFixed());
    const both: Promise<number | string> = wrapped(...([1] as [id: number] | [name: string]));
    const again: Promise<number | string> = wrapped.refresh("a");
    expect([await both, await again, await wrapped.purge(1)]).toEqual([1, "a", undefined]);
  });

  it("gives a promise of what each overload gives where none does", async () => {
    const wrapped = cache.wrap("plainOverloads", plain);
    const id: Promise<number> = wrapped(1);
    const name: Promise<string> = wrapped("a");
    expect([await id, await name]).toEqual([1, "a"]);
    // @ts-expect-error the text is no number
    const wrong = (): Promise<number> => wrapped("a");
    calledOnlyByTheCompiler(wrong);
    calledOnlyByTheCompiler(() => [wrapped.purge(1), wrapped.purge("a"), wrapped.keyOf("a")]);
  });

  it("is not taken for one that gives promises where more than four do", () => {
    function five(a: 1): number;
    function five(a: 2): Promise<2>;
    function five(a: 3): Promise<3>;
    function five(a: 4): Promise<4>;
    function five(a: 5): Promise<5>;
    function five(a: number): number | Promise<number> {
      return a;
    }
    // @ts-expect-error the first overload is not typed any more, and gives no number
    calledOnlyByTheCompiler(() => cache.wrap("five", five)(1).toFixed());
  });
});

describe("the properties of a wrapped function", () => {
  it("are those of the function, which the type promises", async () => {
    const fetchRates = Object.assign(async (currency: string) => currency, { source: { url: "a" }, purge: 7 });
    const hidden = Symbol("hidden");
    Object.defineProperty(fetchRates, hidden, { value: 1, enumerable: false });
    const rates = cache.wrap("properties", fetchRates);
    const url: string = rates.source.url;
    expect(url).toBe("a");
    expect(Object.getOwnPropertyDescriptor(rates, hidden)).toEqual(Object.getOwnPropertyDescriptor(fetchRates, hidden));
    expect(rates.purge).toBeTypeOf("function");
    expect(rates.length).toBe(1);
    expect(await rates("EUR")).toBe("EUR");
  });
});

describe("the options of a wrapped function", () => {
  it("must exist, and callbacks must answer at once", () => {
    const fn = async (id: number): Promise<number> => id;
    // @ts-expect-error there is no such option
    calledOnlyByTheCompiler(() => cache.wrap("a", fn, { expires: "5m" }));
    // @ts-expect-error a promise is no answer
    calledOnlyByTheCompiler(() => cache.wrap("b", fn, { when: async () => true }));
    // @ts-expect-error nothing is no answer
    calledOnlyByTheCompiler(() => cache.wrap("c", fn, { storeWhen: () => {} }));
    // @ts-expect-error a number has no length
    calledOnlyByTheCompiler(() => cache.wrap("d", fn, { key: (id) => id.length }));
    // @ts-expect-error a text is no function
    calledOnlyByTheCompiler(() => cache.wrap("e", "fn"));
  });
});
