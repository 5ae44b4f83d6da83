/** Purges against everything that could make them be lost. Reads and changes go on; a checker looks for stale reads. */
import { createHash } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { crc32 } from "node:zlib";

import { Redis } from "ioredis";

import { drive } from "../harness/drive.mjs";
import { command } from "../harness/fixtures.mjs";
import { History } from "../harness/history.mjs";
import { percentile } from "../harness/load.mjs";
import { ask } from "../harness/request.mjs";
import { round } from "../harness/world.mjs";

/** What a reader with a memory tier may be behind, here also while Redis does not answer. */
const MAX_STALENESS_MS = 250;
/** Of very many responses with a tag, those that are asked for. */
const SAMPLES = 100;
/** Bytes of a frame before those that its checksum is about, and where the checksum is. */
const FRAME_HEADER_BYTES = 16;
const CHECKSUM_AT = 12;
const TIERED = { maxStalenessMs: MAX_STALENESS_MS, maxUnverifiedMs: 0 };

/** Processes on one Redis, some with a memory tier, and the origin they share. */
async function fleet(world, { url, alone = 2, layered = 2, prefix = world.prefix() }) {
  const origin = await world.origin();
  origin.setDelay(() => 5 + Math.random() * 45);
  const applications = [];
  const settings = { url, prefix, originPort: origin.port };
  for (let at = 0; at < alone; at += 1) applications.push(await world.application(settings));
  for (let at = 0; at < layered; at += 1) {
    const application = await world.application({ ...settings, tiered: TIERED });
    applications.push(Object.assign(application, { allowanceMs: MAX_STALENESS_MS }));
  }
  await world.warm(...applications);
  return { applications, origin, history: new History(), prefix };
}

export const lostLog = {
  number: 13,
  title: "Purge log evicted",
  isLong: true,
  does: "The keys of the purge log are deleted, cut or flushed every 300 ms; then Redis evicts keys at random.",
  expects: "More misses, no stale read.",
  async run(world) {
    const redis = await world.redis();
    const { applications, origin, history, prefix } = await fleet(world, { url: redis.url });
    const [log, position] = [`${prefix}:1:{${prefix}}:log`, `${prefix}:1:{${prefix}}:pos`];
    const losses = [["DEL", position], ["DEL", log], ["DEL", log, position], ["XTRIM", log, "MAXLEN", 1], ["FLUSHALL"]];
    let count = 0;
    const losing = setInterval(() => {
      void command(redis.port, ...losses[count % losses.length]).catch(() => {});
      count += 1;
    }, 300);
    await drive(world, { applications, origin, history, seconds: world.seconds(12, 4) });
    clearInterval(losing);
    world.figure("losses", count);

    const used = Number((await command(redis.port, "INFO", "memory")).match(/used_memory:(\d+)/)[1]);
    await command(redis.port, "CONFIG", "SET", "maxmemory-policy", "allkeys-random");
    await command(redis.port, "CONFIG", "SET", "maxmemory", used + 100_000);
    const filling = setInterval(() => {
      const key = `filler-${Math.random()}`;
      void command(redis.port, "SET", key, "x".repeat(20_000), "PX", 5000).catch(() => {});
    }, 5);
    await drive(world, { applications, origin, history, seconds: world.seconds(12, 4) });
    clearInterval(filling);
    const evicted = Number((await command(redis.port, "INFO", "stats")).match(/evicted_keys:(\d+)/)[1]);
    world.figure("keys evicted", evicted);
    world.expect("Redis did evict", evicted > 0, evicted);
    world.figure("hits", `${history.hits} of ${history.reads} reads`);
    world.expectNoStaleReads(history);
  },
};

export const skewed = {
  number: 20,
  title: "Wrong clocks",
  isLong: true,
  does: "Of three processes on one Redis one is ten minutes fast and one is ten minutes slow; then the clock of one jumps.",
  expects: "Lifetimes and ages are right to a second or two, purges hold.",
  async run(world) {
    const redis = await world.redis();
    const { applications, origin, history, prefix } = await fleet(world, { url: redis.url, alone: 1, layered: 0 });
    const [right] = applications;
    const settings = { url: redis.url, prefix, originPort: origin.port };
    for (const clockSkewMs of [600_000, -600_000]) {
      applications.push(await world.application({ ...settings, clockSkewMs }));
    }
    await world.warm(...applications);
    await pairs(world, applications, "skewed");
    await drive(world, { applications, origin, history, seconds: world.seconds(6, 2) });

    // What `stale` stores is fresh for a second, whoever asks.
    const path = "/renew/skewed";
    await world.ask(applications[1], path);
    await pause(2500);
    for (const application of applications) {
      const { cacheStatus } = await ask(application.port, path, { agent: world.agent });
      const ttl = Number(/ttl=(-?\d+)/.exec(cacheStatus)?.[1] ?? Number.NaN);
      world.expect("stale after its second in each process", ttl <= 1 && ttl >= -6, cacheStatus);
      await pause(300);
    }

    await right.tell("skew", { ms: 300_000 });
    await drive(world, { applications, origin, history, seconds: world.seconds(6, 2) });
    await right.tell("skew", { ms: 0 });
    world.expectNoStaleReads(history);
  },
};

/** Stored by each, read by each: the age that the reader tells against the true one. */
async function pairs(world, applications, name) {
  let worstSeconds = 0;
  for (const [at, writer] of applications.entries()) {
    const path = `/headers/${name}-${at}`;
    const storedMs = performance.now();
    await world.ask(writer, path);
    await pause(1500);
    for (const reader of applications) {
      const answer = await world.ask(reader, path);
      const trueSeconds = (performance.now() - storedMs) / 1000;
      const offSeconds = answer.isHit ? Math.abs(answer.ageSeconds - trueSeconds) : Number.POSITIVE_INFINITY;
      worstSeconds = Math.max(worstSeconds, offSeconds);
    }
  }
  world.figure("age off by seconds", round(worstSeconds, 1));
  world.expect("Age is right to two seconds", worstSeconds <= 2, `${round(worstSeconds, 1)} s`);
}

export const underWay = {
  number: 24,
  title: "Purges while responses are made, stored and queued",
  does: "Four processes read and change 20 items as fast as they can; handlers take 5 to 50 ms; connections to Redis are reset each second.",
  expects: "No read after an acknowledged purge brings what is older.",
  async run(world) {
    const redis = await world.redis();
    const proxy = await world.proxy(redis.port);
    const { applications, origin, history } = await fleet(world, { url: proxy.url });
    const resetting = setInterval(() => proxy.reset(), 1000);
    const reads = world.seconds(120_000, 10_000);
    await drive(world, { applications, origin, history, seconds: 180, reads, lanes: 24 });
    clearInterval(resetting);
    world.figure("resets", proxy.counters.resets);
    world.figure("hits", `${history.hits} of ${history.reads} reads`);
    world.expect("as many reads as wanted", history.reads >= reads, `${history.reads} of ${reads}`);
    world.expectNoStaleReads(history);
    world.expectRecovery(await world.untilHit(applications[0]), 5000);
  },
};

export const storm = {
  number: 25,
  title: "Storm of purges, and a tag on very many responses",
  does: "A thousand purges a second from two processes under load; then one purge of a tag that 100,000 stored responses have.",
  expects: "Nobody is held up: not the purges, not the event loops, not Redis; the size of a tag makes no difference.",
  async run(world) {
    const redis = await world.redis();
    const { applications } = await fleet(world, { url: redis.url, alone: 2, layered: 0 });
    const seconds = world.seconds(10, 3);
    const endPings = startPings(redis, 20);
    const storms = applications.map(({ tell }) => tell("storm", { perSecond: 500, seconds }));
    const phase = await world.phase({ applications, seconds });
    const results = await Promise.all(storms);
    const times = results.flatMap(({ times }) => times);
    const refused = results.reduce((sum, result) => sum + result.refused, 0);
    expectQuick(world, await endPings(), phase.lagMs, "during the storm");
    world.report(phase);
    world.figure("purges a second", round(times.length / seconds));
    world.figure("purge p99 ms", round(percentile(times, 0.99), 1));
    world.figure("event loop late ms", round(phase.lagMs));
    world.expect("each is acknowledged", refused === 0, `${refused} refused`);
    world.expect("a thousand a second", times.length / seconds >= 900, round(times.length / seconds));
    world.expect("purge p99 within 100 ms", percentile(times, 0.99) <= 100, round(percentile(times, 0.99), 1));
    world.expectWithinDeadline(phase);

    const copies = world.seconds(100_000, 20_000);
    await plantCopies(world, redis, applications[0], copies);
    const sample = Array.from({ length: SAMPLES }, (_, at) => Math.floor((at * copies) / SAMPLES));
    const before = await hitsOf(world, applications[1], sample);
    world.expect("the responses with the tag are served before", before === SAMPLES, `${before} of ${SAMPLES}`);
    const small = await medianPurge(world, applications[0], (at) => ({ tag: `id:none-${at}` }));
    const endPurgePings = startPings(redis, 1);
    const large = await medianPurge(world, applications[0], () => ({ tag: "id:many" }));
    const purgePings = await endPurgePings();
    const after = await hitsOf(world, applications[1], sample);
    world.expect("none of them is served after the purge", after === 0, `${after} of ${SAMPLES}`);
    world.figure("responses with the tag", copies);
    world.figure("purge of a tag nobody has, ms", round(small, 2));
    world.figure("purge of that tag, ms", round(large, 2));
    world.expect("the size of a tag makes no difference", large <= small * 3 + 5, `${round(large, 2)} ms`);
    expectQuick(world, purgePings, 0, "during the purge of that tag");
    await command(redis.port, "FLUSHALL");
  },
};

/** Asks Redis all the time how long it takes to answer; ends with the times, in milliseconds. */
function startPings(redis, everyMs) {
  const over = new AbortController();
  const pinging = (async () => {
    const times = [];
    while (!over.signal.aborted) {
      const startMs = performance.now();
      await command(redis.port, "PING");
      times.push(performance.now() - startMs);
      await pause(everyMs);
    }
    return times;
  })();
  return () => {
    over.abort();
    return pinging;
  };
}

function expectQuick(world, pings, lagMs, when) {
  const slowest = percentile(pings, 1);
  world.figure(`slowest PING ms ${when}`, round(slowest, 1));
  world.expect(`Redis is never held up for 100 ms ${when}`, slowest <= 100 + lagMs, `${round(slowest)} ms`);
}

/** Each as long as the others. */
function copyName(at) {
  return `copy=${String(at).padStart(6, "0")}`;
}

/** Stored responses to `/fresh/many?<name>`, made from the one to the first of these names as the cache made that. */
async function plantCopies(world, redis, application, count) {
  const path = `/fresh/many?${copyName(0)}`;
  await world.untilHit(application, { path });
  const client = new Redis(redis.adminUrl);
  client.on("error", () => {});
  world.onEnd(() => client.disconnect());
  const keys = (await client.keys(`${application.prefix}:1:*many*`)).filter((key) => !key.includes(":lease:"));
  const [key] = keys;
  const frame = await client.getBuffer(key);
  const { key: sameKey, frame: sameFrame } = copyOf(key, frame, 0);
  const isSame = keys.length === 1 && sameKey === key && sameFrame.equals(frame);
  world.expect("copies are made as the cache makes them", isSame, sameKey);
  world.expect("what is copied has the tag", JSON.parse(headOf(frame)).n.includes("#id:many"), headOf(frame));
  const inOneGo = 1000;
  for (let from = 0; from < count; from += inOneGo) {
    const pipeline = client.pipeline();
    for (let at = from; at < from + inOneGo; at += 1) {
      const copy = copyOf(key, frame, at);
      pipeline.set(copy.key, copy.frame, "PX", 600_000);
    }
    await pipeline.exec();
  }
}

/** The name is in the key of the response, which is in the frame and, hashed, in the key in Redis; and it is in the body. */
function copyOf(key, frame, at) {
  const copied = Buffer.from(frame.toString("latin1").replaceAll(copyName(0), copyName(at)), "latin1");
  copied.writeUInt32BE(crc32(copied.subarray(FRAME_HEADER_BYTES)), CHECKSUM_AT);
  const hash = createHash("sha256")
    .update(JSON.parse(headOf(copied)).k)
    .digest("base64url");
  const [label, hashInKey] = key.slice(0, -1).split("{");
  return { key: `${label.replace(copyName(0), copyName(at))}{${hash.slice(0, hashInKey.length)}}`, frame: copied };
}

function headOf(frame) {
  return frame.toString("utf8", FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + frame.readUInt32BE(4));
}

/** How many of these copies are served. */
async function hitsOf(world, application, sample) {
  let hits = 0;
  for (const at of sample) if ((await world.ask(application, `/fresh/many?${copyName(at)}`)).isHit) hits += 1;
  return hits;
}

async function medianPurge(world, application, target) {
  const times = [];
  for (let at = 0; at < 30; at += 1) {
    const purge = await application.tell("purge", { target: target(at) });
    if (!purge.acknowledged) world.expect("the purge is acknowledged", false, purge.message);
    times.push(purge.ms);
  }
  return percentile(times, 0.5);
}
