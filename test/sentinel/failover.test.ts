/** The primary under Sentinels is lost under load: no request fails, and every client finds the new one by itself. */

import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";

import { redisStore } from "../../src/stores/redis.ts";
import { DOCUMENTED_SENTINELS } from "../redis/documented-clients.ts";
import { type Answer, type Member, missedForMs, startLoad, startMember } from "../redis/fleet.ts";
import { type SentinelGroup, startSentinel } from "../redis/sentinel.ts";
import type { RedisServer } from "../redis/server.ts";

const ITEMS = 10;
const EVERY_MS = 50;
/** Measured: 2.5 to 4.5 s, of which 1 s passes until a server counts as down and 1 s with the election. The rest is room. */
const FOUND_AGAIN_WITHIN_MS = 20_000;
/**
 * Most wait for the store's deadline of 100 ms at most. A lease whose end was lost with its server is waited for until it
 * expires, 2 s; the rest is for a busy machine.
 */
const ANSWERED_WITHIN_MS = 3500;

const unhandled: unknown[] = [];
const onUnhandled = (reason: unknown): void => void unhandled.push(reason);

let group: SentinelGroup;
let members: Member[] = [];

beforeAll(async () => {
  process.on("unhandledRejection", onUnhandled);
  process.on("uncaughtException", onUnhandled);
  group = await startSentinel();
  members = await Promise.all(
    DOCUMENTED_SENTINELS.map(({ form, connect }) =>
      startMember({ name: form, store: redisStore({ connect: connect(group.masterName, group.addresses) }) }),
    ),
  );
});

afterAll(async () => {
  await Promise.all(members.map((member) => member.close()));
  await group?.stop();
  process.off("unhandledRejection", onUnhandled);
  process.off("uncaughtException", onUnhandled);
  expect(unhandled).toEqual([]);
});

beforeEach(() => group.untilHealthy());

const FAULTS = [
  { fault: "killed", strike: (server: RedisServer) => server.kill(), mend: (server: RedisServer) => server.start() },
  {
    fault: "frozen",
    strike: async (server: RedisServer) => server.freeze(),
    mend: async (server: RedisServer) => server.thaw(),
  },
];

it.each(FAULTS)(
  "T66 the primary is $fault: misses until another one is the primary, and a purge made meanwhile holds afterwards",
  async ({ fault, strike, mend }) => {
    const load = startLoad(members, ITEMS, EVERY_MS);
    await load.untilAllHit(FOUND_AGAIN_WITHIN_MS);
    const primary = await group.primary();

    const faultAtMs = performance.now();
    await strike(primary);
    await pause(200);
    const purges = await Promise.allSettled(
      members.map((member) => {
        member.versions.set(7, (member.versions.get(7) ?? 0) + 1);
        return member.cache.purge({ tag: "item:7" });
      }),
    );
    const purgedAtMs = performance.now();
    await pause(1000);
    await load.untilAllHit(FOUND_AGAIN_WITHIN_MS);
    const answers = await load.stop();
    await mend(primary);

    report(fault, answers, faultAtMs);
    expect(answers.filter(({ failure }) => failure !== undefined)).toEqual([]);
    expect(Math.max(...answers.map(({ tookMs }) => tookMs))).toBeLessThan(ANSWERED_WITHIN_MS);
    for (const purge of purges) {
      expect(purge).toMatchObject({ status: "rejected", reason: { code: "ERR_PURGE_NOT_ACKNOWLEDGED" } });
    }
    expect(outdated(answers, purgedAtMs)).toEqual([]);
  },
  60_000,
);

/** The answers with a version of item 7 from before its purge. */
function outdated(answers: readonly Answer[], purgedAtMs: number): readonly Answer[] {
  const versions = new Map(members.map(({ name, versions }) => [name, versions.get(7) ?? 0]));
  return answers.filter(
    ({ name, item, version, dueAtMs }) => item === 7 && dueAtMs > purgedAtMs && version < versions.get(name)!,
  );
}

function report(fault: string, answers: readonly Answer[], faultAtMs: number): void {
  const figures = members.map(({ name }) => `${name} ${missedForMs(answers, name, faultAtMs)} ms`);
  const slowestMs = Math.round(Math.max(...answers.map(({ tookMs }) => tookMs)));
  console.info(`${fault}: last miss after ${figures.join(", ")}; slowest of ${answers.length} answers ${slowestMs} ms`);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
