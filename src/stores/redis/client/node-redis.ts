/** node-redis 5 and later: createClient, createCluster, createSentinel, createClientPool. */

import { hostAddress, nodesAddress, objectsOf, urlAddress } from "./address.ts";
import {
  byHashOrText,
  type ConnectionObserver,
  GET_FROM_MASTER,
  MGET_FROM_MASTER,
  pairReader,
  type PairReader,
  type RedisClient,
} from "./port.ts";
import { type Emitter, ignoreErrors, ignoringErrors, listen, watch, withinOrGiveUp } from "./lifecycle.ts";

type Reply = Uint8Array | null;
type ScriptOptions = { keys: string[]; arguments: (string | Buffer)[] };

interface Commands {
  get(key: string): Promise<Reply>;
  mGet(keys: readonly string[]): Promise<readonly [Reply, Reply]>;
  set(key: string, bytes: string | Buffer, options: { PX: number; NX?: true }): Promise<unknown>;
  unlink(key: string): Promise<unknown>;
  evalSha(sha1: string, options: ScriptOptions): Promise<unknown>;
  eval(text: string, options: ScriptOptions): Promise<unknown>;
}

export interface NodeRedis extends Emitter {
  readonly isOpen: boolean;
  readonly isReady?: boolean;
  withCommandOptions(options: { timeout: number }): {
    withTypeMapping(mapping: Record<number, unknown>): Commands;
  };
  connect(): Promise<unknown>;
  destroy(): unknown;
}

/** Longest wait for a connection under way before a client is ended. */
const CONNECT_GRACE_MS = 1000;

/** RESP type of a bulk string, the key of node-redis' type mapping. */
const BULK_STRING = 36;

export function fromNodeRedis(client: NodeRedis): RedisClient {
  // Version 6 gives each command a timer, which ends once the command is written to the socket and costs more than the
  // command. Deadlines are the store's.
  const binary = client.withCommandOptions({ timeout: 0 }).withTypeMapping({ [BULK_STRING]: Buffer });
  /** Writes that the end of the client waits for. */
  const writes = new Set<Promise<unknown>>();
  const written = <T>(write: Promise<T>): Promise<T> => {
    writes.add(write);
    void settled(write).then(() => writes.delete(write));
    return write;
  };
  const evaluate: RedisClient["evaluate"] = (script, keys, args) => {
    const options = { keys: [...keys], arguments: [...args] };
    return written(
      byHashOrText(
        () => binary.evalSha(script.sha1, options),
        () => binary.eval(script.text, options),
      ),
    );
  };
  return {
    address: addressOf(client),
    get: (key) => binary.get(key),
    ...pairReaderOf(client, binary, evaluate),
    set: (key, bytes, expireMs) => written(binary.set(key, bytes, { PX: expireMs })),
    setIfAbsent: async (key, text, expireMs) => (await binary.set(key, text, { PX: expireMs, NX: true })) !== null,
    delete: (key) => written(binary.unlink(key)),
    evaluate,
    ...lifeOf(client, writes),
  };
}

type Life = Pick<RedisClient, "isReady" | "observe" | "connectsOnFirstUse" | "connect" | "close" | "hintWhenIdle">;

/** How the client connects, is followed and ends. `writes`: what its end waits for. */
function lifeOf(client: NodeRedis, writes: ReadonlySet<Promise<unknown>>): Life {
  const isReady = readiness(client);
  const observers = new Set<ConnectionObserver>();
  let connecting: Promise<unknown> | undefined;
  return {
    hintWhenIdle: "is its connect() called?",
    connectsOnFirstUse: false,
    isReady,
    observe: (observer) => {
      // A node-redis client inherits from its emitter. Without any listener left Node would give it an event table of its
      // own, later listeners would hear nothing, and the next error would end the process: so one stays.
      ignoreErrors(client);
      observers.add(observer);
      const stopListening = listen(client, listenersFor(client, observer));
      const stopWatching = tellsWhenReady(client) ? undefined : watch(isReady, watcherFor(client, observer));
      return () => {
        observers.delete(observer);
        stopListening();
        stopWatching?.();
      };
    },
    connect: () => {
      if (client.isOpen) return;
      connecting = connected(client, observers).finally(() => {
        connecting = undefined;
      });
    },
    close: async (graceMs) => {
      // Destroyed while its socket is connecting, or a cluster while it asks for its nodes, node-redis goes on to connect,
      // and only the plain client of version 6 can be destroyed once more then.
      if (connecting !== undefined) await withinOrGiveUp(Promise.race([connecting, failure(client)]), CONNECT_GRACE_MS);
      for (const event of ["connect", "node-connect"]) client.on(event, () => ignoringErrors(() => client.destroy()));
      if (!client.isOpen) return;
      if (isPool(client)) neverCleanUp(client);
      // Its own close() forgets, before it waits, the connections that destroy() would have to end.
      if (writes.size > 0 && client.isReady !== false) await withinOrGiveUp(Promise.allSettled(writes), graceMs);
      ignoringErrors(() => client.destroy());
    },
  };
}

/**
 * Resolves when the client has connected or has given up. connect() of node-redis never settles when the password is wrong:
 * its failures arrive as events. That of a cluster or a pool rejects, and then the client is closed.
 */
async function connected(client: NodeRedis, observers: ReadonlySet<ConnectionObserver>): Promise<void> {
  try {
    await client.connect();
  } catch (error) {
    if (client.isOpen) return;
    for (const observer of observers) {
      observer.onTrouble(error);
      observer.onEnd();
    }
  }
}

function failure(client: NodeRedis): Promise<void> {
  return new Promise((resolve) => {
    client.on("error", () => resolve());
  });
}

async function settled(promise: Promise<unknown>): Promise<void> {
  await promise.catch(() => {});
}

function listenersFor(client: NodeRedis, observer: ConnectionObserver): Record<string, (argument?: unknown) => void> {
  const onReady = (): void => observer.onReady();
  const onError = (error: unknown): void => observer.onTrouble(error);
  const onEnd = (): void => observer.onEnd();
  // A client or a sentinel says `connect` when it has a socket, a cluster when it is ready.
  if (isCluster(client)) return { connect: onReady, error: onError, disconnect: onEnd };
  if (!tellsWhenReady(client)) return { error: onError, terminated: onEnd, end: onEnd };
  return { ready: onReady, error: onError, terminated: onEnd, end: onEnd };
}

/** A pool has no event for it, and a sentinel has one from version 6 on. */
function tellsWhenReady(client: NodeRedis): boolean {
  return !isPool(client) && !isSentinel(client);
}

/** A sentinel without a primary is looking for one: it is at its end only when it was closed. */
function watcherFor(client: NodeRedis, observer: ConnectionObserver): ConnectionObserver {
  if (!isSentinel(client)) return observer;
  const onEnd = (): void => {
    if (!client.isOpen) observer.onEnd();
  };
  return { ...observer, onEnd };
}

function isSentinel(client: object): boolean {
  return "getMasterNode" in client;
}

function readiness(client: NodeRedis): () => boolean {
  // Version 5 calls a cluster open before it knows any node.
  if (isCluster(client)) return () => client.isReady ?? (client.isOpen && client.masters.length > 0);
  if (!isPool(client)) return () => client.isReady ?? client.isOpen;
  // A pool counts as open while its first client still connects.
  let hasConnected = false;
  return () => {
    hasConnected = client.isOpen && (hasConnected || client.idleClients > 0);
    return hasConnected;
  };
}

interface Pool extends NodeRedis {
  readonly idleClients: number;
  /** The object that a pool inherits from and works on. */
  readonly _self?: { readonly cleanupTimeout?: NodeJS.Timeout };
}

function isPool(client: NodeRedis): client is Pool {
  return "idleClients" in client && "totalClients" in client;
}

/**
 * A pool destroyed with commands under way takes their clients for idle ones. Seconds later, in a timer, it would destroy
 * them again, which throws.
 */
function neverCleanUp({ _self: self }: Pool): void {
  if (self === undefined) return;
  clearTimeout(self.cleanupTimeout);
  Object.defineProperty(self, "cleanupTimeout", { set: clearTimeout });
}

function pairReaderOf(client: NodeRedis, binary: Commands, evaluate: RedisClient["evaluate"]): PairReader {
  const fromReplicas = readsFromReplicas(client);
  const getFromMaster = (key: string): Promise<Reply> =>
    fromReplicas ? (evaluate(GET_FROM_MASTER, [key], []) as Promise<Reply>) : binary.get(key);
  const apart: RedisClient["getPair"] = (first, second) => Promise.all([binary.get(first), getFromMaster(second)]);
  if (isCluster(client)) return { getPair: pairReader(apart, undefined), getFromMaster };
  const getPair = pairReader(apart, (first, second) =>
    fromReplicas
      ? (evaluate(MGET_FROM_MASTER, [first, second], []) as Promise<readonly [Reply, Reply]>)
      : binary.mGet([first, second]),
  );
  return { getPair };
}

function isCluster(client: NodeRedis): client is NodeRedis & { readonly masters: readonly unknown[] } {
  return "nodeByAddress" in client && "masters" in client;
}

/** Options in the places where clients and clusters keep them. */
function optionsOf(client: object): Readonly<Record<string, unknown>> {
  const { options, _options } = client as { options?: unknown; _options?: unknown };
  const found = options ?? _options;
  return typeof found === "object" && found !== null ? (found as Readonly<Record<string, unknown>>) : {};
}

function readsFromReplicas(client: NodeRedis): boolean {
  // A sentinel client keeps to itself whether it does.
  return isSentinel(client) || optionsOf(client)["useReplicas"] === true;
}

function addressOf(client: object): string {
  const { url, socket, rootNodes } = optionsOf(client);
  if (rootNodes !== undefined) return nodesAddress(objectsOf(rootNodes).map(nodeAddress));
  return nodeAddress({ url, socket });
}

function nodeAddress({ url, socket }: { readonly url?: unknown; readonly socket?: unknown }): string {
  return typeof url === "string" ? urlAddress(url) : hostAddress(socket as Parameters<typeof hostAddress>[0]);
}
