/**
 * `reprise/redis`: stored responses in Redis or Valkey, shared by all processes.
 *
 * Layout, under the namespace that is the prefix of the cache's keys:
 *
 *     <prefix>:1:<label>:{<hash>}     one entry: a binary frame, with an expiry
 *     <prefix>:1:lease:{<hash>}       the right to fill it, with an expiry
 *     <prefix>:1:{<prefix>}:log       the purge log and
 *     <prefix>:1:{<prefix>}:pos       its end, without expiry
 *
 * `1` is the major version of the layout, so that old and new releases never read each other's entries. The label is for
 * people who look at the keys. The hash, 132 bits of SHA-256 of the whole key, is what tells keys apart, and a hash tag:
 * an entry and its lease are on the same Cluster slot.
 */

import { refuseUnknown } from "../../options/known-options.ts";
import { boundedOption, clientSource, integrityKeyBytes, refuseNoOptions } from "./options.ts";
import { createRedisStore, type RedisStore } from "./store.ts";

export type { RedisStore } from "./store.ts";

interface RedisStoreLimits {
  /**
   * Longest a request waits for Redis, in milliseconds. After it the request is a miss. Default 100; 1 to 60,000.
   * Time in which this process was too busy to read replies is not counted.
   *
   * Writes, which no request waits for, and purges, for which only writing requests wait, have ten times as long.
   */
  readonly deadlineMs?: number;
  /** Largest entry that is written or read, its fields included, in bytes. Default 8 MiB; 1 to 512 MiB. */
  readonly maxEntryBytes?: number;
  /**
   * Purges the log in Redis keeps, about. Default 10,000, some forty bytes each for a purge of one tag; 1 to 1,000,000.
   *
   * To a process that starts, or was away for longer than the log reaches back, all older entries are purged.
   */
  readonly purgeLogLength?: number;
  /**
   * A secret of at least 16 bytes, the same in all processes: each entry is sealed with HMAC-SHA-256, and one without a
   * right seal is a miss. For a Redis that others can write to. Default none. An explicit `undefined` throws, so an unset environment
   * variable cannot disable sealing.
   */
  readonly integrityKey?: string | Uint8Array | undefined;
  /**
   * How long other processes wait for one that fills a response after its last sign of life, in milliseconds.
   * Default 2000; 100 to 60,000.
   */
  readonly leaseMs?: number;
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
        /** A client of node-redis 5 or later, ioredis, iovalkey or valkey-glide; a cluster or sentinel client too. It stays yours to close. */
        readonly client: unknown;
        readonly url?: never;
        readonly connect?: never;
      }
    | {
        /**
         * Makes such a client, or a promise of one; best not yet connected. Called again when a connection is beyond repair,
         * and must make a new one each time. The store connects and closes what it made.
         */
        readonly connect: () => unknown;
        readonly url?: never;
        readonly client?: never;
      }
  );

const DEFAULT_DEADLINE_MS = 100;
const MAX_DEADLINE_MS = 60_000;
const DEFAULT_MAX_ENTRY_BYTES = 8 * 1024 * 1024;
const MAX_ENTRY_BYTES = 512 * 1024 * 1024;
const DEFAULT_LOG_LENGTH = 10_000;
const MAX_LOG_LENGTH = 1_000_000;
const DEFAULT_LEASE_MS = 2000;
const MIN_LEASE_MS = 100;
const MAX_LEASE_MS = 60_000;

const OPTIONS: Readonly<Record<string, true>> = {
  url: true,
  client: true,
  connect: true,
  deadlineMs: true,
  maxEntryBytes: true,
  purgeLogLength: true,
  integrityKey: true,
  leaseMs: true,
};

/**
 * A store in Redis or Valkey. A hit is one round trip, a stored response one command, and every entry has an expiry.
 *
 * An outage of Redis never fails a request: while Redis is away, slow or frozen the store finds nothing and keeps nothing.
 * It is used again as soon as it answers. The cache reports both as events.
 *
 * @example
 * redisStore({ url: "redis://127.0.0.1:6379" });
 * redisStore({ client: await createClient({ url }).connect() });       // node-redis
 * redisStore({ client: new Redis(url) });                              // ioredis
 * redisStore({ connect: () => createCluster({ rootNodes }) });        // the store connects it
 *
 * @throws `ERR_INVALID_STORE` for no, a wrong or more than one of `url`, `client` and `connect`; `ERR_INVALID_OPTION` for an
 * option out of range; `ERR_UNKNOWN_OPTION` for one that does not exist
 */
export function redisStore(options: RedisStoreOptions): RedisStore {
  refuseNoOptions(options);
  refuseUnknown("redisStore()", options, OPTIONS);
  const { source, redact } = clientSource(options);
  const { deadlineMs, maxEntryBytes, purgeLogLength, leaseMs } = options;
  return createRedisStore({
    source,
    redact,
    deadlineMs: boundedOption("deadlineMs", deadlineMs, DEFAULT_DEADLINE_MS, { max: MAX_DEADLINE_MS }),
    maxEntryBytes: boundedOption("maxEntryBytes", maxEntryBytes, DEFAULT_MAX_ENTRY_BYTES, { max: MAX_ENTRY_BYTES }),
    purgeLogLength: boundedOption("purgeLogLength", purgeLogLength, DEFAULT_LOG_LENGTH, { max: MAX_LOG_LENGTH }),
    leaseMs: boundedOption("leaseMs", leaseMs, DEFAULT_LEASE_MS, { min: MIN_LEASE_MS, max: MAX_LEASE_MS }),
    integrityKey: "integrityKey" in options ? integrityKeyBytes(options.integrityKey) : undefined,
  });
}
