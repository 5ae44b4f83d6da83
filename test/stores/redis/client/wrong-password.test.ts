/** A wrong password for a Cluster, or for the server that Sentinels name: told once, and nothing waits for it. */

import { setTimeout as pause } from "node:timers/promises";

import { createClient } from "redis";
import { describe, expect, it } from "vitest";

import { redisStore } from "../../../../src/stores/redis/index.ts";
import { CLUSTER_FORMS, SENTINEL_FORMS } from "../../../redis/cluster-clients.ts";
import { eachTest } from "../../../redis/each-test.ts";
import { failedStart, setUser, WRONG_PASSWORD } from "../../../redis/failed-start.ts";
import { freePort, type RedisServer } from "../../../redis/server.ts";
import { until, untilCaching } from "../../../redis/store.ts";

const { server, ownClient, ownStore } = eachTest();

interface Refused {
  readonly redis: RedisServer;
  readonly connect: () => Promise<object>;
  /** What the event says. */
  readonly says: RegExp;
}

async function expectToldOnce({ redis, connect, says }: Refused): Promise<void> {
  const store = ownStore(redisStore({ connect }));
  const { error, events } = await failedStart(store);
  expect(error.message).toMatch(says);
  await pause(500);
  expect(events).toHaveLength(2);
  await setUser(redis, "default", WRONG_PASSWORD);
  await untilCaching(store, "p", 15_000);
}

const REFUSED = /WRONGPASS.*\nCheck the user name and the password\./;

describe.each(CLUSTER_FORMS)("a wrong password for a Cluster ($form)", ({ form, make }) => {
  it("is told once, within 5 s, and the store caches when it is right", async () => {
    const busPort = String(await freePort());
    const config = ["--cluster-enabled", "yes", "--cluster-port", busPort, "--cluster-announce-ip", "127.0.0.1"];
    const redis = await server({ password: "right", config });
    const admin = await createClient({ url: redis.adminUrl }).connect();
    await admin.sendCommand(["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    await until(async () => (await admin.sendCommand<string>(["CLUSTER", "INFO"])).includes("cluster_state:ok"));
    admin.destroy();
    await expectToldOnce({
      redis,
      connect: () => ownClient(make([{ host: "127.0.0.1", port: redis.port }], { password: WRONG_PASSWORD })),
      // iovalkey tells that, or what it asked afterwards without having been let in.
      says: form.startsWith("iovalkey") ? /(?:WRONGPASS|NOAUTH).*\n(?:Check|The server asks for) / : REFUSED,
    });
  }, 30_000);
});

describe.each(SENTINEL_FORMS)("a wrong password behind Sentinels ($form)", ({ form, make }) => {
  it("is told once, within 5 s, and the store caches when it is right", async () => {
    const redis = await server({ password: "right" });
    const monitor = [`sentinel monitor primary 127.0.0.1 ${redis.port} 1`, "sentinel auth-pass primary right"];
    const { port } = await server({ sentinel: monitor });
    await expectToldOnce({
      redis,
      connect: () => ownClient(make([{ host: "127.0.0.1", port }], "primary", { password: WRONG_PASSWORD })),
      // A sentinel client of node-redis has no word for it among its errors.
      says: form.startsWith("node-redis") ? /no answer within 5 s/ : REFUSED,
    });
  }, 30_000);
});
