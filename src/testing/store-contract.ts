/** The contract of a store as a test suite, for the stores of this package and for users' own. */

import { strictEqual } from "node:assert/strict";
import { randomBytes } from "node:crypto";

import type { CacheStore, StoreEntry } from "../http.ts";
import { purgeContract } from "./purge-contract.ts";
import { bytes, LONG_RETENTION_MS, same } from "./store-entries.ts";

export interface StoreContractOptions {
  /** Groups tests: `describe` of vitest, `node:test`, Jest, Mocha or Bun. */
  readonly describe: (name: string, define: () => void) => unknown;
  /** Defines a test: `it` or `test` of the same. */
  readonly it: (name: string, run: () => Promise<void>) => unknown;
  /** Makes a store for one test. The suite opens it, waits until it keeps what it is given, and closes it. */
  readonly createStore: () => CacheStore | Promise<CacheStore>;
  /** Lets time pass for the store. Without it the suite waits in real time, some 100 ms in all. */
  readonly advance?: (ms: number) => void | Promise<void>;
  /** Title of the group. Default `store contract`. */
  readonly name?: string;
}

const SHORT_RETENTION_MS = 60;
const READY_WITHIN_MS = 5000;

/**
 * Defines the tests every store must pass.
 *
 * Keys of all runs start with a prefix of their own, so a store that keeps data elsewhere needs no cleaning first.
 * Not demanded: that bytes given to `put` may be written to afterwards, or that bytes from `get` may be. They may not.
 *
 * @example
 * import { describe, it } from "vitest";
 * import { storeContract } from "reprise/testing";
 *
 * storeContract({ describe, it, createStore: () => new SqliteStore(":memory:") });
 */
export function storeContract(options: StoreContractOptions): void {
  const { describe, it } = options;
  const advance = options.advance ?? ((ms: number) => sleep(ms));

  function withStore(name: string, run: (store: CacheStore, key: (name: string) => string) => Promise<void>): void {
    it(name, async () => {
      const store = await options.createStore();
      const prefix = `contract-${randomBytes(6).toString("hex")}`;
      try {
        await open(store, prefix);
        await run(store, (rest) => `${prefix} ${rest}`);
      } finally {
        await store.close?.();
      }
    });
  }

  describe(options.name ?? "store contract", () => {
    withStore("finds nothing under a key that was never put", async (store, key) => {
      strictEqual(await store.get(key("GET /never")), undefined);
    });

    for (const [title, body] of bodies()) {
      withStore(`returns ${title} exactly`, async (store, key) => {
        await store.put(key("GET /body"), { meta: { title }, body }, LONG_RETENTION_MS);
        same(await store.get(key("GET /body")), { meta: { title }, body });
      });
    }

    for (const [title, meta] of metas()) {
      withStore(`returns meta exactly: ${title}`, async (store, key) => {
        await store.put(key("GET /meta"), { meta, body: bytes("body") }, LONG_RETENTION_MS);
        same(await store.get(key("GET /meta")), { meta, body: bytes("body") });
      });
    }

    withStore("keeps keys apart that look alike", async (store, key) => {
      const keys = lookalikes().map(key);
      for (const [index, each] of keys.entries()) {
        await store.put(each, { meta: { index }, body: bytes(`body ${index}`) }, LONG_RETENTION_MS);
      }
      for (const [index, each] of keys.entries()) {
        same(await store.get(each), { meta: { index }, body: bytes(`body ${index}`) });
      }
    });

    withStore("keeps two prefixes apart under the same name", async (store, key) => {
      const neighbour = key("GET /same").replace(" ", "-neighbour ");
      await store.put(key("GET /same"), { meta: {}, body: bytes("mine") }, LONG_RETENTION_MS);
      strictEqual(await store.get(neighbour), undefined);
      await store.put(neighbour, { meta: {}, body: bytes("theirs") }, LONG_RETENTION_MS);
      await store.delete(key("GET /same"));
      strictEqual(await store.get(key("GET /same")), undefined);
      same(await store.get(neighbour), { meta: {}, body: bytes("theirs") });
      await store.delete(neighbour);
    });

    withStore("says that what is found afterwards is stored", async (store, key) => {
      const result = await store.put(key("GET /a"), { meta: {}, body: bytes("a") }, LONG_RETENTION_MS);
      strictEqual(result, "stored", "the result of put()");
      same(await store.get(key("GET /a")), { meta: {}, body: bytes("a") });
    });

    withStore("replaces an entry as a whole", async (store, key) => {
      await store.put(key("GET /a"), { meta: { first: 1 }, body: bytes("a longer first body") }, LONG_RETENTION_MS);
      await store.put(key("GET /a"), { meta: { second: 2 }, body: bytes("second") }, LONG_RETENTION_MS);
      same(await store.get(key("GET /a")), { meta: { second: 2 }, body: bytes("second") });
    });

    withStore("deletes one entry and leaves the others", async (store, key) => {
      await store.put(key("GET /a"), { meta: {}, body: bytes("a") }, LONG_RETENTION_MS);
      await store.put(key("GET /b"), { meta: {}, body: bytes("b") }, LONG_RETENTION_MS);
      await store.delete(key("GET /a"));
      strictEqual(await store.get(key("GET /a")), undefined);
      same(await store.get(key("GET /b")), { meta: {}, body: bytes("b") });
    });

    withStore("deletes what is not there without complaint", async (store, key) => {
      await store.delete(key("GET /never"));
      strictEqual(await store.get(key("GET /never")), undefined);
    });

    withStore("returns nothing past the retention", async (store, key) => {
      await store.put(key("GET /short"), { meta: {}, body: bytes("short") }, SHORT_RETENTION_MS);
      await store.put(key("GET /long"), { meta: {}, body: bytes("long") }, LONG_RETENTION_MS);
      await advance(SHORT_RETENTION_MS + 40);
      strictEqual(await store.get(key("GET /short")), undefined);
      same(await store.get(key("GET /long")), { meta: {}, body: bytes("long") });
    });

    withStore("takes the retention of the last put", async (store, key) => {
      await store.put(key("GET /a"), { meta: {}, body: bytes("first") }, SHORT_RETENTION_MS);
      await store.put(key("GET /a"), { meta: {}, body: bytes("second") }, LONG_RETENTION_MS);
      await advance(SHORT_RETENTION_MS + 40);
      same(await store.get(key("GET /a")), { meta: {}, body: bytes("second") });
    });

    for (const retainMs of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
      withStore(`keeps nothing for ${retainMs} ms, nor what was there before`, async (store, key) => {
        await store.put(key("GET /a"), { meta: {}, body: bytes("before") }, LONG_RETENTION_MS);
        strictEqual(await store.put(key("GET /a"), { meta: {}, body: bytes("after") }, retainMs), "failed");
        strictEqual(await store.get(key("GET /a")), undefined);
      });
    }

    withStore("keeps a hundred puts and gets at once apart", async (store, key) => {
      const numbers = Array.from({ length: 100 }, (_, index) => index);
      await Promise.all(
        numbers.map(async (index) => {
          const entry = { meta: { index }, body: bytes(`body ${index}`) };
          await store.put(key(`GET /many/${index}`), entry, LONG_RETENTION_MS);
        }),
      );
      const found = await Promise.all(numbers.map(async (index) => store.get(key(`GET /many/${index}`))));
      for (const index of numbers) same(found[index], { meta: { index }, body: bytes(`body ${index}`) });
    });

    purgeContract(withStore);
  });
}

/** Opens the store and waits until an entry put into it is found. */
async function open(store: CacheStore, prefix: string): Promise<void> {
  store.open?.(() => {});
  const key = `${prefix} ready`;
  const giveUpAtMs = Date.now() + READY_WITHIN_MS;
  for (;;) {
    await store.put(key, { meta: {}, body: bytes("ready") }, LONG_RETENTION_MS);
    if ((await store.get(key)) !== undefined) return;
    if (Date.now() > giveUpAtMs) throw new Error(`The store kept nothing within ${READY_WITHIN_MS} ms of open().`);
    await sleep(10);
  }
}

function bodies(): readonly (readonly [title: string, body: Uint8Array])[] {
  const allBytes = Uint8Array.from({ length: 256 }, (_, index) => index);
  const large = new Uint8Array(64 * 1024).fill(1);
  large.set(bytes("a slice"), 1000);
  return [
    ["an empty body", new Uint8Array(0)],
    ["a body of one byte", Uint8Array.of(0)],
    ["a body of all byte values", allBytes],
    ["a body of 1 MiB", new Uint8Array(randomBytes(1024 * 1024))],
    ["a body that is a slice of a larger buffer", large.subarray(1000, 1007)],
    ["a body that is a Node Buffer", Buffer.from("a buffer")],
  ];
}

function metas(): readonly (readonly [title: string, meta: StoreEntry["meta"]])[] {
  return [
    ["nothing", {}],
    ["numbers and flags", { zero: 0, negative: -1.5, timeMs: 1_764_000_000_123, yes: true, no: false, none: null }],
    [
      "nested lists",
      {
        fields: [
          ["etag", '"a"'],
          ["set", ["1", "2"]],
        ],
        empty: [],
        deep: { er: { est: [[]] } },
      },
    ],
    ["any text", { text: 'ü 漢字 👩‍💻 \u0000 \u2028 "quoted" \\ \r\n', "": "empty name", näme: "x" }],
    [
      "names every object inherits",
      { constructor: "a", toString: "b", hasOwnProperty: ["c"], valueOf: { prototype: 1 } },
    ],
    ["text that mentions __proto__", { text: "__proto__", list: ["__proto__"] }],
  ];
}

function lookalikes(): readonly string[] {
  const long = "x".repeat(10_000);
  return [
    "",
    " ",
    "GET /a",
    "GET  /a",
    "GET /A",
    "GET /a ",
    "GET /a/",
    "GET /a\u0000",
    "GET /a\u0000b",
    "GET /a\n",
    "GET /a?b=1&c=2",
    "GET /a?b=1%26c=2",
    "GET /é",
    "GET /e\u0301",
    "GET /漢",
    "GET /漢字",
    "GET /👩",
    "GET /*",
    "GET /{a}",
    "GET /{b}",
    "GET:/a",
    long,
    `${long}y`,
    `${long}z`,
    "__proto__",
    "constructor",
    "toString",
  ];
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
