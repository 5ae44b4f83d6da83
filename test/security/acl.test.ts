/** The Redis user of the documentation can do all that the cache does, and nothing it lists is unneeded. */

import { createClient } from "redis";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { redisStore } from "../../src/stores/redis/index.ts";
import { memoryStore } from "../../src/stores/memory/index.ts";
import { tiered } from "../../src/stores/tiered.ts";
import { storeContract } from "../../src/testing.ts";
import { SINGLE_NODE_FORMS } from "../redis/clients.ts";
import { DOCUMENTED_CLUSTERS, DOCUMENTED_SENTINELS } from "../redis/documented-clients.ts";
import { eachTest } from "../redis/each-test.ts";
import { startSentinel } from "../redis/sentinel.ts";
import { freePort, type RedisServer, startRedis } from "../redis/server.ts";
import { until } from "../redis/store.ts";
import { DOCUMENTED, DOCUMENTED_PASSWORD, rulesOf } from "../redis/users.ts";
import { startWorld, type World } from "./world.ts";

const { forOne, forCluster } = DOCUMENTED;

const { cleanups, server, ownClient } = eachTest();

function aclWith(line: string): readonly string[] {
  return ["user default on nopass ~* &* +@all", line];
}

function serverWith(aclLine: string): Promise<RedisServer> {
  return server({ acl: aclWith(aclLine) });
}

async function adminOf({ adminUrl }: RedisServer) {
  const admin = createClient({ url: adminUrl });
  admin.on("error", () => {});
  await admin.connect();
  cleanups.push(() => admin.destroy());
  return admin;
}

type Admin = Awaited<ReturnType<typeof adminOf>>;

/** The commands that were called, those of scripts included, and what was refused. */
async function activity(admin: Admin): Promise<{ called: readonly string[]; refused: readonly string[] }> {
  const called: string[] = [];
  for (const [, name = "", calls] of (await admin.info("commandstats")).matchAll(/cmdstat_([^:]+):calls=(\d+)/g)) {
    if (Number(calls) > 0) called.push(name);
  }
  const log = await admin.aclLog();
  // Redis 7.2 and later are told the name of the client; 7.0 knows no such command to permit.
  return { called, refused: log.map(({ object }) => object).filter((object) => object !== "client|setinfo") };
}

/** Among what is called: what clients send by themselves when they connect, and what the test does. */
const NOT_OURS =
  /^(hello|auth|ping|quit|client\|.*|command.*|select|readonly|asking|cluster\|.*|config\|.*|acl\|.*|info)$/;

function listed(aclLine: string): readonly string[] {
  return [...aclLine.matchAll(/ \+(\w+)(?= |$)/g)].map(([, name = ""]) => name).filter((name) => !NOT_OURS.test(name));
}

/** Stores, hits, purges hard and soft, removes, and fills longer than a lease lasts. */
async function everyFeature(connect: () => unknown): Promise<World[]> {
  const worlds: World[] = [];
  for (const isTiered of [false, true]) {
    const redis = redisStore({ connect, leaseMs: 150 });
    const store = isTiered ? tiered(memoryStore(), redis) : redis;
    const world = await startWorld({ store, prefix: "shop", takesMs: 200, route: { staleWhileRevalidate: "1m" } });
    worlds.push(world);
    await world.untilHit("/page");
    await world.cache.purge({ url: "/page" });
    const fresh = await world.untilHit("/page");
    await world.cache.purge("all", { soft: true });
    await until(async () => (await world.get("/page")).body !== fresh.body);
    await store.put("shop removed", { meta: {}, body: new Uint8Array(1) }, 60_000);
    await store.delete("shop removed");
    expect(await store.get("shop removed")).toBeUndefined();
  }
  return worlds;
}

function failures(worlds: readonly World[]): readonly unknown[] {
  return worlds.flatMap(({ events }) => events.filter(({ type }) => type.endsWith("failed")));
}

describe("the documented user", () => {
  it("is documented for one server and for a Cluster, with the same commands", () => {
    expect(forOne).toContain(`>${DOCUMENTED_PASSWORD} `);
    expect(listed(forCluster)).toEqual(listed(forOne));
    expect(listed(forOne).length).toBeGreaterThan(10);
  });

  it.each(SINGLE_NODE_FORMS)("can do everything over $form, and needs each command", async ({ make }) => {
    const redis = await serverWith(forOne);
    const admin = await adminOf(redis);
    await admin.configResetStat();
    const connect = (): Promise<object> =>
      ownClient(make(`redis://shop:${DOCUMENTED_PASSWORD}@127.0.0.1:${redis.port}`));
    const worlds = await everyFeature(connect);
    const { called, refused } = await activity(admin);
    expect(refused).toEqual([]);
    expect(failures(worlds)).toEqual([]);
    expect(called.filter((name) => !NOT_OURS.test(name)).toSorted()).toEqual(listed(forOne).toSorted());
    for (const key of await admin.keys("*")) expect(key).toMatch(/^shop:1:/);
  });

  it.each(DOCUMENTED_CLUSTERS)("for a Cluster can do everything over $form", async ({ connect }) => {
    const busPort = String(await freePort());
    const cluster = ["--cluster-enabled", "yes", "--cluster-port", busPort, "--cluster-announce-ip", "127.0.0.1"];
    const redis = await server({ config: cluster });
    const admin = await adminOf(redis);
    await admin.sendCommand(["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    await until(async () => (await admin.sendCommand<string>(["CLUSTER", "INFO"])).includes("cluster_state:ok"));
    const worlds = await everyFeature(connect([{ host: "127.0.0.1", port: redis.port }]));
    const { refused } = await activity(admin);
    expect(refused).toEqual([]);
    expect(failures(worlds)).toEqual([]);
  });

  it.each(DOCUMENTED_SENTINELS)("can do everything over $form", { timeout: 60_000 }, async ({ connect }) => {
    // Its users are those of the documentation.
    const group = await startSentinel();
    cleanups.push(() => group.stop());
    const worlds = await everyFeature(connect(group.masterName, group.addresses));
    for (const node of group.nodes) expect((await activity(await adminOf(node))).refused).toEqual([]);
    expect((await activity(await adminOf(await group.primary()))).called).toContain("xadd");
    expect(failures(worlds)).toEqual([]);
  });

  it("reaches nothing of a neighbour in the same Redis", async () => {
    const redis = await serverWith(forOne);
    const admin = await adminOf(redis);
    const client = createClient({ url: `redis://shop:${DOCUMENTED_PASSWORD}@127.0.0.1:${redis.port}` });
    client.on("error", () => {});
    await client.connect();
    cleanups.push(() => client.destroy());
    const keys = ["shop", "shop:2:a", "shop2:1:a", "shop-2:1:a", "other:1:{shop:1:a}", "xshop:1:a"];
    for (const key of keys) {
      await admin.set(key, "theirs");
      await expect(client.get(key)).rejects.toThrow(/NOPERM/);
      await expect(client.eval("return redis.call('GET', KEYS[1])", { keys: [key] })).rejects.toThrow(/permission/i);
    }
    for (const words of [["KEYS", "*"], ["SCAN", "0"], ["FLUSHALL"], ["CONFIG", "GET", "*"], ["PUBLISH", "a", "b"]]) {
      await expect(client.sendCommand(words), words.join(" ")).rejects.toThrow(/NOPERM/);
    }
  });
});

describe.each(SINGLE_NODE_FORMS.filter(({ form }) => /^(node-redis 6 createClient|ioredis 6 Redis)$/.test(form)))(
  "the documented user, with the prefixes of the store contract ($form)",
  ({ make }) => {
    let redis: RedisServer;
    beforeAll(async () => {
      redis = await startRedis({ acl: aclWith(forOne.replace("~shop:", "~contract-*:")) });
    });
    afterAll(() => redis?.stop());

    storeContract({
      describe,
      it,
      createStore: () =>
        redisStore({ connect: () => ownClient(make(`redis://shop:${DOCUMENTED_PASSWORD}@127.0.0.1:${redis.port}`)) }),
    });

    it("was refused nothing by it", async () => {
      const { called, refused } = await activity(await adminOf(redis));
      expect(called).toContain("xadd");
      expect(refused).toEqual([]);
    });
  },
);

describe.each(SINGLE_NODE_FORMS)("a user who lacks permissions ($form)", ({ make }) => {
  it.each([
    { lacks: "EVAL and EVALSHA", without: ["eval", "evalsha"] },
    { lacks: "streams", without: ["xadd", "xrange"] },
    { lacks: "everything", without: listed(forOne) },
  ])(
    "$lacks: said within 5 s, requests are served, a purge rejects, and it works once granted",
    async ({ without }) => {
      const redis = await serverWith(
        without.reduce((line, name) => line.replace(` +${name} `, " "), `${forOne} `).trim(),
      );
      const admin = await adminOf(redis);
      const client = await ownClient(make(`redis://shop:${DOCUMENTED_PASSWORD}@127.0.0.1:${redis.port}`));
      const world = await startWorld({ store: redisStore({ client }), prefix: "shop" });
      const said = (): unknown =>
        world.events.find(
          (event) =>
            event.type === "operation-failed" &&
            /NOPERM|can't run this command|ACL failure in script/.test(event.error.message),
        );
      await until(async () => {
        expect(await world.get("/page")).toMatchObject({ status: 200, body: `handler ${world.calls}` });
        return said();
      }, 5000);
      await expect(world.cache.purge("all")).rejects.toMatchObject({ code: "ERR_PURGE_NOT_ACKNOWLEDGED" });
      expect(await world.get("/page")).toMatchObject({ status: 200, body: `handler ${world.calls}` });
      await admin.sendCommand(["ACL", "SETUSER", "shop", ...rulesOf(forOne).split(" ")]);
      await world.untilHit("/page");
    },
  );
});
