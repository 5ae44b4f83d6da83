/** The demo that `npm start` runs: an API over the cities of the world, each route once cached and once not. */
import type { Server } from "node:http";
import { memoryStore, type CacheStore } from "reprise";
import { redisStore } from "reprise/redis";
import { createDemo } from "./app.ts";
import { loadCities } from "./cities.ts";
import { readSettings, SettingError, type Settings } from "./settings.ts";

const GRACE_MS = 2000;

try {
  const settings = readSettings(process.env);
  const store = storeFrom(settings);
  const cities = loadCities();
  const { app, cache } = createDemo(cities, store, settings);
  const server = app.listen(settings.port, (error?: Error) => {
    if (error !== undefined) return stop(error);
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : settings.port;
    console.log(
      `Reprise demo: ${cities.all.length.toLocaleString("en")} cities, stored responses in ${placeOf(store)}`,
    );
    console.log(`Open http://localhost:${port} (Ctrl+C ends it)`);
  });
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => close(server, () => cache.close()));
} catch (error) {
  stop(error);
}

function storeFrom({ redisUrl }: Settings): CacheStore {
  if (redisUrl === undefined) return memoryStore();
  try {
    return redisStore({ url: redisUrl });
  } catch (error) {
    throw new SettingError(`REDIS_URL: ${messageOf(error)}`, { cause: error });
  }
}

function placeOf(store: CacheStore): string {
  return store.name === "redis" ? "Redis (REDIS_URL)" : "memory (set REDIS_URL for Redis)";
}

/** Answers what has begun, then releases everything. A second signal ends it at once, as always. */
function close(server: Server, closeCache: () => Promise<void>): void {
  server.close(() => void closeCache());
  setTimeout(() => server.closeAllConnections(), GRACE_MS).unref();
}

/** One line for what can be put right; anything else is a defect and keeps its stack. */
function stop(error: unknown): void {
  process.exitCode = 1;
  if (isCoded(error) && error.code === "EADDRINUSE") {
    console.error(
      `Port ${error.port} is in use. Free it, or choose another one: PORT=${(error.port % 65_535) + 1} npm start`,
    );
  } else if (isCoded(error) && error.code === "EACCES") {
    console.error(`Port ${error.port} may not be used by this user. Choose another one: PORT=3000 npm start`);
  } else if (error instanceof SettingError || isCoded(error)) {
    console.error(messageOf(error));
  } else {
    console.error(error);
  }
  process.exit();
}

function isCoded(error: unknown): error is Error & { code: string; port: number } {
  return error instanceof Error && "code" in error;
}

/** On one line: Reprise's own messages put the cure on a second one. */
function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replaceAll(/\s*\n\s*/g, " ");
}
