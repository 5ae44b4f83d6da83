/**
 * The health of Redis as the store sees it: one object that owns the connection and the guards around commands, and that
 * everything else asks. README.md has its states and transitions.
 */

import { performance } from "../../../real-time.ts";
import type { StoreEvent } from "../../../http.ts";
import type { RedisClient } from "../client/port.ts";
import type { Guard } from "./command-guard.ts";
import { type ClientSource, RedisConnection } from "./connection.ts";
import { Deadlines } from "./deadlines.ts";
import { Guards } from "./guards-by-slot.ts";
import { MAX_WAITING_LARGEST_ENTRIES, WRITE_DEADLINES } from "./limits.ts";

export interface HealthOptions {
  readonly source: ClientSource;
  /** Takes secrets out of a text. */
  readonly redact: (text: string) => string;
  /** Longest wait for a read. */
  readonly deadlineMs: number;
  /** Largest entry that is written. */
  readonly maxEntryBytes: number;
  /** Redis answers again, or another server in its place: it may lack what was known or written before. */
  readonly onBack: () => void;
}

/**
 * - `up`: commands are sent, to some part of Redis at least
 * - `starting`: the first connection is being made, and requests wait for it
 * - `suspended`: connected, and not asked because too many commands failed
 * - `down`: not connected
 * - `unusable`: not connected, and trying again cannot help
 * - `closed`: not opened, or closed again
 */
export type HealthState = "closed" | "starting" | "up" | "suspended" | "down" | "unusable";

/** The kind of command that waits for the first connection: a look-up has the shortest deadline. */
export type FirstWait = "look-up" | "write" | "purge";

/** The part that leases and the purge log need: the client for a command, and the guard around it. */
export type CommandHealth = Pick<RedisHealth, "client" | "guard">;

export class RedisHealth {
  readonly deadlineMs: number;
  readonly #connection: RedisConnection;
  readonly #guards: Guards;
  readonly #reporters: ((event: StoreEvent) => void)[] = [];
  /** Longest waits for the first connection. Only what a response, or a purge, waits for keeps the process alive. */
  readonly #firstWaits: Readonly<Record<FirstWait, Deadlines>>;
  #lastError: Error | undefined;

  constructor({ source, redact, deadlineMs, maxEntryBytes, onBack }: HealthOptions) {
    const writeDeadlineMs = deadlineMs * WRITE_DEADLINES;
    this.deadlineMs = deadlineMs;
    this.#firstWaits = {
      "look-up": new Deadlines(deadlineMs, { keepsAlive: true }),
      write: new Deadlines(writeDeadlineMs),
      purge: new Deadlines(writeDeadlineMs, { keepsAlive: true }),
    };
    this.#guards = new Guards({
      deadlineMs,
      maxWritingBytes: maxEntryBytes * MAX_WAITING_LARGEST_ENTRIES,
      isConnected: () => this.#connection.client !== undefined,
      isCluster: () => this.#connection.client?.getFromMaster !== undefined,
      probe: (key) => this.#probe(key),
      onFailure: (operation, error) => this.#report({ type: "operation-failed", store: "redis", operation, error }),
      onResumed: () => {
        this.#connection.resumed();
        onBack();
        this.#report({ type: "connected", store: "redis", address: this.address });
      },
      onStuck: () => this.#connection.rebuild(),
    });
    this.#connection = new RedisConnection({
      source,
      redact,
      startMs: writeDeadlineMs,
      report: (event) => this.#report(event),
      onReady: () => {
        this.#guards.reset();
        onBack();
      },
    });
  }

  get state(): HealthState {
    if (this.#connection.client !== undefined) return this.#guards.isSuspended ? "suspended" : "up";
    if (this.#connection.isStarting) return "starting";
    const { state } = this.#connection;
    return state === "closed" || state === "unusable" ? state : "down";
  }

  /** True while requests wait for the first connection. */
  get isStarting(): boolean {
    return this.#connection.isStarting;
  }

  get address(): string {
    return this.#connection.address;
  }

  /** The last failure; undefined after Redis answered again. */
  get lastError(): Error | undefined {
    return this.#lastError;
  }

  /** Connects, unless it did before. `reporter` gets every event from now on, and `connected` at once if Redis is connected. */
  open(reporter: (event: StoreEvent) => void): void {
    this.#reporters.push(reporter);
    if (this.#connection.state === "connected") {
      reporter({ type: "connected", store: "redis", address: this.address });
    }
    this.#connection.open();
  }

  async close(): Promise<void> {
    this.#reporters.length = 0;
    this.#guards.close();
    await this.#connection.close();
  }

  /** The client, if a command on `key`, a key in Redis, would be sent at once. */
  client(key: string): RedisClient | undefined {
    return this.guard(key).isSuspended ? undefined : this.#connection.client;
  }

  /** The guard around every command on `key`. */
  guard(key: string): Guard {
    return this.#guards.of(key);
  }

  /** Waits for the first connection, if it is being made, at most as long as `wait` may. Returns when that time began. */
  firstConnection(wait: FirstWait): Promise<number> {
    return this.#connection.firstConnection(this.#firstWaits[wait]);
  }

  /** The answer, or undefined when the deadline of a look-up that began to wait at `sinceMs` passes first. */
  inTime<T>(answer: Promise<T>, sinceMs: number = performance.now()): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      const deadline = this.#firstWaits["look-up"].start(() => resolve(undefined), sinceMs);
      answer.then((value) => {
        if (deadline.meet()) resolve(value);
      }, reject);
    });
  }

  /** Reads a key that is never written, on the slot of `key`, and with its prefix: Redis users are often limited to one. */
  #probe(key: string): Promise<unknown> | undefined {
    const name = `${key}:probe`;
    const { client } = this.#connection;
    // A master has to answer, also where the client reads from replicas.
    return client?.getFromMaster?.(name) ?? client?.getPair(name, name);
  }

  #report(event: StoreEvent): void {
    if (event.type === "connected") this.#lastError = undefined;
    else if (event.type !== "connecting") this.#lastError = event.error;
    for (const reporter of this.#reporters) reporter(event);
  }
}
