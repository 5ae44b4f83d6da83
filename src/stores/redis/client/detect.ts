/**
 * Recognises the client that a user gives, and makes one for a URL.
 *
 * Clients are told apart by shape: two copies of one package in a process are common, and `instanceof` fails for one of them.
 */

import { redisClientMissing } from "../../../errors.ts";
import { performance } from "../../../real-time.ts";
import { fromGlide, type Glide } from "./glide.ts";
import { fromIoRedis, type IoRedis } from "./ioredis.ts";
import { fromNodeRedis, type NodeRedis } from "./node-redis.ts";
import type { RedisClient } from "./port.ts";

/** The known clients, for error messages. */
export const KNOWN_CLIENTS = "a client of node-redis 5 or later, ioredis, iovalkey or valkey-glide";

/** The client behind `value`, or undefined when it is none we know. */
export function redisClient(value: unknown): RedisClient | undefined {
  if (isNodeRedis(value)) return fromNodeRedis(value);
  if (isIoRedis(value)) return fromIoRedis(value);
  if (isGlide(value)) return fromGlide(value);
  return undefined;
}

const EMITTER = ["on", "off", "listeners"] as const;

function isNodeRedis(value: unknown): value is NodeRedis {
  return hasMethods(value, ["withTypeMapping", "withCommandOptions", "connect", ...EMITTER]) && "isOpen" in value;
}

function isIoRedis(value: unknown): value is IoRedis {
  return hasMethods(value, ["getBuffer", "set", "unlink", ...EMITTER]) && "status" in value;
}

function isGlide(value: unknown): value is Glide {
  return hasMethods(value, ["customCommand", "get", "mget", "unlink", "close"]) && "isClosed" in value;
}

function hasMethods(value: unknown, names: readonly string[]): value is object {
  if (typeof value !== "object" || value === null) return false;
  return names.every((name) => typeof (value as Record<string, unknown>)[name] === "function");
}

const FIRST_RETRY_MS = 50;
const LAST_RETRY_MS = 1000;
const READ_ONLY_RECONNECT_MS = 5000;

/** Waits grow to a second and never end, because the cache must come back when its Redis does. */
function retryInMs(attempt: number): number {
  const backoffMs = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(attempt, 10));
  return Math.round(backoffMs * (0.75 + Math.random() / 4));
}

/** How the two client packages are found; tests replace it. */
export interface ClientPackages {
  redis(): Promise<{ createClient(options: object): unknown }>;
  ioredis(): Promise<{ Redis: new (url: string, options: object) => unknown }>;
}

const installed: ClientPackages = {
  redis: () => import("redis"),
  ioredis: () => import("ioredis"),
};

/** A client for `url` that has not begun to connect, from `redis` or else `ioredis`. */
export async function clientForUrl(url: string, packages: ClientPackages = installed): Promise<unknown> {
  const nodeRedis = await ifInstalled(packages.redis());
  if (nodeRedis !== undefined) {
    return nodeRedis.createClient({
      url,
      disableOfflineQueue: true,
      maintNotifications: "disabled",
      socket: { reconnectStrategy: retryInMs, connectTimeout: 5000 },
    });
  }
  const ioredis = await ifInstalled(packages.ioredis());
  if (ioredis !== undefined) {
    return new ioredis.Redis(url, {
      lazyConnect: true,
      enableOfflineQueue: false,
      // Commands under way when the connection breaks are dropped: sent again, a write could undo a later one.
      maxRetriesPerRequest: 0,
      connectTimeout: 5000,
      // Closes a socket that owes replies and receives nothing.
      socketTimeout: 1000,
      enableAutoPipelining: true,
      reconnectOnError: onReadOnly(),
      retryStrategy: retryInMs,
    });
  }
  throw redisClientMissing();
}

/**
 * True for a primary that became a replica: its name may by now stand for another server. Not for each write that it
 * refuses, because what is read meanwhile needs a connection.
 */
function onReadOnly(): (error: Error) => boolean {
  let reconnectedAtMs = -Infinity;
  return (error) => {
    const nowMs = performance.now();
    if (!error.message.startsWith("READONLY ") || nowMs - reconnectedAtMs < READ_ONLY_RECONNECT_MS) return false;
    reconnectedAtMs = nowMs;
    return true;
  };
}

async function ifInstalled<T>(loading: Promise<T>): Promise<T | undefined> {
  try {
    return await loading;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ERR_MODULE_NOT_FOUND") return undefined;
    throw error;
  }
}
