/** Follows and writes the purge logs in Redis, one per prefix. */

import { randomBytes } from "node:crypto";

import { asError, purgeNotAcknowledged } from "../../../errors.ts";
import { performance } from "../../../real-time.ts";
import type { Purgeable, PurgeLog, PurgeReceipt, PurgeTarget, PurgeVerdict } from "../../../http.ts";
import { Deadlines } from "../health/deadlines.ts";
import type { CommandHealth, RedisHealth } from "../health/health.ts";
import { PendingPurges } from "./unacknowledged.ts";
import {
  BYTES_PER_VIEW,
  parsePurged,
  parseView,
  PURGE,
  type Purge,
  recordArguments,
  RECORDS_PER_VIEW,
  RESTART,
  VIEW,
} from "./scripts.ts";
import { positionMs } from "../../purging/position.ts";
import { NOT_PURGED, PURGED } from "../../purging/table.ts";
import { targetText } from "../../purging/targets.ts";
import { type LogEnd, Timeline } from "./timeline.ts";
import type { RedisClient } from "../client/port.ts";
import type { RedisClock } from "../client/server-clock.ts";

export interface PurgeLogParts {
  readonly health: CommandHealth & Pick<RedisHealth, "firstConnection" | "deadlineMs">;
  readonly clock: RedisClock;
  /** The two keys of a prefix in Redis. */
  readonly keysOf: (prefix: string) => { readonly log: string; readonly end: string };
  /** Records Redis keeps, about. */
  readonly logLength: number;
  /** Makes the timeline of a prefix; tests replace it by a wrong one. */
  readonly timeline?: () => Timeline;
}

/** The state of the log when a reading of its end began. */
export interface Asked {
  readonly atMs: number;
  readonly moves: number;
}

/** Most readings for one look-up, far more than the longest log needs. */
const MAX_READINGS = 2000;

export class RedisPurgeLog implements PurgeLog {
  readonly #parts: PurgeLogParts;
  readonly #prefixes = new Map<string, PrefixLog>();

  constructor(parts: PurgeLogParts) {
    this.#parts = parts;
  }

  /** The log of one prefix. */
  of(prefix: string): PrefixLog {
    const known = this.#prefixes.get(prefix);
    if (known !== undefined) return known;
    const made = new PrefixLog(this.#parts, prefix);
    this.#prefixes.set(prefix, made);
    return made;
  }

  generation(prefix: string): string {
    return this.of(prefix).generation;
  }

  judge(prefix: string, key: string, entry: Purgeable): PurgeVerdict {
    return this.of(prefix).judge(key, entry);
  }

  purge(prefix: string, targets: readonly PurgeTarget[], { soft }: { readonly soft: boolean }): Promise<PurgeReceipt> {
    return this.of(prefix).purge(targets, soft);
  }

  verifiedAtMs(prefix: string): number {
    return this.of(prefix).verifiedAtMs;
  }

  verify(prefix: string): Promise<boolean> {
    return this.of(prefix).verify();
  }

  /**
   * Redis answers again, or another server in its place. Purges that were not acknowledged are appended, and a log that
   * lacks records that are known here is replaced, without waiting for the next look-up.
   */
  reconnected(): void {
    for (const log of this.#prefixes.values()) log.reconnected();
  }
}

/** The log of one prefix. */
export class PrefixLog {
  readonly endKey: string;
  readonly #parts: PurgeLogParts;
  readonly #prefix: string;
  readonly #keys: readonly [end: string, log: string];
  readonly #timeline: Timeline;
  readonly #pending: PendingPurges;
  readonly #deadlines: Deadlines;
  /** Counts the changes of the proven end. */
  #moves = 0;
  #wasProven = false;
  /** Counts connections: a new one may lead to a server that lacks known records, until the log is read over it. */
  #connection = 0;
  #provenOver = 0;
  #verifiedAtMs = -Infinity;
  #reading: Promise<boolean> | undefined;
  #flushing: Promise<boolean> | undefined;

  constructor(parts: PurgeLogParts, prefix: string) {
    const { log, end } = parts.keysOf(prefix);
    this.endKey = end;
    this.#parts = parts;
    this.#prefix = prefix;
    this.#keys = [end, log];
    this.#timeline = parts.timeline?.() ?? new Timeline();
    this.#pending = new PendingPurges(parts.clock);
    this.#deadlines = new Deadlines(parts.health.deadlineMs);
  }

  get generation(): string {
    return this.#timeline.generation;
  }

  /** The generation for an entry without one, so that any purge that names it holds. Empty while nothing is proven. */
  get firstGeneration(): string {
    const { proven } = this.#timeline;
    return proven === undefined ? "" : `${proven.epoch}:0-0`;
  }

  get verifiedAtMs(): number {
    return this.#timeline.proven === undefined ? -Infinity : this.#verifiedAtMs;
  }

  judge(key: string, entry: Purgeable): PurgeVerdict {
    const pending = this.#pending.judge(key, entry);
    if (pending === "purged") return "purged";
    // Until the log was first read this process knows of no purge, and keeps nothing from before one.
    if (!this.#wasProven && !entry.generation) return pending;
    const judged = this.#timeline.judge(key, entry);
    if (judged === NOT_PURGED) return pending;
    if (judged === PURGED) return "purged";
    const { clock } = this.#parts;
    return { outdatedAtMs: Math.min(clock.hereMs(), positionMs(judged) - (clock.offsetMs ?? 0)) };
  }

  /** To be called right before the end is read along with an entry. */
  ask(): Asked {
    return { atMs: performance.now(), moves: this.#moves };
  }

  /** True when every purge up to the end that was read is known, so that the entry read along with it can be judged. */
  isProvenBy(endBytes: Uint8Array | null, asked: Asked): boolean | Promise<boolean> {
    const text = endBytes === null ? "" : Buffer.from(endBytes).toString("latin1");
    if (this.#provenOver !== this.#connection) return this.#inTime(this.proveAnew(), asked.atMs);
    if (this.#pending.isDue)
      return this.#inTime(
        this.#flush().then(() => this.#catchUp(text, asked)),
        asked.atMs,
      );
    if (!this.#timeline.covers(text, asked.moves !== this.#moves))
      return this.#inTime(this.#catchUp(text, asked), asked.atMs);
    this.#verifiedAtMs = Math.max(this.#verifiedAtMs, asked.atMs);
    if (this.#parts.clock.isDue) void this.prove();
    return true;
  }

  /** Reads the log up to its end; joins a reading under way. False when that was not possible. Never rejects. */
  prove(): Promise<boolean> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  /** Reads the log up to its end, from now on. */
  async proveAnew(): Promise<boolean> {
    await this.#reading;
    return this.prove();
  }

  /** As `proveAnew`, for a hit that waits: false when it takes longer than a look-up may. The reading goes on. */
  verify(): Promise<boolean> {
    return this.#inTime(this.proveAnew());
  }

  /** Sends a purge together with those that were not acknowledged before, so that they need one round trip. */
  async purge(targets: readonly PurgeTarget[], soft: boolean): Promise<PurgeReceipt> {
    const purge: Purge = { soft, targets: targets.map(targetText) };
    // A program may begin with a purge.
    await this.#parts.health.firstConnection("purge");
    const asked = this.ask();
    // Only what was pending when this was called: a receipt must not cover a purge that was made later.
    const earlier = this.#pending.take();
    const batch = [...earlier, purge];
    const done = await this.#append(batch);
    if (typeof done !== "string") {
      const isKnown = this.#takeOwn(done, batch);
      this.#pending.done(earlier);
      // Other processes may have purged right before: the generation must cover this purge before the caller goes on.
      const isProven = isKnown && this.#timeline.covers(done.after.text, true);
      if (!isProven) await this.#inTime(this.#catchUp(done.after.text, asked));
      return { before: generationAt(done.before), after: generationAt(done.after) };
    }
    this.#pending.add(purge);
    throw purgeNotAcknowledged(this.#prefix, targets.length, done);
  }

  reconnected(): void {
    this.#connection += 1;
    this.#pending.retryNow();
    if (this.#wasProven || !this.#pending.isEmpty) void this.proveAnew();
  }

  /** Waits for a proof as long as a look-up that began at `sinceMs` waits for Redis; the reading goes on behind. */
  #inTime(proof: Promise<boolean>, sinceMs: number = performance.now()): Promise<boolean> {
    return new Promise((resolve) => {
      const deadline = this.#deadlines.start(() => resolve(false), sinceMs);
      void proof.then((isProven) => {
        if (deadline.meet()) resolve(isProven);
      });
    });
  }

  /** A reading that began before the end was read may not know it yet; one that began after it does. */
  async #catchUp(text: string, { atMs, moves }: Asked): Promise<boolean> {
    await this.#reading;
    if (!this.#timeline.covers(text, moves !== this.#moves)) return this.prove();
    this.#verifiedAtMs = Math.max(this.#verifiedAtMs, atMs);
    return true;
  }

  async #read(): Promise<boolean> {
    const { clock } = this.#parts;
    const guard = this.#parts.health.guard(this.endKey);
    await this.#flush();
    for (let reading = 0; reading < MAX_READINGS; reading += 1) {
      const client = this.#parts.health.client(this.endKey);
      if (client === undefined) return false;
      const sentAtMs = performance.now();
      const connection = this.#connection;
      const asked = this.#timeline.cursor;
      const args = [asked.epoch, asked.id, String(RECORDS_PER_VIEW), String(BYTES_PER_VIEW)];
      const view = (): Promise<unknown> => client.evaluate(VIEW, this.#keys, args);
      const reply = await guard.read("read-purges", view, "others");
      const parsed = parseView(reply);
      if (parsed === undefined) return false;
      clock.take(parsed.redisMs, sentAtMs, performance.now());
      const before = this.#timeline.generation;
      const conclusion = this.#timeline.take(parsed.view, asked);
      if (conclusion === "arrived") {
        if (this.#timeline.generation !== before) this.#moves += 1;
        this.#wasProven = true;
        this.#provenOver = connection;
        this.#verifiedAtMs = Math.max(this.#verifiedAtMs, sentAtMs);
        return true;
      }
      if (conclusion === "restart" && !(await this.#restart(client, parsed.endText))) return false;
    }
    return false;
  }

  async #restart(client: RedisClient, endText: string): Promise<boolean> {
    const args = [String(this.#parts.logLength), newEpoch(), endText];
    let answered = false;
    await this.#parts.health.guard(this.endKey).write("restart-purge-log", 0, async () => {
      await client.evaluate(RESTART, this.#keys, args);
      answered = true;
    });
    return answered;
  }

  /** Appends the purges that were not acknowledged; false when that failed again. Runs one at a time. */
  #flush(): Promise<boolean> {
    this.#flushing ??= this.#flushPending().finally(() => {
      this.#flushing = undefined;
    });
    return this.#flushing;
  }

  async #flushPending(): Promise<boolean> {
    const batch = this.#pending.take();
    if (batch.length === 0) return true;
    const done = await this.#append(batch);
    if (typeof done === "string") return false;
    this.#takeOwn(done, batch);
    this.#pending.done(batch);
    return true;
  }

  /** The positions of the purges in the log, or the reason why they were not appended. */
  async #append(purges: readonly Purge[]): Promise<{ readonly before: LogEnd; readonly after: LogEnd } | string> {
    const { logLength } = this.#parts;
    const guard = this.#parts.health.guard(this.endKey);
    const client = this.#parts.health.client(this.endKey);
    if (guard.isSuspended) return "it was not sent: Redis did not answer before, and is suspended until it does";
    if (client === undefined) return "it was not sent: there is no connection";
    let isLate = false;
    let reply: unknown;
    let reason = "it was not sent: too many commands wait for an answer";
    await guard.write("purge", 0, async () => {
      reason = "it did not answer in time";
      try {
        const args = [String(logLength), newEpoch(), ...recordArguments(purges)];
        const answer = await client.evaluate(PURGE, this.#keys, args);
        if (!isLate) reply = answer;
      } catch (error) {
        reason = asError(error).message;
        throw error;
      }
    });
    isLate = true;
    return parsePurged(reply) ?? reason;
  }

  /** Makes a purge of this process hold here; false when nothing is proven until the log is read. */
  #takeOwn({ before, after }: { before: LogEnd; after: LogEnd }, purges: readonly Purge[]): boolean {
    this.#moves += 1;
    const timeline = this.#timeline;
    if (purges.every(({ soft, targets }) => timeline.takeOwn(before, after, soft, targets))) return true;
    timeline.doubt();
    return false;
  }
}

function generationAt({ epoch, id }: LogEnd): string {
  return `${epoch}:${id}`;
}

/** 80 random bits: no two logs share an epoch. */
function newEpoch(): string {
  return BigInt(`0x${randomBytes(10).toString("hex")}`).toString(36);
}
