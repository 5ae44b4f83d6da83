/** The network between the application and Redis: slow, narrow, cut, silent. */
import { setTimeout as pause } from "node:timers/promises";

import { eventCount, suspensions } from "../harness/events.mjs";
import { round } from "../harness/world.mjs";

const DELAYS = [
  { delayMs: 5, jitterMs: 5, isBelow: true },
  { delayMs: 50, jitterMs: 20, isBelow: true },
  { delayMs: 85, jitterMs: 40, isBelow: undefined },
  { delayMs: 150, jitterMs: 50, isBelow: false },
];

/** An application with hits, whose Redis is on the other side of a proxy. */
async function behindProxy(world) {
  const redis = await world.redis();
  const proxy = await world.proxy(redis.port);
  const application = await world.application({ url: proxy.url });
  await world.warm(application);
  return { proxy, application };
}

export const slow = {
  number: 4,
  title: "Slow Redis",
  does: "Each reply comes 5, 50, 85 or 150 ms late, with jitter.",
  expects:
    "Below the deadline a hit pays one round trip; above it Redis is left out, and not taken up and dropped all the time.",
  async run(world) {
    const { proxy, application } = await behindProxy(world);
    const applications = [application];

    for (const { delayMs, jitterMs, isBelow } of DELAYS) {
      proxy.delay(delayMs, jitterMs);
      const before = await suspensions(application);
      const seconds = world.seconds(8, 2);
      const phase = await world.phase({ applications, seconds, kinds: ["plain", "fresh"] });
      const times = (await suspensions(application)) - before;
      const name = `${delayMs} to ${delayMs + jitterMs} ms`;
      world.expectWithinDeadline(phase, { roundTrips: 2 });
      world.expect(`${name}: left out at most once in a second`, times <= seconds + 1, `${times} in ${seconds} s`);
      world.figure(`p50 ms at ${name}`, round(phase.p50Ms));
      world.figure(`left out at ${name}`, times);
      if (isBelow === true) {
        const mostMs = delayMs + jitterMs + 25;
        world.expect(`${name}: a hit pays one round trip`, phase.addedP50Ms <= mostMs, `${round(phase.addedP50Ms)} ms`);
        world.expect(`${name}: hits`, phase.hitRatio("fresh") > 0.8, round(phase.hitRatio("fresh"), 2));
      }
      if (isBelow === false) world.report(phase);
      proxy.pass();
      world.expectRecovery(await world.untilHit(application), 3000);
    }
  },
};

export const cut = {
  number: 5,
  title: "Connection reset in the middle of a reply",
  does: "The connection is reset 1 KB into a reply of 300 KB, again and again.",
  expects: "A miss without a long wait; never a damaged body.",
  async run(world) {
    const { proxy, application } = await behindProxy(world);
    const path = "/fresh/large?bytes=300000";
    await world.untilHit(application, { path });

    const rounds = world.seconds(40, 10);
    let slowestMs = 0;
    let cuts = 0;
    const before = proxy.counters.resets;
    for (let round = 0; round < rounds; round += 1) {
      proxy.cutAfter(1024);
      const answer = await world.ask(application, path);
      slowestMs = Math.max(slowestMs, answer.ms);
      cuts = proxy.counters.resets - before;
      proxy.pass();
      await world.untilHit(application);
    }
    world.figure("resets", cuts);
    world.figure("slowest ms", round(slowestMs));
    world.expect("the connection was cut in the reply each time", cuts >= rounds * 0.9, `${cuts} of ${rounds}`);
    world.expect("no request waits longer than the deadline", slowestMs <= 250, `${round(slowestMs)} ms`);

    const cutting = setInterval(() => proxy.cutAfter(20_000), 250);
    const phase = await world.phase({ applications: [application], seconds: world.seconds(6, 2) });
    clearInterval(cutting);
    proxy.pass();
    world.report(phase);
    world.expectWithinDeadline(phase, { roundTrips: 2 });
    world.expectRecovery(await world.untilHit(application), 3000);
    await world.expectMemory(application, 4);
  },
};

export const silent = {
  number: 6,
  title: "Network that swallows everything",
  does: "Packets pass in neither direction and nothing is closed; new connections get no answer either.",
  expects: "As a frozen Redis; and the store makes a new client, because an old connection may never come back.",
  async run(world) {
    const { proxy, application } = await behindProxy(world);
    const applications = [application];

    const before = proxy.counters.connections;
    const startMs = performance.now();
    proxy.blackHole();
    let reconnectedMs;
    const watching = setInterval(() => {
      if (proxy.counters.connections > before) reconnectedMs ??= performance.now() - startMs;
    }, 20);
    const first = await world.phase({ applications, seconds: 1.5 });
    const steady = await world.phase({ applications, seconds: world.seconds(20, 5) });
    clearInterval(watching);
    world.report(steady);
    world.expectWithinDeadline(first);
    world.expectNoWaiting(steady);
    world.figure("connects anew after ms", reconnectedMs === undefined ? "never" : round(reconnectedMs));
    world.expect("connects anew within 5 s", reconnectedMs !== undefined && reconnectedMs <= 5000, reconnectedMs);
    await world.expectMemory(application, 3);

    proxy.pass();
    world.expectRecovery(await world.untilHit(application), 6000);
  },
};

export const narrow = {
  number: 7,
  title: "Narrow network",
  does: "64 KB/s between application and Redis while a stored response of 1 MiB is asked for each second.",
  expects: "Small requests wait for the large reply no longer than the deadline of each of their round trips.",
  async run(world) {
    const { proxy, application } = await behindProxy(world);
    const path = "/fresh/large?bytes=1000000";
    await world.untilHit(application, { path });

    proxy.limit(64 * 1024);
    const seconds = world.seconds(15, 4);
    const large = [];
    const asking = setInterval(() => large.push(world.ask(application, path)), 1000);
    const phase = await world.phase({ applications: [application], seconds, ratePerSecond: 50 });
    clearInterval(asking);
    await Promise.all(large);
    proxy.pass();
    world.report(phase);
    world.figure("p99 ms of small requests", round(phase.p99Ms));
    world.figure("hits of small requests", round(phase.hitRatio("fresh"), 2));
    world.figure("store failures told", await eventCount(application, "operation-failed"));
    world.expectWithinDeadline(phase, { roundTrips: 2 });
    await pause(500);
    world.expectRecovery(await world.untilHit(application), 6000);
    await world.expectMemory(application, 6);
  },
};
