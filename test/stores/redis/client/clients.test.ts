/** Each family of clients does the same things to one server, and over one connection. */

import { createClient } from "redis";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { redisClient } from "../../../../src/stores/redis/client/detect.ts";
import { redisScript } from "../../../../src/stores/redis/client/port.ts";
import { redisStore } from "../../../../src/stores/redis/index.ts";
import { clientContract, ownKey } from "../../../redis/client-contract.ts";
import { SINGLE_NODE_FORMS } from "../../../redis/clients.ts";
import { command, commandCounts } from "../../../redis/command.ts";
import { type RedisServer, startRedis } from "../../../redis/server.ts";
import { opened, textEntry, textOf, until, untilCaching } from "../../../redis/store.ts";

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

for (const { form, make } of SINGLE_NODE_FORMS) {
  clientContract({
    form,
    make: () => make(server.url),
    flushScripts: () => command(server.port, "SCRIPT", "FLUSH"),
    portOf: () => server.port,
  });
}

/** Of the clients only: the one that asks is left out. */
async function connections(): Promise<number> {
  const lines = String(await command(server.port, "CLIENT", "LIST"))
    .trim()
    .split("\n");
  return lines.length - 1;
}

// A pool is what its name says, and makes more connections when there is more to do.
const ofOneConnection = SINGLE_NODE_FORMS.filter(({ form }) => !form.endsWith("Pool"));

describe.each(ofOneConnection)("one connection, whatever the number of requests ($form)", ({ make }) => {
  it("over 10,000 gets, 100 at a time", async () => {
    const { client, end } = await make(server.url);
    const store = redisStore({ client, deadlineMs: 5000 });
    opened(store);
    await untilCaching(store, "connections");
    const keys = Array.from({ length: 100 }, (_, index) => `connections ${index}`);
    for (const key of keys) await store.put(key, textEntry("a"), 60_000);
    // Clients of the tests before may still be closing.
    await until(async () => (await connections()) === 1);
    for (let round = 0; round < 100; round += 1) {
      const found = await Promise.all(keys.map(async (key) => store.get(key)));
      expect(found.filter((entry) => textOf(entry) === "a")).toHaveLength(100);
      if (round % 20 === 0) expect(await connections()).toBe(1);
    }
    expect(await connections()).toBe(1);
    await store.close?.();
    end();
  });
});

describe.each(SINGLE_NODE_FORMS)("one round trip ($form)", ({ make }) => {
  it("is one MGET for a pair and one EVALSHA for a script", async () => {
    const made = await make(server.url);
    const client = redisClient(made.client)!;
    const [first, second] = [ownKey("a"), ownKey("b")];
    await client.get(first);
    await command(server.port, "CONFIG", "RESETSTAT");
    await client.getPair(first, second);
    const script = { text: "return 1", sha1: "e0e1f9fabfc9d4800c877a703b823ac0578ff8db" };
    for (let round = 0; round < 3; round += 1) expect(await client.evaluate(script, [], [])).toBe(1);
    const counts = await commandCounts(server.port);
    expect(counts.get("mget")).toBe(1);
    expect(counts.get("evalsha")).toBe(3);
    expect(counts.get("eval") ?? 0).toBeLessThanOrEqual(1);
    made.end();
  });
});

const ERROR_CODES = [
  "LOADING",
  "BUSY",
  "MASTERDOWN",
  "CLUSTERDOWN",
  "READONLY",
  "OOM",
  "NOREPLICAS",
  "MISCONF",
  "NOAUTH",
  "WRONGPASS",
  "NOPERM",
  "CROSSSLOT",
  "ERR",
];

describe.each(SINGLE_NODE_FORMS)("errors are spelt as the server spells them ($form)", ({ make }) => {
  it("whatever the error", async () => {
    const made = await make(server.url);
    const client = redisClient(made.client)!;
    const script = redisScript("return redis.error_reply(ARGV[1])");
    for (const code of ERROR_CODES) {
      await expect(client.evaluate(script, [], [`${code} and why`])).rejects.toThrow(new RegExp(`^${code} and why`));
    }
    made.end();
  });
});

describe("clients are known by their shape", () => {
  it.each(["string", 7, null, undefined, {}, new Map(), { get: () => {}, set: () => {} }, createClient])(
    "%s is none",
    (value) => {
      expect(redisClient(value)).toBeUndefined();
    },
  );
});
