/** The primary under Sentinels is lost under load: no request fails, and every client finds the new one by itself. */

import { afterAll, beforeAll, beforeEach, it } from "vitest";

import { redisStore } from "../../src/stores/redis/index.ts";
import { DOCUMENTED_SENTINELS } from "../redis/documented-clients.ts";
import { FAULTS, loseWithPurge } from "../redis/failover.ts";
import { type Member, startLoad, startMember } from "../redis/fleet.ts";
import { type SentinelGroup, startSentinel } from "../redis/sentinel.ts";
import { watchUnhandled } from "../redis/unhandled.ts";

const ITEMS = 10;
const EVERY_MS = 50;
/** Measured: 2.5 to 4.5 s, of which 1 s passes until a server counts as down and 1 s with the election. The rest is room. */
const FOUND_AGAIN_WITHIN_MS = 20_000;

let group: SentinelGroup;
let members: Member[] = [];
let expectNoneUnhandled: () => Promise<void>;

beforeAll(async () => {
  expectNoneUnhandled = watchUnhandled();
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
  await expectNoneUnhandled();
});

beforeEach(() => group.untilHealthy());

it.each(FAULTS)(
  "the primary is $fault: misses until another one is the primary, and a purge made meanwhile holds afterwards",
  async (fault) => {
    const load = startLoad(members, ITEMS, EVERY_MS);
    await load.untilAllHit(FOUND_AGAIN_WITHIN_MS);
    const server = await group.primary();
    const what = fault.fault;
    await loseWithPurge(fault, { what, server, members, load, foundAgainWithinMs: FOUND_AGAIN_WITHIN_MS });
  },
  60_000,
);
