/** ioredis 5 and later, iovalkey: Redis, alone or with Sentinels, and Cluster. */

import { hostAddress, nodesAddress, objectsOf, urlAddress } from "./address.ts";
import { byHashOrText, GET_FROM_MASTER, pairReader, type PairReader, type RedisClient } from "./port.ts";
import { type Emitter, ignoreErrors, ignoringErrors, listen, withinOrGiveUp } from "./lifecycle.ts";

type Reply = Uint8Array | null;

export interface IoRedis extends Emitter {
  readonly status: string;
  readonly isCluster?: boolean;
  readonly options?: Readonly<Record<string, unknown>>;
  getBuffer(key: string): Promise<Reply>;
  mgetBuffer(...keys: string[]): Promise<readonly [Reply, Reply]>;
  set(key: string, bytes: string | Buffer, px: "PX", expireMs: number, nx?: "NX"): Promise<unknown>;
  unlink(key: string): Promise<unknown>;
  evalshaBuffer(sha1: string, keyCount: number, ...keysAndArgs: (string | Buffer)[]): Promise<unknown>;
  evalBuffer(text: string, keyCount: number, ...keysAndArgs: (string | Buffer)[]): Promise<unknown>;
  connect(): Promise<unknown>;
  quit(): Promise<unknown>;
  disconnect(): void;
}

export function fromIoRedis(client: IoRedis): RedisClient {
  const evaluate: RedisClient["evaluate"] = (script, keys, args) =>
    byHashOrText(
      () => client.evalshaBuffer(script.sha1, keys.length, ...keys, ...args),
      () => client.evalBuffer(script.text, keys.length, ...keys, ...args),
    );
  return {
    address: addressOf(client),
    get hintWhenIdle() {
      return `its status is "${client.status}"`;
    },
    connectsOnFirstUse: true,
    isReady: () => client.status === "ready",
    get: (key) => client.getBuffer(key),
    ...pairReaderOf(client, evaluate),
    set: (key, bytes, expireMs) => client.set(key, bytes, "PX", expireMs),
    setIfAbsent: async (key, text, expireMs) => (await client.set(key, text, "PX", expireMs, "NX")) !== null,
    delete: (key) => client.unlink(key),
    evaluate,
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

function pairReaderOf(client: IoRedis, evaluate: RedisClient["evaluate"]): PairReader {
  const { scaleReads = "master" } = client.options ?? {};
  const getFromMaster = (key: string): Promise<Reply> =>
    scaleReads === "master" ? client.getBuffer(key) : (evaluate(GET_FROM_MASTER, [key], []) as Promise<Reply>);
  const apart: RedisClient["getPair"] = (first, second) =>
    Promise.all([client.getBuffer(first), getFromMaster(second)]);
  if (client.isCluster === true) return { getPair: pairReader(apart, undefined), getFromMaster };
  return { getPair: pairReader(apart, (first, second) => client.mgetBuffer(first, second)) };
}

function addressOf(client: IoRedis): string {
  const sentinels = objectsOf(client.options?.["sentinels"]);
  if (sentinels.length > 0) return nodesAddress(sentinels.map(hostAddress));
  const { startupNodes } = client as { startupNodes?: unknown };
  if (Array.isArray(startupNodes)) return nodesAddress(startupNodes.map(nodeAddress));
  return hostAddress(client.options);
}

function nodeAddress(node: unknown): string {
  if (typeof node === "number") return hostAddress({ port: node });
  if (typeof node === "string") return urlAddress(node);
  return hostAddress(typeof node === "object" && node !== null ? node : undefined);
}
