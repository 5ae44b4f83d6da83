/**
 * Leases in Redis: of all processes that miss a key, one fills it.
 *
 *     <prefix>:1:lease:{<hash>}    a random token, with an expiry; the hash tag is that of the entry
 *
 * The holder extends its lease while it lives, and each write it makes is fenced: the script compares the token first, so
 * a holder that was frozen past its lease can neither overwrite what its successor stored nor end the successor's lease.
 * A lease decides only which process asks the origin. The purge log, and no lease, keeps purged entries from being served.
 */

import { randomBytes } from "node:crypto";

import { asError } from "../../errors.ts";
import { clearInterval, performance, setInterval } from "../../real-time.ts";
import type { Lease, Leases, PutResult, StoreEntry } from "../../http.ts";
import { troubleOf } from "./client/error-replies.ts";
import type { CommandHealth } from "./health/health.ts";
import { redisScript, type RedisClient, type RedisScript } from "./client/port.ts";
import { withinOrGiveUp } from "./client/lifecycle.ts";
import type { EntryKeys } from "./keys.ts";

export interface LeaseParts {
  /** How long a lease outlives the last sign of life of its holder. */
  readonly leaseMs: number;
  /** Longest time a holder extends its lease: a holder whose origin hangs must not block other processes for good. */
  readonly maxHoldMs?: number;
  readonly health: CommandHealth;
  /** False while the server of its purge log does not answer: no entry under `key` could be found, so waiting is useless. */
  readonly canBeFound: (key: string) => boolean;
  /** Where an entry is kept, and the lease on it: two keys on one Cluster slot. */
  readonly keysOf: (key: string) => EntryKeys;
  /** The bytes of an entry and its retention; undefined when it cannot be kept. */
  readonly frameOf: (
    key: string,
    entry: StoreEntry,
    retainMs: number,
  ) => { readonly bytes: Buffer; readonly expireMs: number } | undefined;
}

export interface RedisLeases extends Leases {
  /** Redis answers again: releases that were lost with a connection are sent again, so that no process waits for expiry. */
  reconnected(): void;
  /** Releases all leases that are still held, and waits up to a second for the replies. */
  close(): Promise<void>;
}

const MAX_HOLD_MS = 60_000;
const BEATS_PER_LEASE = 3;
const TOKEN_BYTES = 16;
const FORBIDDEN_PAUSE_MS = 60_000;
const CLOSE_GRACE_MS = 1000;
/** Below the guard's bound on waiting commands, so that every release is sent. */
const RELEASES_AT_ONCE = 256;
const MOST_LOST = RELEASES_AT_ONCE;

const EXTEND: RedisScript = redisScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])`);

const FILL: RedisScript = redisScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
redis.call('DEL', KEYS[1])
return 1`);

const RELEASE: RedisScript = redisScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])`);

/** Leases of one store. */
export function redisLeases(parts: LeaseParts): RedisLeases {
  return new LeasesInRedis(parts);
}

class LeasesInRedis implements RedisLeases {
  readonly parts: LeaseParts;
  readonly #held = new Set<HeldLease>();
  /** Commands that wait for a reply of Redis. */
  readonly #underWay = new Set<Promise<unknown>>();
  /** By key in Redis: leases of this process that were released without a reply, so Redis may still have them. */
  readonly #lost = new Map<string, { readonly token: string; readonly untilMs: number }>();
  #isClosing = false;
  /** No lease is acquired before this time: a Redis user without permission for scripts could not release it. */
  #noneUntilMs = -Infinity;

  constructor(parts: LeaseParts) {
    this.parts = parts;
  }

  acquire(key: string): Promise<Lease | "taken" | undefined> {
    return this.#track(this.#acquire(key));
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    const endAtMs = performance.now() + CLOSE_GRACE_MS;
    while (this.#held.size + this.#underWay.size > 0 && performance.now() < endAtMs) {
      for (const lease of [...this.#held].slice(0, RELEASES_AT_ONCE)) lease.release();
      await withinOrGiveUp(Promise.all(this.#underWay), endAtMs - performance.now());
    }
    for (const lease of this.#held) lease.abandon();
    this.#isClosing = false;
  }

  reconnected(): void {
    const nowMs = performance.now();
    const lost = [...this.#lost].filter(([, { untilMs }]) => untilMs > nowMs);
    this.#lost.clear();
    for (const [leaseKey, { token }] of lost) this.release(leaseKey, token);
  }

  /** Releases a lease now or, if Redis does not answer, when it answers again. */
  release(leaseKey: string, token: string): void {
    void this.run("release-lease", RELEASE, [leaseKey], token).then((answer) => {
      if (answer === undefined) this.#lose(leaseKey, token);
    });
  }

  #lose(leaseKey: string, token: string): void {
    const [oldest = leaseKey] = this.#lost.keys();
    if (this.#lost.size >= MOST_LOST) this.#lost.delete(oldest);
    this.#lost.set(leaseKey, { token, untilMs: performance.now() + this.parts.leaseMs });
  }

  /** Runs a script whose first key is the lease and whose first argument is the token; undefined without an answer. */
  run(
    operation: string,
    script: RedisScript,
    keys: readonly string[],
    token: string,
    args: readonly (string | Buffer)[] = [],
  ): Promise<unknown> {
    return this.#track(this.#run(operation, script, keys, [token, ...args]));
  }

  forget(lease: HeldLease): void {
    this.#held.delete(lease);
  }

  async #acquire(key: string): Promise<Lease | "taken" | undefined> {
    const { leaseMs, keysOf } = this.parts;
    const keys = keysOf(key);
    const client = this.parts.health.client(keys.lease);
    const guard = this.parts.health.guard(keys.lease);
    if (client === undefined || guard.isSuspended || guard.isDoubtful || this.#isClosing) return undefined;
    if (performance.now() < this.#noneUntilMs || !this.parts.canBeFound(key)) return undefined;
    const token = randomBytes(TOKEN_BYTES).toString("base64url");
    let isSent = false;
    let isTooLate = false;
    const isOurs = await guard.read("acquire-lease", async () => {
      isSent = true;
      const isSet = await setIfPermitted(client, keys.lease, token, leaseMs);
      // The caller has given up, and other processes should not wait for expiry. The release is sent past the guard, which may
      // still suspend the server that has just answered.
      if (isSet === true && isTooLate) client.evaluate(RELEASE, [keys.lease], [token]).catch(() => {});
      return isSet;
    });
    if (isOurs === undefined) {
      isTooLate = true;
      // Redis may have set it and the reply was lost.
      if (isSent) this.#lose(keys.lease, token);
      return undefined;
    }
    if (!isOurs) return "taken";
    const lease = new HeldLease(this, key, keys, token);
    this.#held.add(lease);
    return lease;
  }

  async #run(
    operation: string,
    script: RedisScript,
    keys: readonly string[],
    args: readonly (string | Buffer)[],
  ): Promise<unknown> {
    const [key = ""] = keys;
    const client = this.parts.health.client(key);
    const guard = this.parts.health.guard(key);
    if (client === undefined || guard.isSuspended) return undefined;
    let answer: unknown;
    // Only bodies count as bytes: extending and releasing are small and must not be rejected because of large writes.
    const bytes = args.reduce((sum, arg) => sum + (typeof arg === "string" ? 0 : arg.byteLength), 0);
    await guard.write(operation, bytes, async () => {
      try {
        answer = await client.evaluate(script, keys, args);
      } catch (error) {
        if (troubleOf(asError(error)) === "forbidden") this.#noneUntilMs = performance.now() + FORBIDDEN_PAUSE_MS;
        throw error;
      }
    });
    return answer;
  }

  #track<T>(promise: Promise<T>): Promise<T> {
    this.#underWay.add(promise);
    void promise.finally(() => this.#underWay.delete(promise));
    return promise;
  }
}

/** Undefined for a Redis user who may only read: that failure must not suspend Redis for reading. */
async function setIfPermitted(
  client: RedisClient,
  leaseKey: string,
  token: string,
  leaseMs: number,
): Promise<boolean | undefined> {
  try {
    return await client.setIfAbsent(leaseKey, token, leaseMs);
  } catch (error) {
    if (troubleOf(asError(error)) === "forbidden") return undefined;
    throw error;
  }
}

class HeldLease implements Lease {
  readonly #leases: LeasesInRedis;
  readonly #key: string;
  readonly #keys: EntryKeys;
  readonly #token: string;
  readonly #heldSinceMs: number = performance.now();
  #heartbeat: ReturnType<typeof setInterval> | undefined;
  #isBeating = false;

  constructor(leases: LeasesInRedis, key: string, keys: EntryKeys, token: string) {
    this.#leases = leases;
    this.#key = key;
    this.#keys = keys;
    this.#token = token;
    this.#heartbeat = setInterval(() => void this.#beat(), leases.parts.leaseMs / BEATS_PER_LEASE);
    this.#heartbeat.unref?.();
  }

  async put(entry: StoreEntry, retainMs: number): Promise<PutResult | "lost"> {
    if (!this.#end()) return "lost";
    const frame = this.#leases.parts.frameOf(this.#key, entry, retainMs);
    if (frame === undefined) {
      this.#tellReleased();
      return "failed";
    }
    const keys = [this.#keys.lease, this.#keys.entry];
    const args = [frame.bytes, String(frame.expireMs)];
    const answer = await this.#leases.run("put", FILL, keys, this.#token, args);
    // Not sent, or not answered in time: waiting processes should not wait until the lease expires.
    if (answer === undefined) this.#tellReleased();
    if (answer === 0) return "lost";
    return answer === 1 ? "stored" : "failed";
  }

  release(): void {
    if (this.#end()) this.#tellReleased();
  }

  /** Lets the lease expire by itself. */
  abandon(): void {
    this.#end();
  }

  /** Returns false when the lease had ended before: its holder ended it, or it was lost. */
  #end(): boolean {
    if (this.#heartbeat === undefined) return false;
    clearInterval(this.#heartbeat);
    this.#heartbeat = undefined;
    this.#leases.forget(this);
    return true;
  }

  #tellReleased(): void {
    this.#leases.release(this.#keys.lease, this.#token);
  }

  async #beat(): Promise<void> {
    if (this.#isBeating) return;
    const { leaseMs, maxHoldMs = MAX_HOLD_MS } = this.#leases.parts;
    if (performance.now() - this.#heldSinceMs > maxHoldMs) {
      // The holder may still put, unless another process gets the lease after it expired.
      clearInterval(this.#heartbeat);
      this.#leases.forget(this);
      return;
    }
    this.#isBeating = true;
    const answer = await this.#leases.run("extend-lease", EXTEND, [this.#keys.lease], this.#token, [String(leaseMs)]);
    this.#isBeating = false;
    // Without a reply the lease may still be there; a 0 means that it is gone.
    if (answer === 0) this.#end();
  }
}
