import { afterAll, beforeAll, expect, it } from "vitest";

import { type RedisCluster, startCluster } from "./cluster.ts";
import { command, errorCounts, info } from "./command.ts";
import { until } from "./store.ts";

let cluster: RedisCluster;
beforeAll(async () => {
  cluster = await startCluster();
});
afterAll(() => cluster?.stop());

it("has three masters that share the slots, and a replica of each", async () => {
  const states = await cluster.topology();
  const ranges = states.flatMap(({ slotRanges }) => slotRanges).sort(([a], [b]) => a - b);
  expect(ranges).toEqual([
    [0, 5460],
    [5461, 10921],
    [10922, 16383],
  ]);
  expect(states.map(({ role }) => role).sort()).toEqual([
    "master",
    "master",
    "master",
    "replica",
    "replica",
    "replica",
  ]);
  for (const master of await cluster.masters()) expect(await cluster.replicasOf(master)).toHaveLength(1);
});

it("moves a slot key by key, then as a whole", async () => {
  const keys = ["{move}:1", "{move}:2", "{move}:3"];
  const slot = await cluster.slotOf(keys[0]!);
  const from = await cluster.masterOf(slot);
  const to = (await cluster.masters()).find((master) => master.id !== from.id)!;
  for (const key of keys) await command(from.port, "SET", key, "value");

  const move = await cluster.beginMove(slot, from, to);
  expect(await move.migrate(1)).toBe(1);
  expect(await command(to.port, "CLUSTER", "COUNTKEYSINSLOT", slot)).toBe(1);
  await expect(command(from.port, "GET", "{move}:none")).rejects.toThrow(`ASK ${slot} 127.0.0.1:${to.port}`);
  await expect(command(from.port, "MGET", ...keys)).rejects.toThrow("TRYAGAIN");
  await move.finish();
  expect(await cluster.masterOf(keys[0]!)).toBe(to);
  await expect(command(from.port, "GET", keys[0]!)).rejects.toThrow("MOVED");
  expect((await errorCounts(from.port)).get("MOVED")).toBe(1);

  await cluster.moveSlot(slot, to, from);
  expect(await cluster.masterOf(slot)).toBe(from);
  expect(await command(from.port, "CLUSTER", "COUNTKEYSINSLOT", slot)).toBe(3);
});

it("elects the replica of a master that is killed, and of one that is frozen", async () => {
  const killed = await cluster.masterOf("killed");
  await killed.kill();
  await until(async () => (await cluster.masterOf("killed")) !== killed);
  await killed.start();
  await cluster.untilHealthy();
  expect((await info(killed.port, "replication")).get("role")).toBe("slave");

  const frozen = await cluster.masterOf("frozen");
  frozen.freeze();
  await until(async () => (await cluster.masterOf("frozen")) !== frozen);
  frozen.thaw();
  await cluster.untilHealthy();
});
