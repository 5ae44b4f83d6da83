/** Of all processes that want the same response, one asks the origin. Real processes and a real Redis. */

import { setTimeout as pause } from "node:timers/promises";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { createCache } from "../../src/index.ts";
import { redisStore } from "../../src/stores/redis/index.ts";
import { startCluster } from "../redis/cluster.ts";
import { command } from "../redis/command.ts";
import { startSentinel } from "../redis/sentinel.ts";
import { type RedisServer, startRedis } from "../redis/server.ts";
import { ownPrefix, until } from "../redis/store.ts";
import { type Answer, bodiesOf, builtPackage, leasesOf, makeFleet, slowestMs, type Worker } from "./fleet.ts";

const PROCESSES = 8;
const folder = builtPackage();

describe("eight processes over one Redis", () => {
  const fleet = makeFleet(folder, (end) => afterAll(end));
  const { origin } = fleet;
  const prefix = ownPrefix();
  let redis: RedisServer;
  let workers: readonly Worker[];
  beforeAll(async () => {
    redis = await startRedis();
    workers = await fleet.start(PROCESSES, { redisUrl: redis.url, prefix });
  }, 60_000);
  afterAll(() => redis.stop());

  /** The client has its answer before Redis has the response. */
  const untilNoLease = (): Promise<void> => until(async () => (await leasesOf(redis.port, prefix)).length === 0, 1000);

  const everybodyAsks = async (path: string, count: number, of = workers): Promise<readonly Answer[]> =>
    (await Promise.all(of.map((worker) => worker.ask(path, count)))).flat();

  it.each([1, 2, 4, 8])(
    "%i processes × 1,000 concurrent misses are one call of the origin, and all get its answer",
    async (count) => {
      const path = `/hour/misses-of-${count}`;
      origin.answers(path, ({ number }) => ({ body: `answer ${number}` }), 300);
      const answers = await everybodyAsks(path, 1000, workers.slice(0, count));
      console.log(`${count} × 1,000: ${origin.calls(path).length} call, slowest ${Math.round(slowestMs(answers))} ms`);
      expect(answers).toHaveLength(count * 1000);
      expect(bodiesOf(answers)).toEqual(["answer 1"]);
      expect(origin.calls(path)).toHaveLength(1);
      await untilNoLease();
    },
    30_000,
  );

  it("right after a purge, of which no process has read yet, it is one call as well", async () => {
    const path = "/hour/purged";
    const cache = createCache({ store: redisStore({ url: redis.url }), prefix });
    origin.answers(path, ({ number }) => ({ body: `answer ${number}` }), 300);
    for (let round = 1; round <= 5; round += 1) {
      expect(bodiesOf(await everybodyAsks(path, 1000))).toEqual([`answer ${round}`]);
      await cache.purge("all");
    }
    expect(origin.calls(path)).toHaveLength(5);
    await cache.close();
  }, 30_000);

  it("an origin that answers at once is called once, however the processes interleave", async () => {
    const calls: number[] = [];
    for (let round = 0; round < 40; round += 1) {
      const path = `/hour/at-once-${round}`;
      const answers = await everybodyAsks(path, 3);
      expect(bodiesOf(answers)).toEqual([`${path} 1`]);
      calls.push(origin.calls(path).length);
    }
    expect(calls.filter((count) => count !== 1)).toEqual([]);
  }, 30_000);

  it("an origin slower than the lease is called once: its process extends the lease", async () => {
    const short = makeFleet(folder);
    const others = await short.start(3, {
      redisUrl: redis.url,
      prefix: ownPrefix(),
      storeOptions: { leaseMs: 600 },
    });
    short.origin.answers("/hour/slow", () => ({}), 2500);
    const answers = await everybodyAsks("/hour/slow", 100, others);
    expect(bodiesOf(answers)).toEqual(["/hour/slow 1"]);
    expect(short.origin.calls("/hour/slow")).toHaveLength(1);
  }, 30_000);

  it.each([
    { what: "Set-Cookie", headers: { "set-cookie": "who=you" } },
    { what: "no-store", headers: { "cache-control": "no-store" } },
  ])("a response with $what is waited for once, then all ask at once, in every process", async ({ headers }) => {
    const path = `/hour/own-${Object.keys(headers)[0]}`;
    origin.answers(path, () => ({ headers }), 400);
    const first = await everybodyAsks(path, 10);
    expect(bodiesOf(first)).toHaveLength(80);
    // One found out; then all the others, side by side.
    expect(origin.mostAtOnce(path)).toBe(79);

    // The marker is known to a process that has not asked yet.
    const [newcomer] = await fleet.start(1, { redisUrl: redis.url, prefix });
    const before = origin.calls(path).length;
    const [own, theirs] = await Promise.all([newcomer!.ask(path, 10), everybodyAsks(path, 10)]);
    expect(bodiesOf([...own, ...theirs])).toHaveLength(90);
    expect(origin.calls(path)).toHaveLength(before + 90);
    expect(origin.mostAtOnce(path)).toBe(90);
    await untilNoLease();
    expect(await newcomer!.close()).toBeLessThan(2000);
  });

  it("an error of the origin is nobody else's answer, is not kept, and leaves no lease", async () => {
    const path = "/hour/failing";
    origin.answers(path, ({ number }) => (number === 1 ? { status: 500, body: "broken" } : {}), 200);
    const answers = await everybodyAsks(path, 1);
    expect(answers.filter(({ status }) => status === 500)).toHaveLength(1);
    expect(bodiesOf(answers.filter(({ status }) => status === 200))).toEqual([`${path} 2`]);
    expect(origin.calls(path)).toHaveLength(2);
    await untilNoLease();
  });

  it("while the origin fails, one process after the other tries, and the next request does so at once", async () => {
    const path = "/hour/down";
    origin.answers(path, () => ({ status: 503 }), 50);
    const answers = await everybodyAsks(path, 1);
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: PROCESSES }, () => 503));
    expect(origin.calls(path)).toHaveLength(PROCESSES);
    expect(origin.mostAtOnce(path)).toBe(1);
    await untilNoLease();
    origin.answers(path, () => ({ body: "up" }));
    const [answer] = await workers[0]!.ask(path);
    expect(answer).toMatchObject({ status: 200, body: "up" });
    expect(origin.calls(path)).toHaveLength(PROCESSES + 1);
  });

  it("a stale response is renewed once, and nobody waits for that", async () => {
    const path = "/renewed/page";
    await everybodyAsks(path, 1);
    expect(origin.calls(path)).toHaveLength(1);
    await pause(1200);
    origin.answers(path, ({ number }) => ({ body: `renewed ${number}` }), 1000);
    const stale = await everybodyAsks(path, 50);
    expect(bodiesOf(stale)).toEqual([`${path} 1`]);
    await until(async () => (await workers[0]!.ask(path))[0]?.body === "renewed 2");
    // Within its second of freshness: what came later would be the next renewal.
    expect(origin.calls(path)).toHaveLength(2);
    expect(bodiesOf(await everybodyAsks(path, 50))).toEqual(["renewed 2"]);
    expect(origin.mostAtOnce(path)).toBe(1);
  });

  it("a stale response that must be asked for anew is asked for once", async () => {
    const path = "/revalidated/page";
    await everybodyAsks(path, 1);
    await pause(1200);
    origin.answers(path, ({ number }) => ({ body: `again ${number}` }), 300);
    const answers = await everybodyAsks(path, 50);
    expect(bodiesOf(answers)).toEqual(["again 2"]);
    expect(origin.calls(path)).toHaveLength(2);
  });

  it("a response that turns out to vary is asked for once for each variant", async () => {
    const path = "/hour/languages";
    origin.answers(path, ({ language }) => ({ body: `in ${language}`, headers: { vary: "accept-language" } }), 300);
    const languages = ["de", "en", "fr", "it"];
    const asked = workers.map(async (worker, at) => {
      const own = [languages[at % 4]!, languages[(at + 1) % 4]!];
      const answers = await Promise.all(own.map((language) => worker.ask(path, 20, { "accept-language": language })));
      for (const [index, language] of own.entries()) expect(bodiesOf(answers[index]!)).toEqual([`in ${language}`]);
    });
    await Promise.all(asked);
    const called = origin.calls(path).map(({ language }) => language);
    expect(called).toHaveLength(languages.length);
    expect(new Set(called)).toEqual(new Set(languages));
    await untilNoLease();
  });

  it("a busy response is renewed before it is stale: when it expires nobody has to wait", async () => {
    const path = "/brief/busy";
    origin.answers(path, ({ number }) => ({ body: `${number}` }), 200);
    await workers[0]!.ask(path);
    const read = await Promise.all(workers.map((worker) => worker.read(path, 8000, 20)));
    const missed = read.flat().filter(({ cacheStatus }) => !cacheStatus.includes("hit"));
    const calls = origin.calls(path).length;
    console.log(`${read.flat().length} reads, ${calls} calls, ${missed.length} that waited`);
    // Three lifetimes of 3 s have begun; each renewal may come some fetch times early.
    expect(calls).toBeGreaterThanOrEqual(3);
    expect(calls).toBeLessThanOrEqual(6);
    expect(origin.mostAtOnce(path)).toBe(1);
    expect(missed.length).toBeLessThanOrEqual(read.flat().length / 100);
  }, 30_000);

  it("of the commands that waiting costs, none is for the requests that wait within a process", async () => {
    const path = "/hour/commands";
    origin.answers(path, () => ({}), 1000);
    await command(redis.port, "CONFIG", "RESETSTAT");
    await everybodyAsks(path, 100);
    const stats = String(await command(redis.port, "INFO", "commandstats"));
    const calls = (name: string): number => Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
    // A look-up of each request, and at most one look and one try each 5 ms of 1 s for each process.
    const tries = calls("set");
    console.log(`800 requests that wait a second: ${calls("mget")} MGET, ${tries} SET, ${calls("evalsha")} EVALSHA`);
    expect(tries).toBeGreaterThanOrEqual(PROCESSES);
    expect(tries).toBeLessThanOrEqual(PROCESSES * 40);
    expect(calls("mget")).toBeLessThanOrEqual(800 + PROCESSES * 40);
  });
});

describe.each([
  {
    what: "a Cluster",
    start: async () => {
      const cluster = await startCluster();
      return { settings: { cluster: cluster.addresses }, stop: () => cluster.stop() };
    },
  },
  {
    what: "a primary under Sentinels",
    start: async () => {
      const group = await startSentinel();
      const sentinel = { name: group.masterName, addresses: group.addresses };
      return { settings: { sentinel }, stop: () => group.stop() };
    },
  },
])("eight processes over $what", ({ start }) => {
  it("a thousand misses each, of one response or of twenty at a time, are one call for each response", async () => {
    const { settings, stop } = await start();
    const fleet = makeFleet(folder);
    const { origin } = fleet;
    try {
      // One call is promised while Redis answers within its deadline. The default one is too short where six servers share
      // the cores of this machine with the eight processes.
      const workers = await fleet.start(PROCESSES, {
        ...settings,
        prefix: ownPrefix(),
        storeOptions: { deadlineMs: 5000 },
      });
      origin.answers("/hour/one", ({ number }) => ({ body: `answer ${number}` }), 300);
      const ofOne = await Promise.all(workers.map((worker) => worker.ask("/hour/one", 1000)));
      expect(workers.flatMap(({ failures }) => failures)).toEqual([]);
      expect(bodiesOf(ofOne.flat())).toEqual(["answer 1"]);
      expect(origin.calls("/hour/one")).toHaveLength(1);

      // Of many slots, so of all masters.
      const paths = Array.from({ length: 20 }, (_, number) => `/hour/of-twenty-${number}`);
      for (const path of paths) origin.answers(path, ({ number }) => ({ body: `answer ${number}` }), 300);
      const ofTwenty = await Promise.all(
        workers.flatMap((worker) => paths.map((path) => worker.ask(path, 1000 / paths.length))),
      );
      expect(workers.flatMap(({ failures }) => failures)).toEqual([]);
      expect(bodiesOf(ofTwenty.flat())).toEqual(["answer 1"]);
      expect(paths.map((path) => origin.calls(path).length)).toEqual(paths.map(() => 1));
    } finally {
      await fleet.end();
      await stop();
    }
  }, 60_000);
});

describe("four servers over one Redis", () => {
  it("a hundred clients each, over sockets, are one call of the origin", async () => {
    const redis = await startRedis();
    const fleet = makeFleet(folder);
    try {
      const settings = { redisUrl: redis.url, prefix: ownPrefix(), listens: true };
      const servers = await fleet.start(4, settings);
      fleet.origin.answers("/hour/page", () => ({ body: "the same for all" }), 500);
      const clients = servers.flatMap(({ port }) =>
        Array.from({ length: 100 }, async () => {
          const response = await fetch(`http://127.0.0.1:${port}/hour/page`);
          return [response.status, await response.text()].join(" ");
        }),
      );
      expect(new Set(await Promise.all(clients))).toEqual(new Set(["200 the same for all"]));
      expect(fleet.origin.calls("/hour/page")).toHaveLength(1);
    } finally {
      await fleet.end();
      await redis.stop();
    }
  }, 30_000);
});
