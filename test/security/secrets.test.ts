/** Passwords never leave the client, and who a user is never enters Redis in clear. */

import { createHash, createHmac } from "node:crypto";
import { inspect } from "node:util";

import { createClient } from "redis";
import { describe, expect, it } from "vitest";

import { createCache } from "../../src/cache.ts";
import { fetchCache } from "../../src/adapters/fetch/index.ts";
import { redisStore } from "../../src/stores/redis/index.ts";
import type { CacheStore } from "../../src/http.ts";
import { type ClientForm, SINGLE_NODE_FORMS } from "../redis/clients.ts";
import { eachTest } from "../redis/each-test.ts";
import { freePort } from "../redis/server.ts";
import { until } from "../redis/store.ts";
import { intruder } from "./world.ts";

/** With signs that a URL escapes. */
const PASSWORD = "sesame@open:/#?";
const SECRET = /sesame/i;

const { cleanups, server, ownClient } = eachTest();

function urlOf(port: number, host = "127.0.0.1", user = ""): string {
  return `redis://${user}:${encodeURIComponent(PASSWORD)}@${host}:${port}`;
}

/** Everything a cache says: events with all that hangs on their errors, log lines, and what a purge rejects with. */
interface Said {
  readonly things: unknown[];
  readonly text: () => string;
}

interface Talking {
  readonly said: Said;
  readonly get: () => Promise<string>;
  readonly purge: () => Promise<void>;
  readonly isAvailable: () => boolean;
}

type Options = Parameters<typeof redisStore>[0];

function talking(options: Options): Talking {
  const store = redisStore(options);
  const things: unknown[] = [];
  const log = (line: string): void => void things.push(line);
  const cache = createCache({ store, prefix: "secrets", logger: { debug: log, info: log, warn: log } });
  cleanups.push(() => cache.close());
  cache.events.on("*", (event) => things.push(event));
  const handle = fetchCache(cache)("1h", () => new Response("handler"));
  const text = (): string =>
    things
      .map(
        (thing) => inspect(thing, { depth: Infinity, showHidden: true, maxStringLength: null }) + JSON.stringify(thing),
      )
      .join("\n");
  return {
    said: { things, text },
    get: async () => (await handle(new Request("http://api.test/page"))).text(),
    purge: () =>
      cache.purge("all").catch((error: unknown) => {
        things.push(error);
      }),
    isAvailable: () => store.isAvailable?.() ?? true,
  };
}

function isFailure(thing: unknown): boolean {
  return typeof thing === "object" && thing !== null && "type" in thing && String(thing.type).endsWith("-failed");
}

const ways: readonly { readonly way: string; readonly options: (url: string) => Options }[] = [
  { way: "url", options: (url) => ({ url }) },
  ...SINGLE_NODE_FORMS.map(({ form, make }) => ({
    way: form,
    options: (url: string): Options => ({ connect: connected(make, url) }),
  })),
];

function connected(make: ClientForm["make"], url: string): () => Promise<object> {
  return () => ownClient(make(url));
}

describe.each(ways)("nothing that is said holds the password ($way)", ({ options }) => {
  async function expectSilence({ said, get, purge }: Talking): Promise<void> {
    await until(async () => {
      expect(await get()).toBe("handler");
      return said.things.some(isFailure);
    }, 7000);
    await purge();
    expect(said.text()).not.toMatch(SECRET);
    expect(said.text()).not.toContain(encodeURIComponent(PASSWORD));
  }

  it("when it is wrong", async () => {
    const redis = await server({ password: "right" });
    await expectSilence(talking(options(urlOf(redis.port))));
  });

  it("when the user is unknown", async () => {
    const redis = await server({ password: "right" });
    await expectSilence(talking(options(urlOf(redis.port, "127.0.0.1", "nobody"))));
  });

  it("when nothing listens", async () => {
    await expectSilence(talking(options(urlOf(await freePort()))));
  });

  it("when there is no such host", async () => {
    await expectSilence(talking(options(urlOf(6379, "cache.invalid"))));
  });

  it("when errors come at run time", async () => {
    const redis = await server({ password: PASSWORD });
    const cache = talking(options(urlOf(redis.port)));
    await until(async () => (await cache.get()) === "handler" && cache.isAvailable());
    const admin = createClient({ url: redis.adminUrl }).on("error", () => {});
    await admin.connect();
    cleanups.push(() => admin.destroy());
    await admin.configSet("maxmemory", "1");
    await cache.purge();
    await admin.configSet("maxmemory", "0");
    await admin.sendCommand(["ACL", "SETUSER", "default", "-@all", "+acl", "+config"]);
    await expectSilence(cache);
    await redis.kill();
    await cache.get();
    await cache.purge();
    expect(cache.said.text()).not.toMatch(SECRET);
  });
});

describe("nothing that is said holds the password", () => {
  it.each([
    { what: "names its URL", message: (url: string) => `cannot connect to ${url} (${url}/2)` },
    { what: "names a URL that was not escaped", message: () => `Invalid URL: redis://user:${PASSWORD}@127.0.0.1:1` },
    { what: "names another kind of URL", message: () => "proxy http://user:sesame@127.0.0.1 refused" },
  ])("of a connect() whose error $what", async ({ message }) => {
    const text = message(urlOf(1));
    const cache = talking({
      connect: () => Promise.reject(new Error(text)),
    });
    await until(() => cache.said.things.some(isFailure));
    await cache.purge();
    expect(cache.said.text()).toMatch(/127\.0\.0\.1/);
    expect(cache.said.text()).not.toMatch(SECRET);
  });

  it.each([
    "redis://user:2024/sesame@host:6379",
    "redis://user:2024?sesame@host:6379",
    "redis://user:2024#sesame@host:6379",
    "redis://user:sesame/2024@host:6379",
    "redis://:sesame#2024@host",
    "redis://:ses ame@ho st",
    "redis:/:sesame@host",
  ])("of a URL that is refused because a password ends its host: %s", (url) => {
    let thrown: unknown;
    try {
      redisStore({ url });
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code: "ERR_INVALID_STORE" });
    expect(inspect(thrown, { showHidden: true })).not.toMatch(/ses ?ame|2024/);
  });
});

describe("who a user is", () => {
  it("enters keys as an HMAC where there is an identityKey: who knows an id cannot recognise it", async () => {
    const keysWith = async (identityKey?: string | Uint8Array): Promise<string[]> => {
      const keys: string[] = [];
      const store: CacheStore = {
        name: "noting",
        get: (key) => void keys.push(key),
        put: () => "failed",
        delete() {},
      };
      const cache = createCache({ store, ...(identityKey === undefined ? {} : { identityKey }) });
      const handle = fetchCache(cache)({ audience: (request) => request.headers.get("x-user") }, () => new Response());
      for (const user of ["ada", "bob"]) await handle(new Request("http://a.test/", { headers: { "x-user": user } }));
      return keys;
    };
    const plain = await keysWith();
    const secret = "0123456789abcdef";
    const sealed = await keysWith(secret);
    expect(new Set([...plain, ...sealed, ...(await keysWith("fedcba9876543210"))]).size).toBe(6);
    expect(await keysWith(new TextEncoder().encode(secret))).toEqual(sealed);
    const digest = createHash("sha256").update('"ada"').digest("base64url").slice(0, 27);
    expect(plain[0]).toContain(digest);
    expect(sealed.join()).not.toContain(digest);
    const hmac = createHmac("sha256", secret).update('"ada"').digest("base64url").slice(0, 27);
    expect(sealed[0]).toContain(hmac);
  });

  it("is not in the error of a key that is too short", () => {
    expect(() => createCache({ identityKey: "hunter2" })).toThrow(/identityKey.*got 7 bytes/);
    expect(() => createCache({ identityKey: "hunter2" })).not.toThrow("hunter2");
  });

  it("is in no key, no value and no event: neither the id of the audience, nor a token, nor a cookie", async () => {
    const redis = await server({});
    const admin = await intruder(redis.adminUrl);
    cleanups.push(() => admin.end());
    const store = redisStore({ url: redis.url });
    const cache = createCache({ store, prefix: "people" });
    cleanups.push(() => cache.close());
    const said: unknown[] = [];
    cache.events.on("*", (event) => said.push(event));
    const handle = fetchCache(cache)(
      { expire: "1h", audience: (request) => request.headers.get("x-user") },
      (request) => new Response(`for somebody: ${request.headers.get("x-user")?.length}`),
    );
    const ids = ["ada@example.test", "12345678901", "grace hopper"];
    const ask = (id: string): Promise<Response> | Response =>
      handle(
        new Request("http://api.test/me", {
          headers: { "x-user": id, authorization: `Bearer token-of-${id}`, cookie: `sid=cookie-of-${id}` },
        }),
      );
    for (const id of ids) await until(async () => (await ask(id)).headers.get("x-reprise-cache") === "Hit");
    await cache.purge("all", { soft: true });

    const entries = await admin.entryKeys("people");
    expect(entries).toHaveLength(ids.length);
    const everything: string[] = [inspect(said, { depth: Infinity, showHidden: true })];
    for (const key of await admin.keys("*")) {
      everything.push(key, (await admin.client.dump(key))?.toString() ?? "");
      if (entries.includes(key)) everything.push((await admin.read(key)).toString("latin1"));
    }
    const text = everything.join("\n").toLowerCase();
    expect(text).toContain("for somebody");
    for (const secret of ["ada@", "example.test", "12345678901", "grace", "hopper", "token-of", "cookie-of"]) {
      expect(text).not.toContain(secret);
    }
  });
});
