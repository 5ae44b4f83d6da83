/** Faults at random for a long time, with a checker of histories and of leaks: `npm run soak -- --help`. */
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";

import { drive } from "./harness/drive.mjs";
import { History } from "./harness/history.mjs";
import { leakCheck } from "./harness/leaks.mjs";
import { SoakFaults } from "./harness/soak-faults.mjs";
import { round, World } from "./harness/world.mjs";

const HELP = `Usage: npm run soak [-- flags]

Four processes on one Redis behind a proxy, reads and purges all the time, and a fault at random every ten seconds.
Exits with 1 on a stale read after an acknowledged purge, an error caused by the cache, an unhandled rejection, or a leak.

  --minutes <n>    how long (default 30)
  --client <name>  node-redis or ioredis (default: two processes with each)
  --help           show this help
`;

const OPTIONS = {
  minutes: { type: "string", default: "30" },
  client: { type: "string" },
  help: { type: "boolean", default: false },
};

const FAULT_EVERY_MS = 10_000;
/** Of each process with a memory tier what it may be behind, also while Redis does not answer it; undefined without one. */
const MAX_UNVERIFIED_MS = [undefined, undefined, 250, 1000];

process.exitCode = await main().catch((error) => {
  console.error(`soak: ${error.stack}`);
  return 1;
});

async function main() {
  const { values: flags } = parseArgs({ options: OPTIONS });
  if (flags.help) {
    console.log(HELP);
    return 0;
  }
  const minutes = Number(flags.minutes);
  if (!(minutes > 0 && minutes <= 24 * 60))
    throw new Error(`--minutes ${String(flags.minutes)}: expected a number of minutes.`);
  const world = new World("node-redis", false);
  try {
    return await soak(world, minutes, flags.client);
  } finally {
    await world.cleanUp();
  }
}

async function soak(world, minutes, client) {
  const redis = await world.redis({ keepsDirectory: true });
  const proxy = await world.proxy(redis.port);
  const origin = await world.origin();
  origin.setDelay(() => 5 + Math.random() * 45);
  const prefix = world.prefix();
  const start = async (at) => {
    const maxUnverifiedMs = MAX_UNVERIFIED_MS[at];
    const application = await world.application({
      url: proxy.url,
      prefix,
      originPort: origin.port,
      client: client ?? ["node-redis", "ioredis"][at % 2],
      ...(maxUnverifiedMs === undefined ? {} : { tiered: { maxUnverifiedMs } }),
    });
    return Object.assign(application, { at, allowanceMs: maxUnverifiedMs ?? 0 });
  };
  const applications = [];
  for (let at = 0; at < MAX_UNVERIFIED_MS.length; at += 1) applications.push(await start(at));
  await world.warm(...applications);

  const history = new History();
  const faults = new SoakFaults({ world, redis, proxy, prefix, applications, start });
  const leaks = leakCheck(applications);
  const seconds = minutes * 60;
  const driving = drive(world, {
    applications,
    origin,
    history,
    seconds,
    lanes: 12,
    pauseMs: 20,
    changesPerSecond: 10,
  });
  const endMs = performance.now() + seconds * 1000;
  while (performance.now() < endMs) {
    await leaks.sample();
    await Promise.race([faults.one(), driving]);
    await Promise.race([pause(FAULT_EVERY_MS * (0.3 + Math.random() * 0.7), undefined, { ref: false }), driving]);
    process.stdout.write(
      `${faults.last}: ${history.reads} reads, ${history.violations.length} stale, ${world.problems.length} errors\n`,
    );
  }
  await driving;
  await faults.end();
  await world.untilHit(applications[0]);
  await pause(2000);
  await leaks.sample();

  const leak = leaks.summary();
  world.expectNoStaleReads(history);
  world.expect("no error caused by the cache", world.problems.length === 0, JSON.stringify(world.problems.slice(0, 3)));
  world.expect("memory does not grow with time", leak.grownMib <= 8, `${leak.grownMib} MiB`);
  world.expect("handles do not grow with time", leak.grownHandles <= 20, leak.grownHandles);
  await world.end();

  console.log("");
  console.log(`faults            ${faults.summary()}`);
  console.log(`requests          ${world.requests}, of which ${history.reads} checked reads with ${history.hits} hits`);
  console.log(`purges            ${history.acknowledgedPurges} acknowledged, ${history.refusedPurges} refused`);
  console.log(
    `memory            ${leak.grownMib} MiB more in the last third than in the first of the process that grew most; ` +
      `${round(leak.mibPerHour, 1)} MiB an hour in the one that ran longest (${round(leak.longestMinutes, 0)} minutes)`,
  );
  console.log(`handles           ${leak.grownHandles} more than at the start`);
  const failed = world.expectations.filter(({ isMet }) => !isMet);
  for (const { text, actual } of failed) console.log(`not met: ${text}: ${actual}`);
  console.log(
    `soak: ${minutes} minutes, ${faults.count} faults, ${history.violations.length} stale reads, ` +
      `${world.problems.length} errors caused by the cache, ${failed.length} expectations not met`,
  );
  return failed.length === 0 ? 0 : 1;
}
