import { describe, expect, it } from "vitest";
import { memoryStore } from "../../../src/stores/memory/index.ts";
import type { CacheStore, StoreEntry } from "../../../src/http.ts";
import { bytes, harness, later, type Harness } from "../harness.ts";

const down = (): never => {
  throw new Error("store down");
};
const rejects = (): Promise<never> => Promise.reject(new Error("store down"));

function failures(events: Harness["events"]): readonly string[] {
  return events.flatMap((event) =>
    event.type === "operation-failed" ? [`${event.operation}: ${event.error.message}`] : [],
  );
}

describe("a store in trouble", () => {
  it.each([
    { how: "get throws", broken: { get: down }, reported: "get: store down" },
    { how: "get rejects", broken: { get: rejects }, reported: "get: store down" },
    {
      how: "get rejects with no error",
      broken: { get: () => Promise.reject("oops") },
      reported: "get: oops",
    },
    { how: "put throws", broken: { put: down }, reported: "put: store down" },
    { how: "put rejects", broken: { put: rejects }, reported: "put: store down" },
  ])("never costs a response: $how", async ({ broken, reported }) => {
    const { origin, get, events } = harness({ store: (now) => ({ ...memoryStore({ now }), ...broken }) });
    origin.replies("fine");
    for (let round = 0; round < 2; round++) {
      expect(await get("/")).toMatchObject({
        status: 200,
        body: "fine",
        outcome: { hit: false, forwarded: "uri-miss" },
      });
    }
    expect(origin.requests).toHaveLength(2);
    expect(failures(events)).toEqual([reported, reported]);
  });

  it("never costs a response: delete fails when a response is to be evicted", async () => {
    for (const broken of [down, rejects]) {
      const { origin, get, clock, events } = harness({
        store: (now) => ({ ...memoryStore({ now }), delete: broken }),
        route: { expire: 10 },
      });
      origin.replies("v1", { etag: '"v1"' });
      await get("/");
      clock.advance({ seconds: 11 });
      origin.replies("gone", { status: 404 });
      expect(await get("/")).toMatchObject({ status: 404, body: "gone" });
      expect(failures(events)).toEqual(["delete: store down"]);
    }
  });

  it("still lets overlapping requests share one run", async () => {
    const { origin, get, settled } = harness({
      store: (now) => ({ ...memoryStore({ now }), get: rejects, put: rejects }),
    });
    const hold = origin.holds();
    const answers = Array.from({ length: 50 }, () => get("/"));
    await settled();
    hold.release();
    for (const { body } of await Promise.all(answers)) expect(body).toBe("ok");
    expect(origin.requests).toHaveLength(1);
  });

  it("is used again when it is well again", async () => {
    let well = false;
    const { get } = harness({
      store: (now) => {
        const inner = later(now);
        return {
          ...inner,
          get: (key) => (well ? inner.get(key) : rejects()),
          put: (key, entry, ms) => (well ? inner.put(key, entry, ms) : down()),
        };
      },
    });
    await get("/");
    well = true;
    expect((await get("/")).outcome.hit).toBe(false);
    expect((await get("/")).outcome.hit).toBe(true);
  });
});

describe("what a store returns", () => {
  const garbage: readonly { what: string; entry: unknown }[] = [
    { what: "null", entry: null },
    { what: "a text", entry: "HTTP/1.1 200 OK" },
    { what: "a number", entry: 7 },
    { what: "bytes", entry: bytes("garbage") },
    { what: "an empty object", entry: {} },
    { what: "no meta", entry: { body: bytes("v1") } },
    { what: "meta that is null", entry: { meta: null, body: bytes("v1") } },
    { what: "meta that is a text", entry: { meta: "response", body: bytes("v1") } },
    { what: "meta of something else", entry: { meta: { kind: "call", value: 7 }, body: bytes("v1") } },
    { what: "meta of half a response", entry: { meta: { kind: "response", status: 200 }, body: bytes("v1") } },
    { what: "a live form of something else", entry: { meta: { kind: "call" }, body: bytes("v1"), live: { value: 7 } } },
    {
      what: "a live form that cannot be written to",
      entry: { meta: {}, body: bytes("v1"), live: Object.freeze({ value: 7 }) },
    },
    { what: "a live form that is a text", entry: { meta: {}, body: bytes("v1"), live: "response" } },
    { what: "names of no fields", entry: { meta: { kind: "vary", names: ["no name"] }, body: bytes("") } },
    { what: "no names", entry: { meta: { kind: "vary", names: [] }, body: bytes("") } },
  ];
  const kinds = [
    { when: "at once", wrap: (entry: unknown) => entry },
    { when: "later", wrap: (entry: unknown) => Promise.resolve(entry) },
  ];

  it.each(kinds.flatMap((kind) => garbage.map((found) => ({ ...kind, ...found }))))(
    "is a miss when it is $what, $when",
    async ({ wrap, entry }) => {
      const { origin, get } = harness({
        store: (now) => ({ ...memoryStore({ now }), get: () => wrap(entry) }) as CacheStore,
      });
      origin.replies("from the origin");
      expect(await get("/")).toMatchObject({
        status: 200,
        body: "from the origin",
        outcome: { hit: false, stored: true },
      });
    },
  );

  function spoiling(spoil: (entry: StoreEntry) => unknown): (now: () => number) => CacheStore {
    return (now) => {
      const inner = later(now);
      const get = async (key: string): Promise<unknown> => {
        const entry = await inner.get(key);
        return entry === undefined ? undefined : spoil(entry);
      };
      return { ...inner, get } as CacheStore;
    };
  }
  const withMeta =
    (change: Record<string, unknown>) =>
    ({ meta, body }: StoreEntry): unknown => ({
      meta: { ...meta, meta: { ...(meta["meta"] as object), ...change } },
      body,
    });
  const withOuter =
    (change: Record<string, unknown>) =>
    ({ meta, body }: StoreEntry): unknown => ({ meta: { ...meta, ...change }, body });

  it("is a hit as long as nobody spoils it", async () => {
    const { get } = harness({ store: spoiling((entry) => entry) });
    await get("/");
    expect((await get("/")).outcome.hit).toBe(true);
  });

  it.each([
    { what: "a status that is none", spoil: withMeta({ status: 99 }) },
    { what: "a status that is a text", spoil: withMeta({ status: "200" }) },
    { what: "a broken status", spoil: withMeta({ status: 200.5 }) },
    { what: "fields that are no list", spoil: withMeta({ fields: { etag: '"v1"' } }) },
    { what: "a field name with a line break", spoil: withMeta({ fields: [["x\r\ny", "1"]] }) },
    { what: "a field name in capitals", spoil: withMeta({ fields: [["ETag", "1"]] }) },
    { what: "a field value with a line break", spoil: withMeta({ fields: [["x", "1\r\nset-cookie: a=b"]] }) },
    { what: "a field value that is a number", spoil: withMeta({ fields: [["x", 1]] }) },
    { what: "a field with three parts", spoil: withMeta({ fields: [["x", "1", "2"]] }) },
    { what: "varyFields that are none", spoil: withMeta({ varyFields: [["accept"]] }) },
    { what: "names that are none", spoil: withOuter({ names: [7] }) },
    { what: "a URI that is none", spoil: withOuter({ uri: 7 }) },
    { what: "no meta of ours", spoil: withOuter({ meta: undefined }) },
    { what: "a negative lifetime", spoil: withMeta({ freshnessLifetimeSeconds: -1 }) },
    { what: "an endless lifetime", spoil: withMeta({ freshnessLifetimeSeconds: null }) },
    { what: "a lifetime that is a text", spoil: withMeta({ freshnessLifetimeSeconds: "60" }) },
    { what: "no time of arrival", spoil: withMeta({ receivedAtMs: undefined }) },
    { what: "a flag that is a text", spoil: withMeta({ requiresRevalidation: "no" }) },
    { what: "a source of lifetime nobody knows", spoil: withMeta({ lifetimeFrom: "guess" }) },
    { what: "a generation that is none", spoil: withOuter({ generation: 7 }) },
    { what: "no body", spoil: ({ meta }: StoreEntry) => ({ meta }) },
    { what: "a body that is a text", spoil: ({ meta }: StoreEntry) => ({ meta, body: "v1" }) },
    { what: "a body that is JSON of bytes", spoil: ({ meta }: StoreEntry) => ({ meta, body: { 0: 118, 1: 49 } }) },
  ])("is a miss when a response came back with $what", async ({ spoil }) => {
    const { origin, get } = harness({ store: spoiling(spoil) });
    await get("/");
    origin.replies("from the origin");
    expect(await get("/")).toMatchObject({
      status: 200,
      body: "from the origin",
      outcome: { hit: false, stored: true },
    });
  });

  it("is not written to: a frozen entry is as good as another", async () => {
    const { get } = harness({ store: spoiling((entry) => Object.freeze({ ...entry })) });
    await get("/");
    expect((await get("/")).outcome.hit).toBe(true);
  });

  it("does not answer another request's fields, whatever key it came under", async () => {
    let swapped: StoreEntry | undefined;
    const { origin, get } = harness({
      store: (now) => {
        const inner = memoryStore({ now });
        return {
          ...inner,
          get: (key) => (swapped !== undefined && key.includes("\\vary") ? swapped : inner.get(key)),
          put: (key, entry, ms) => {
            if (entry.meta["kind"] === "response") swapped ??= entry;
            return inner.put(key, entry, ms);
          },
        };
      },
    });
    origin.replies((request) => new Response(request.headers.get("x-a"), { headers: { vary: "x-a" } }));
    await get("/", { "x-a": "1" });
    expect(await get("/", { "x-a": "2" })).toMatchObject({
      body: "2",
      outcome: { hit: false, forwarded: "vary-miss" },
    });
  });
});
