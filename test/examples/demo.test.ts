import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { freePort, startRedis } from "../redis/server.ts";
import { ownPrefix, until } from "../redis/store.ts";
import { buildExamples, type BuiltExamples, type RunningProgram } from "./built-examples.ts";

/** The routes whose function is cached, not their response. */
const FUNCTION_ROUTES = ["/journey", "/names"];

let examples: BuiltExamples;

beforeAll(() => {
  examples = buildExamples();
}, 120_000);

afterAll(() => examples?.remove());

describe.each([
  { store: "memory", environment: () => ({}), words: "stored responses in memory" },
  {
    store: "Redis",
    environment: () => ({ REDIS_URL: inject("redisUrl"), PREFIX: ownPrefix() }),
    words: "stored responses in Redis",
  },
])("the demo with its responses in $store", ({ store, environment, words }) => {
  let demo: RunningProgram;
  let origin: string;
  let links: readonly string[];

  beforeAll(async () => {
    demo = examples.start("demo/main", environment());
    origin = await demo.origin();
    if (store === "Redis") await demo.line("connected to redis");
    const page = await (await fetch(origin)).text();
    links = [...page.matchAll(/<a class="path" href="([^"]+)"/g)].map(([, path]) => path!.replaceAll("&amp;", "&"));
  }, 60_000);

  afterAll(() => demo.stop());

  it("prints its URL, the number of cities and the store", async () => {
    expect(await demo.line("Reprise demo")).toMatch(/^Reprise demo: 13\d,\d{3} cities, /);
    expect(await demo.line("Reprise demo")).toContain(words);
    expect(await demo.line("Open ")).toContain(origin);
  });

  it("answers each route of the start page with a miss, then a hit, and its twin with the same bytes", async () => {
    expect(links).toHaveLength(11);
    for (const path of links) {
      const isFunction = FUNCTION_ROUTES.some((route) => path.startsWith(route));
      const miss = await get(path);
      const hit = isFunction ? await get(path) : await getHit(path);
      const twin = await get(`/uncached${path}`);
      expect([path, miss.status, hit.status, twin.status]).toEqual([path, 200, 200, 200]);
      expect(hit.body.equals(miss.body), path).toBe(true);
      expect(twin.body.equals(miss.body), path).toBe(true);
      expect([path, twin.cache]).toEqual([path, null]);
      expect([path, miss.cache, hit.cache]).toEqual([path, ...(isFunction ? [null, null] : ["Miss", "Hit"])]);
    }
  });

  it("answers each further example of the start page", async () => {
    const page = await (await fetch(origin)).text();
    const lists = [...page.matchAll(/data-examples="([^"]+)"/g)].map(([, list]) =>
      list!.replaceAll("&quot;", '"').replaceAll("&amp;", "&"),
    );
    const paths = lists.flatMap((list) => JSON.parse(list) as string[]);
    expect(paths.length).toBeGreaterThan(20);
    for (const path of paths) expect([path, (await get(encodeURI(path))).status]).toEqual([path, 200]);
  });

  it("logs what it stores, finds and does not store", async () => {
    await get("/countries");
    await get("/countries");
    await get("/cities");
    await get("/names");
    await get("/names");
    await demo.line("stored GET /countries for 31536000 s");
    await demo.line("found GET /countries");
    await demo.line("not stored GET /cities: status");
    await demo.line('stored commonestNames("world",10)');
    await demo.line('found commonestNames("world",10)');
    const kept = (await (await fetch(`${origin}/log?after=0`)).json()) as { text: string }[];
    expect(kept.map(({ text }) => text)).toContain("not stored GET /cities: status");
  });

  it("finds the same response whatever the order of parameters and whatever tracks the reader", async () => {
    expect((await get("/cities?q=oslo&limit=2")).cache).toBe("Miss");
    expect((await get("/cities?utm_source=mail&limit=2&q=oslo")).cache).toBe("Hit");
  });

  it("keeps an answer per person, and none of them in a shared cache", async () => {
    const [alice, bob] = [await get("/my/round-trip", "session=alice"), await get("/my/round-trip", "session=bob")];
    expect(alice.body.equals(bob.body)).toBe(false);
    const again = await get("/my/round-trip", "session=alice");
    expect(again.cache).toBe("Hit");
    expect(again.body.equals(alice.body)).toBe(true);
    expect(again.fields.get("cache-control")).toBe("private, no-cache");
  });

  it("passes by other routes for a request with a session cookie", async () => {
    await get("/countries");
    const response = await get("/countries", "session=alice");
    expect(response.fields.get("cache-status")).toBe("reprise; fwd=bypass; detail=cookie");
  });

  it("remembers for 30 seconds that a city does not exist", async () => {
    expect(await get("/cities/1")).toMatchObject({ status: 404, cache: "Miss" });
    const hit = await get("/cities/1");
    expect(hit).toMatchObject({ status: 404, cache: "Hit" });
    expect(hit.fields.get("cache-status")).toMatch(/^reprise; hit; ttl=(2\d|30)$/);
    // What can be purged by a tag is not left to browsers.
    expect(hit.fields.get("cache-control")).toBe("no-cache");
  });

  it("serves what is stale while it is renewed, and in place of an error", async () => {
    const before = await get("/centre");
    expect((await get("/outermost")).status).toBe(200);
    await fetch(`${origin}/outage/on`, { method: "POST" });
    // Both are fresh for 5 seconds.
    await until(async () => (await get("/outermost")).fields.get("cache-status")?.includes("stale-if-error"));
    expect((await get("/outermost")).status).toBe(200);
    expect((await get("/uncached/outermost")).status).toBe(500);

    const stale = await get("/centre");
    expect(stale.fields.get("cache-status")).toMatch(/^reprise; hit; ttl=-?\d+$/);
    const computedAt = (response: Answer): string | null => response.fields.get("x-computed-at");
    await until(async () => computedAt(await get("/centre")) !== computedAt(before));

    await fetch(`${origin}/outage/off`, { method: "POST" });
    expect((await get("/uncached/outermost")).status).toBe(200);
    await until(async () => (await get("/outermost")).cache === "Hit");
  }, 60_000);

  it("draws a PNG of the size asked for", async () => {
    const { body, fields } = await get("/map.png?width=600");
    expect(fields.get("content-type")).toBe("image/png");
    expect(body.subarray(1, 4).toString("latin1")).toBe("PNG");
    expect(body.readUInt32BE(16)).toBe(600);
  });

  it("exports a line for each city of a country", async () => {
    const { body } = await get("/countries/is/cities.csv");
    const countries = JSON.parse((await get("/countries")).body.toString()) as { code: string; cities: number }[];
    const lines = body.toString().trimEnd().split("\r\n");
    expect(lines).toHaveLength(1 + countries.find(({ code }) => code === "IS")!.cities);
  });

  it("says what is wrong with a request in one line of JSON", async () => {
    for (const [path, status] of [
      ["/nearest?lat=100&lon=0", 400],
      ["/cities?q=", 400],
      ["/map.png?palette=pink", 400],
      ["/countries/xx/cities.csv", 404],
      ["/journey?from=lisbon&to=nowhere", 404],
      ["/nothing", 404],
    ] as const) {
      const { status: actual, body } = await get(path);
      expect([path, actual, Object.keys(JSON.parse(body.toString()) as object)]).toEqual([path, status, ["error"]]);
    }
  });

  interface Answer {
    readonly status: number;
    readonly fields: Headers;
    readonly cache: string | null;
    readonly body: Buffer;
  }

  /** A look-up has 100 ms, which a busy machine may need for something else; then the response is made anew, and stored. */
  async function getHit(path: string): Promise<Answer> {
    for (let triesLeft = 2; triesLeft > 0; triesLeft -= 1) {
      const answer = await get(path);
      if (answer.cache === "Hit") return answer;
    }
    return get(path);
  }

  async function get(path: string, cookie?: string): Promise<Answer> {
    const response = await fetch(origin + path, cookie === undefined ? {} : { headers: { cookie } });
    const body = Buffer.from(await response.arrayBuffer());
    return { status: response.status, fields: response.headers, cache: response.headers.get("x-reprise-cache"), body };
  }
});

describe("what the person who starts it got wrong is told in one line, with exit code 1", () => {
  it.each([
    { environment: { PORT: "eighty" }, line: /^PORT: expected a number from 0 to 65535, got "eighty"/ },
    {
      environment: { REDIS_URL: "no url at all" },
      line: /^REDIS_URL: .*expected a URL such as "redis:.*got "no url at all"/,
    },
    {
      environment: { REDIS_URL: "http://127.0.0.1" },
      line: /^REDIS_URL: .*expected a URL such as "redis:.*got "http:/,
    },
    { environment: { REDIS_URL: "redis://127.0.0.1:999999" }, line: /^REDIS_URL: .*expected a URL such as "redis:/ },
    { environment: { EXPIRE: "5 parsecs" }, line: /^cached\(\{ expire \}\): expected .*got "5 parsecs"/ },
    { environment: { PREFIX: "a b" }, line: /^createCache\(\{ prefix \}\): expected .*got "a b"/ },
  ])("$environment", async ({ environment, line }) => {
    const demo = examples.start("demo/main", { ...environment });
    expect(await demo.exitCode).toBe(1);
    expect(demo.lines()).toEqual([expect.stringMatching(line)]);
  });

  it("a busy port", async () => {
    const holder = await listening(createServer());
    const { port } = holder.address() as AddressInfo;
    const demo = examples.start("demo/main", { PORT: String(port) });
    expect(await demo.exitCode).toBe(1);
    expect(demo.lines()).toEqual([
      `Port ${port} is in use. Free it, or choose another one: PORT=${port + 1} npm start`,
    ]);
    holder.close();
  });

  it("no password of a REDIS_URL is printed", async () => {
    const demo = examples.start("demo/main", { REDIS_URL: "redis://:hunter2@host:port" });
    expect(await demo.exitCode).toBe(1);
    expect(demo.lines().join()).not.toContain("hunter2");
  });
});

it("goes on without Redis, says so in one line, and caches by itself when Redis comes", async () => {
  const port = await freePort();
  const demo = examples.start("demo/main", { REDIS_URL: `redis://127.0.0.1:${port}` });
  const origin = await demo.origin();
  await demo.line("cannot reach redis");
  for (let count = 0; count < 3; count++) {
    const response = await fetch(`${origin}/countries`);
    expect([response.status, response.headers.get("x-reprise-cache")]).toEqual([200, "Miss"]);
    await response.arrayBuffer();
  }
  const warnings = demo.lines().filter((line) => line.includes(" warn "));
  expect(warnings).toEqual([expect.stringContaining(`cannot reach redis at redis://127.0.0.1:${port}; `)]);

  const redis = await startRedis({ port });
  await demo.line("connected to redis");
  await until(async () => (await fetch(`${origin}/countries`)).headers.get("x-reprise-cache") === "Hit");
  expect(await demo.stop("SIGTERM")).toBe(0);
  await redis.stop();
}, 60_000);

it.each(["SIGINT", "SIGTERM"] as const)("ends with code 0 on %s, also with a connection held open", async (signal) => {
  const demo = examples.start("demo/main");
  await (await fetch(await demo.origin())).text();
  expect(await demo.stop(signal)).toBe(0);
});

it("npm start builds and runs it", async () => {
  const npm = examples.npmStart({});
  const response = await fetch(await npm.origin());
  expect(await response.text()).toContain("<!doctype html>");
  await npm.stop("SIGINT");
  expect(npm.lines().filter((line) => /error/i.test(line))).toEqual([]);
}, 90_000);

async function listening(server: Server): Promise<Server> {
  await new Promise<void>((resolve) => {
    server.listen(0, resolve);
  });
  return server;
}
