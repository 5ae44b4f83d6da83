/**
 * A random history on a real Redis: several stores read, fill and purge at once while the purge log, or all of Redis, is
 * lost again and again, and answers come late and out of order. No read may serve what a purge had ended that was
 * acknowledged before the read began.
 *
 * Protocols with one mistake run the same history: each has to be caught.
 */

import { setTimeout as pause } from "node:timers/promises";

import { Redis } from "ioredis";
import type { RedisClientType } from "redis";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { parseLogEnd, Timeline } from "../../../../src/stores/redis/purges/timeline.ts";
import type { RedisClient } from "../../../../src/stores/redis/client/port.ts";
import type { RedisStore } from "../../../../src/stores/redis/store.ts";
import type { StoreEntry } from "../../../../src/http.ts";
import { type RedisServer, startRedis } from "../../../redis/server.ts";
import { adapted, ownPrefix } from "../../../redis/store.ts";
import { connected, logKeys, storeOver } from "./log-store.ts";

const STORES = 4;
const READERS_PER_STORE = 24;
const KEYS = 24;
const TAGS = 6;
const FAULT_EVERY_MS = 250;
const RESTART_EVERY_MS = 3000;

let server: RedisServer;
let clients: { readonly client: RedisClient; readonly close: () => void }[] = [];
let admin: RedisClientType;

beforeAll(async () => {
  server = await startRedis();
  admin = await connected(server.adminUrl);
  for (let index = 0; index < STORES; index += 1) {
    if (index % 2 === 0) {
      const client = await connected(server.url);
      clients.push({ client: late(adapted(client)), close: () => client.destroy() });
    } else {
      const client = new Redis(server.url, { retryStrategy: () => 20 });
      client.on("error", () => {});
      clients.push({ client: late(adapted(client)), close: () => client.disconnect() });
    }
  }
});

afterAll(async () => {
  for (const { close } of clients) close();
  clients = [];
  admin.destroy();
  await server.kill();
});

/** Some answers come late, and so out of order, as they do from several nodes. */
function late(client: RedisClient): RedisClient {
  async function sometimesLate<T>(answer: Promise<T>): Promise<T> {
    const value = await answer;
    if (Math.random() < 0.1) await pause(Math.random() * 12);
    return value;
  }
  return Object.assign(Object.create(client) as RedisClient, {
    getPair: (...args: Parameters<RedisClient["getPair"]>) => sometimesLate(client.getPair(...args)),
    evaluate: (...args: Parameters<RedisClient["evaluate"]>) => sometimesLate(client.evaluate(...args)),
  });
}

interface HistoryOptions {
  readonly timeline?: () => Timeline;
  readonly generationAtStore?: boolean;
  readonly withRestarts?: boolean;
  /** True when it has gone on for long enough. */
  readonly isEnough: (history: History) => boolean;
}

interface History {
  reads: number;
  hits: number;
  stale: number;
  purges: number;
  refusedPurges: number;
  faults: number;
  restarts: number;
}

async function runHistory(options: HistoryOptions): Promise<History> {
  const history: History = { reads: 0, hits: 0, stale: 0, purges: 0, refusedPurges: 0, faults: 0, restarts: 0 };
  const prefix = ownPrefix();
  const { timeline } = options;
  const stores = clients.map(({ client }) => storeOver(client, timeline === undefined ? {} : { timeline }));
  const startedAtMs = performance.now();
  /** What the origin has now, by tag, and what each reader that starts now must get at least. */
  const versions = Array.from({ length: TAGS }, () => 1);
  const floors = Array.from({ length: TAGS }, () => 1);
  const run = { isOver: false };

  async function read(store: RedisStore): Promise<void> {
    const index = Math.floor(Math.random() * KEYS);
    const tag = index % TAGS;
    const key = `${prefix} ${index}`;
    const floor = floors[tag] ?? 0;
    const isCounted = store.isAvailable?.() === true;
    const found = await store.get(key);
    if (isCounted) history.reads += 1;
    if (found !== undefined) {
      history.hits += 1;
      if (Number(found.meta["version"]) < floor) history.stale += 1;
      return;
    }
    const generation = store.purges.generation(prefix);
    const version = versions[tag];
    await pause(10 + Math.random() * 40);
    const entry: StoreEntry = {
      meta: { version },
      body: new Uint8Array(8),
      names: [`#${tag}`],
      generation: options.generationAtStore === true ? store.purges.generation(prefix) : generation,
    };
    void store.put(key, entry, 60_000);
  }

  async function keepReading(store: RedisStore): Promise<void> {
    while (!run.isOver) await read(store);
  }

  async function keepPurging(store: RedisStore): Promise<void> {
    while (!run.isOver) {
      await pause(30 + Math.random() * 90);
      const tag = Math.floor(Math.random() * TAGS);
      const version = (versions[tag] = (versions[tag] ?? 0) + 1);
      const purging = store.purges.purge(prefix, [{ kind: "name", text: `#${tag}` }], { soft: false });
      // Eviction at the worst moment: between the purge and those who have to read of it.
      if (Math.random() < 0.05) ignoringOutages(lose(Math.random() < 0.5 ? "log" : "most of the log"));
      try {
        await purging;
        floors[tag] = Math.max(floors[tag] ?? 0, version);
        history.purges += 1;
      } catch {
        history.refusedPurges += 1;
      }
    }
  }

  type Loss = "end" | "log" | "both" | "most of the log" | "everything";
  const losses: readonly Loss[] = ["end", "log", "both", "most of the log", "everything"];
  async function lose(what: Loss): Promise<void> {
    const { log, end } = logKeys(prefix);
    history.faults += 1;
    if (what === "end") await admin.del(end);
    if (what === "log") await admin.del(log);
    if (what === "both") await admin.del([log, end]);
    if (what === "most of the log") await admin.xTrim(log, "MAXLEN", 1);
    if (what === "everything") await admin.flushAll();
  }

  async function keepFailing(): Promise<void> {
    let restartAtMs = performance.now() + RESTART_EVERY_MS;
    while (!run.isOver) {
      await pause(FAULT_EVERY_MS);
      ignoringOutages(lose(losses[history.faults % losses.length] ?? "both"));
      if (options.withRestarts !== true || performance.now() < restartAtMs) continue;
      await server.kill();
      server = await startRedis({ port: server.port });
      history.restarts += 1;
      restartAtMs = performance.now() + RESTART_EVERY_MS;
    }
  }

  const actors = [
    keepFailing(),
    ...stores.map((store) => keepPurging(store)),
    ...stores.flatMap((store) => Array.from({ length: READERS_PER_STORE }, () => keepReading(store))),
  ];
  while (!options.isEnough(history) && performance.now() - startedAtMs < 55_000) await pause(50);
  run.isOver = true;
  await Promise.all(actors);
  for (const store of stores) await store.close?.();
  return history;
}

function ignoringOutages(done: Promise<unknown>): void {
  done.catch(() => {});
}

/** Takes what it has read for all there is. */
class WithoutProof extends Timeline {
  protected override hasArrived(): boolean {
    return true;
  }
}

/** Does not read on, every other time. */
class WithoutReading extends Timeline {
  override covers(text: string, hasMovedOn: boolean): boolean {
    return super.covers(text, hasMovedOn) || (this.proven !== undefined && Math.random() < 0.5);
  }
}

/** Enters any epoch it reads of, also one it left. */
class BackToOldEpochs extends Timeline {
  override covers(text: string, hasMovedOn: boolean): boolean {
    const end = parseLogEnd(text);
    if (end === undefined || this.proven === undefined || end.epoch === this.proven.epoch)
      return super.covers(text, hasMovedOn);
    this.enter(end.epoch);
    this.prove(end);
    return true;
  }
}

describe("a random history with losses and restarts", () => {
  it("serves nothing purged in 100,000 reads", { timeout: 90_000 }, async () => {
    const history = await runHistory({
      withRestarts: true,
      isEnough: ({ reads, restarts }) => reads >= 100_000 && restarts >= 2,
    });
    expect(history.stale).toBe(0);
    expect(history.reads).toBeGreaterThanOrEqual(100_000);
    expect(history.hits).toBeGreaterThan(history.reads / 4);
    expect(history.purges).toBeGreaterThan(100);
    expect(history.faults).toBeGreaterThan(20);
    expect(history.restarts).toBeGreaterThanOrEqual(2);
  });

  it.each<{ mistake: string; options: Omit<HistoryOptions, "isEnough"> }>([
    { mistake: "the generation is taken when storing", options: { generationAtStore: true } },
    { mistake: "the log is not read every time", options: { timeline: () => new WithoutReading() } },
    { mistake: "arrival is not proven", options: { timeline: () => new WithoutProof() } },
    { mistake: "an old epoch is entered again", options: { timeline: () => new BackToOldEpochs() } },
  ])("serves what was purged when $mistake", { timeout: 90_000 }, async ({ options }) => {
    const history = await runHistory({ ...options, isEnough: ({ stale }) => stale > 0 });
    expect(history.stale).toBeGreaterThan(0);
  });
});
