/** A Redis that answers, but with errors. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

import { eventCount, toldSince } from "../harness/events.mjs";
import { command } from "../harness/fixtures.mjs";
import { round } from "../harness/world.mjs";

export const transient = {
  number: 11,
  title: "LOADING, BUSY, MASTERDOWN, CLUSTERDOWN",
  isLong: true,
  does: "Redis loads its data, is kept busy by a script, is a replica without its primary, lacks a slot of its cluster.",
  expects: "Misses for as long as it lasts.",
  async run(world) {
    const seconds = world.seconds(4, 1.5);
    await loading(world, seconds);
    await busy(world, seconds);
    await masterDown(world, seconds);
    await clusterDown(world, seconds);
  },
};

async function loading(world, seconds) {
  const slowLoading = ["--enable-debug-command", "yes", "--loading-process-events-interval-bytes", "1024"];
  const keys = 1000;
  const config = [...slowLoading, "--key-load-delay", String(Math.round((seconds * 1_300_000) / keys))];
  const redis = await world.redis({ keepsDirectory: true, config });
  const application = await world.application({ url: redis.url });
  await world.warm(application);
  await command(redis.port, "DEBUG", "POPULATE", keys, "filler", 1000);
  await command(redis.port, "SAVE");
  await redis.kill();
  const started = redis.start();
  await pause(200);
  const state = await command(redis.port, "GET", "filler:1").catch((error) => error.message);
  await observe(world, "LOADING", state, application, seconds);
  await started;
  world.expectRecovery(await world.untilHit(application), 5000);
}

async function busy(world, seconds) {
  const redis = await world.redis({ config: ["--busy-reply-threshold", "50"] });
  const application = await world.application({ url: redis.url });
  await world.warm(application);
  const spinning = command(redis.port, "EVAL", "while true do end", 0).catch(() => {});
  await pause(200);
  const state = await command(redis.port, "GET", "x").catch((error) => error.message);
  await observe(world, "BUSY", state, application, seconds);
  await command(redis.port, "SCRIPT", "KILL");
  await spinning;
  world.expectRecovery(await world.untilHit(application), 5000);
}

async function masterDown(world, seconds) {
  const redis = await world.redis();
  const application = await world.application({ url: redis.url });
  await world.warm(application);
  await command(redis.port, "CONFIG", "SET", "replica-serve-stale-data", "no");
  await command(redis.port, "REPLICAOF", "127.0.0.1", await world.freePort());
  const state = await command(redis.port, "GET", "x").catch((error) => error.message);
  await observe(world, "MASTERDOWN", state, application, seconds);
  await command(redis.port, "REPLICAOF", "NO", "ONE");
  world.expectRecovery(await world.untilHit(application), 5000);
}

async function clusterDown(world, seconds) {
  const busPort = String(await world.freePort());
  const redis = await world.redis({
    config: ["--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-port", busPort],
  });
  await command(redis.port, "CLUSTER", "ADDSLOTSRANGE", 0, 16383);
  await pause(2500);
  const application = await world.application({ url: redis.url });
  await world.warm(application);
  await command(redis.port, "CLUSTER", "DELSLOTSRANGE", 0, 16383);
  await pause(100);
  const state = await command(redis.port, "GET", "x").catch((error) => error.message);
  await observe(world, "CLUSTERDOWN", state, application, seconds);
  await command(redis.port, "CLUSTER", "ADDSLOTSRANGE", 0, 16383);
  world.expectRecovery(await world.untilHit(application), 6000);
}

/** Load while Redis is in the state it should be in. */
async function observe(world, name, state, application, seconds) {
  world.expect(`Redis answers ${name}`, String(state).startsWith(name), state);
  const phase = await world.phase({ applications: [application], seconds });
  world.report(phase);
  world.expectWithinDeadline(phase);
  world.figure(`added p99 ms, ${name}`, round(phase.addedP99Ms, 1));
}

export const full = {
  number: 12,
  title: "Memory full (noeviction)",
  does: "`maxmemory` is reached and nothing may be evicted: each write is refused.",
  expects: "Hits go on, responses are not stored and that is told, a purge is refused and made up for later.",
  async run(world) {
    const redis = await world.redis();
    await refusedWrites(world, redis, {
      reply: "OOM",
      begin: () => command(redis.port, "CONFIG", "SET", "maxmemory", "1"),
      end: () => command(redis.port, "CONFIG", "SET", "maxmemory", "0"),
    });
  },
};

export const readOnly = {
  number: 14,
  title: "Primary demoted to a replica",
  does: "Redis becomes a read-only replica of its own replica, then a primary again.",
  expects: "As with full memory.",
  async run(world) {
    const redis = await world.redis();
    const other = await world.redis({ replicaOf: redis.port, config: ["--repl-diskless-sync-delay", "0"] });
    await refusedWrites(world, redis, {
      reply: "READONLY",
      async begin() {
        await untilReplicated(redis, other);
        await command(other.port, "REPLICAOF", "NO", "ONE");
        await command(redis.port, "REPLICAOF", "127.0.0.1", other.port);
        await untilReplicated(other, redis);
      },
      end: () => command(redis.port, "REPLICAOF", "NO", "ONE"),
    });
  },
};

export const noReplicas = {
  number: 15,
  title: "NOREPLICAS and MISCONF",
  does: "Redis refuses writes for want of replicas, then because its snapshots fail.",
  expects: "As with full memory.",
  async run(world) {
    const redis = await world.redis({ config: ["--enable-protected-configs", "yes"] });
    const set = (name, value) => command(redis.port, "CONFIG", "SET", name, value);
    await refusedWrites(world, redis, {
      reply: "NOREPLICAS",
      begin: () => set("min-replicas-to-write", "1"),
      end: () => set("min-replicas-to-write", "0"),
    });
    const [, directory] = await command(redis.port, "CONFIG", "GET", "dir");
    await refusedWrites(world, redis, {
      reply: "MISCONF",
      async begin() {
        // A snapshot cannot be renamed to what is a folder.
        mkdirSync(join(directory, "taken"), { recursive: true });
        await set("dbfilename", "taken");
        await set("save", "3600 1");
        await command(redis.port, "BGSAVE");
        await pause(500);
      },
      end: () => set("save", ""),
    });
  },
};

async function untilReplicated(primary, replica) {
  const giveUpMs = performance.now() + 10_000;
  while (performance.now() < giveUpMs) {
    const role = await command(replica.port, "ROLE");
    if (role[0] === "slave" && role[3] === "connected") return;
    await pause(50);
  }
  throw new Error(`Port ${replica.port} is not in step with ${primary.port}.`);
}

/** Reads are answered and writes are not. */
async function refusedWrites(world, redis, { reply, begin, end }) {
  const application = await world.application({ url: redis.url });
  await world.warm(application);
  await begin();
  const state = await command(redis.port, "SET", "x", "y").catch((error) => error.message);
  world.expect(`Redis answers ${reply}`, String(state).startsWith(reply), state);

  const phase = await world.phase({ applications: [application], seconds: world.seconds(5, 1.5) });
  world.report(phase);
  world.expectWithinDeadline(phase);
  world.expect("hits go on", phase.hitRatio("fresh") > 0.85, round(phase.hitRatio("fresh"), 2));
  const told = await eventCount(application, "operation-failed");
  world.expect("it is told that responses are not stored", told > 0, `${told} events`);
  const purge = await world.expectPurgeRefused(application, "/fresh/1?bytes=500");
  const says = new RegExp(`${reply}|not connected`);
  world.expect(`the refusal says ${reply}`, says.test(purge.message), purge.message);

  await end();
  world.expectRecovery(await world.untilHit(application, { path: `/fresh/after-${reply}` }), 5000);
  const read = await world.ask(application, "/fresh/1?bytes=500");
  world.expect("the refused purge has been made up for", read.isHit === false, read.isHit ? "a hit" : "a miss");
}

/** A lease can be taken and then not be given back: who waits for it waits until it ends by itself. */
function expectWithinLease(world, phase, when) {
  const slowestMs = round(phase.addedMaxMs);
  world.figure(`slowest ms when ${when}`, slowestMs);
  world.expect("nobody waits longer than a lease", slowestMs <= LEASE_MS + 200, `${slowestMs} ms`);
}

/** What a lease lasts by default. */
const LEASE_MS = 2000;
const PASSWORD = "sesame-right";

export const forbidden = {
  number: 16,
  title: "Wrong password, missing permission",
  isLong: true,
  does: "A wrong password at the start, then reading forbidden, then scripts forbidden, then the password changed while in use.",
  expects:
    "One clear line within 5 s that does not show the password, responses from the handler, and caching by itself once it is allowed.",
  async run(world) {
    const redis = await world.redis();
    const acl = (...rules) => command(redis.port, "ACL", "SETUSER", "cache", ...rules);
    await acl("on", ">another", "~*", "&*", "+@all");
    const startMs = Date.now();
    const application = await world.application({ url: `redis://cache:${PASSWORD}@127.0.0.1:${redis.port}` });
    const applications = [application];
    const wrong = await world.phase({ applications, seconds: world.seconds(7, 6) });
    world.report(wrong);
    world.expectNoWaiting(wrong);
    const failures = await toldSince(application, startMs, /^connection-failed/);
    const [failure] = failures;
    const afterMs = failure === undefined ? Number.NaN : failure.atMs - startMs;
    world.figure("wrong password told after ms", afterMs);
    world.expect("told within 5 s", afterMs <= 5000, failure === undefined ? "not told" : `${afterMs} ms`);
    world.expect("told once for as long as it lasts", failures.length === 1, failures.length);
    const { told } = await application.tell("stats");
    world.expect("the password is not told", !JSON.stringify(told).includes(PASSWORD), "it is in the events");

    await acl(`>${PASSWORD}`);
    world.expectRecovery(await world.untilHit(application), 10_000);
    await world.warm(application);

    await acl("-@read", "-get", "-mget");
    const unread = await world.phase({ applications, seconds: world.seconds(4, 1.5) });
    expectWithinLease(world, unread, "reading is forbidden");
    world.expect("nothing is read", unread.hitRatio("fresh") < 0.1, round(unread.hitRatio("fresh"), 2));
    await acl("+@all");
    world.expectRecovery(await world.untilHit(application), 10_000);

    await acl("-@scripting", "-eval", "-evalsha");
    const scriptless = await world.phase({ applications, seconds: world.seconds(4, 1.5) });
    expectWithinLease(world, scriptless, "scripts are forbidden");
    const later = await world.phase({ applications, seconds: world.seconds(4, 1.5) });
    world.expectWithinDeadline(later);
    await world.expectPurgeRefused(application);
    await acl("+@all");
    world.expectRecovery(await world.untilHit(application), 10_000);

    await acl("resetpass", ">changed");
    await command(redis.port, "CLIENT", "KILL", "USER", "cache").catch(() => {});
    const outside = await world.phase({ applications, seconds: world.seconds(4, 1.5) });
    world.expectWithinDeadline(outside);
    await acl(`>${PASSWORD}`);
    world.expectRecovery(await world.untilHit(application), 10_000);
  },
};
