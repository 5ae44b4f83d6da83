/** One connection to Redis through outages: made, watched, made anew when it is beyond repair, and reported. */

import { invalidStore, storeUnreachable } from "../../../errors.ts";
import { clearTimeout, performance, setTimeout } from "../../../real-time.ts";
import type { StoreEvent } from "../../../http.ts";
import type { Deadlines } from "./deadlines.ts";
import { KNOWN_CLIENTS, redisClient } from "../client/detect.ts";
import type { RedisClient } from "../client/port.ts";
import { FirstConnection } from "./first-connection.ts";
import { END_CLIENT_MS, FIRST_REBUILD_MS, LAST_REBUILD_MS, SILENT_CONNECTION_MS } from "./limits.ts";
import { Replacement } from "./replacement.ts";

/** Where the client comes from: the user's own, which the store only watches, or a factory, whose clients the store ends. */
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
  /** Longest time that requests wait for the first connection. */
  readonly startMs: number;
}

/** README.md has the transitions. `unusable`: trying again cannot help. */
export type ConnectionState = "closed" | "connecting" | "connected" | "failed" | "unusable";

const STORE_NAME = "redis";

export class RedisConnection {
  readonly #options: ConnectionOptions;
  #state: ConnectionState = "closed";
  #client: RedisClient | undefined;
  #stopObserving: (() => void) | undefined;
  /** Counts the clients made, so that a client that arrives after its attempt was given up is recognised. */
  #build = 0;
  #isMaking = false;
  #rebuildMs: number = FIRST_REBUILD_MS;
  #rebuildTimer: ReturnType<typeof setTimeout> | undefined;
  #silenceTimer: ReturnType<typeof setTimeout> | undefined;
  #first = new FirstConnection();
  /** Takes the place of the present client when it is ready. */
  #replacement: Replacement | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  /** The client, if a command would be sent at once. */
  get client(): RedisClient | undefined {
    return this.#client?.isReady() === true ? this.#client : undefined;
  }

  get state(): ConnectionState {
    return this.#state;
  }

  get address(): string {
    const { source } = this.#options;
    return source.kind === "given" ? source.client.address : (this.#client?.address ?? source.address);
  }

  /** True while requests wait for the first connection: it is being made, and did not take too long yet. */
  get isStarting(): boolean {
    if (this.#state !== "connecting") return false;
    const { sinceMs } = this.#first;
    return sinceMs === undefined ? this.#loadsPackage : performance.now() - sinceMs < this.#options.startMs;
  }

  /**
   * Waits for the first connection: until it is up or has failed, and at most as long as a deadline of `deadlines`. Returns
   * when that deadline began: after the client package was loaded, because Redis is not asked before.
   */
  async firstConnection(deadlines: Deadlines): Promise<number> {
    if (this.#state === "connecting" && this.#loadsPackage) await this.#first.loaded();
    const sinceMs = performance.now();
    if (this.#state === "connecting") await this.#first.ended(deadlines);
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
    this.#first = new FirstConnection();
    if (source.kind === "given" || source.option === "connect") this.#first.begin();
    report({ type: "connecting", store: STORE_NAME, address: this.address });
    if (source.kind === "given") this.#use(source.client);
    else void this.#make();
  }

  /**
   * The connection is up, and dead in whole or in part. A client that the store made is replaced as soon as a new one is
   * ready; a user's client is left to its own reconnecting.
   */
  rebuild(): void {
    const { source } = this.#options;
    if (source.kind === "given" || this.#client === undefined || this.#replacement !== undefined) return;
    this.#lost("no answers any more; connecting again");
    const replacement = new Replacement({
      make: source.make,
      nextRebuildMs: () => this.#nextRebuildMs(),
      onReady: (client) => {
        this.#replacement = undefined;
        void this.#letGo();
        this.#use(client);
      },
      onDropped: () => {
        this.#replacement = undefined;
        if (this.#state === "failed" && this.client !== undefined) this.#state = "connected";
        if (this.#client === undefined) this.#makeLater();
      },
    });
    this.#replacement = replacement;
    replacement.start();
  }

  /** The present client, taken for dead, answers again. */
  resumed(): void {
    this.#rebuildMs = FIRST_REBUILD_MS;
    this.#replacement?.drop();
  }

  async close(): Promise<void> {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#first.end();
    this.#replacement?.drop();
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

  #makeLater(): void {
    if (this.#state === "closed" || this.#replacement !== undefined) return;
    clearTimeout(this.#rebuildTimer);
    this.#rebuildTimer = setTimeout(() => void this.#make(), this.#nextRebuildMs());
    this.#rebuildTimer.unref?.();
  }

  /** The rest before the next attempt after a client could not be made: it doubles each time. */
  #nextRebuildMs(): number {
    const ms = this.#rebuildMs;
    this.#rebuildMs = Math.min(LAST_REBUILD_MS, ms * 2);
    return ms;
  }

  #use(client: RedisClient): void {
    this.#client = client;
    this.#first.begin();
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
    // The user calls connect() of their own client: a second call would make theirs throw.
    if (this.#options.source.kind === "made" || client.connectsOnFirstUse) client.connect();
  }

  #ready(): void {
    clearTimeout(this.#silenceTimer);
    this.#replacement?.drop();
    this.#rebuildMs = FIRST_REBUILD_MS;
    this.#state = "connected";
    this.#options.onReady();
    this.#first.end();
    this.#options.report({ type: "connected", store: STORE_NAME, address: this.address });
  }

  /** Reports a lost connection once, and not each attempt to make it again. */
  #lost(reason: string): void {
    if (this.#state === "failed" || this.#state === "closed") return;
    this.#state = "failed";
    this.#first.end();
    const error = storeUnreachable(this.address, this.#options.redact(reason));
    this.#options.report({ type: "connection-failed", store: STORE_NAME, address: this.address, error });
  }

  #listenForSilence(): void {
    clearTimeout(this.#silenceTimer);
    this.#silenceTimer = setTimeout(() => {
      if (this.#options.source.kind === "given") {
        this.#lost(`not connected after ${SILENT_CONNECTION_MS / 1000} s: ${this.#client?.hintWhenIdle ?? ""}`);
        return;
      }
      if (this.#isMaking) {
        // It may wait for its client to connect. Calling it again would pile up clients.
        this.#lost(
          `connect() returned no client within ${SILENT_CONNECTION_MS / 1000} s: return it before it is connected`,
        );
        return;
      }
      this.#lost(`no answer within ${SILENT_CONNECTION_MS / 1000} s`);
      void this.#letGo();
      this.#makeLater();
    }, SILENT_CONNECTION_MS);
    this.#silenceTimer.unref?.();
  }

  /** Forgets the client, and ends it if the store made it. */
  async #letGo(): Promise<void> {
    this.#build += 1;
    clearTimeout(this.#silenceTimer);
    clearTimeout(this.#rebuildTimer);
    this.#stopObserving?.();
    this.#stopObserving = undefined;
    const client = this.#client;
    this.#client = undefined;
    if (this.#options.source.kind === "made") await client?.close(END_CLIENT_MS);
  }
}

/** True when trying again cannot help. */
function isPermanent(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return code === "ERR_REDIS_CLIENT_MISSING" || code === "ERR_INVALID_STORE";
}

/** The message of an error, or its code where the message is empty, as after attempts at several addresses. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code, lastNodeError } = error as { code?: unknown; lastNodeError?: unknown };
  const reason = error.message !== "" || typeof code !== "string" ? error.message.trim() : code;
  return lastNodeError instanceof Error ? `${reason} ${lastNodeError.message}` : reason;
}
