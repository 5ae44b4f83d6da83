/** The Redis store, from options that were checked. */

import { hash } from "node:crypto";

import { storeEntryUnreadable, storeNotReady, storeOverloaded } from "../../errors.ts";
import { performance, setTimeout } from "../../real-time.ts";
import type { CacheStore, Leases, PurgeLog, PurgeReceipt, PurgeTarget, StoreEntry, StoreEvent } from "../../http.ts";
import { type DecodedEntry, decodeEntry, encodeEntry } from "./entry-frame.ts";
import { Deadlines } from "./health/deadlines.ts";
import type { Guard } from "./health/command-guard.ts";
import { Guards } from "./health/guards-by-slot.ts";
import { redisLeases } from "./leases.ts";
import { LookUps } from "./shared-reads.ts";
import { type PrefixLog, RedisPurgeLog } from "./purges/log.ts";
import type { Timeline } from "./purges/timeline.ts";
import type { RedisClient } from "./client/port.ts";
import { RedisClock } from "./client/server-clock.ts";
import { type ClientSource, RedisConnection } from "./health/connection.ts";
import { withinOrGiveUp } from "./client/lifecycle.ts";
import { isRetention, splitKey } from "../entry-keys.ts";

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
  /** What draws the conclusions from the purge log, for tests. */
  readonly timeline?: () => Timeline;
}

const TEN_YEARS_MS = 10 * 365 * 24 * 60 * 60 * 1000;
/** Clocks that differ by less are as good as equal: ages are in seconds. */
const CLOCKS_AGREE_MS = 1000;
/** Writes have so many times the deadline of a look-up: no response waits for one. */
const WRITE_DEADLINES = 10;
/** Longest wait of `close()` for writes. */
const CLOSE_GRACE_MS = 5000;
const LAST_READY_PAUSE_MS = 100;
const LAYOUT_MAJOR = 1;
const LABEL_CHARACTERS = 80;
const HASH_CHARACTERS = 22;

export function createRedisStore(settings: RedisStoreSettings): RedisStore {
  const { maxEntryBytes, integrityKey } = settings;
  const reporters: ((event: StoreEvent) => void)[] = [];
  let openings = 0;
  let trouble: Error | undefined;
  const report = (event: StoreEvent): void => {
    if (event.type === "connected") trouble = undefined;
    else if (event.type !== "connecting") trouble = event.error;
    for (const reporter of reporters) reporter(event);
  };

  const guards: Guards = new Guards({
    deadlineMs: settings.deadlineMs,
    maxWritingBytes: maxEntryBytes * 2,
    isConnected: () => connection.client !== undefined,
    isCluster: () => connection.client?.getFromMaster !== undefined,
    // Never written. On the slot of the key, and with its prefix because Redis users are often limited to one.
    probe: (key) => {
      const name = `${key}:probe`;
      const { client } = connection;
      // What has to answer is a master, also where the client reads from replicas.
      return client?.getFromMaster?.(name) ?? client?.getPair(name, name);
    },
    onFailure: (operation, error) => report({ type: "operation-failed", store: "redis", operation, error }),
    onResumed: () => {
      connection.resumed();
      purges.reconnected();
      leases.reconnected();
      report({ type: "connected", store: "redis", address: connection.address });
    },
    onStuck: () => connection.rebuild(),
  });
  const onReady = (): void => {
    guards.reset();
    purges.reconnected();
    leases.reconnected();
  };
  const connection: RedisConnection = new RedisConnection({
    source: settings.source,
    redact: settings.redact,
    report,
    onReady,
    startMs: settings.deadlineMs * WRITE_DEADLINES,
  });
  const startOfLookUps = new Deadlines(settings.deadlineMs, { keepsAlive: true });
  const startOfPurges = new Deadlines(settings.deadlineMs * WRITE_DEADLINES, { keepsAlive: true });
  const startOfWrites = new Deadlines(settings.deadlineMs * WRITE_DEADLINES);
  /** Writes that wait for their answer or, at the start, for the first connection. */
  const writes = new Set<Promise<unknown>>();
  let startingBytes = 0;
  const guardOf = (key: string): Guard => guards.of(key);
  /** The client, if a command on the key in Redis would be sent at once. */
  const usable = (key: string): RedisClient | undefined => (guardOf(key).isSuspended ? undefined : connection.client);

  const clock = new RedisClock(settings.now);
  const purges: RedisPurgeLog = new RedisPurgeLog({
    client: usable,
    firstConnection: () => connection.firstConnection(startOfPurges),
    guardOf,
    clock,
    keysOf: logKeys,
    deadlineMs: settings.deadlineMs,
    logLength: settings.purgeLogLength,
    ...(settings.timeline === undefined ? {} : { timeline: settings.timeline }),
  });
  const lookUps = new LookUps<StoreEntry | undefined>();
  const leases = redisLeases({
    leaseMs: settings.leaseMs,
    guardOf,
    canBeFound: (key) => {
      const { endKey } = logOf(key);
      return usable(endKey) !== undefined && !guardOf(endKey).isDoubtful;
    },
    client: usable,
    keysOf: entryKeys,
    frameOf,
  });

  function logOf(key: string): PrefixLog {
    return purges.of(splitKey(key).prefix);
  }

  /** What is kept of an entry; undefined when it does not fit, or nobody could tell whether it was purged. */
  function frameOf(
    key: string,
    entry: StoreEntry,
    retainMs: number,
  ): { readonly bytes: Buffer; readonly expireMs: number } | undefined {
    if (!isRetention(retainMs) || entry.body.byteLength > maxEntryBytes) return undefined;
    const { generation = logOf(key).firstGeneration } = entry;
    const redisNowMs = clock.nowMs();
    if (generation === "" || redisNowMs === undefined) return undefined;
    const expireMs = Math.min(TEN_YEARS_MS, Math.ceil(retainMs));
    const times = { expiresAtMs: redisNowMs + expireMs, clockOffsetMs: clock.offsetMs ?? 0, clock: clock.name };
    const bytes = encodeEntry(key, { ...entry, generation }, { times, integrityKey });
    return bytes === undefined || bytes.byteLength > maxEntryBytes ? undefined : { bytes, expireMs };
  }

  /** Came while the first connection is being made: it has one deadline for that and for the answer. */
  async function getAtStart(key: string, entryKey: string): Promise<StoreEntry | undefined> {
    const sinceMs = await connection.firstConnection(startOfLookUps);
    const client = usable(entryKey);
    if (client === undefined) return undefined;
    return new Promise((resolve, reject) => {
      const deadline = startOfLookUps.start(() => resolve(undefined), sinceMs);
      get(client, key, entryKey).then((entry) => {
        if (deadline.meet()) resolve(entry);
      }, reject);
    });
  }

  async function putAtStart(key: string, entry: StoreEntry, retainMs: number): Promise<boolean> {
    const bytes = entry.body.byteLength;
    if (startingBytes > 0 && startingBytes + bytes > maxEntryBytes * 2) {
      guardOf(entryKeys(key).entry).report("put", storeOverloaded("put", `${startingBytes} bytes`));
      return false;
    }
    startingBytes += bytes;
    await connection.firstConnection(startOfWrites);
    startingBytes -= bytes;
    const client = usable(entryKeys(key).entry);
    return client === undefined ? false : put(client, key, entry, retainMs);
  }

  function tracked<T>(write: Promise<T>): Promise<T> {
    writes.add(write);
    const forget = (): void => void writes.delete(write);
    write.then(forget, forget);
    return write;
  }

  async function ready(prefix: string, timeoutMs: number): Promise<void> {
    const log = purges.of(prefix);
    const endAtMs = performance.now() + timeoutMs;
    for (let pauseMs = 5; ; pauseMs = Math.min(LAST_READY_PAUSE_MS, pauseMs * 2)) {
      if (usable(log.endKey) !== undefined && (await log.prove())) return;
      const leftMs = endAtMs - performance.now();
      if (leftMs <= 0 || connection.isUnusable || openings === 0) {
        throw storeNotReady("redis", timeoutMs, trouble ?? `${connection.address}: still connecting`);
      }
      await new Promise((resolve) => {
        setTimeout(resolve, Math.min(pauseMs, leftMs));
      });
    }
  }

  async function get(client: RedisClient, key: string, entryKey: string): Promise<StoreEntry | undefined> {
    const log = logOf(key);
    const asked = log.ask();
    const pair = await getPair(client, entryKey, log.endKey);
    if (pair === undefined) return undefined;
    const [bytes, end] = pair;
    // A miss waits for the proof as well: what is fetched because of it has the generation of now.
    const isProven = await log.isProvenBy(end, asked);
    if (!isProven || bytes === null || bytes.byteLength > maxEntryBytes) return undefined;
    const decoded = decodeEntry(key, bytes, integrityKey);
    if (decoded !== undefined) return judged(log, key, decoded);
    guardOf(entryKey).report("get", storeEntryUnreadable(entryKey.slice(entryKey.lastIndexOf("{"))));
    return undefined;
  }

  /** An entry and the end of its log. On a Cluster each has a guard of its own, and nothing is asked if either is left out. */
  async function getPair(
    client: RedisClient,
    entryKey: string,
    endKey: string,
  ): Promise<readonly [Uint8Array | null, Uint8Array | null] | undefined> {
    const { getFromMaster } = client;
    if (getFromMaster === undefined) return guardOf(entryKey).read("get", () => client.getPair(entryKey, endKey));
    if (usable(endKey) === undefined) return undefined;
    const [bytes, end] = await Promise.all([
      guardOf(entryKey).read("get", () => client.get(entryKey)),
      guardOf(endKey).read("get", () => getFromMaster(endKey)),
    ]);
    return bytes === undefined || end === undefined ? undefined : [bytes, end];
  }

  function judged(log: PrefixLog, key: string, { entry, times }: DecodedEntry): StoreEntry | undefined {
    const verdict = log.judge(key, entry);
    if (verdict === "purged") return undefined;
    const redisNowMs = clock.nowMs();
    const isOurClock = times === undefined || times.clock === clock.name;
    const shiftMs = isOurClock ? 0 : times.clockOffsetMs - (clock.offsetMs ?? 0);
    return {
      ...entry,
      ...(verdict === "valid" ? {} : verdict),
      ...(Math.abs(shiftMs) > CLOCKS_AGREE_MS ? { clockShiftMs: Math.round(shiftMs) } : {}),
      ...(times === undefined || redisNowMs === undefined
        ? {}
        : { retainMs: Math.max(1, Math.floor(times.expiresAtMs - redisNowMs)) }),
    };
  }

  async function put(client: RedisClient, key: string, entry: StoreEntry, retainMs: number): Promise<boolean> {
    const log = logOf(key);
    if (log.generation === "" && entry.generation === undefined) await log.prove();
    const { generation = log.firstGeneration } = entry;
    // What is there may be newer than the purge.
    if (generation !== "" && log.judge(key, { ...entry, generation }) === "purged") return false;
    const frame = frameOf(key, entry, retainMs);
    // What was there before is not what the caller wants to have there.
    if (frame === undefined) {
      await remove(key);
      return false;
    }
    const { entry: entryKey } = entryKeys(key);
    return guardOf(entryKey).write("put", frame.bytes.byteLength, () =>
      client.set(entryKey, frame.bytes, frame.expireMs),
    );
  }

  async function remove(key: string): Promise<void> {
    const { entry: entryKey } = entryKeys(key);
    if (connection.isStarting) await connection.firstConnection(startOfWrites);
    const client = usable(entryKey);
    if (client !== undefined) await guardOf(entryKey).write("delete", 0, () => client.delete(entryKey));
  }

  return {
    name: "redis",
    purges,
    leases,
    open(reporter, now) {
      openings += 1;
      clock.use(now);
      reporters.push(reporter);
      if (connection.isConnected) reporter({ type: "connected", store: "redis", address: connection.address });
      connection.open();
    },
    isAvailable: () => (connection.client === undefined ? connection.isStarting : !guards.isSuspended),
    ready: ({ prefix, timeoutMs }) => ready(prefix, timeoutMs),
    get(key) {
      const { entry: entryKey } = entryKeys(key);
      const client = usable(entryKey);
      if (client !== undefined) return lookUps.join(key, () => get(client, key, entryKey));
      return connection.isStarting ? lookUps.join(key, () => getAtStart(key, entryKey)) : undefined;
    },
    put(key, entry, retainMs) {
      const client = usable(entryKeys(key).entry);
      if (client !== undefined) return tracked(put(client, key, entry, retainMs));
      return connection.isStarting ? tracked(putAtStart(key, entry, retainMs)) : false;
    },
    delete: (key) => tracked(remove(key)),
    async close() {
      await withinOrGiveUp(Promise.allSettled(writes), CLOSE_GRACE_MS);
      openings = Math.max(0, openings - 1);
      if (openings > 0) return;
      await leases.close();
      // Another cache may have opened it meanwhile.
      if (openings > 0) return;
      reporters.length = 0;
      guards.close();
      await connection.close();
    },
  };
}

/** Where an entry and its lease are. */
function entryKeys(key: string): { readonly entry: string; readonly lease: string } {
  const { prefix, name } = splitKey(key);
  const label = legible(name.slice(0, LABEL_CHARACTERS));
  const tag = hash("sha256", key, "base64url").slice(0, HASH_CHARACTERS);
  return {
    entry: `${inKey(prefix)}:${label === "lease" ? "lease_" : label}:{${tag}}`,
    lease: `${inKey(prefix)}:lease:{${tag}}`,
  };
}

/** Where the purge log of a prefix is. */
function logKeys(prefix: string): { readonly log: string; readonly end: string } {
  const start = `${inKey(prefix)}:{${legible(prefix)}}`;
  return { log: `${start}:log`, end: `${start}:pos` };
}

function inKey(prefix: string): string {
  return `${legible(prefix)}:${LAYOUT_MAJOR}`;
}

/** Without anything that has a meaning in a key: the `:` between parts, the `{}` of a hash tag, `*` and `[` of a pattern. */
function legible(text: string): string {
  return text.replace(/[^A-Za-z0-9_.()/,?=&%+~-]/g, "_");
}
