/**
 * The few calls the Redis store needs, over any client a user brings.
 *
 * Clients are told apart by shape: two copies of one package in a process are common, and `instanceof` fails for one of them.
 */

import { redisClientMissing } from "../errors.ts";

export interface RedisClient {
  /** Where it connects to, without credentials: `redis://127.0.0.1:6379`. */
  readonly address: string;
  /** True while a command would be sent at once. */
  isReady(): boolean;
  get(key: string): Promise<Uint8Array | null>;
  set(key: string, bytes: Buffer, expireMs: number): Promise<unknown>;
  delete(key: string): Promise<unknown>;
  /** Listens to the life of the connection until the returned function is called. */
  observe(observer: ConnectionObserver): () => void;
  /** True when the client connects by itself on its first use, which is then up to us. */
  readonly connectsOnFirstUse: boolean;
  /** Begins to connect where that has not been done; failures are told to the observer. */
  connect(): void;
  /** Ends the connection after the answers under way, or at once if they do not come within `graceMs`. */
  close(graceMs: number): Promise<void>;
  /** What a person can do who made the client and never sees it connect. */
  readonly hintWhenIdle: string;
}

interface ConnectionObserver {
  onReady(): void;
  /** An attempt failed or the connection was lost; the client goes on trying. */
  onTrouble(error: unknown): void;
  /** The client has given up or was closed. */
  onEnd(): void;
}

/** The parts of an event emitter both families have. */
interface Emitter {
  listeners(event: string): unknown[];
  on(event: string, listener: (argument?: unknown) => void): unknown;
  off(event: string, listener: (argument?: unknown) => void): unknown;
}

/** node-redis 5 and later: a client, a cluster or a sentinel. */
interface NodeRedis extends Emitter {
  readonly isOpen: boolean;
  readonly isReady?: boolean;
  readonly options?: { url?: unknown; socket?: { host?: unknown; port?: unknown; path?: unknown } };
  withTypeMapping(mapping: Record<number, unknown>): {
    get(key: string): Promise<Uint8Array | null>;
    set(key: string, bytes: Buffer, options: { PX: number }): Promise<unknown>;
    unlink(key: string): Promise<unknown>;
  };
  connect(): Promise<unknown>;
  close(): Promise<unknown>;
  destroy(): void;
}

/** ioredis 5 and later, iovalkey: a client or a cluster. */
interface IoRedis extends Emitter {
  readonly status: string;
  readonly options?: { host?: unknown; port?: unknown; path?: unknown };
  getBuffer(key: string): Promise<Uint8Array | null>;
  set(key: string, bytes: Buffer, px: "PX", expireMs: number): Promise<unknown>;
  unlink(key: string): Promise<unknown>;
  connect(): Promise<unknown>;
  quit(): Promise<unknown>;
  disconnect(): void;
}

/** The client behind `value`, or undefined when it is none we know. */
export function redisClient(value: unknown): RedisClient | undefined {
  if (isNodeRedis(value)) return fromNodeRedis(value);
  if (isIoRedis(value)) return fromIoRedis(value);
  return undefined;
}

const EMITTER = ["on", "off", "listeners"] as const;

function isNodeRedis(value: unknown): value is NodeRedis {
  return hasMethods(value, ["withTypeMapping", "connect", ...EMITTER]) && "isOpen" in value;
}

function isIoRedis(value: unknown): value is IoRedis {
  return hasMethods(value, ["getBuffer", "set", "unlink", ...EMITTER]) && "status" in value;
}

function hasMethods(value: unknown, names: readonly string[]): value is object {
  if (typeof value !== "object" || value === null) return false;
  return names.every((name) => typeof (value as Record<string, unknown>)[name] === "function");
}

/** RESP type of a bulk string, the key of node-redis' type mapping. */
const BULK_STRING = 36;

function fromNodeRedis(client: NodeRedis): RedisClient {
  const binary = client.withTypeMapping({ [BULK_STRING]: Buffer });
  return {
    address: nodeRedisAddress(client),
    hintWhenIdle: "is its connect() called?",
    connectsOnFirstUse: false,
    isReady: () => client.isReady ?? client.isOpen,
    get: (key) => binary.get(key),
    set: (key, bytes, expireMs) => binary.set(key, bytes, { PX: expireMs }),
    delete: (key) => binary.unlink(key),
    observe: (observer) => {
      // A node-redis client inherits from its emitter. Without any listener left Node would give it an event table of its
      // own, later listeners would hear nothing, and the next error would end the process: so one stays.
      ignoreErrors(client);
      return listen(client, {
        ready: () => observer.onReady(),
        error: (error) => observer.onTrouble(error),
        terminated: () => observer.onEnd(),
        end: () => observer.onEnd(),
      });
    },
    connect: () => {
      // connect() of node-redis never settles when the password is wrong; trouble arrives as events.
      if (!client.isOpen) client.connect().catch(() => {});
    },
    close: async (graceMs) => {
      // Destroyed while its socket is connecting, node-redis goes on to connect: then once more.
      client.on("connect", () => ignoringErrors(() => client.destroy()));
      if (!client.isOpen) return;
      if (client.isReady !== false) await withinOrGiveUp(client.close(), graceMs);
      ignoringErrors(() => client.destroy());
    },
  };
}

function fromIoRedis(client: IoRedis): RedisClient {
  return {
    address: hostAddress(client.options),
    hintWhenIdle: `its status is "${client.status}"`,
    connectsOnFirstUse: true,
    isReady: () => client.status === "ready",
    get: (key) => client.getBuffer(key),
    set: (key, bytes, expireMs) => client.set(key, bytes, "PX", expireMs),
    delete: (key) => client.unlink(key),
    observe: (observer) =>
      listen(client, {
        ready: () => observer.onReady(),
        error: (error) => observer.onTrouble(error),
        close: () => observer.onTrouble(new Error("the connection was closed")),
        end: () => observer.onEnd(),
      }),
    connect: () => {
      // Only a client with `lazyConnect` is in this state.
      if (client.status === "wait") client.connect().catch(() => {});
    },
    close: async (graceMs) => {
      ignoreErrors(client);
      if (client.status === "end") return;
      if (client.status === "ready") await withinOrGiveUp(client.quit(), graceMs);
      ignoringErrors(() => client.disconnect());
    },
  };
}

function listen(emitter: Emitter, listeners: Readonly<Record<string, (argument?: unknown) => void>>): () => void {
  for (const [event, listener] of Object.entries(listeners)) emitter.on(event, listener);
  return () => {
    for (const [event, listener] of Object.entries(listeners)) emitter.off(event, listener);
  };
}

/** What a client still has to say after it was let go must not end the process. */
function ignoreErrors(emitter: Emitter): void {
  if (!emitter.listeners("error").includes(ignore)) emitter.on("error", ignore);
}

function ignore(): void {}

async function withinOrGiveUp(done: Promise<unknown>, graceMs: number): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const grace = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, graceMs);
  });
  await Promise.race([done.catch(() => {}), grace]);
  clearTimeout(timer);
}

function ignoringErrors(act: () => void): void {
  try {
    act();
  } catch {
    // It was closed already.
  }
}

function nodeRedisAddress(client: NodeRedis): string {
  const { options } = client;
  return typeof options?.url === "string" ? urlAddress(options.url) : hostAddress(options?.socket);
}

function hostAddress(options: { host?: unknown; port?: unknown; path?: unknown } | undefined): string {
  if (typeof options?.path === "string") return options.path;
  const { host, port } = options ?? {};
  if (typeof host !== "string" && typeof port !== "number") return "redis";
  return `redis://${typeof host === "string" ? host : "127.0.0.1"}:${typeof port === "number" ? port : 6379}`;
}

/** A URL without user name, password and query; `redis` when it is none. */
export function urlAddress(url: string): string {
  if (!URL.canParse(url)) return "redis";
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname === "/" ? "" : pathname}`;
}

const FIRST_RETRY_MS = 50;
const LAST_RETRY_MS = 1000;

/** Short waits that grow to a second and never end: a cache must come back when its Redis does. */
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
      // What was under way when the connection broke is dropped: sent again, it could undo a later write.
      maxRetriesPerRequest: 0,
      connectTimeout: 5000,
      retryStrategy: retryInMs,
    });
  }
  throw redisClientMissing();
}

async function ifInstalled<T>(loading: Promise<T>): Promise<T | undefined> {
  try {
    return await loading;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ERR_MODULE_NOT_FOUND") return undefined;
    throw error;
  }
}
