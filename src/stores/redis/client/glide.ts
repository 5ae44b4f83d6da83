/** @valkey/valkey-glide: GlideClient and GlideClusterClient. */

import { hostAddress, nodesAddress, objectsOf } from "./address.ts";
import {
  byHashOrText,
  GET_FROM_MASTER,
  MGET_FROM_MASTER,
  pairReader,
  type PairReader,
  type RedisClient,
} from "./port.ts";
import { watch } from "./lifecycle.ts";

type Reply = Uint8Array | null;
type Binary = { readonly decoder: typeof BYTES };

export interface Glide {
  get(key: string, options: Binary): Promise<Reply>;
  mget(keys: readonly string[], options: Binary): Promise<readonly [Reply, Reply]>;
  unlink(keys: readonly string[]): Promise<unknown>;
  customCommand(args: readonly (string | Buffer)[], options: Binary): Promise<unknown>;
  close(): void;
}

/** `Decoder.Bytes`: its package is not imported, the client is the user's. */
const BYTES = 0;
const BINARY: Binary = { decoder: BYTES };

export function fromGlide(client: Glide): RedisClient {
  const evaluate: RedisClient["evaluate"] = (script, keys, args) => {
    const run = (command: string, text: string): Promise<unknown> =>
      asServersSay(client.customCommand([command, text, String(keys.length), ...keys, ...args], BINARY));
    return byHashOrText(
      () => run("EVALSHA", script.sha1),
      () => run("EVAL", script.text),
    );
  };
  const { addresses } = configOf(client);
  return {
    address: nodesAddress(objectsOf(addresses).map(hostAddress)),
    hintWhenIdle: "it was closed",
    connectsOnFirstUse: false,
    isReady: () => !isClosed(client),
    get: (key) => asServersSay(client.get(key, BINARY)),
    ...pairReaderOf(client, evaluate),
    set: (key, bytes, expireMs) => asServersSay(client.customCommand(["SET", key, bytes, "PX", `${expireMs}`], BINARY)),
    setIfAbsent: async (key, text, expireMs) =>
      (await asServersSay(client.customCommand(["SET", key, text, "PX", `${expireMs}`, "NX"], BINARY))) !== null,
    delete: (key) => asServersSay(client.unlink([key])),
    evaluate,
    // Glide is connected when it is made and reconnects by itself, without any event.
    observe: (observer) => watch(() => !isClosed(client), observer),
    connect: () => {},
    close: async () => {
      if (!isClosed(client)) client.close();
    },
  };
}

function pairReaderOf(client: Glide, evaluate: RedisClient["evaluate"]): PairReader {
  const { readFrom = "primary" } = configOf(client);
  const get = (key: string): Promise<Reply> => asServersSay(client.get(key, BINARY));
  const getFromMaster = (key: string): Promise<Reply> =>
    readFrom === "primary" ? get(key) : (evaluate(GET_FROM_MASTER, [key], []) as Promise<Reply>);
  const apart: RedisClient["getPair"] = (first, second) => Promise.all([get(first), getFromMaster(second)]);
  if (isCluster(client)) return { getPair: pairReader(apart, undefined), getFromMaster };
  const getPair = pairReader(apart, (first, second) =>
    readFrom === "primary"
      ? asServersSay(client.mget([first, second], BINARY))
      : (evaluate(MGET_FROM_MASTER, [first, second], []) as Promise<readonly [Reply, Reply]>),
  );
  return { getPair };
}

/** Only a cluster client has commands with a route. */
function isCluster(client: object): boolean {
  return "invokeScriptWithRoute" in client;
}

function isClosed(client: object): boolean {
  return (client as { isClosed?: unknown }).isClosed === true;
}

function configOf(client: object): { readonly addresses?: unknown; readonly readFrom?: unknown } {
  const { config } = client as { config?: unknown };
  return typeof config === "object" && config !== null ? config : {};
}

/** Error codes by the words that the client puts in their place. */
const OWN_WORDS: Readonly<Record<string, string>> = {
  ResponseError: "ERR",
  NoScriptError: "NOSCRIPT",
  PermissionDenied: "NOPERM",
  BusyLoadingError: "LOADING",
  MasterDown: "MASTERDOWN",
  ClusterDown: "CLUSTERDOWN",
  TryAgain: "TRYAGAIN",
  ReadOnly: "READONLY",
  CrossSlot: "CROSSSLOT",
};

/** `OOM: command not allowed…` is `OOM command not allowed…` again: the error reply of the server. */
const OWN_ERROR = /^(?:An error was signalled by the server: - )?(\w+): (.*)$/s;

async function asServersSay<T>(reply: Promise<T>): Promise<T> {
  try {
    return await reply;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const [, word = "", text = ""] = OWN_ERROR.exec(error.message) ?? [];
    const code = Object.hasOwn(OWN_WORDS, word) ? OWN_WORDS[word] : word;
    if (code === undefined || !/^[A-Z][A-Z0-9]+$/.test(code)) throw error;
    throw new Error(`${code} ${text}`, { cause: error });
  }
}
