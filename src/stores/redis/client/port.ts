/** The few calls the Redis store needs, over any client a user brings. */

import { createHash } from "node:crypto";

export interface RedisClient {
  /** Where it connects to, without credentials: `redis://127.0.0.1:6379`. */
  readonly address: string;
  /** True while a command would be sent at once. */
  isReady(): boolean;
  get(key: string): Promise<Uint8Array | null>;
  /**
   * Both values in one round trip: one MGET, or two GETs sent together where the keys can be on different nodes.
   * The second comes from a master, whatever the client reads from.
   */
  getPair(first: string, second: string): Promise<readonly [Uint8Array | null, Uint8Array | null]>;
  /**
   * Only of a Cluster: the second half of `getPair` by itself, because the servers of the two keys can fail apart.
   * The first half is `get`.
   */
  readonly getFromMaster?: (key: string) => Promise<Uint8Array | null>;
  set(key: string, bytes: Buffer, expireMs: number): Promise<unknown>;
  /** Sets `key` if there is none; true when it was set. */
  setIfAbsent(key: string, text: string, expireMs: number): Promise<boolean>;
  delete(key: string): Promise<unknown>;
  /**
   * Runs a script whose keys are on one Cluster slot: by its hash, and with its text when the server does not know it.
   * Bulk replies are bytes, at any depth; integers are numbers.
   */
  evaluate(script: RedisScript, keys: readonly string[], args: readonly (string | Buffer)[]): Promise<unknown>;
  /** Reports changes of the connection to `observer` until the returned function is called. */
  observe(observer: ConnectionObserver): () => void;
  /** True when the client connects on its first use, so the store may connect it. */
  readonly connectsOnFirstUse: boolean;
  /** Begins to connect, unless it did before; failures are reported to the observer. */
  connect(): void;
  /** Ends the connection after the answers under way, or at once if they do not come within `graceMs`. */
  close(graceMs: number): Promise<void>;
  /** Advice for the message that the client did not connect. */
  readonly hintWhenIdle: string;
}

/** How a client reads two keys. */
export type PairReader = Pick<RedisClient, "getPair" | "getFromMaster">;

/** A Lua script, with the SHA-1 the server keeps it under. */
export interface RedisScript {
  readonly text: string;
  readonly sha1: string;
}

export interface ConnectionObserver {
  onReady(): void;
  /** An attempt failed or the connection was lost; the client goes on trying. */
  onTrouble(error: unknown): void;
  /** The client has given up or was closed. */
  onEnd(): void;
}

/** A script of `text`, ready for `evaluate()`. */
export function redisScript(text: string): RedisScript {
  return { text, sha1: createHash("sha1").update(text).digest("hex") };
}

/** EVALSHA, and EVAL where the server does not know the script: it is new there, or its scripts were flushed. */
export async function byHashOrText(byHash: () => Promise<unknown>, byText: () => Promise<unknown>): Promise<unknown> {
  try {
    return await byHash();
  } catch (error) {
    if (error instanceof Error && error.message.startsWith("NOSCRIPT ")) return byText();
    throw error;
  }
}

type Pair = Awaited<ReturnType<RedisClient["getPair"]>>;

/**
 * A reader of pairs by one command, or by two sent together: from the start where keys are on different nodes, and where
 * one command turns out to be too few, since a single node can be set up as a cluster as well.
 */
export function pairReader(
  apart: RedisClient["getPair"],
  together: RedisClient["getPair"] | undefined,
): RedisClient["getPair"] {
  let mayBeTogether = true;
  return async (first, second): Promise<Pair> => {
    if (together === undefined || !mayBeTogether) return apart(first, second);
    try {
      return await together(first, second);
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith("CROSSSLOT ")) throw error;
      mayBeTogether = false;
      return apart(first, second);
    }
  };
}

/** Reads from a master also when the client reads from replicas, because a script might write. */
export const GET_FROM_MASTER: RedisScript = redisScript("return redis.call('GET', KEYS[1])");
export const MGET_FROM_MASTER: RedisScript = redisScript("return redis.call('MGET', KEYS[1], KEYS[2])");
