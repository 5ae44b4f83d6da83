/**
 * Leases in Redis: of all processes that miss a key, one fills it.
 *
 *     <prefix>:1:lease:{<hash>}    a random token, with an expiry; the hash tag is that of the entry
 *
 * The holder extends its lease while it lives, and each write it makes is fenced: the script compares the token first, so
 * a holder that was frozen past its lease can neither overwrite what its successor stored nor end the successor's lease.
 * A lease decides only who asks the origin. That nothing outdated is served is the purge log's doing, not this one's.
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
  /** Longest time a holder extends its lease: one whose origin hangs must not keep the others waiting for good. */
  readonly maxHoldMs?: number;
  readonly health: CommandHealth;
  /** False while nothing under `key` could be found, because where its purges are does not answer: nobody should wait for it. */
  readonly canBeFound: (key: string) => boolean;
  /** Where an entry is kept, and the lease on it: two keys on one Cluster slot. */
  readonly keysOf: (key: string) => EntryKeys;
  /** What is kept of an entry and how long; undefined when it cannot be kept. */
  readonly frameOf: (
    key: string,
    entry: StoreEntry,
    retainMs: number,
  ) => { readonly bytes: Buffer; readonly expireMs: number } | undefined;
}

export interface RedisLeases extends Leases {
  /** Redis answers again: leases whose end was lost with a connection are ended, so that nobody waits until they expire. */
  reconnected(): void;
  /** Ends all leases that are still held, and waits up to a second until Redis knows. */
  close(): Promise<void>;
}

const MAX_HOLD_MS = 60_000;
const BEATS_PER_LEASE = 3;
const TOKEN_BYTES = 16;
const FORBIDDEN_PAUSE_MS = 60_000;
const CLOSE_GRACE_MS = 1000;
/** Fewer than the guard lets wait for an answer, so that none is left out. */
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
  /** What waits for an answer of Redis. */
  readonly #underWay = new Set<Promise<unknown>>();
  /** By key: leases of ours that Redis may still have and nobody here holds. */
  readonly #lost = new Map<string, { readonly token: string; readonly untilMs: number }>();
  #isClosing = false;
  /** Until then none is taken: a user who may not run scripts cannot give it back. */
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

  /** Ends a lease now or, if Redis does not answer, when it does. */
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
      // Nobody here knows of it any more, and the others should not have to wait until it expires. It is sent past the guard,
      // which may still leave the server out that has just answered.
      if (isSet === true && isTooLate) client.evaluate(RELEASE, [keys.lease], [token]).catch(() => {});
      return isSet;
    });
    if (isOurs === undefined) {
      isTooLate = true;
      // It may have been taken, and the answer lost.
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
    // What only extends or ends a lease is small, and is not left out because of larger writes.
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

/** Undefined for a user who may only read: that is no reason to leave the store out. */
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
    // Left out, or not answered in time: whoever waits should not wait for us.
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

  /** False when it had ended before, by its holder or because another one has it. */
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
      // If nobody else wants the lease before it expires, its holder may still put.
      clearInterval(this.#heartbeat);
      this.#leases.forget(this);
      return;
    }
    this.#isBeating = true;
    const answer = await this.#leases.run("extend-lease", EXTEND, [this.#keys.lease], this.#token, [String(leaseMs)]);
    this.#isBeating = false;
    // No answer says nothing about the lease; a 0 says that it is gone.
    if (answer === 0) this.#end();
  }
}
