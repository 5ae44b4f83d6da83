import { onTestFinished } from "vitest";
import { fetchCache } from "../../src/adapters/fetch/index.ts";
import { createCache, type Cache } from "../../src/cache.ts";
import type { CacheEvent } from "../../src/engine/cache-events.ts";
import type { Exchange, Fill, Reply } from "../../src/engine/exchange.ts";
import type { CacheOptions } from "../../src/options/cache-options.ts";
import type { RouteOptions } from "../../src/options/route-options.ts";
import { memoryStore } from "../../src/stores/memory/index.ts";
import { fakeClock, originStub, type FakeClock, type OriginStub } from "../../src/testing.ts";
import type { CacheRequest, CacheStore, Outcome, StoreEntry } from "../../src/http.ts";

/** What a client got, and how its request ended. */
export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly fields: Readonly<Record<string, string>>;
  readonly age: number | undefined;
  readonly outcome: Outcome;
}

export interface HarnessOptions extends Omit<CacheOptions, "store" | "now"> {
  readonly store?: (now: () => number) => CacheStore;
  /** A route with a lifetime of its own; `{ expire: "1m" }` unless given. */
  readonly route?: RouteOptions<Request>;
  /** In its place: a route whose responses state their lifetime. */
  readonly byHeaders?: RouteOptions<Request>;
}

export interface Harness {
  readonly origin: OriginStub;
  readonly clock: FakeClock;
  readonly cache: Cache;
  readonly store: CacheStore;
  /** Everything the cache reported, in order. */
  readonly events: readonly CacheEvent[];
  /** The outcome of each request that has ended, in the order they ended. */
  readonly outcomes: readonly Outcome[];
  /** The cached handler as it is: it answers at once where it can. */
  readonly handle: (path: string, init?: RequestInit) => Response | Promise<Response>;
  /** One request to its end. Throws what the handler throws, and unless the request had exactly one outcome. */
  readonly get: (path: string, fields?: Record<string, string>, method?: string) => Promise<Answer>;
  /** Types of the events so far but for outcomes, with the reason where there is one. */
  readonly trace: () => readonly string[];
  /** Lets everything run that waits for promises, immediates or timers of no length. */
  readonly settled: () => Promise<void>;
}

/** A cache over a clock that stands still and an origin that does what it is told. */
export function harness(options: HarnessOptions = {}): Harness {
  const { store: makeStore = atOnce, route = { expire: "1m" }, byHeaders, ...cacheOptions } = options;
  const clock = fakeClock();
  const origin = originStub();
  const store = makeStore(clock.now);
  const cache = createCache({ ...cacheOptions, store, now: clock.now });
  const events: CacheEvent[] = [];
  const outcomes: Outcome[] = [];
  const byUrl = new Map<string, Outcome[]>();
  cache.events.on("*", (event) => {
    events.push(event);
    if (event.type !== "outcome") return;
    outcomes.push(event.outcome);
    byUrl.set(event.url, [...(byUrl.get(event.url) ?? []), event.outcome]);
  });
  // A parameter that is not in the key tells the outcomes of concurrent requests apart.
  const query = { except: [MARK] };
  const cached = fetchCache(cache);
  const handler =
    byHeaders === undefined
      ? cached({ query, ...route }, origin.handler)
      : cached.byHeaders({ query, ...byHeaders }, origin.handler);
  let marks = 0;
  const marked = (path: string): string => `${path}${path.includes("?") ? "&" : "?"}${MARK}=${++marks}`;
  const run = (path: string, init?: RequestInit): Response | Promise<Response> =>
    handler(new Request(`http://origin.test${path}`, init));

  onTestFinished(async () => {
    for (const [url, ended] of byUrl) {
      if (ended.length !== 1) throw new Error(`${url} had ${ended.length} outcomes: ${JSON.stringify(ended)}`);
    }
    await cache.close();
  });

  return {
    origin,
    clock,
    cache,
    store,
    events,
    outcomes,
    handle: (path, init) => run(marked(path), init),
    async get(path, fields = {}, method = "GET") {
      const url = marked(path);
      const response = await run(url, { headers: fields, method });
      const body = await response.text();
      // A response without a body counts as left a moment after it was given, a 304 after half a second.
      for (let waits = 0; waits < 200 && !byUrl.has(url); waits += 1) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      const [outcome] = byUrl.get(url) ?? [];
      if (outcome === undefined) throw new Error(`${method} ${url} had no outcome`);
      const received = Object.fromEntries(response.headers);
      const age = received["age"] === undefined ? undefined : Number(received["age"]);
      return { status: response.status, body, fields: received, age, outcome };
    },
    trace: () =>
      events
        .filter(({ type }) => type !== "outcome")
        .map((event) => (event.type === "not-stored" ? `not-stored: ${event.because}` : event.type)),
    settled,
  };
}

const MARK = "mark";

async function settled(): Promise<void> {
  for (let turn = 0; turn < 6; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 0));
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function atOnce(now: () => number): CacheStore {
  return memoryStore({ now });
}

/** A store that answers in a later tick and keeps text and bytes only, as a remote one does. */
export function later(now: () => number): CacheStore {
  const inner = memoryStore({ now });
  return {
    name: "later",
    get: (key) => inLaterTick(() => withoutLive(inner.get(key))),
    put: (key, { live: _live, ...entry }, retainMs) => {
      const text = JSON.stringify(entry.meta);
      const body = entry.body.slice();
      return inLaterTick(() =>
        inner.put(key, { ...entry, meta: JSON.parse(text) as StoreEntry["meta"], body }, retainMs),
      );
    },
    delete: (key) => inLaterTick(() => inner.delete(key)),
  };
}

function withoutLive(entry: StoreEntry | undefined): StoreEntry | undefined {
  if (entry === undefined) return undefined;
  const { live: _live, ...rest } = entry;
  return rest;
}

function inLaterTick<T>(action: () => T): Promise<T> {
  return new Promise((resolve) => {
    setImmediate(() => resolve(action()));
  });
}

/** Both kinds of store, for `describe.each`. */
export const STORES: readonly { readonly kind: string; readonly store: (now: () => number) => CacheStore }[] = [
  { kind: "a store that answers at once", store: atOnce },
  { kind: "a store that answers later", store: later },
];

/** A body that a test writes piece by piece. */
export interface OpenBody {
  readonly stream: ReadableStream<Uint8Array>;
  write(text: string): void;
  end(): void;
  fail(error: Error): void;
}

export function openBody(): OpenBody {
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  const stream = new ReadableStream<Uint8Array>({
    start: (given) => {
      controller = given;
    },
  });
  return {
    stream,
    write: (text) => controller?.enqueue(new TextEncoder().encode(text)),
    end: () => controller?.close(),
    fail: (error) => controller?.error(error),
  };
}

/** An exchange that does nothing but write down what the engine asked of it. */
export interface RecordedExchange extends Exchange {
  readonly sent: Reply[];
  readonly passed: (readonly string[])[];
  readonly fills: Fill[];
}

export function recordedExchange(): RecordedExchange {
  const sent: Reply[] = [];
  const passed: (readonly string[])[] = [];
  const fills: Fill[] = [];
  return {
    sent,
    passed,
    fills,
    native: undefined,
    send: (reply) => void sent.push(reply),
    pass: (fields) => void passed.push(fields),
    forward: (fill) => void fills.push(fill),
    forwardInBackground: (fill) => void fills.push(fill),
  };
}

export function cacheRequest(path = "/", fields: CacheRequest["fields"] = {}, method = "GET"): CacheRequest {
  return { method, scheme: "http", authority: "origin.test", path, fields };
}

/** The value of a field in a reply's flat list. */
export function replyField(reply: Reply | undefined, name: string): string | undefined {
  const fields = reply?.fields ?? [];
  for (let at = 0; at < fields.length; at += 2) if (fields[at] === name) return fields[at + 1];
  return undefined;
}

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function text(body: Uint8Array | null | undefined): string {
  return new TextDecoder().decode(body ?? new Uint8Array(0));
}
