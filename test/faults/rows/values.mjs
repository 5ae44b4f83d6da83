/** Values in Redis that this release did not write like that. */
import { randomInt } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";

import { Redis } from "ioredis";

import { round } from "../harness/world.mjs";

const MIB = 1024 * 1024;

/** An application with one stored response, and a connection to plant something in its place. */
async function planted(world) {
  const redis = await world.redis();
  const client = new Redis(redis.adminUrl);
  client.on("error", () => {});
  world.onEnd(() => client.disconnect());
  const application = await world.application({ url: redis.url });
  await world.warm(application);
  const path = "/fresh/planted?bytes=2000";
  await world.untilHit(application, { path });
  const key = (await client.keys(`${application.prefix}:*planted*`)).find((name) => !name.includes(":lease:"));
  return { client, application, path, key, frame: await client.getBuffer(key) };
}

/** What was planted must be a miss, and what the handler then gave must be stored over it. */
async function expectReplaced(world, { application, path }, what) {
  const answer = await world.ask(application, path);
  const ms = await world.untilHit(application, { path, withinMs: 5000 });
  const isGood = !answer.isHit && ms !== undefined;
  if (!isGood) world.expect(`${what}: a miss, then stored anew`, false, answer.isHit ? "a hit" : "not stored");
  return isGood;
}

export const corrupted = {
  number: 17,
  title: "Corrupted values",
  does: "A stored response is overwritten with flipped bits, with less, more or nothing, and with other types of Redis.",
  expects: "Each is a miss and is stored anew; none reaches a client.",
  async run(world) {
    const place = await planted(world);
    const { client, key, frame, application } = place;
    const rounds = world.seconds(250, 40);
    let replaced = 0;
    let count = 0;
    const plant = async (what, write) => {
      await client.del(key);
      await write();
      count += 1;
      if (await expectReplaced(world, place, what)) replaced += 1;
    };
    for (let round = 0; round < rounds; round += 1) {
      const bytes = Buffer.from(frame);
      // Half of the flips in the first bytes, which say how the rest is to be read.
      const at = randomInt(round % 2 === 0 ? 20 : bytes.length);
      bytes[at] ^= 1 << randomInt(8);
      await plant(`a flipped bit in byte ${at}`, () => client.set(key, bytes, "PX", 600_000));
    }
    for (const length of [0, 1, 2, 4, 15, 16, 17, frame.length - 1, randomInt(frame.length)]) {
      await plant(`cut to ${length} bytes`, () => client.set(key, frame.subarray(0, length), "PX", 600_000));
    }
    await plant("a byte too many", () => client.set(key, Buffer.concat([frame, Buffer.from("x")]), "PX", 600_000));
    await plant("text", () => client.set(key, '{"status":200,"body":"not ours"}', "PX", 600_000));
    await plant("a list", () => client.rpush(key, "a", "b"));
    await plant("a hash", () => client.hset(key, "a", "b"));
    await plant("a set", () => client.sadd(key, "a"));
    await plant("a stream", () => client.xadd(key, "*", "a", "b"));
    world.figure("values planted", count);
    world.expect("each was a miss and stored anew", replaced === count, `${replaced} of ${count}`);
    world.report(await world.phase({ applications: [application], seconds: 1 }));
    await world.expectMemory(application, 3);
  },
};

export const newer = {
  number: 18,
  title: "Values of a newer release",
  does: "Frames of the next layout, with a flag unknown today, and keys of the next layout beside ours.",
  expects:
    "Unknown frames are misses; the keys of the other release are never touched, not even by a purge of everything.",
  async run(world) {
    const place = await planted(world);
    const { client, key, frame, application } = place;
    let replaced = 0;
    const changes = [
      ["the next major version", 2, 2],
      ["a far major version", 2, 255],
      ["an unknown flag", 3, 0x80],
      ["all flags", 3, 0xff],
    ];
    for (const [what, at, value] of changes) {
      const bytes = Buffer.from(frame);
      bytes[at] = value;
      await client.set(key, bytes, "PX", 600_000);
      if (await expectReplaced(world, place, what)) replaced += 1;
    }
    world.expect("each was a miss and stored anew", replaced === changes.length, `${replaced} of ${changes.length}`);

    const theirs = key.replace(`${application.prefix}:1:`, `${application.prefix}:2:`);
    world.expect("the version is in the key", theirs !== key, key);
    await client.set(theirs, "of the next release", "PX", 600_000);
    world.report(await world.phase({ applications: [application], seconds: world.seconds(3, 1) }));
    await application.tell("purge", { target: "all" });
    await world.untilHit(application, { path: place.path });
    const kept = await client.get(theirs);
    world.expect("the keys of the next release are as they were", kept === "of the next release", String(kept));
  },
};

export const huge = {
  number: 19,
  title: "Huge value",
  does: "64 MiB are planted in place of a stored response of 2 KB, again and again, under load.",
  expects: "A miss; receiving it delays other requests by less than a second; nothing of it is kept.",
  async run(world) {
    const place = await planted(world);
    const { client, key, application, path } = place;
    const rounds = world.seconds(6, 2);
    let peakMib = 0;
    let slowestMs = 0;
    const loading = world.phase({ applications: [application], seconds: rounds });
    for (let round = 0; round < rounds; round += 1) {
      await client.del(key);
      await client.setrange(key, 64 * MIB - 1, "x");
      const answer = await world.ask(application, path);
      world.expect("a miss", !answer.isHit, answer.isHit ? "a hit" : "a miss");
      slowestMs = Math.max(slowestMs, answer.ms);
      peakMib = Math.max(peakMib, (await application.tell("residentBytes")) / MIB);
      await pause(500);
    }
    const phase = await loading;
    world.report(phase);
    world.figure("resident MiB at most", round(peakMib));
    world.figure("slowest ms", round(slowestMs));
    // The client assembles the reply before it can be refused, on the thread that answers requests.
    const mostMs = Math.max(slowestMs, phase.addedMaxMs);
    world.expect("no request waits for a second", mostMs < 1000, `${round(mostMs)} ms`);
    world.expectRecovery(await world.untilHit(application, { path }), 5000);
    await world.expectMemory(application, 3);
  },
};
