import { runInNewContext } from "node:vm";
import { setFlagsFromString } from "node:v8";

import { describe, expect, it } from "vitest";

import { type MemoryStore, memoryStore } from "../../../src/stores/memory/index.ts";
import { storeContract } from "../../../src/testing.ts";
import type { StoreEntry } from "../../../src/http.ts";

const MIB = 1024 * 1024;

let nowMs = 1_764_000_000_000;
storeContract({
  describe,
  it,
  name: "memory store: contract",
  createStore: () => memoryStore({ now: () => nowMs }),
  advance: (ms) => {
    nowMs += ms;
  },
});

function entry(body: Uint8Array | string = "body", live?: unknown): StoreEntry {
  const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
  return { meta: { status: 200 }, body: bytes, live: { value: live } };
}

describe("memory store", () => {
  it("answers at once, never with a promise", () => {
    const store = memoryStore();
    expect(store.put("p a", entry(), 1000)).toBe("stored");
    expect(store.get("p a")).toMatchObject({ meta: { status: 200 } });
    expect(store.delete("p a")).toBeUndefined();
    expect(store.get("p a")).toBeUndefined();
  });

  it("returns the object that was put, with its decoded form", () => {
    const store = memoryStore();
    const put = entry("body", { decoded: true });
    store.put("p a", put, 1000);
    expect(store.get("p a")).toBe(put);
  });

  it("drops an entry past its retention when it is met", () => {
    let now = 1000;
    const store = memoryStore({ now: () => now });
    store.put("p a", entry(), 500);
    now = 1499;
    expect(store.get("p a")).toBeDefined();
    now = 1500;
    expect(store.get("p a")).toBeUndefined();
    expect(store.entryCount).toBe(0);
    expect(store.sizeBytes).toBe(0);
  });

  it("copies a small slice, so that it does not keep the buffer it was cut from", () => {
    const store = memoryStore();
    const chunk = new Uint8Array(64 * 1024).fill(7);
    store.put("p a", entry(chunk.subarray(100, 300)), 1000);
    expect(store.get("p a")?.body.buffer.byteLength).toBe(200);
    expect(store.get("p a")?.body).toEqual(new Uint8Array(200).fill(7));
  });

  it("keeps whole bodies without a copy", () => {
    const store = memoryStore();
    const body = new Uint8Array(1000);
    store.put("p a", entry(body), 1000);
    expect(store.get("p a")?.body).toBe(body);
  });

  it("forgets its entries when the last cache that opened it closes it", () => {
    const store = memoryStore();
    store.open?.(() => {});
    store.open?.(() => {});
    store.put("p a", entry(), 1000);
    store.close();
    expect(store.get("p a")).toBeDefined();
    store.close();
    expect(store.get("p a")).toBeUndefined();
  });

  it("refuses an option that does not exist", () => {
    expect(() => memoryStore({ maxByte: 1000 } as object)).toThrow(
      expect.objectContaining({ code: "ERR_UNKNOWN_OPTION", message: expect.stringContaining('no option "maxByte"') }),
    );
  });

  it.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, "64mb", null])("refuses maxBytes %s", (maxBytes) => {
    expect(() => memoryStore({ maxBytes: maxBytes as number })).toThrow(
      expect.objectContaining({
        name: "RangeError",
        code: "ERR_INVALID_OPTION",
        message: expect.stringMatching(/^memoryStore\(\{ maxBytes \}\): expected .+, got .+\n64 MiB is/),
      }),
    );
  });
});

describe("the bound in bytes", () => {
  it("does not keep an entry that is larger than all the room, nor what it was to replace", () => {
    const store = memoryStore({ maxBytes: 10_000 });
    store.put("p a", entry("small"), 1000);
    store.put("p b", entry("small"), 1000);
    store.put("p a", entry(new Uint8Array(10_000)), 1000);
    expect(store.get("p a")).toBeUndefined();
    expect(store.get("p b")).toBeDefined();
  });

  it("pushes out what was used least recently", () => {
    const store = memoryStore({ maxBytes: 10_000 });
    for (const name of ["a", "b", "c"]) store.put(`p ${name}`, entry(new Uint8Array(2500)), 1000);
    store.get("p a");
    store.put("p d", entry(new Uint8Array(2500)), 1000);
    expect(["a", "b", "c", "d"].filter((name) => store.get(`p ${name}`) !== undefined)).toEqual(["a", "c", "d"]);
  });

  it.each([
    { what: "the key", of: (size: number) => [`p ${"k".repeat(size)}`, entry()] as const },
    { what: "the body", of: (size: number) => ["p a", entry(new Uint8Array(size))] as const },
    {
      what: "meta",
      of: (size: number) => ["p a", { ...entry(), meta: { list: [["name", "v".repeat(size)]] } }] as const,
    },
    { what: "the decoded form", of: (size: number) => ["p a", entry("body", { header: "v".repeat(size) })] as const },
    {
      what: "bytes in the decoded form",
      of: (size: number) => ["p a", entry("body", { head: new Uint8Array(size) })] as const,
    },
  ])("counts $what", ({ of }) => {
    const [small, large] = [memoryStore(), memoryStore()];
    const [smallKey, smallEntry] = of(10);
    const [largeKey, largeEntry] = of(10_010);
    small.put(smallKey, smallEntry, 1000);
    large.put(largeKey, largeEntry, 1000);
    expect(large.sizeBytes - small.sizeBytes).toBeGreaterThanOrEqual(10_000);
  });

  it("survives a decoded form that refers to itself", () => {
    const live: { self?: unknown } = {};
    live.self = live;
    const store = memoryStore();
    store.put("p a", entry("body", live), 1000);
    expect(store.get("p a")).toBeDefined();
  });

  // The commonest way to fill a cache: many small JSON responses under long URLs. Bookkeeping outweighs the bodies here.
  it.each([
    { shape: "small JSON responses under long keys", make: jsonResponse },
    { shape: "slices of network chunks", make: chunkSlice },
    { shape: "empty bodies", make: emptyBody },
  ])("is honest about the heap: $shape", async ({ make }) => {
    const maxBytes = 16 * MIB;
    await fill(memoryStore({ maxBytes: MIB }), make);
    const before = usedBytes();
    const store = memoryStore({ maxBytes });
    await fill(store, make);
    const used = usedBytes() - before;
    expect(store.sizeBytes).toBeLessThanOrEqual(maxBytes);
    expect(store.sizeBytes).toBeGreaterThan(maxBytes * 0.95);
    expect(used).toBeLessThan(maxBytes * 1.15);
    expect(used).toBeGreaterThan(maxBytes * 0.3);
    expect(store.entryCount).toBeGreaterThan(1000);
  });
});

/** Puts three times what fits. */
async function fill(store: MemoryStore, make: (index: number) => readonly [string, StoreEntry]): Promise<void> {
  for (let index = 0; index < 1000 || index < store.entryCount * 3; index += 1) {
    const [key, each] = make(index);
    store.put(key, each, 1_000_000);
    // Array buffers are freed between turns of the event loop.
    if (index % 1000 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
}

function jsonResponse(index: number): readonly [string, StoreEntry] {
  const key = `api-cache GET http://api.example.com:8080/cities/${index}?fields=name,country,population&lang=en&page=${index}`;
  const body = new TextEncoder().encode(JSON.stringify({ id: index, name: `City ${index}`, population: index * 1000 }));
  const fields = [
    ["content-type", `application/json; charset=${index}`],
    ["etag", `"${index.toString(36)}-abcdefghijkl"`],
  ];
  return [
    key,
    { meta: { status: 200, fields, receivedAtMs: 1_764_000_000_000 + index, tags: [`city:${index}`] }, body },
  ];
}

function chunkSlice(index: number): readonly [string, StoreEntry] {
  return [`api-cache GET /${index}`, { meta: { status: 200 }, body: new Uint8Array(16 * 1024).subarray(0, 200) }];
}

function emptyBody(index: number): readonly [string, StoreEntry] {
  return [`api-cache GET /${index}`, { meta: {}, body: new Uint8Array(0) }];
}

function usedBytes(): number {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  for (let round = 0; round < 5; round += 1) collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
