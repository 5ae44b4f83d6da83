import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, inject, it, onTestFinished } from "vitest";
import { send } from "../adapters/contract/http-client.ts";
import { client, head, until, upstreamOf } from "../proxy/world.ts";
import { freePort } from "../redis/server.ts";
import { ownPrefix } from "../redis/store.ts";
import { start, startProxy, type Run } from "./cli.ts";

function cacheable(): ReturnType<typeof upstreamOf> {
  return upstreamOf((request, response) => {
    if (request.url === "/slow") return void setTimeout(() => response.end("slow"), 300);
    response.writeHead(200, { "cache-control": "max-age=60" });
    response.end(`${request.headers.host} ${String(request.headers["x-forwarded-host"])}`);
  });
}

function configFile(config: unknown): string {
  const folder = mkdtempSync(join(tmpdir(), "reprise-cli-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, "proxy.json"), JSON.stringify(config));
  return join(folder, "proxy.json");
}

describe("reprise proxy", () => {
  it("says where it is, caches, and ends in order on SIGTERM", async () => {
    const upstream = await cacheable();
    const { run, url, port } = await startProxy(upstream.url);
    expect(run.out).toBe(`${url} → ${upstream.url} (profile proxy, memory)\n`);
    const [miss, hit] = [await send(`${url}/a`), await send(`${url}/a`)];
    expect([miss.headers["x-reprise-cache"], hit.headers["x-reprise-cache"]]).toEqual(["Miss", "Hit"]);
    expect(hit.text).toBe(`127.0.0.1:${upstream.port} 127.0.0.1:${port}`);
    const peer = await client(port);
    peer.write(head("GET /slow HTTP/1.1", "Host: a"));
    await until(() => upstream.requests.length === 2);
    run.child.kill("SIGTERM");
    expect(await peer.rest()).toMatch(/Connection: close\r\n[^]*slow/);
    expect(await run.ended).toMatchObject({ code: 0, err: "" });
  });

  it("ends at once on a second SIGINT", async () => {
    const upstream = await upstreamOf(() => {});
    const { run, port } = await startProxy(upstream.url);
    const peer = await client(port);
    peer.write(head("GET / HTTP/1.1", "Host: a"));
    await until(() => upstream.requests.length === 1);
    run.child.kill("SIGINT");
    await until(async () => (await client(port).catch(() => undefined)) === undefined);
    run.child.kill("SIGINT");
    expect((await run.ended).code).toBe(1);
  });

  it("starts without its upstream, with a warning, and answers 502 until it is there", async () => {
    const port = await freePort();
    const { run, url } = await startProxy(`http://127.0.0.1:${port}`);
    await until(() => run.err.includes("\n"));
    expect(run.err).toBe(
      `reprise: warning: http://127.0.0.1:${port} cannot be reached (ECONNREFUSED); until it can, requests are answered with 502 or 504\n`,
    );
    expect((await send(url)).status).toBe(502);
  });

  it("takes its settings from a file, and flags before those", async () => {
    const upstream = await cacheable();
    const config = configFile({ upstream: upstream.url, listen: 1, "preserve-host": true, profile: "origin" });
    const { run, url, port } = await startProxy("--config", config, "--profile", "rfc9111-shared");
    expect(run.out).toContain("(profile rfc9111-shared, memory)");
    expect((await send(`${url}/a`)).text).toBe(`127.0.0.1:${port} 127.0.0.1:${port}`);
  });

  it("obeys a small memory", async () => {
    const upstream = await cacheable();
    const { url } = await startProxy(upstream.url, "--memory", "1KiB");
    for (let at = 0; at < 20; at += 1) await send(`${url}/${at}`);
    expect((await send(`${url}/0`)).headers["x-reprise-cache"]).toBe("Miss");
  });

  it("shares responses through Redis", async () => {
    const upstream = await cacheable();
    const flags = ["--redis", inject("redisUrl"), "--prefix", ownPrefix(), "--memory", "1MiB"];
    const [one, two] = [await startProxy(upstream.url, ...flags), await startProxy(upstream.url, ...flags)];
    expect(one.run.out).toContain("(profile proxy, Redis)");
    const headers = { host: "shared.example" };
    let path = "";
    // Until a connection to Redis is there, nothing is kept.
    for (let at = 0; ; at += 1) {
      path = `/${at}`;
      await send(one.url + path, { headers });
      if ((await send(one.url + path, { headers })).headers["x-reprise-cache"] === "Hit") break;
      expect(at).toBeLessThan(200);
    }
    await until(async () => (await send(two.url + path, { headers })).headers["x-reprise-cache"] === "Hit");
    for (const { run } of [one, two]) {
      run.child.kill("SIGTERM");
      expect((await run.ended).code).toBe(0);
    }
  });

  it("writes what it does with --log info", async () => {
    const upstream = await cacheable();
    const { run, url } = await startProxy(upstream.url, "--log", "info");
    await send(`${url}/a`);
    await until(() => run.err.includes("stored GET /a"));
    expect(run.err).toMatch(/^reprise: stored GET \/a for 60 s/);
  });
});

describe("reprise proxy --cluster", () => {
  it("serves from several processes, replaces one that dies, and ends in order", async () => {
    const upstream = await cacheable();
    const { run, url } = await startProxy(upstream.url, "--cluster", "2", "--log", "info");
    expect(run.out).toMatch(/\(profile proxy, memory\), 2 workers\n$/);
    expect((await send(`${url}/a`)).status).toBe(200);
    const before = workersOf(run);
    expect(before).toHaveLength(2);
    process.kill(before[0] ?? 0, "SIGKILL");
    await until(() => run.err.includes("starting another"));
    await until(() => workersOf(run).length === 3);
    for (let at = 0; at < 8; at += 1) expect((await send(`${url}/${at}`)).status).toBe(200);
    const slow = send(`${url}/slow`);
    await until(() => upstream.requests.some((request) => request.url === "/slow"));
    run.child.kill("SIGTERM");
    expect((await slow).text).toBe("slow");
    expect((await run.ended).code).toBe(0);
    expect(workersOf(run).map(isAlive)).toEqual([false, false, false]);
  });

  it("gives up when workers die again and again", async () => {
    const upstream = await cacheable();
    const { run, url } = await startProxy(
      upstream.url,
      "--cluster",
      "1",
      "--log",
      "info",
      "--listen",
      // With port 0 and no other worker, each new one would get another port.
      `127.0.0.1:${await freePort()}`,
    );
    // Each of them listens before it dies: one that cannot even start would be given up at once.
    for (let count = 1; count <= 6; count += 1) {
      await until(() => workersOf(run).length === count);
      await until(async () => (await send(url).catch(() => undefined)) !== undefined);
      process.kill(workersOf(run).at(-1) ?? 0, "SIGKILL");
    }
    const { code, err } = await run.ended;
    expect(code).toBe(1);
    expect(err).toContain("5 were restarted within a minute, which is enough");
    expect(workersOf(run)).toHaveLength(6);
  });

  it("leaves no worker behind when the primary process is killed", async () => {
    const upstream = await cacheable();
    const { run } = await startProxy(upstream.url, "--cluster", "2", "--log", "info");
    const workers = workersOf(run);
    expect(workers).toHaveLength(2);
    run.child.kill("SIGKILL");
    await until(() => workers.every((pid) => !isAlive(pid)));
    expect(workers.map(isAlive)).toEqual([false, false]);
  });

  it("shows the usage error of its arguments once", async () => {
    const run = start("proxy", "http://127.0.0.1:9", "--cluster", "2", "--memory", "lots");
    const { code, err } = await run.ended;
    expect(code).toBe(2);
    expect(err.split("\n")).toHaveLength(2);
  });
});

/** Process ids of all workers that were ever started. */
function workersOf(run: Run): number[] {
  return [...run.err.matchAll(/worker (\d+) started/g)].map(([, pid]) => Number(pid));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
