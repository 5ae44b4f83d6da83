/** Slots move from shard to shard under load: MOVED, ASK and TRYAGAIN reach no reader. */

import { setTimeout as pause } from "node:timers/promises";

import { afterAll, beforeAll, expect, it } from "vitest";

import { redisStore } from "../../src/stores/redis/index.ts";
import type { CacheStore, StoreEvent } from "../../src/http.ts";
import { DOCUMENTED_CLUSTERS } from "../redis/documented-clients.ts";
import { type RedisCluster, startCluster } from "../redis/cluster.ts";
import { command, errorCounts } from "../redis/command.ts";
import { opened, ownPrefix, textEntry, textOf, until, untilCaching } from "../redis/store.ts";

const ENTRIES = 40;
const MOVED_SLOTS = 8;
const RETAIN_MS = 60_000;
const PURGE_EVERY_MS = 400;
/** How long a slot is left half moved. */
const HALFWAY_MS = 250;
/** The same of the log, whose two keys are then on two masters: longer than the pause between purges. */
const LOG_HALFWAY_MS = 1000;
const PURGE_HALFWAY_EVERY_MS = 20;

interface Process {
  readonly form: string;
  readonly store: CacheStore;
  readonly events: readonly StoreEvent[];
}

let cluster: RedisCluster;
let processes: Process[] = [];
const prefix = ownPrefix();
const keys = Array.from({ length: ENTRIES }, (_, at) => `${prefix} entry ${at}`);

beforeAll(async () => {
  cluster = await startCluster();
  processes = DOCUMENTED_CLUSTERS.map(({ form, connect }) => {
    const store = redisStore({ connect: connect(cluster.addresses), deadlineMs: 1000 });
    return { form, store, events: opened(store) };
  });
  for (const { store } of processes) await untilCaching(store, prefix);
});
afterAll(async () => {
  await Promise.all(processes.map(async ({ store }) => store.close?.()));
  await cluster?.stop();
});

it("slots of entries and of the purge log move while all read, fill and purge: nothing wrong, nothing stale, no error", async () => {
  for (const { port } of cluster.nodes) await command(port, "CONFIG", "RESETSTAT");
  // What each key must at least say: the round of the last purge that was acknowledged.
  let round = 0;
  let refused = 0;
  const moving = { isOver: false, purgeEveryMs: PURGE_EVERY_MS };
  const figures = processes.map(({ form }) => ({ form, reads: 0, misses: 0, failures: [] as string[] }));

  const purging = (async () => {
    for (let turn = 0; !moving.isOver; turn += 1) {
      const next = round + 1;
      const { store } = processes[turn % processes.length]!;
      try {
        await store.purges!.purge(prefix, [{ kind: "all" }], { soft: false });
        round = next;
      } catch (error) {
        // Not acknowledged, because a client does not try again: then it must only not have pretended.
        expect(error).toMatchObject({ code: "ERR_PURGE_NOT_ACKNOWLEDGED" });
        refused += 1;
      }
      await pause(moving.purgeEveryMs);
    }
  })();
  const reading = processes.map(async ({ store }, at) => {
    const figure = figures[at]!;
    for (let turn = at * 8; !moving.isOver; turn += 1) {
      const key = keys[turn % ENTRIES]!;
      const atLeast = round;
      const generation = store.purges!.generation(prefix);
      try {
        const found = textOf(await store.get(key));
        figure.reads += 1;
        if (found === undefined) {
          figure.misses += 1;
          await fill(store, key, `${key} in round ${round}`, generation);
        } else {
          const [, roundFound] = new RegExp(`^${key} in round (\\d+)$`).exec(found) ?? [];
          if (roundFound === undefined || Number(roundFound) < atLeast) figure.failures.push(found);
        }
      } catch (error) {
        figure.failures.push(String(error));
      }
      await pause(4);
    }
  });

  await pause(300);
  const logSlot = await cluster.slotOf(`{${prefix}}`);
  const masters = await cluster.masters();
  const moveLog = async (): Promise<void> => {
    moving.purgeEveryMs = PURGE_HALFWAY_EVERY_MS;
    await moveAway(logSlot, LOG_HALFWAY_MS);
    moving.purgeEveryMs = PURGE_EVERY_MS;
  };
  await moveLog();
  for (const slot of await slotsOfEntries()) await moveAway(slot);
  await moveLog();
  moving.isOver = true;
  await Promise.all([purging, ...reading]);

  const errors = await Promise.all(masters.map(({ port }) => errorCounts(port)));
  const total = (name: string): number => errors.reduce((sum, counts) => sum + (counts.get(name) ?? 0), 0);
  const redirects = `MOVED ${total("MOVED")}, ASK ${total("ASK")}, TRYAGAIN ${total("TRYAGAIN")}`;
  const reads = figures.map(({ form, reads, misses }) => `${form} ${reads} reads, ${misses} misses`).join("; ");
  console.info(`${round} purges, ${refused} not acknowledged; ${redirects}; ${reads}`);
  expect(figures.flatMap(({ failures }) => failures)).toEqual([]);
  expect(total("CROSSSLOT")).toBe(0);
  // It met what it is about.
  expect(total("MOVED")).toBeGreaterThan(0);
  expect(total("ASK")).toBeGreaterThan(0);
  expect(total("TRYAGAIN")).toBeGreaterThan(0);
  expect(round).toBeGreaterThan(3);
  // Nobody left a shard out for good.
  for (const { store } of processes) {
    await until(async () => {
      const found = await Promise.all(
        keys.map(async (key) => (await store.get(key)) !== undefined || refill(store, key)),
      );
      return found.every((isHit) => isHit);
    });
  }
});

async function fill(store: CacheStore, key: string, text: string, generation: string): Promise<void> {
  const entry = { ...textEntry(text), generation };
  const lease = await store.leases?.acquire(key);
  if (lease === "taken") return;
  if (lease === undefined) await store.put(key, entry, RETAIN_MS);
  else await lease.put(entry, RETAIN_MS);
}

async function refill(store: CacheStore, key: string): Promise<boolean> {
  await store.put(key, { ...textEntry(key), generation: store.purges!.generation(prefix) }, RETAIN_MS);
  return false;
}

/** Moves a slot to another master, pausing with one of its keys moved and then with all of them. */
async function moveAway(slot: number, halfwayMs: number = HALFWAY_MS): Promise<void> {
  const from = await cluster.masterOf(slot);
  const to = (await cluster.masters()).find((master) => master !== from)!;
  const move = await cluster.beginMove(slot, from, to);
  await pause(HALFWAY_MS / 2);
  await move.migrate(1);
  await pause(halfwayMs);
  while ((await move.migrate(10)) > 0);
  await pause(HALFWAY_MS / 2);
  await move.finish();
}

async function slotsOfEntries(): Promise<readonly number[]> {
  const slots = new Set<number>();
  for (const { port } of await cluster.masters()) {
    const there = (await command(port, "KEYS", `${prefix}:1:entry*`)) as string[];
    for (const key of there) slots.add(await cluster.slotOf(key));
  }
  return [...slots].slice(0, MOVED_SLOTS);
}
