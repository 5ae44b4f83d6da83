/** Redis away, back, and frozen. */
import { setTimeout as pause } from "node:timers/promises";

import { suspensions } from "../harness/events.mjs";
import { command } from "../harness/fixtures.mjs";
import { drive } from "../harness/drive.mjs";
import { History } from "../harness/history.mjs";

/** How long a process with a memory tier serves from it although Redis is away. */
const MAX_UNVERIFIED_MS = 60_000;

export const killed = {
  number: 1,
  title: "Redis killed",
  does: "`kill -9` of Redis under load; started again after some seconds.",
  expects:
    "Requests go to the handler at once, a memory tier goes on serving, a purge is refused instead of pretended, hits resume by themselves.",
  async run(world) {
    const redis = await world.redis();
    const { applications, alone, layered } = await aloneAndLayered(world, redis);

    await redis.kill();
    const first = await world.phase({ applications, seconds: 1 });
    const steady = await world.phase({ applications, seconds: world.seconds(8, 2) });
    world.report(steady);
    world.expectWithinDeadline(first);
    world.expectNoWaiting(steady);
    expectMemoryTierServes(world, steady, layered);
    await world.expectPurgeRefused(alone);

    await redis.start();
    world.expectRecovery(await world.untilHit(alone), 3000);
    await world.expectMemory(alone, 3);
  },
};

export const restarted = {
  number: 2,
  title: "Redis restarted empty, and from an old snapshot",
  does: "Killed and started again: once without its data, once with a snapshot from before some purges. Reads, changes and purges go on.",
  expects: "A new or continued purge log, misses, and no stale read after an acknowledged purge.",
  async run(world) {
    const origin = await world.origin();
    const history = new History();
    const redis = await world.redis({ keepsDirectory: true });
    const prefix = world.prefix();
    const settings = { url: redis.url, prefix, originPort: origin.port };
    const applications = [await world.application(settings), await world.application(settings)];
    await world.warm(...applications);
    origin.setDelay(() => 5 + Math.random() * 30);

    const seconds = world.seconds(5, 1.5);
    await drive(world, { applications, origin, history, seconds });
    await command(redis.port, "SAVE");
    await drive(world, { applications, origin, history, seconds });

    await redis.kill();
    await redis.start();
    world.expectRecovery(await world.untilHit(applications[0]), 3000);
    await drive(world, { applications, origin, history, seconds });
    world.figure("after the old snapshot", `${history.violations.length} stale`);

    await redis.kill();
    const restart = redis.start();
    await drive(world, { applications, origin, history, seconds: 1 });
    await restart;
    await command(redis.port, "FLUSHALL");
    await drive(world, { applications, origin, history, seconds });
    world.expectNoStaleReads(history);
  },
};

export const frozen = {
  number: 3,
  title: "Redis frozen (SIGSTOP)",
  does: "Redis stopped by a signal: connections stay open and nothing answers. Then it goes on.",
  expects:
    "A handful of requests wait for the deadline, later ones not at all; memory stays bounded; late answers are dropped.",
  async run(world) {
    const redis = await world.redis();
    const { applications, alone, layered } = await aloneAndLayered(world, redis);

    redis.freeze();
    const first = await world.phase({ applications, seconds: 1.5 });
    const steady = await world.phase({ applications, seconds: world.seconds(28, 3) });
    world.report(steady);
    world.figure("times left out", await suspensions(alone));
    world.expectWithinDeadline(first);
    world.expectNoWaiting(steady);
    expectMemoryTierServes(world, steady, layered);
    await world.expectPurgeRefused(alone);
    await world.expectMemory(alone, 3);

    redis.thaw();
    world.expectRecovery(await world.untilHit(alone), 5000);
    await pause(200);
    const after = await world.phase({ applications, seconds: 1 });
    world.expect("hits as before", after.hitRatio("fresh") > 0.9, `${after.hitRatio("fresh")} of fresh requests`);
  },
};

/** Two applications on one Redis, the second with a memory tier in front. */
async function aloneAndLayered(world, redis) {
  const alone = await world.application({ url: redis.url });
  const layered = await world.application({ url: redis.url, tiered: { maxUnverifiedMs: MAX_UNVERIFIED_MS } });
  const applications = [alone, layered];
  await world.warm(...applications);
  return { applications, alone, layered };
}

function expectMemoryTierServes(world, { answers }, layered) {
  const asked = answers.filter(({ kind, port }) => kind === "fresh" && port === layered.port);
  const hits = asked.filter(({ isHit }) => isHit).length;
  world.expect("the memory tier goes on serving", hits >= asked.length * 0.95, `${hits} hits of ${asked.length}`);
}
