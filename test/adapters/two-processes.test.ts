/** The built package in real processes that share nothing but Redis. */

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished } from "vitest";

import { ownPrefix } from "../redis/store.ts";
import { type Received, send } from "./contract/http-client.ts";
import { hitOrMiss, until } from "./contract/world.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const SERVER = fileURLToPath(new URL("shared-server.mjs", import.meta.url));

describe("processes", () => {
  let folder = "";

  beforeAll(() => {
    // Below node_modules, so that the built files find their packages.
    const cacheFolder = join(ROOT, "node_modules", ".cache");
    mkdirSync(cacheFolder, { recursive: true });
    folder = mkdtempSync(join(cacheFolder, "reprise-"));
    const tsc = join(ROOT, "node_modules", "typescript", "bin", "tsc");
    execFileSync(process.execPath, [tsc, "-p", join(ROOT, "tsconfig.build.json"), "--outDir", folder], { cwd: ROOT });
  }, 60_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  async function start(redisUrl: string, prefix: string): Promise<Running> {
    const child = spawn(process.execPath, [SERVER, folder, redisUrl, prefix], { stdio: ["pipe", "pipe", "inherit"] });
    onTestFinished(() => void child.kill("SIGKILL"));
    const [line] = (await once(child.stdout, "data")) as [Buffer];
    const url = `http://127.0.0.1:${line.toString().trim()}`;
    return {
      pid: child.pid,
      get: (path, headers = {}) => send(url + path, { headers: { Host: "api.example", ...headers } }),
      kill: () => killed(child),
    };
  }

  it("two processes on one Redis: a miss in one is a hit in the other, with the same ETag", async () => {
    const prefix = ownPrefix();
    const redisUrl = inject("redisUrl");
    const [a, b] = await Promise.all([start(redisUrl, prefix), start(redisUrl, prefix)]);

    for (const [first, second, path] of [
      [a, b, "/?x=1&y=2"],
      [b, a, "/other"],
    ] as const) {
      const miss = await first.get(path);
      expect([hitOrMiss(miss), pidOf(miss)]).toEqual(["Miss", first.pid]);
      // The write is done when the process that made it reads it back.
      await until(async () => hitOrMiss(await first.get(path)) === "Hit");
      const hit = await second.get(path);
      expect([hitOrMiss(hit), pidOf(hit)]).toEqual(["Hit", first.pid]);
      expect(hit.headers.etag).toBe(miss.headers.etag);
      const notModified = await second.get(path, { "If-None-Match": miss.headers.etag ?? "none" });
      expect([notModified.status, notModified.headers.etag]).toEqual([304, miss.headers.etag]);
    }
  });

  it("two processes share the variants of a resource", async () => {
    const prefix = ownPrefix();
    const redisUrl = inject("redisUrl");
    const [a, b] = await Promise.all([start(redisUrl, prefix), start(redisUrl, prefix)]);

    for (const outcome of ["Miss", "Hit"]) {
      expect(hitOrMiss(await a.get("/varied", { "Accept-Language": "en" }))).toBe(outcome);
    }
    expect(pidOf(await b.get("/varied", { "Accept-Language": "en" }))).toBe(a.pid);
    const german = await b.get("/varied", { "Accept-Language": "de" });
    expect([hitOrMiss(german), pidOf(german)]).toEqual(["Miss", b.pid]);
    expect(hitOrMiss(await b.get("/varied", { "Accept-Language": "de" }))).toBe("Hit");
    expect(pidOf(await a.get("/varied", { "Accept-Language": "de" }))).toBe(b.pid);
  });

  it("after a restart the stored response and its ETag are still there", async () => {
    const prefix = ownPrefix();
    const redisUrl = inject("redisUrl");
    const before = await start(redisUrl, prefix);
    const miss = await before.get("/");
    expect(hitOrMiss(await before.get("/"))).toBe("Hit");
    await before.kill();

    const after = await start(redisUrl, prefix);
    const hit = await after.get("/", { "If-None-Match": miss.headers.etag ?? "none" });

    expect(after.pid).not.toBe(before.pid);
    expect([hit.status, hitOrMiss(hit), hit.headers.etag]).toEqual([304, "Hit", miss.headers.etag]);
    expect(pidOf(await after.get("/"))).toBe(before.pid);
  });

  it("processes that share nothing make the same ETag of the same content", async () => {
    const [a, b] = await Promise.all([start("", ownPrefix()), start("", ownPrefix())]);

    const [first, second] = await Promise.all([a.get("/same"), b.get("/same")]);

    expect([hitOrMiss(first), hitOrMiss(second)]).toEqual(["Miss", "Miss"]);
    expect(first.headers.etag).toMatch(/^"[^"]+"$/);
    expect(second.headers.etag).toBe(first.headers.etag);
    const elsewhere = await b.get("/same", { "If-None-Match": first.headers.etag ?? "none" });
    expect(elsewhere.status).toBe(304);
  });
});

interface Running {
  readonly pid: number | undefined;
  get(path: string, headers?: Record<string, string>): Promise<Received>;
  kill(): Promise<void>;
}

function pidOf(received: Received): unknown {
  return (JSON.parse(received.text) as { pid: unknown }).pid;
}

async function killed(child: ChildProcess): Promise<void> {
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}
