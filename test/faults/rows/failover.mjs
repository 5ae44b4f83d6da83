/** Sentinel and Cluster: a primary lost, a shard lost, a slot on the move. */
import { setTimeout as pause } from "node:timers/promises";

import { command, errorCounts } from "../harness/fixtures.mjs";
import { percentile, summary } from "../harness/load.mjs";
import { round } from "../harness/world.mjs";

/** A failover is over within this, on a machine that does other things as well. */
const MOST_WINDOW_MS = 20_000;
const KEYS = 40;
const PATHS = Array.from({ length: KEYS }, (_, at) => `/fresh/${at}?bytes=500`);

export const sentinelFailover = {
  number: 8,
  title: "Sentinel failover",
  does: "The primary of a Sentinel group is killed; later the next one is frozen.",
  expects: "No error; Redis is left out until the new primary is known.",
  isLong: true,
  async run(world) {
    const group = await world.sentinel();
    const topology = { kind: "sentinel", name: group.masterName, sentinels: group.addresses };
    const application = await world.application({ topology });
    await world.warm(application);

    const killed = await group.primary();
    await window(world, application, "killed", () => killed.kill());
    await killed.start();
    await group.untilHealthy();
    await world.untilHit(application);

    const frozen = await group.primary();
    await window(world, application, "frozen", () => frozen.freeze());
    frozen.thaw();
    await world.expectMemory(application, 4);
  },
};

export const clusterFailover = {
  number: 9,
  title: "Cluster: a master killed, a master frozen",
  does: "A master with stored responses is killed, then the one with the purge log; then one is frozen.",
  expects:
    "No error; the keys of other masters stay in use, unless the purge log itself is out of reach. A process on node-redis need not end by itself afterwards: that package keeps connections of clients it gave up while they connected.",
  isLong: true,
  async run(world) {
    // Of a cluster, node-redis loses hold of clients that it destroys while they connect; they connect and stay.
    world.clientMayLinger = world.client === "node-redis";
    const cluster = await world.cluster();
    const nodes = cluster.addresses;
    const application = await world.application({ topology: { kind: "cluster", nodes } });
    await world.warm(application);
    const ofLog = () => cluster.masterOf(`{${application.prefix}}`);
    const notOfLog = async () => {
      const log = await ofLog();
      return (await cluster.masters()).find(({ id }) => id !== log.id);
    };

    const first = await notOfLog();
    const phase = await window(world, application, "master of responses killed", () => first.kill(), allHit);
    const kept = phase.hitRatio("fresh");
    world.figure("hits while one of three masters is gone", round(kept, 2));
    await first.start();
    await cluster.untilHealthy();

    const log = await ofLog();
    await window(world, application, "master of the log killed", () => log.kill(), allHit);
    await log.start();
    await cluster.untilHealthy();

    const second = await notOfLog();
    await window(world, application, "master of responses frozen", () => second.freeze(), allHit);
    second.thaw();
    await world.expectMemory(application, 6);
  },
};

async function allHit(world, application) {
  let hits = 0;
  for (const path of PATHS) if ((await world.ask(application, path)).isHit) hits += 1;
  return hits === KEYS;
}

async function oneHits(world, application) {
  return (await world.ask(application, "/fresh/until-hit")).isHit;
}

/** Load from before a fault until everything is found again; the time from the one to the other. */
async function window(world, application, name, begin, isBack = oneHits) {
  const over = new AbortController();
  const loading = world.load({ applications: [application], seconds: 60, ratePerSecond: 100, signal: over.signal });
  await pause(500);
  await begin();
  const startMs = performance.now();
  let windowMs;
  while (windowMs === undefined && performance.now() - startMs < 45_000) {
    await pause(50);
    if (await isBack(world, application)) windowMs = performance.now() - startMs;
  }
  over.abort();
  const phase = summary(await loading, { fromMs: startMs });
  world.figure(`window ms, ${name}`, windowMs === undefined ? "never" : round(windowMs));
  world.expectRecovery(windowMs, MOST_WINDOW_MS);
  world.expectWithinDeadline(phase, { roundTrips: 2 });
  world.report(phase);
  return phase;
}

export const migration = {
  number: 10,
  title: "Cluster: slots on the move",
  does: "Slots with stored responses, and the one of the purge log, move to other masters key by key under load. While the two keys of the log are on two masters, one purge follows the other.",
  expects:
    "No error, no command across slots; a purge that a half moved log cannot take is refused and made up for later.",
  isLong: true,
  async run(world) {
    const cluster = await world.cluster();
    const application = await world.application({ topology: { kind: "cluster", nodes: cluster.addresses } });
    await world.warm(application);
    await world.ask(application, "/fresh/1?bytes=500");
    const before = await replies(cluster);
    const keys = await entryKeys(cluster, application.prefix);
    const slots = [...new Set(await Promise.all(keys.map((key) => cluster.slotOf(key))))];
    const logSlot = await cluster.slotOf(`{${application.prefix}}`);
    const moved = slots.filter((slot) => slot !== logSlot).slice(0, world.seconds(12, 4));
    const path = "/fresh/half-moved";
    await world.untilHit(application, { path });

    const over = new AbortController();
    const loading = world.load({ applications: [application], seconds: 60, ratePerSecond: 100, signal: over.signal });
    for (const slot of moved) await move(cluster, slot);
    await move(cluster, logSlot, () => purgeHalfMoved(world, application, path));
    const read = await world.ask(application, path);
    world.expect("what was purged meanwhile is not served", !read.isHit, read.isHit ? "a hit" : "a miss");
    const purgeTimes = [];
    for (let at = 0; at < 10; at += 1) {
      const purge = await application.tell("purge", { target: { url: PATHS[at] } });
      purgeTimes.push(purge.ms);
      world.expect("a purge is acknowledged after the move", purge.acknowledged, purge.message ?? "yes");
    }
    await pause(500);
    over.abort();
    const phase = summary(await loading);
    const after = await replies(cluster);
    for (const name of ["MOVED", "ASK", "TRYAGAIN", "CROSSSLOT"]) {
      world.figure(name, (after.get(name) ?? 0) - (before.get(name) ?? 0));
    }
    world.figure("slots moved", moved.length + 1);
    world.figure("purge ms", round(percentile(purgeTimes, 1), 1));
    world.report(phase);
    world.expectWithinDeadline(phase, { roundTrips: 2 });
    world.expect("the log was met half moved", world.figures["TRYAGAIN"] > 0, world.figures["TRYAGAIN"]);
    world.expect("no command across slots", world.figures["CROSSSLOT"] === 0, world.figures["CROSSSLOT"]);
    world.expectRecovery(await world.untilHit(application), 3000);
  },
};

async function entryKeys(cluster, prefix) {
  const perNode = await Promise.all(
    (await cluster.masters()).map(({ port }) => command(port, "KEYS", `${prefix}:1:*fresh*`)),
  );
  return perNode.flat().filter((key) => /fresh\/\d+_/.test(key));
}

async function replies(cluster) {
  const sums = new Map();
  for (const { port } of await cluster.masters()) {
    for (const [name, count] of await errorCounts(port)) sums.set(name, (sums.get(name) ?? 0) + count);
  }
  return sums;
}

/** Purges all the time, each of which is acknowledged or refused. */
async function purgeHalfMoved(world, application, path) {
  const endMs = performance.now() + 1000 * world.seconds(3, 1);
  const counts = new Map();
  while (performance.now() < endMs) {
    const { acknowledged, code } = await application.tell("purge", { target: { url: path } });
    const told = acknowledged ? "acknowledged" : code;
    counts.set(told, (counts.get(told) ?? 0) + 1);
    await pause(20);
  }
  const acknowledged = counts.get("acknowledged") ?? 0;
  const refused = counts.get("ERR_PURGE_NOT_ACKNOWLEDGED") ?? 0;
  world.figure("purges while the log was half moved", `${acknowledged + refused} (${refused} not acknowledged)`);
  counts.delete("acknowledged");
  counts.delete("ERR_PURGE_NOT_ACKNOWLEDGED");
  world.expect("each of them is acknowledged or refused", counts.size === 0, [...counts.keys()].join(", "));
}

/** Slowly, so that the load meets the slot in all of its states; `halfMoved` is done when the first key has moved. */
async function move(cluster, slot, halfMoved = () => pause(100)) {
  const from = await cluster.masterOf(slot);
  const masters = await cluster.masters();
  const to = masters.find(({ id }) => id !== from.id);
  const moving = await cluster.beginMove(slot, from, to);
  await pause(150);
  await moving.migrate(1);
  await halfMoved();
  while ((await moving.migrate(1)) > 0) await pause(100);
  await moving.finish();
}
