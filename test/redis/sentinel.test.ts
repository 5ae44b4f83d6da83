import { afterAll, beforeAll, expect, it } from "vitest";

import { info } from "./command.ts";
import { type SentinelGroup, startSentinel } from "./sentinel.ts";
import { until } from "./store.ts";

let group: SentinelGroup;
beforeAll(async () => {
  group = await startSentinel();
});
afterAll(() => group?.stop());

it("makes another server the primary when the first is killed, and again when that one freezes", async () => {
  const first = await group.primary();
  expect(first).toBe(group.nodes[0]);
  await first.kill();
  await until(async () => (await group.primary()) !== first, 20_000);
  await first.start();
  await group.untilHealthy();
  expect((await info(first.port, "replication")).get("role")).toBe("slave");

  const second = await group.primary();
  second.freeze();
  await until(async () => (await group.primary()) !== second, 20_000);
  second.thaw();
  await group.untilHealthy();
}, 60_000);
