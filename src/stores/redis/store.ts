/** The Redis store, from options that were checked. */

import { storeEntryUnreadable, storeNotReady, storeOverloaded } from "../../errors.ts";
import { performance, setTimeout } from "../../real-time.ts";
import type {
  CacheStore,
  FoundEntry,
  Leases,
  PurgeLog,
  PurgeReceipt,
  PurgeTarget,
  PutResult,
  StoreEntry,
  StoreEvent,
} from "../../http.ts";
import { isRetention, splitKey } from "../entry-keys.ts";
import { withinOrGiveUp } from "./client/lifecycle.ts";
import type { RedisClient } from "./client/port.ts";
import { RedisClock } from "./client/server-clock.ts";
import { type DecodedEntry, decodeEntry, encodeEntry } from "./entry-frame.ts";
import type { ClientSource } from "./health/connection.ts";
import { RedisHealth } from "./health/health.ts";
import { MAX_WAITING_LARGEST_ENTRIES } from "./health/limits.ts";
import { entryKeys, logKeys, tagOf } from "./keys.ts";
import { type RedisLeases, redisLeases } from "./leases.ts";
import { type PrefixLog, RedisPurgeLog, type PurgeLogParts } from "./purges/log.ts";
import { LookUps } from "./shared-reads.ts";

/** A purge log that has to be asked for. */
interface RemotePurgeLog extends PurgeLog {
  purge(prefix: string, targets: readonly PurgeTarget[], options: { readonly soft: boolean }): Promise<PurgeReceipt>;
  verify(prefix: string): Promise<boolean>;
}

/** A store in Redis keeps purge log and leases there, for all processes. */
export interface RedisStore extends CacheStore {
  readonly purges: RemotePurgeLog;
  readonly leases: Leases;
}

export interface RedisStoreSettings {
  readonly source: ClientSource;
  /** Takes secrets out of a text. */
  readonly redact: (text: string) => string;
  readonly deadlineMs: number;
  readonly maxEntryBytes: number;
  readonly purgeLogLength: number;
  readonly leaseMs: number;
  readonly integrityKey: Uint8Array | undefined;
  /** Wall clock of this process, for tests. */
  readonly now?: () => number;
  /** Makes the timeline of each prefix, for tests. */
  readonly timeline?: PurgeLogParts["timeline"];
}

const TEN_YEARS_MS = 10 * 365 * 24 * 60 * 60 * 1000;
/** Clocks that differ by less are as good as equal: ages are in seconds. */
const CLOCKS_AGREE_MS = 1000;
/** Longest wait of `close()` for writes. */
const CLOSE_GRACE_MS = 5000;
const FIRST_READY_PAUSE_MS = 5;
const LAST_READY_PAUSE_MS = 100;

export function createRedisStore(settings: RedisStoreSettings): RedisStore {
  return new StoreInRedis(settings);
}

class StoreInRedis implements RedisStore {
  readonly name = "redis";
  readonly purges: RedisPurgeLog;
  readonly leases: RedisLeases;
  readonly #maxEntryBytes: number;
  readonly #integrityKey: Uint8Array | undefined;
  readonly #health: RedisHealth;
  readonly #clock: RedisClock;
  readonly #lookUps = new LookUps<FoundEntry | undefined>();
  /** Writes that wait for their answer or, at the start, for the first connection. */
  readonly #writes = new Set<Promise<unknown>>();
  /** Bytes of the bodies that wait for the first connection. */
  #startingBytes = 0;
  /** Caches that opened the store and have not closed it. */
  #openings = 0;

  constructor(settings: RedisStoreSettings) {
    const { source, redact, deadlineMs, maxEntryBytes, leaseMs, purgeLogLength, timeline } = settings;
    this.#maxEntryBytes = maxEntryBytes;
    this.#integrityKey = settings.integrityKey;
    this.#clock = new RedisClock(settings.now);
    this.#health = new RedisHealth({
      source,
      redact,
      deadlineMs,
      maxEntryBytes,
      onBack: () => {
        this.purges.reconnected();
        this.leases.reconnected();
      },
    });
    this.purges = new RedisPurgeLog({
      health: this.#health,
      clock: this.#clock,
      keysOf: logKeys,
      logLength: purgeLogLength,
      ...(timeline === undefined ? {} : { timeline }),
    });
    this.leases = redisLeases({
      leaseMs,
      health: this.#health,
      canBeFound: (key) => this.#canBeFound(key),
      keysOf: entryKeys,
      frameOf: (key, entry, retainMs) => this.#frameOf(key, entry, retainMs),
    });
  }

  open(report: (event: StoreEvent) => void, now?: () => number): void {
    this.#openings += 1;
    this.#clock.use(now);
    this.#health.open(report);
  }

  isAvailable(): boolean {
    const { state } = this.#health;
    return state === "up" || state === "starting";
  }

  async ready({ prefix, timeoutMs }: { readonly prefix: string; readonly timeoutMs: number }): Promise<void> {
    const health = this.#health;
    const log = this.purges.of(prefix);
    const endAtMs = performance.now() + timeoutMs;
    for (let pauseMs = FIRST_READY_PAUSE_MS; ; pauseMs = Math.min(LAST_READY_PAUSE_MS, pauseMs * 2)) {
      if (health.client(log.endKey) !== undefined && (await log.prove())) return;
      const leftMs = endAtMs - performance.now();
      if (leftMs <= 0 || health.state === "unusable" || this.#openings === 0) {
        throw storeNotReady("redis", timeoutMs, health.lastError ?? `${health.address}: still connecting`);
      }
      await new Promise((resolve) => {
        setTimeout(resolve, Math.min(pauseMs, leftMs));
      });
    }
  }

  get(key: string): Promise<FoundEntry | undefined> | undefined {
    const { entry: entryKey } = entryKeys(key);
    const client = this.#health.client(entryKey);
    if (client !== undefined) return this.#lookUps.join(key, () => this.#get(client, key, entryKey));
    return this.#health.isStarting ? this.#lookUps.join(key, () => this.#getAtStart(key, entryKey)) : undefined;
  }

  put(key: string, entry: StoreEntry, retainMs: number): PutResult | Promise<PutResult> {
    const client = this.#health.client(entryKeys(key).entry);
    if (client !== undefined) return this.#tracked(this.#put(client, key, entry, retainMs));
    return this.#health.isStarting ? this.#tracked(this.#putAtStart(key, entry, retainMs)) : "failed";
  }

  delete(key: string): Promise<void> {
    return this.#tracked(this.#delete(key));
  }

  async close(): Promise<void> {
    await withinOrGiveUp(Promise.allSettled(this.#writes), CLOSE_GRACE_MS);
    this.#openings = Math.max(0, this.#openings - 1);
    if (this.#openings > 0) return;
    await this.leases.close();
    // Another cache may have opened it meanwhile.
    if (this.#openings > 0) return;
    await this.#health.close();
  }

  /** Has one deadline for the first connection and for the answer. */
  async #getAtStart(key: string, entryKey: string): Promise<FoundEntry | undefined> {
    const sinceMs = await this.#health.firstConnection("look-up");
    const client = this.#health.client(entryKey);
    return client === undefined ? undefined : this.#health.inTime(this.#get(client, key, entryKey), sinceMs);
  }

  async #get(client: RedisClient, key: string, entryKey: string): Promise<FoundEntry | undefined> {
    const log = this.#logOf(key);
    const asked = log.ask();
    const pair = await this.#getPair(client, entryKey, log.endKey);
    if (pair === undefined) return undefined;
    const [bytes, end] = pair;
    // A miss waits for the proof as well: the response that is fetched for it gets the generation of now.
    const isProven = await log.isProvenBy(end, asked);
    if (!isProven || bytes === null || bytes.byteLength > this.#maxEntryBytes) return undefined;
    const decoded = decodeEntry(key, bytes, this.#integrityKey);
    if (decoded !== undefined) return this.#judged(log, key, decoded);
    this.#health.guard(entryKey).report("get", storeEntryUnreadable(tagOf(entryKey)));
    return undefined;
  }

  /** An entry and the end of its log. On a Cluster each has its own guard, and nothing is sent if either is suspended. */
  async #getPair(
    client: RedisClient,
    entryKey: string,
    endKey: string,
  ): Promise<readonly [Uint8Array | null, Uint8Array | null] | undefined> {
    const { getFromMaster } = client;
    const health = this.#health;
    if (getFromMaster === undefined) {
      return health.guard(entryKey).read("get", () => client.getPair(entryKey, endKey));
    }
    if (health.client(endKey) === undefined) return undefined;
    const [bytes, end] = await Promise.all([
      health.guard(entryKey).read("get", () => client.get(entryKey)),
      health.guard(endKey).read("get", () => getFromMaster(endKey)),
    ]);
    return bytes === undefined || end === undefined ? undefined : [bytes, end];
  }

  #judged(log: PrefixLog, key: string, { entry, times }: DecodedEntry): FoundEntry | undefined {
    const verdict = log.judge(key, entry);
    if (verdict === "purged") return undefined;
    const clock = this.#clock;
    const redisNowMs = clock.nowMs();
    const isOurClock = times === undefined || times.clock === clock.name;
    const shiftMs = isOurClock ? 0 : times.clockOffsetMs - (clock.offsetMs ?? 0);
    return {
      ...entry,
      // Look-ups that share one command share it, and tiered() keeps it in memory: the cache decodes the entry once.
      live: { value: undefined },
      ...(verdict === "valid" ? {} : verdict),
      ...(Math.abs(shiftMs) > CLOCKS_AGREE_MS ? { clockShiftMs: Math.round(shiftMs) } : {}),
      ...(times === undefined || redisNowMs === undefined
        ? {}
        : { retainMs: Math.max(1, Math.floor(times.expiresAtMs - redisNowMs)) }),
    };
  }

  async #putAtStart(key: string, entry: StoreEntry, retainMs: number): Promise<PutResult> {
    const { entry: entryKey } = entryKeys(key);
    const bytes = entry.body.byteLength;
    const mostBytes = this.#maxEntryBytes * MAX_WAITING_LARGEST_ENTRIES;
    if (this.#startingBytes > 0 && this.#startingBytes + bytes > mostBytes) {
      this.#health.guard(entryKey).report("put", storeOverloaded("put", `${this.#startingBytes} bytes`));
      return "failed";
    }
    this.#startingBytes += bytes;
    await this.#health.firstConnection("write");
    this.#startingBytes -= bytes;
    const client = this.#health.client(entryKey);
    return client === undefined ? "failed" : this.#put(client, key, entry, retainMs);
  }

  async #put(client: RedisClient, key: string, entry: StoreEntry, retainMs: number): Promise<PutResult> {
    const log = this.#logOf(key);
    if (log.generation === "" && entry.generation === undefined) await log.prove();
    const { generation = log.firstGeneration } = entry;
    // The purged entry must not replace a stored one, which may be newer than the purge.
    if (generation !== "" && log.judge(key, { ...entry, generation }) === "purged") return "failed";
    const frame = this.#frameOf(key, entry, retainMs);
    if (frame === undefined) {
      // The caller wants to replace what was there before, so it must not stay.
      await this.#delete(key);
      return "failed";
    }
    const { entry: entryKey } = entryKeys(key);
    const { bytes, expireMs } = frame;
    const guard = this.#health.guard(entryKey);
    const isSet = await guard.write("put", bytes.byteLength, () => client.set(entryKey, bytes, expireMs));
    return isSet ? "stored" : "failed";
  }

  async #delete(key: string): Promise<void> {
    const { entry: entryKey } = entryKeys(key);
    if (this.#health.isStarting) await this.#health.firstConnection("write");
    const client = this.#health.client(entryKey);
    if (client !== undefined) await this.#health.guard(entryKey).write("delete", 0, () => client.delete(entryKey));
  }

  /** The bytes of an entry and its expiry; undefined when it is too large, or when purges could not be compared with it. */
  #frameOf(
    key: string,
    entry: StoreEntry,
    retainMs: number,
  ): { readonly bytes: Buffer; readonly expireMs: number } | undefined {
    if (!isRetention(retainMs) || entry.body.byteLength > this.#maxEntryBytes) return undefined;
    const { generation = this.#logOf(key).firstGeneration } = entry;
    const clock = this.#clock;
    const redisNowMs = clock.nowMs();
    if (generation === "" || redisNowMs === undefined) return undefined;
    const expireMs = Math.min(TEN_YEARS_MS, Math.ceil(retainMs));
    const times = { expiresAtMs: redisNowMs + expireMs, clockOffsetMs: clock.offsetMs ?? 0, clock: clock.name };
    const bytes = encodeEntry(key, { ...entry, generation }, { times, integrityKey: this.#integrityKey });
    return bytes === undefined || bytes.byteLength > this.#maxEntryBytes ? undefined : { bytes, expireMs };
  }

  /** False while the server of the purge log is in doubt: nothing under `key` could be judged, so nothing is found. */
  #canBeFound(key: string): boolean {
    const { endKey } = this.#logOf(key);
    return this.#health.client(endKey) !== undefined && !this.#health.guard(endKey).isDoubtful;
  }

  #logOf(key: string): PrefixLog {
    return this.purges.of(splitKey(key).prefix);
  }

  #tracked<T>(write: Promise<T>): Promise<T> {
    this.#writes.add(write);
    const forget = (): void => void this.#writes.delete(write);
    write.then(forget, forget);
    return write;
  }
}
