import { afterAll, beforeAll, expect, it } from "vitest";
import { buildExamples, type BuiltExamples } from "./built-examples.ts";

let examples: BuiltExamples;

beforeAll(() => {
  examples = buildExamples();
}, 120_000);

afterAll(() => examples?.remove());

it("examples/cluster: workers share what they store and collapse, a purge reaches all, and Ctrl+C ends everything", async () => {
  const program = examples.start("cluster/main");
  await program.line("Ctrl+C ends it.");

  const rows = program.lines().map((line) => line.trim().split(/ {2,}/));
  const first = rows.filter(([, request]) => request === "GET /product/1");
  expect(first.map(([asked, , , cache]) => [asked, cache])).toEqual([
    ["worker 1", "Miss"],
    ["worker 2", "Hit"],
    ["worker 2", "Hit"],
    ["worker 3", "Hit"],
  ]);
  const [content] = new Set(first.map((row) => row[2]));
  const afterPurge = rows.filter((row) => row[0]?.startsWith("worker") && row[2]?.endsWith(" ms"));
  expect(afterPurge).toHaveLength(4);
  for (const row of afterPurge) expect(row[3]).not.toBe(content);
  const shards = rows.filter(([shard]) => /^127\.0\.0\.1:\d+$/.test(shard ?? ""));
  expect(shards).toHaveLength(3);
  for (const [, keys] of shards) expect(Number(keys)).toBeGreaterThan(0);

  const origin = /http:\/\/127\.0\.0\.1:\d+/.exec(await program.line("Try it"))?.[0] ?? "";
  expect((await fetch(`${origin}/product/7`)).status).toBe(200);
  expect(await program.stop("SIGINT")).toBe(0);
  await expect(fetch(`${origin}/product/7`)).rejects.toThrow();
}, 60_000);
