/** One connection to Redis through outages: made, watched, made anew when it is beyond repair, and reported on. */

import { invalidStore, storeUnreachable } from "../../../errors.ts";
import { clearTimeout, performance, setTimeout } from "../../../real-time.ts";
import type { StoreEvent } from "../../../http.ts";
import type { Deadlines } from "./deadlines.ts";
import { KNOWN_CLIENTS, redisClient } from "../client/detect.ts";
import type { RedisClient } from "../client/port.ts";

/** Where the client comes from: the user's own, which is only watched, or a factory, whose clients are ours to end. */
export type ClientSource =
  | { readonly kind: "given"; readonly client: RedisClient }
  | {
      readonly kind: "made";
      readonly option: "url" | "connect";
      readonly make: () => unknown;
      readonly address: string;
    };

export interface ConnectionOptions {
  readonly source: ClientSource;
  readonly report: (event: StoreEvent) => void;
  /** Commands go over a new connection from now on. */
  readonly onReady: () => void;
  /** Takes secrets out of a text. */
  readonly redact: (text: string) => string;
  /** How long the first connection may be in the making until requests no longer wait for it. */
  readonly startMs: number;
}

type State = "closed" | "connecting" | "connected" | "failed" | "unusable";

const STORE_NAME = "redis";
/** A connection that is not up and has said nothing for this long is reported, and made anew if it is ours. */
const SILENCE_MS = 5000;
/** For the client that takes the place of one that is dead in part; each further one gets twice the time. */
const FIRST_PATIENCE_MS = 1000;
const LAST_PATIENCE_MS = 60_000;
const FIRST_REBUILD_MS = 250;
const LAST_REBUILD_MS = 5000;
const CLOSE_GRACE_MS = 1000;

export class RedisConnection {
  readonly #options: ConnectionOptions;
  #state: State = "closed";
  #client: RedisClient | undefined;
  #stopObserving: (() => void) | undefined;
  /** Counts the clients made, so that one which arrives after it was given up is recognised. */
  #build = 0;
  #isMaking = false;
  #rebuildMs = FIRST_REBUILD_MS;
  #rebuildTimer: ReturnType<typeof setTimeout> | undefined;
  #silenceTimer: ReturnType<typeof setTimeout> | undefined;
  /** What waits for the first connection: called when it is up or has failed. */
  readonly #waiting = new Set<() => void>();
  /** What waits until the client package is loaded. */
  #untilMade: (() => void)[] = [];
  /** When the first client began to connect. */
  #connectingSinceMs: number | undefined;
  /** Gives up the client that is to take the place of the present one, while there is such a client. */
  #dropReplacement: (() => void) | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  /** The client, if a command would be sent at once. */
  get client(): RedisClient | undefined {
    return this.#client?.isReady() === true ? this.#client : undefined;
  }

  get isConnected(): boolean {
    return this.#state === "connected";
  }

  get address(): string {
    const { source } = this.#options;
    return source.kind === "given" ? source.client.address : (this.#client?.address ?? source.address);
  }

  /** True while the first connection is in the making, and not for so long that it must be in trouble. */
  get isStarting(): boolean {
    if (this.#state !== "connecting") return false;
    return this.#connectingSinceMs === undefined
      ? this.#loadsPackage
      : performance.now() - this.#connectingSinceMs < this.#options.startMs;
  }

  /** True once trying again cannot help. */
  get isUnusable(): boolean {
    return this.#state === "unusable";
  }

  /**
   * Waits for the first connection: until it is up or has failed, and at most as long as a deadline of `deadlines`. Returns
   * when that began: the time in which the client package is loaded does not count, because Redis is not asked before.
   */
  async firstConnection(deadlines: Deadlines): Promise<number> {
    if (this.#state === "connecting" && this.#loadsPackage) {
      await new Promise<void>((resolve) => void this.#untilMade.push(resolve));
    }
    const sinceMs = performance.now();
    if (this.#state !== "connecting") return sinceMs;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#waiting.delete(done);
        if (deadline.meet()) resolve();
      };
      const deadline = deadlines.start(() => {
        this.#waiting.delete(done);
        resolve();
      });
      this.#waiting.add(done);
    });
    return sinceMs;
  }

  /** True while `redis` or `ioredis` is imported, which is work of this process. A `connect` may wait for Redis. */
  get #loadsPackage(): boolean {
    const { source } = this.#options;
    return this.#isMaking && source.kind === "made" && source.option === "url";
  }

  open(): void {
    if (this.#state !== "closed") return;
    const { source, report } = this.#options;
    this.#state = "connecting";
    if (source.kind === "given" || source.option === "connect") this.#connectingSinceMs = performance.now();
    report({ type: "connecting", store: STORE_NAME, address: this.address });
    if (source.kind === "given") this.#use(source.client);
    else void this.#make();
  }

  /**
   * The connection is up, and dead in whole or in part. Ours is replaced as soon as a new one is ready; a user's client is
   * left to its own reconnecting.
   */
  rebuild(): void {
    if (this.#options.source.kind === "given" || this.#client === undefined) return;
    if (this.#dropReplacement !== undefined) return;
    this.#lost("no answers any more; connecting again");
    void this.#replace(this.#options.source.make);
  }

  /** The present client, taken for dead, answers again. */
  resumed(): void {
    this.#rebuildMs = FIRST_REBUILD_MS;
    this.#dropReplacement?.();
  }

  async close(): Promise<void> {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#endWait();
    this.#dropReplacement?.();
    await this.#letGo();
  }

  async #make(): Promise<void> {
    const { source } = this.#options;
    if (source.kind === "given") return;
    const build = ++this.#build;
    this.#isMaking = true;
    this.#listenForSilence();
    try {
      const made = await source.make();
      const client = redisClient(made);
      if (build !== this.#build) {
        void client?.close(0);
        return;
      }
      this.#isMaking = false;
      if (client === undefined) {
        throw invalidStore(`redisStore({ ${source.option} })`, KNOWN_CLIENTS, made, "Return the client itself.");
      }
      this.#use(client);
    } catch (error) {
      if (build !== this.#build) return;
      this.#isMaking = false;
      clearTimeout(this.#silenceTimer);
      this.#lost(reasonOf(error));
      if (isPermanent(error)) this.#state = "unusable";
      else this.#makeLater();
    }
  }

  /** Makes a client to take over from the present one; while none is ready within its time, another one with more of it. */
  async #replace(make: () => unknown, patienceMs: number = FIRST_PATIENCE_MS): Promise<void> {
    let replacement: RedisClient | undefined;
    let stopObserving = (): void => {};
    const end = (): boolean => {
      if (this.#dropReplacement !== drop) return false;
      this.#dropReplacement = undefined;
      clearTimeout(timer);
      stopObserving();
      return true;
    };
    const drop = (): void => {
      if (!end()) return;
      void replacement?.close(0);
      if (this.#state === "failed" && this.client !== undefined) this.#state = "connected";
      if (this.#client === undefined) this.#makeLater();
    };
    const dropForAnother = (nextPatienceMs: number): void => {
      if (!end()) return;
      void replacement?.close(0);
      void this.#replace(make, nextPatienceMs);
    };
    const adopt = (client: RedisClient): void => {
      if (!end()) return;
      void this.#letGo();
      this.#use(client);
    };
    let timer: ReturnType<typeof setTimeout>;
    const anotherAfter = (ms: number, itsPatienceMs: number): void => {
      clearTimeout(timer);
      timer = setTimeout(dropForAnother, ms, itsPatienceMs);
      timer.unref?.();
    };
    const waitAtMost = (ms: number): void => anotherAfter(ms, Math.min(LAST_PATIENCE_MS, patienceMs * 2));
    this.#dropReplacement = drop;
    // A factory that connects by itself may take longer, or for ever.
    waitAtMost(Math.max(SILENCE_MS, patienceMs));
    try {
      const client = redisClient(await make());
      if (this.#dropReplacement !== drop) {
        void client?.close(0);
        return;
      }
      if (client === undefined) return drop();
      replacement = client;
      // It may begin with the very node that is dead, and wait for it.
      waitAtMost(patienceMs);
      stopObserving = client.observe({ onReady: () => adopt(client), onTrouble: () => {}, onEnd: drop });
      if (client.isReady()) adopt(client);
      else client.connect();
    } catch {
      // It was told that the present one is dead, and need not be told again.
      if (this.#dropReplacement === drop) anotherAfter(this.#nextRebuildMs(), patienceMs);
    }
  }

  #makeLater(): void {
    if (this.#state === "closed" || this.#dropReplacement !== undefined) return;
    clearTimeout(this.#rebuildTimer);
    this.#rebuildTimer = setTimeout(() => void this.#make(), this.#nextRebuildMs());
    this.#rebuildTimer.unref?.();
  }

  /** When to make a client after one that could not be made: soon, then ever later. */
  #nextRebuildMs(): number {
    const ms = this.#rebuildMs;
    this.#rebuildMs = Math.min(LAST_REBUILD_MS, ms * 2);
    return ms;
  }

  #use(client: RedisClient): void {
    this.#client = client;
    this.#connectingSinceMs ??= performance.now();
    for (const made of this.#untilMade.splice(0)) made();
    this.#stopObserving = client.observe({
      onReady: () => this.#ready(),
      onTrouble: (error) => {
        if (client.isReady()) return;
        this.#listenForSilence();
        this.#lost(reasonOf(error));
      },
      onEnd: () => {
        this.#lost("the client was closed");
        if (this.#options.source.kind === "given") return;
        void this.#letGo();
        this.#makeLater();
      },
    });
    if (client.isReady()) {
      this.#ready();
      return;
    }
    this.#listenForSilence();
    // A client of the user's that waits for its connect() must be left to it: a second call would throw at them.
    if (this.#options.source.kind === "made" || client.connectsOnFirstUse) client.connect();
  }

  #ready(): void {
    clearTimeout(this.#silenceTimer);
    this.#dropReplacement?.();
    this.#rebuildMs = FIRST_REBUILD_MS;
    this.#state = "connected";
    this.#options.onReady();
    this.#endWait();
    this.#options.report({ type: "connected", store: STORE_NAME, address: this.address });
  }

  /** Told once for each time the connection is lost, not for each attempt to make it again. */
  #lost(reason: string): void {
    if (this.#state === "failed" || this.#state === "closed") return;
    this.#state = "failed";
    this.#endWait();
    const error = storeUnreachable(this.address, this.#options.redact(reason));
    this.#options.report({ type: "connection-failed", store: STORE_NAME, address: this.address, error });
  }

  #endWait(): void {
    for (const made of this.#untilMade.splice(0)) made();
    for (const done of this.#waiting) done();
  }

  #listenForSilence(): void {
    clearTimeout(this.#silenceTimer);
    this.#silenceTimer = setTimeout(() => {
      if (this.#options.source.kind === "given") {
        this.#lost(`not connected after ${SILENCE_MS / 1000} s: ${this.#client?.hintWhenIdle ?? ""}`);
        return;
      }
      if (this.#isMaking) {
        // It may wait long for its client to connect, and only that client knows why. Called again, it would pile up clients.
        this.#lost(`connect() returned no client within ${SILENCE_MS / 1000} s: return it before it is connected`);
        return;
      }
      this.#lost(`no answer within ${SILENCE_MS / 1000} s`);
      void this.#letGo();
      this.#makeLater();
    }, SILENCE_MS);
    this.#silenceTimer.unref?.();
  }

  /** Ends what is ours and forgets the client. */
  async #letGo(): Promise<void> {
    this.#build += 1;
    clearTimeout(this.#silenceTimer);
    clearTimeout(this.#rebuildTimer);
    this.#stopObserving?.();
    this.#stopObserving = undefined;
    const client = this.#client;
    this.#client = undefined;
    if (this.#options.source.kind === "made") await client?.close(CLOSE_GRACE_MS);
  }
}

/** Trying again cannot help. */
function isPermanent(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return code === "ERR_REDIS_CLIENT_MISSING" || code === "ERR_INVALID_STORE";
}

/** The message of an error, or what else it has to say: attempts at several addresses fail with an empty one. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code, lastNodeError } = error as { code?: unknown; lastNodeError?: unknown };
  const reason = error.message !== "" || typeof code !== "string" ? error.message.trim() : code;
  return lastNodeError instanceof Error ? `${reason} ${lastNodeError.message}` : reason;
}
