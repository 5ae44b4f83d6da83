import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { buildExamples, type BuiltExamples } from "./built-examples.ts";

const SERVERS = ["express", "hono", "node", "fetch"];
const FUNCTIONS = ["functions", "decorators"];

let examples: BuiltExamples;

beforeAll(() => {
  examples = buildExamples();
}, 120_000);

afterAll(() => examples?.remove());

it("has a test for each example", () => {
  const files = readdirSync(join(import.meta.dirname, "../../examples")).filter((name) => name.endsWith(".ts"));
  expect(files.toSorted()).toEqual([...SERVERS, ...FUNCTIONS, "redis"].map((name) => `${name}.ts`).toSorted());
});

describe.each(SERVERS)("examples/%s.ts", (name) => {
  it("prints its URL, answers with a miss, then with a hit that equals it", async () => {
    const program = examples.start(name);
    const url = `${await program.origin()}/time`;
    const miss = await fetch(url);
    const hit = await fetch(url);

    expect(miss.headers.get("x-reprise-cache")).toBe("Miss");
    expect(hit.headers.get("x-reprise-cache")).toBe("Hit");
    expect(hit.headers.get("etag")).toMatch(/^"[^"]+"$/);
    // A fetch handler that answers at once is answered at once: its body, and so its ETag, is not known yet.
    expect(miss.headers.get("etag")).toBe(name === "fetch" ? null : hit.headers.get("etag"));
    expect(await hit.json()).toEqual(await miss.json());
    expect(program.lines()).toEqual(expect.arrayContaining([expect.stringMatching(/^stored GET \/time for 300 s/)]));
    await program.stop();
  });
});

it("examples/express.ts: a parameter that is not on the list makes no other response", async () => {
  const program = examples.start("express");
  const origin = await program.origin();
  expect(await (await fetch(`${origin}/greeting?lang=fr`)).text()).toBe("Bonjour");
  const tracked = await fetch(`${origin}/greeting?utm_source=mail&lang=fr`);
  expect(tracked.headers.get("x-reprise-cache")).toBe("Hit");
  expect(await tracked.text()).toBe("Bonjour");
  expect(await (await fetch(`${origin}/greeting`)).text()).toBe("Hello");
  await program.stop();
});

it("examples/functions.ts: runs the function for the first call and after a purge", async () => {
  const program = examples.start("functions");
  expect(await program.exitCode).toBe(0);
  expect(program.lines().map((line) => line.replace(/ \(\d+ s left\)$/, ""))).toEqual([
    "fetching the rate of EUR",
    'stored rates("EUR") for 600 s',
    'found rates("EUR")',
    "the rate is 0.75, and its date still a Date: true",
    "fetching the rate of EUR",
    'stored rates("EUR") for 600 s',
  ]);
});

it("examples/decorators.ts: asks the database once for two calls with different connections", async () => {
  const program = examples.start("decorators");
  expect(await program.exitCode).toBe(0);
  expect(program.lines().map((line) => line.replace(/ \(\d+ s left\)$/, ""))).toEqual([
    "asking the database for user 7",
    "stored Users.getUser(7) for 3600 s",
    "found Users.getUser(7)",
    "{ id: 7, name: 'User 7' }",
  ]);
});

it("examples/redis.ts: what one process has stored is a hit in another one", async () => {
  const environment = { REDIS_URL: inject("redisUrl") };
  const [first, second] = [examples.start("redis", environment), examples.start("redis", environment)];
  await Promise.all([first.line("connected to redis"), second.line("connected to redis")]);
  // A path of this run's own, by a query: the Redis may hold responses of an earlier one.
  const path = `/time?run=${Date.now()}`;

  const miss = await fetch((await first.origin()) + path);
  expect(miss.headers.get("x-reprise-cache")).toBe("Miss");
  const body: unknown = await miss.json();
  for (const program of [first, second]) {
    const hit = await fetch((await program.origin()) + path);
    expect(hit.headers.get("x-reprise-cache")).toBe("Hit");
    expect(hit.headers.get("etag")).toBe(miss.headers.get("etag"));
    expect(await hit.json()).toEqual(body);
  }
  await Promise.all([first.stop(), second.stop()]);
});
