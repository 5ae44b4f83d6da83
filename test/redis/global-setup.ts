/** One Redis for the whole test run: the one of REDIS_URL, or a server of our own. */

import type { TestProject } from "vitest/node";

import { type RedisServer, startRedis } from "./server.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** A real Redis every test file may use. Tests keep to prefixes of their own and never flush it. */
    redisUrl: string;
    /** The same for what a test does beside the cache. */
    redisAdminUrl: string;
  }
}

let server: RedisServer | undefined;

export async function setup(project: TestProject): Promise<void> {
  const given = process.env["REDIS_URL"];
  if (given !== undefined && given !== "") {
    project.provide("redisUrl", given);
    project.provide("redisAdminUrl", given);
    return;
  }
  server = await startRedis();
  project.provide("redisUrl", server.url);
  project.provide("redisAdminUrl", server.adminUrl);
}

export async function teardown(): Promise<void> {
  await server?.stop();
}
