/**
 * `reprise/redis`: stored responses in Redis or Valkey, shared by all processes.
 *
 * Layout, under the namespace that is the prefix of the cache's keys:
 *
 *     <prefix>:1:<label>:{<hash>}    one entry: a binary frame, with an expiry
 *
 * `1` is the major version of the frame, so that old and new releases never read each other's entries. The label is for
 * people who look at the keys. The hash, 132 bits of SHA-256 of the whole key, is what tells keys apart, and a hash tag:
 * whatever is added for the same entry lands on the same Cluster slot.
 */

import { hash } from "node:crypto";

import { invalidOption, invalidStore } from "../errors.ts";
import type { CacheStore, StoreEvent } from "../types.ts";
import { decodeEntry, encodeEntry } from "./_codec.ts";
import { Guard } from "./_guard.ts";
import { clientForUrl, redisClient, urlAddress } from "./_redis-client.ts";
import { type ClientSource, RedisConnection } from "./_redis-connection.ts";
import { isRetention, splitKey } from "./store.ts";

interface RedisStoreLimits {
  /**
   * Longest a request waits for Redis, in milliseconds. After it the request is a miss. Default 100.
   *
   * Writes, which no request waits for, have ten times as long.
   */
  readonly deadlineMs?: number;
  /** Largest entry that is written or read, its fields included. Default 8 MiB. */
  readonly maxEntryBytes?: number;
}

/** Where Redis is: exactly one of `url`, `client` and `connect`. */
export type RedisStoreOptions = RedisStoreLimits &
  (
    | {
        /** `redis://[[user]:password@]host[:port][/database]`, or `rediss://` for TLS. Needs the package `redis` or `ioredis`. */
        readonly url: string | undefined;
        readonly client?: never;
        readonly connect?: never;
      }
    | {
        /** A client of node-redis 5 or later, ioredis or iovalkey; a cluster or sentinel client too. It stays yours to close. */
        readonly client: unknown;
        readonly url?: never;
        readonly connect?: never;
      }
    | {
        /** Makes such a client. Called again when a connection is beyond repair; the store closes what it made. */
        readonly connect: () => unknown;
        readonly url?: never;
        readonly client?: never;
      }
  );

const DEFAULT_DEADLINE_MS = 100;
const MAX_DEADLINE_MS = 60_000;
const DEFAULT_MAX_ENTRY_BYTES = 8 * 1024 * 1024;
const MAX_ENTRY_BYTES = 512 * 1024 * 1024;
const TEN_YEARS_MS = 10 * 365 * 24 * 60 * 60 * 1000;
const LAYOUT_MAJOR = 1;
const LABEL_CHARACTERS = 80;
const HASH_CHARACTERS = 22;

/**
 * A store in Redis or Valkey. A hit costs one `GET`, a stored response one `SET`, and every key has an expiry.
 *
 * Trouble with Redis never reaches a request: while it is away, slow or frozen the store finds nothing and keeps nothing,
 * and it is used again by itself when it answers. What happens is told as events of the cache.
 *
 * @example
 * redisStore({ url: "redis://127.0.0.1:6379" });
 * redisStore({ client: await createClient({ url }).connect() });       // node-redis
 * redisStore({ client: new Redis(url) });                              // ioredis
 * redisStore({ connect: () => createCluster({ rootNodes }).connect() });
 */
export function redisStore(options: RedisStoreOptions): CacheStore {
  const { source, redact } = clientSource(options);
  const deadlineMs = boundedOption("deadlineMs", options.deadlineMs, DEFAULT_DEADLINE_MS, MAX_DEADLINE_MS);
  const maxEntryBytes = boundedOption("maxEntryBytes", options.maxEntryBytes, DEFAULT_MAX_ENTRY_BYTES, MAX_ENTRY_BYTES);

  const reporters: ((event: StoreEvent) => void)[] = [];
  let openings = 0;
  let lastPrefix = "";
  const report = (event: StoreEvent): void => {
    for (const reporter of reporters) reporter(event);
  };

  const guard: Guard = new Guard({
    deadlineMs,
    maxWritingBytes: maxEntryBytes * 2,
    isConnected: () => connection.client !== undefined,
    // Never written. It has the caller's prefix because Redis users are often limited to one.
    probe: () => connection.client?.get(`${legible(lastPrefix)}:${LAYOUT_MAJOR}:probe`),
    onFailure: (operation, error) => report({ type: "operation-failed", store: "redis", operation, error }),
    onResumed: () => report({ type: "connected", store: "redis", address: connection.address }),
    onStuck: () => connection.rebuild(),
  });
  const connection: RedisConnection = new RedisConnection({ source, report, redact, onReady: () => guard.reset() });

  const keyInRedis = (key: string): string => {
    const { prefix, name } = splitKey(key);
    lastPrefix = prefix;
    return redisKey(key, prefix, name);
  };

  function remove(key: string): void | Promise<void> {
    const { client } = connection;
    if (client === undefined || guard.isSuspended) return;
    return guard.write("delete", 0, () => client.delete(keyInRedis(key)));
  }

  return {
    name: "redis",
    open(reporter) {
      openings += 1;
      reporters.push(reporter);
      if (connection.isConnected) reporter({ type: "connected", store: "redis", address: connection.address });
      connection.open();
    },
    isAvailable: () => connection.client !== undefined && !guard.isSuspended,
    get(key) {
      const { client } = connection;
      if (client === undefined || guard.isSuspended) return undefined;
      return guard
        .read("get", () => client.get(keyInRedis(key)))
        .then((bytes) => (bytes && bytes.byteLength <= maxEntryBytes ? decodeEntry(key, bytes) : undefined));
    },
    put(key, entry, retainMs) {
      const { client } = connection;
      if (client === undefined || guard.isSuspended) return;
      const mayFit = isRetention(retainMs) && entry.body.byteLength <= maxEntryBytes;
      const frame = mayFit ? encodeEntry(key, entry) : undefined;
      // What was there before is not what the caller wants to have there.
      if (frame === undefined || frame.byteLength > maxEntryBytes) return remove(key);
      const expireMs = Math.min(TEN_YEARS_MS, Math.ceil(retainMs));
      return guard.write("put", frame.byteLength, () => client.set(keyInRedis(key), frame, expireMs));
    },
    delete: remove,
    async close() {
      openings = Math.max(0, openings - 1);
      if (openings > 0) return;
      await connection.close();
      guard.close();
      reporters.length = 0;
    },
  };
}

/** The key in Redis of the entry `key`: readable for people, told apart by its hash. */
function redisKey(key: string, prefix: string, name: string): string {
  const label = legible(name.slice(0, LABEL_CHARACTERS));
  const tag = hash("sha256", key, "base64url").slice(0, HASH_CHARACTERS);
  return `${legible(prefix)}:${LAYOUT_MAJOR}:${label}:{${tag}}`;
}

/** Without anything that has a meaning in a key: the `:` between parts, the `{}` of a hash tag, `*` and `[` of a pattern. */
function legible(text: string): string {
  return text.replace(/[^A-Za-z0-9_.()/,?=&%+~-]/g, "_");
}

function clientSource(options: RedisStoreOptions): {
  readonly source: ClientSource;
  readonly redact: (text: string) => string;
} {
  const given = (["url", "client", "connect"] as const).filter((name) => options !== undefined && name in options);
  const option = given[0];
  if (option === undefined || given.length > 1) {
    throw invalidStore(
      "redisStore(options)",
      "exactly one of url, client and connect",
      given.length === 0 ? undefined : given.join(" and "),
      'For example redisStore({ url: "redis://127.0.0.1:6379" }).',
    );
  }
  switch (option) {
    case "url":
      return urlSource(options.url);
    case "client":
      return { source: givenSource(options.client), redact: asIs };
    case "connect":
      return { source: connectSource(options.connect), redact: asIs };
  }
}

function asIs(text: string): string {
  return text;
}

function urlSource(url: unknown): { readonly source: ClientSource; readonly redact: (text: string) => string } {
  const parsed = typeof url === "string" && URL.canParse(url) ? new URL(url) : undefined;
  if (typeof url !== "string" || (parsed?.protocol !== "redis:" && parsed?.protocol !== "rediss:")) {
    throw invalidStore(
      "redisStore({ url })",
      'a URL such as "redis://127.0.0.1:6379" or "rediss://…"',
      typeof url === "string" ? withoutCredentials(url) : url,
      "If it comes from the environment, is the variable set?",
    );
  }
  const secrets = [parsed.password, safeDecode(parsed.password)].filter((secret) => secret !== "");
  return {
    source: { kind: "made", option: "url", make: () => clientForUrl(url), address: urlAddress(url) },
    redact: (text) => secrets.reduce((redacted, secret) => redacted.replaceAll(secret, "***"), text),
  };
}

/** Enough of a text that is no Redis URL to recognise it by, and nothing that may be a password. */
function withoutCredentials(url: string): string {
  return url.includes("@") ? `…@${url.slice(url.lastIndexOf("@") + 1)}` : url;
}

function safeDecode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function givenSource(value: unknown): ClientSource {
  const client = redisClient(value);
  if (client !== undefined) return { kind: "given", client };
  throw invalidStore(
    "redisStore({ client })",
    "a client of node-redis 5 or later, ioredis or iovalkey",
    value,
    'Create the client yourself and pass it, or pass { url: "redis://…" }.',
  );
}

function connectSource(connect: unknown): ClientSource {
  if (typeof connect === "function") {
    return { kind: "made", option: "connect", make: connect as () => unknown, address: "redis" };
  }
  throw invalidStore(
    "redisStore({ connect })",
    "a function that returns a Redis client or a promise of one",
    connect,
    "A client that exists already is passed as { client }.",
  );
}

function boundedOption(name: string, value: number | undefined, fallback: number, max: number): number {
  if (value === undefined) return fallback;
  if (Number.isSafeInteger(value) && value > 0 && value <= max) return value;
  throw invalidOption(
    `redisStore({ ${name} })`,
    `a whole number from 1 to ${max}`,
    value,
    `The default is ${fallback}.`,
  );
}
