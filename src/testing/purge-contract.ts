/** The part of the store contract that is about purges. */

import { strictEqual } from "node:assert/strict";

import type { CacheStore, Purgeable, PurgeLog, PurgeTarget, PutResult, StoreEntry } from "../http.ts";
import { bytes, LONG_RETENTION_MS, same } from "./store-entries.ts";

/** Defines a test that gets an opened store and keys under a prefix of its own. */
export type WithStore = (
  name: string,
  run: (store: CacheStore, key: (name: string) => string) => Promise<void>,
) => void;

/** Defines the tests a store with a purge log must pass. */
export function purgeContract(withStore: WithStore): void {
  /** For stores with a purge log. The others pass: the cache keeps a log for them. */
  function withPurges(name: string, run: (purging: Purging) => Promise<void>): void {
    withStore(`if it has a purge log: ${name}`, async (store, key) => {
      const { purges } = store;
      if (purges === undefined) return;
      const prefix = key("").trim();
      const fill = async (rest: string, more: Partial<StoreEntry>): Promise<PutResult> => {
        const entry = { meta: {}, body: bytes(rest), generation: purges.generation(prefix), ...more };
        return store.put(key(rest), entry, LONG_RETENTION_MS);
      };
      const purge = async (target: PurgeTarget, soft = false): Promise<{ before: string; after: string }> =>
        purges.purge(prefix, [target], { soft });
      await run({ store, purges, prefix, key, fill, purge });
    });
  }

  for (const { target, covered, spared } of purgeCases()) {
    const text = target.kind === "all" ? "" : ` ${target.text}`;
    withPurges(`a purge of ${target.kind}${text} covers what it names and nothing else`, async (purging) => {
      const { store, key, fill, purge } = purging;
      for (const [index, entry] of [...covered, ...spared].entries()) await fill(`GET /${index}`, entry);
      await purge(target);
      for (const [index] of covered.entries()) strictEqual(await store.get(key(`GET /${index}`)), undefined);
      for (const [index] of spared.entries()) {
        const rest = `GET /${index + covered.length}`;
        same(await store.get(key(rest)), { meta: {}, body: bytes(rest) });
      }
    });
  }

  withPurges("a purge of a key covers its entry only", async ({ store, key, fill, purge }) => {
    await fill("GET /a", {});
    await fill("GET /ab", {});
    await purge({ kind: "key", text: key("GET /a") });
    strictEqual(await store.get(key("GET /a")), undefined);
    same(await store.get(key("GET /ab")), { meta: {}, body: bytes("GET /ab") });
  });

  withPurges("what was asked for before a purge stays purged when it is put after", async (purging) => {
    const { store, purges, prefix, key, fill, purge } = purging;
    const generation = purges.generation(prefix);
    await purge({ kind: "name", text: "#a" });
    strictEqual(await fill("GET /late", { names: ["#a"], generation }), "failed", "the result of put()");
    strictEqual(await store.get(key("GET /late")), undefined);
    await fill("GET /fresh", { names: ["#a"] });
    same(await store.get(key("GET /fresh")), { meta: {}, body: bytes("GET /fresh") });
  });

  withPurges("a soft purge keeps the entry and says since when it is stale", async (purging) => {
    const { store, purges, prefix, key, fill, purge } = purging;
    await fill("GET /a", { names: ["#a"] });
    await purge({ kind: "name", text: "#a" }, true);
    const found = await store.get(key("GET /a"));
    same(found, { meta: {}, body: bytes("GET /a") });
    strictEqual(typeof found?.outdatedAtMs, "number", "outdatedAtMs");
    await purge({ kind: "name", text: "#a" });
    strictEqual(await store.get(key("GET /a")), undefined);
    await purges.verify(prefix);
    await fill("GET /a", { names: ["#a"] });
    strictEqual((await store.get(key("GET /a")))?.outdatedAtMs, undefined, "outdatedAtMs of a fresh entry");
  });

  withPurges("a receipt has the positions before and after the purge", async ({ purges, prefix, purge }) => {
    await purges.verify(prefix);
    const before = purges.generation(prefix);
    const receipt = await purge({ kind: "name", text: "#a" });
    strictEqual(receipt.before, before);
    strictEqual(receipt.after, purges.generation(prefix));
    strictEqual(receipt.before === receipt.after, false, "both positions are the same");
  });

  withPurges("it judges a copy as it judges its own entry", async ({ purges, prefix, key, purge }) => {
    await purges.verify(prefix);
    const copy = { meta: {}, body: bytes("copy"), names: ["#a"], generation: purges.generation(prefix) };
    strictEqual(purges.judge(prefix, key("GET /a"), copy), "valid");
    await purge({ kind: "name", text: "#b" });
    strictEqual(purges.judge(prefix, key("GET /a"), copy), "valid");
    await purge({ kind: "name", text: "#a" });
    strictEqual(purges.judge(prefix, key("GET /a"), copy), "purged");
  });

  withPurges("a purge of everything leaves other prefixes alone", async ({ store, key, fill, purge }) => {
    const neighbour = key("GET /a").replace(" ", "-neighbour ");
    await store.put(neighbour, { meta: {}, body: bytes("theirs") }, LONG_RETENTION_MS);
    await fill("GET /a", {});
    await purge({ kind: "all" });
    strictEqual(await store.get(key("GET /a")), undefined);
    same(await store.get(neighbour), { meta: {}, body: bytes("theirs") });
    await store.delete(neighbour);
  });
}

interface Purging {
  readonly store: CacheStore;
  readonly purges: PurgeLog;
  readonly prefix: string;
  readonly key: (name: string) => string;
  /** Puts an entry whose body is its name. */
  readonly fill: (name: string, more: Partial<StoreEntry>) => Promise<PutResult>;
  readonly purge: (target: PurgeTarget, soft?: boolean) => Promise<{ readonly before: string; readonly after: string }>;
}

type Named = Pick<Purgeable, "names" | "uri">;

function purgeCases(): readonly {
  readonly target: PurgeTarget;
  readonly covered: readonly Named[];
  readonly spared: readonly Named[];
}[] {
  const uris = (...list: readonly string[]): readonly Named[] => list.map((uri) => ({ uri }));
  return [
    {
      target: { kind: "name", text: "#users" },
      covered: [{ names: ["#users"] }, { names: ["#other", "#users"] }],
      spared: [
        {},
        { names: [] },
        { names: ["#usersAbc"] },
        { names: ["#user"] },
        { names: ["#users*"] },
        { names: ["#Users"] },
      ],
    },
    {
      target: { kind: "name", text: "#*" },
      covered: [{ names: ["#*"] }],
      spared: [{ names: ["#a"] }, { names: ["#[a]"] }],
    },
    {
      target: { kind: "uri", text: "/users?a=1" },
      covered: uris("https://a.test/users?a=1", "https://b.test/users?a=1"),
      spared: uris("https://a.test/users", "https://a.test/users?a=12", "https://a.test/x/users?a=1"),
    },
    {
      target: { kind: "uri", text: "https://a.test/users" },
      covered: uris("https://a.test/users"),
      spared: uris(
        "https://b.test/users",
        "https://a.test/users/",
        "https://a.test/usersAbc",
        "https://a.test/users?a=1",
      ),
    },
    {
      target: { kind: "uri", text: "/users" },
      covered: [{ uri: ["https://a.test/home", "https://a.test/users"] }, { uri: ["https://a.test/users", "/x"] }],
      spared: [{ uri: [] }, { uri: ["https://a.test/home", "https://a.test/users/7"] }],
    },
    {
      target: { kind: "under", text: "https://a.test/users" },
      covered: [{ uri: ["https://a.test/home", "https://a.test/users/7"] }],
      spared: [{ uri: ["https://a.test/home", "https://b.test/users"] }],
    },
    {
      target: { kind: "under", text: "/users" },
      covered: uris("https://a.test/users", "https://a.test/users?a=1", "https://b.test/users/7/friends?a=1"),
      spared: uris("https://a.test/usersAbc", "https://a.test/user", "https://a.test/", "https://a.test/x/users"),
    },
    {
      target: { kind: "under", text: "https://a.test/users" },
      covered: uris("https://a.test/users", "https://a.test/users/7"),
      spared: uris("https://b.test/users", "https://a.test/usersAbc"),
    },
    { target: { kind: "all" }, covered: [{}, { names: ["#a"] }, { uri: "https://a.test/" }], spared: [] },
  ];
}
