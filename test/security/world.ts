/** A cached route over a real Redis, and somebody else who can write to that Redis. */

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { crc32 } from "node:zlib";
import { setTimeout as pause } from "node:timers/promises";

import { createClient, RESP_TYPES } from "redis";
import { onTestFinished } from "vitest";

import { fetchCache } from "../../src/adapters/fetch/index.ts";
import { nodeCache } from "../../src/adapters/node/index.ts";
import { type Cache, createCache } from "../../src/cache.ts";
import type { CacheEvent } from "../../src/engine/cache-events.ts";
import type { RouteOptions } from "../../src/options/route-options.ts";
import { HEADER_BYTES } from "../../src/stores/redis/entry-frame.ts";
import type { CacheStore } from "../../src/http.ts";
import { ownPrefix, until } from "../redis/store.ts";

type AdapterName = "fetch" | "node";

/** What the client received. */
export interface Answer {
  readonly status: number;
  readonly body: string;
  /** The whole response: status line, fields and body. */
  readonly wire: string;
}

export interface World {
  readonly prefix: string;
  readonly cache: Cache;
  readonly events: readonly CacheEvent[];
  /** How often the handler ran. */
  readonly calls: number;
  get(path: string, options?: { method?: string; fields?: Record<string, string> }): Promise<Answer>;
  /** Requests `path` until it is answered from the store. */
  untilHit(path: string): Promise<Answer>;
}

export interface WorldOptions {
  readonly store: CacheStore;
  readonly prefix?: string;
  readonly adapter?: AdapterName;
  readonly route?: Pick<RouteOptions, "expire" | "audience" | "tags" | "staleWhileRevalidate">;
  /** False for a store that cannot connect; else it has by the time the world is there. */
  readonly connects?: boolean;
  /** How long the handler takes. */
  readonly takesMs?: number;
  /** Fields the handler sends. */
  readonly fields?: Record<string, string>;
}

/** A client waits no longer for its response. */
const ANSWERED_WITHIN_MS = 5000;

/** A cache with one route for every path, whose handler numbers its responses: `handler 1`. */
export async function startWorld(options: WorldOptions): Promise<World> {
  const { store, prefix = ownPrefix(), adapter = "fetch", fields = {}, takesMs = 0 } = options;
  const cache = createCache({ store, prefix });
  onTestFinished(() => cache.close());
  const events: CacheEvent[] = [];
  cache.events.on("*", (event) => events.push(event));
  const route = { expire: "1h", ...options.route } as const;
  let calls = 0;
  const body = async (): Promise<string> => {
    const text = `handler ${(calls += 1)}`;
    if (takesMs > 0) await pause(takesMs);
    return text;
  };
  const ask =
    adapter === "fetch"
      ? overFetch(fetchCache(cache)(route, async () => new Response(await body(), { headers: fields })))
      : await overNode(
          nodeCache(cache)(route, async (_, response) => {
            response.writeHead(200, fields).end(await body());
          }),
        );
  if (options.connects !== false) await until(() => store.isAvailable?.() ?? true);
  const get: World["get"] = (path, { method = "GET", fields: sent = {} } = {}) =>
    inTime(ask(path, method, sent), `${method} ${path}`);
  return {
    prefix,
    cache,
    events,
    get calls() {
      return calls;
    },
    get,
    async untilHit(path) {
      let answer = await get(path);
      await until(async () => {
        answer = await get(path);
        return isHit(answer);
      });
      return answer;
    },
  };
}

export function isHit({ wire }: Answer): boolean {
  return /^x-reprise-cache: hit\r$/im.test(wire);
}

type Ask = (path: string, method: string, fields: Record<string, string>) => Promise<Answer>;

function overFetch(handle: (request: Request) => Response | Promise<Response>): Ask {
  return async (path, method, fields) => {
    const response = await handle(new Request(`http://api.test${path}`, { method, headers: fields }));
    const lines = [...response.headers].map(([name, value]) => `${name}: ${value}\r\n`);
    const body = await response.text();
    return {
      status: response.status,
      body,
      wire: `HTTP/1.1 ${response.status} ${response.statusText}\r\n${lines.join("")}\r\n${body}`,
    };
  };
}

/** Every byte of the response as it is on the wire: a client library would hide what it cannot read. */
async function overNode(handle: (request: IncomingMessage, response: ServerResponse) => unknown): Promise<Ask> {
  const server = createServer((request, response) => void handle(request, response));
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return (path, method, fields) =>
    new Promise((resolve, reject) => {
      const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
      const socket = connect(port, "127.0.0.1", () => {
        socket.write(`${method} ${path} HTTP/1.1\r\nhost: api.test\r\nconnection: close\r\n${lines.join("")}\r\n`);
      });
      const pieces: Buffer[] = [];
      socket.on("data", (piece) => pieces.push(piece));
      socket.once("error", reject);
      socket.once("close", () => {
        const wire = Buffer.concat(pieces).toString("latin1");
        const headEnd = wire.indexOf("\r\n\r\n");
        resolve({
          status: Number(/^HTTP\/1\.1 (\d{3}) /.exec(wire)?.[1]),
          body: bodyOf(wire.slice(0, headEnd), wire.slice(headEnd + 4)),
          wire,
        });
      });
    });
}

/** Our handlers' bodies fit into one chunk. */
function bodyOf(head: string, content: string): string {
  if (!/^transfer-encoding: chunked\r?$/im.test(head)) return content;
  return /^[0-9a-f]+\r\n(.*)\r\n0\r\n/s.exec(content)?.[1] ?? content;
}

function inTime<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout>;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: no response`)), ANSWERED_WITHIN_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Somebody who can read and write everything in Redis. */
export type Intruder = Awaited<ReturnType<typeof intruder>>;

export async function intruder(url: string) {
  const client = createClient({ url }).withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  client.on("error", () => {});
  await client.connect();
  const keys = async (pattern: string): Promise<string[]> => (await client.keys(pattern)).map(String).toSorted();
  return {
    client,
    keys,
    /** Where the entries of a prefix are: all its keys but those of the purge log. */
    async entryKeys(prefix: string): Promise<string[]> {
      return (await keys(`${prefix}:1:*`)).filter((key) => !key.startsWith(`${prefix}:1:{`));
    },
    /** Where the one entry is whose label contains `label`. */
    async entryKey(prefix: string, label = ""): Promise<string> {
      const found = (await this.entryKeys(prefix)).filter((key) => key.includes(label));
      if (found.length !== 1 || found[0] === undefined) throw new Error(`${found.length} entries with ${label}`);
      return found[0];
    },
    async read(key: string): Promise<Buffer> {
      return (await client.get(key)) ?? Buffer.alloc(0);
    },
    async plant(key: string, bytes: Buffer | string): Promise<void> {
      await client.set(key, bytes, { expiration: { type: "EX", value: 600 } });
    },
    end: () => client.destroy(),
  };
}

/** The head of a frame, as the store writes it. */
export interface FrameHead {
  k: string;
  m: Record<string, unknown>;
  [name: string]: unknown;
}

export function frameParts(frame: Buffer): { head: FrameHead; body: Buffer } {
  const bodyAt = HEADER_BYTES + frame.readUInt32BE(4);
  return {
    head: JSON.parse(frame.toString("utf8", HEADER_BYTES, bodyAt)) as FrameHead,
    body: frame.subarray(bodyAt, bodyAt + frame.readUInt32BE(8)),
  };
}

/** A frame with true lengths and a true checksum around any head, as anybody can make it who knows the layout. */
export function frameOf(headText: string, body: Buffer | string): Buffer {
  const frame = Buffer.concat([Buffer.alloc(HEADER_BYTES), Buffer.from(headText), Buffer.from(body)]);
  frame.write("RP");
  frame.writeUInt8(1, 2);
  frame.writeUInt32BE(Buffer.byteLength(headText), 4);
  frame.writeUInt32BE(Buffer.byteLength(body), 8);
  frame.writeUInt32BE(crc32(frame.subarray(HEADER_BYTES)), 12);
  return frame;
}

/** A frame with another head, or another body, and all else made to fit. */
export function reframed(frame: Buffer, change: (head: FrameHead) => void, body?: Buffer | string): Buffer {
  const parts = frameParts(frame);
  change(parts.head);
  return frameOf(JSON.stringify(parts.head), body ?? parts.body);
}
