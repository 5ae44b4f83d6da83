import { setTimeout as pause } from "node:timers/promises";
import { expect, inject, it } from "vitest";
import { hitOrMiss } from "../adapters/contract/world.ts";
import { send } from "../adapters/contract/http-client.ts";
import { upstreamOf, until } from "../proxy/world.ts";
import { freePort } from "../redis/server.ts";
import { ownPrefix } from "../redis/store.ts";
import { reprise, startProxy } from "./cli.ts";

function tagging(): ReturnType<typeof upstreamOf> {
  return upstreamOf((request, response) => {
    const tag = request.url?.includes("7") === true ? "user:7" : "user:8";
    response.writeHead(200, { "cache-control": "max-age=600", "cache-tag": tag }).end(request.url);
  });
}

it("purges by tag, by URL, by path and all, in a proxy that runs", async () => {
  const upstream = await tagging();
  const prefix = ownPrefix();
  const redis = ["--redis", inject("redisUrl"), "--prefix", prefix];
  const { url } = await startProxy(upstream.url, ...redis);
  const paths = ["/users/7", "/users/8", "/posts/7"];
  const hits = async (): Promise<readonly boolean[]> =>
    Promise.all(paths.map(async (path) => hitOrMiss(await send(url + path)) === "Hit"));
  const filled = (): Promise<void> => until(async () => (await hits()).every(Boolean));

  for (const { flags, left } of [
    { flags: ["--tag", "user:7", "--tag", "other"], left: [false, true, false] },
    { flags: ["--url", "/users/8", "--url", `${url}/posts/7`], left: [true, false, false] },
    { flags: ["--under", "/users"], left: [false, false, true] },
    { flags: ["--under", "/users", "--under", "/posts"], left: [false, false, false] },
    { flags: ["--all"], left: [false, false, false] },
  ]) {
    await filled();
    expect(await reprise("purge", ...redis, ...flags)).toEqual({ code: 0, out: "purged\n", err: "" });
    // Each process of the proxy keeps what it serves most in memory, and looks for purges four times a second.
    await pause(300);
    expect([flags[0], await hits()]).toEqual([flags[0], left]);
  }
});

it.each<{ args: readonly string[]; says: string }>([
  { args: [], says: "what shall be purged? Give --tag, --url or --under, or --all alone" },
  { args: ["--all", "--tag", "a"], says: "what shall be purged?" },
  { args: ["--tga", "a"], says: "there is no --tga. Did you mean --tag?" },
  { args: ["user:7"], says: "expected flags only, got user:7" },
  { args: ["--tag", ""], says: '--tag: expected a text of 1 to 256 characters, got ""' },
  { args: ["--tag", "a", "--url", "users/7"], says: '--url: expected a path or an absolute URL, got "users/7"' },
  { args: ["--under", "/a", "--under", "/b/*"], says: '--under: expected a path without a wildcard, got "/b/*"' },
  { args: ["--all", "--prefix", "a b"], says: "--prefix: expected 1 to 64 letters, digits, _ . or -" },
  { args: ["--all", "--redis", "localhost"], says: "--redis: expected a URL such as redis://127.0.0.1:6379" },
])("reprise purge $args is refused in one line", async ({ args, says }) => {
  const { code, out, err } = await reprise("purge", "--redis", inject("redisUrl"), ...args);
  expect([code, out]).toEqual([2, ""]);
  expect(err).toContain(`reprise: ${says}`);
  expect(err.trim().split("\n")).toHaveLength(1);
});

it("says that nothing was purged where Redis is not to be reached, without the password", async () => {
  const port = await freePort();
  const { code, out, err } = await reprise("purge", "--redis", `redis://user:secret@127.0.0.1:${port}`, "--all");
  expect([code, out]).toEqual([1, ""]);
  expect(err).toContain("nothing was purged");
  expect(err).not.toContain("secret");
});

it("a proxy purges for nobody who asks by HTTP", async () => {
  const upstream = await upstreamOf((request, response) => {
    if (request.method !== "GET") return void response.writeHead(405).end();
    response.writeHead(200, { "cache-control": "max-age=600" }).end("kept");
  });
  const { url } = await startProxy(upstream.url);
  await send(`${url}/a`);
  for (const method of ["PURGE", "POST", "DELETE"]) {
    const headers = { "X-Purge-Method": "regex", "Surrogate-Key": "a", "Fastly-Soft-Purge": "1" };
    expect((await send(`${url}/a`, { method, headers })).status).toBe(405);
  }
  expect(hitOrMiss(await send(`${url}/a`))).toBe("Hit");
});
