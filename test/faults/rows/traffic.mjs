/** Clients and handlers that misbehave, and deployments. */
import { Agent, request as httpRequest } from "node:http";
import { connect } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

import { command } from "../harness/fixtures.mjs";
import { ask, HEADERS } from "../harness/request.mjs";
import { round } from "../harness/world.mjs";

const MIB = 1024 * 1024;
/** What a process that is told to end may take to finish its answers and store them, and then to be gone. */
const FLUSH_MS = 1000;
const EXIT_MS = 500;

export const slowClients = {
  number: 26,
  title: "Slow clients",
  does: "Hundreds of clients ask for a stored response of 1 MiB and read almost nothing of it.",
  expects: "Hits of others are not delayed; all share one body in memory.",
  async run(world) {
    const redis = await world.redis();
    const tiered = { maxMemoryBodyBytes: 4 * MIB };
    const application = await world.application({ url: redis.url, tiered });
    await world.warm(application);
    const path = "/fresh/large?bytes=1000000";
    await world.untilHit(application, { path });
    await world.untilHit(application, { path });
    const before = await application.tell("memory");

    const clients = await Promise.all(
      Array.from({ length: world.seconds(1000, 300) }, () => slowClient(application.port, path)),
    );
    await pause(500);
    const after = await application.tell("memory");
    const grownMib = (after.bytes - before.bytes) / MIB;
    world.figure("slow clients", clients.length);
    world.figure("MiB for all of them", round(grownMib, 1));
    world.expect("one body is shared by all", grownMib <= 2 + clients.length * 0.03, `${round(grownMib, 1)} MiB`);

    const phase = await world.phase({ applications: [application], seconds: world.seconds(6, 2) });
    world.report(phase);
    world.expectWithinDeadline(phase);
    world.expect("hits go on", phase.hitRatio("fresh") > 0.95, round(phase.hitRatio("fresh"), 2));
    for (const client of clients) client.destroy();
    await pause(300);
    await world.expectMemory(application, 5);
  },
};

/** A client that has asked, has seen the first bytes of the answer, and reads no further. */
async function slowClient(port, path) {
  const socket = connect({ port, host: "127.0.0.1", highWaterMark: 1024 });
  socket.on("error", () => {});
  socket.write(`GET ${path} HTTP/1.1\r\nHost: ${HEADERS.host}\r\n\r\n`);
  await new Promise((resolve) => {
    socket.once("readable", resolve);
    socket.once("close", resolve);
  });
  return socket;
}

export const aborting = {
  number: 27,
  title: "Clients that leave while a response is made",
  does: "Clients ask for responses that take 300 ms and close their connection after 50 ms.",
  expects: "No lease and no memory is left behind; whoever else waits is answered.",
  async run(world) {
    const redis = await world.redis();
    const prefix = world.prefix();
    const applications = [
      await world.application({ url: redis.url, prefix }),
      await world.application({ url: redis.url, prefix }),
    ];
    await world.warm(...applications);
    const count = world.seconds(200, 50);
    const loading = world.phase({ applications, seconds: world.seconds(6, 2) });
    const waiting = [];
    for (let at = 0; at < count; at += 1) {
      const path = `/fresh/left-${at}?ms=300`;
      leave(applications[0].port, path, 50);
      // The other process asks for the same, and stays.
      waiting.push(pause(20).then(() => world.ask(applications[1], path)));
      await pause(10);
    }
    const answers = await Promise.all(waiting);
    const slowestMs = Math.max(...answers.map(({ ms }) => ms));
    const phase = await loading;
    world.report(phase);
    await pause(1000);
    const leases = await leaseKeys(redis, prefix);
    world.figure("leases left", leases.length);
    world.figure("slowest that stayed, ms", round(slowestMs));
    world.expect("no lease is left after a second", leases.length === 0, leases.length);
    world.expect("those who stay are answered", slowestMs <= 2 * 300 + 500, `${round(slowestMs)} ms`);
    const again = await world.ask(applications[0], "/fresh/left-0?ms=300");
    world.figure("stored after all", again.isHit ? "yes, for those who stayed" : "no");
    await world.expectMemory(applications[0], 3);
  },
};

/** Asks, and closes the connection after `afterMs`. */
function leave(port, path, afterMs) {
  const agent = new Agent({ keepAlive: false });
  const message = httpRequest({ host: "127.0.0.1", port, path, agent, headers: HEADERS });
  message.on("error", () => {});
  message.end();
  setTimeout(() => {
    message.destroy();
    agent.destroy();
  }, afterMs);
}

export async function leaseKeys(redis, prefix) {
  return command(redis.port, "KEYS", `${prefix}:1:lease:*`);
}

export const originFails = {
  number: 28,
  title: "Handler fails, a stale response is there",
  does: "The handler answers 503, then 504 after a while, then breaks off in the middle of its body.",
  expects: "The stale response instead of the error; a body that was broken off is never stored.",
  async run(world) {
    const redis = await world.redis();
    const application = await world.application({ url: redis.url });
    await world.warm(application);
    const mix = [
      { kind: "plain", path: (at) => `/plain/${at % 10}?bytes=500` },
      { kind: "stale", path: (at) => `/stale/${at % 10}?bytes=500` },
    ];
    const applications = [application];
    await world.load({ applications, seconds: 0.5, mix });
    await pause(2100);

    for (const mode of ["error", "timeout"]) {
      await application.tell("origin", { mode });
      const phase = await world.phase({ applications, seconds: world.seconds(5, 1.5), mix, ratePerSecond: 60 });
      const stale = phase.answers.filter(({ kind }) => kind === "stale");
      const served = stale.filter(({ status }) => status === 200).length;
      if (mode === "error") world.report(phase);
      world.expect(`${mode}: stale instead of the error`, served === stale.length, `${served} of ${stale.length}`);
    }

    await application.tell("origin", { mode: "reset" });
    const count = world.seconds(100, 30);
    let broken = 0;
    for (let at = 0; at < count; at += 1) {
      // The handler's own doing, so no error of the cache.
      const answer = await ask(application.port, `/fresh/broken-${at}?bytes=20000`, { agent: world.agent });
      if (answer.problem !== undefined) broken += 1;
    }
    await application.tell("origin", { mode: "ok" });
    let hits = 0;
    for (let at = 0; at < count; at += 1) {
      const answer = await world.ask(application, `/fresh/broken-${at}?bytes=20000`);
      if (answer.isHit) hits += 1;
    }
    world.figure("broken off", broken);
    world.figure("broken ones stored", hits);
    world.expect("the handler broke off each time", broken === count, `${broken} of ${count}`);
    world.expect("none of them was stored", hits === 0, hits);
    await world.expectMemory(application, 3);
  },
};

export const deployment = {
  number: 30,
  title: "Rolling deployment",
  does: "SIGTERM to one of two processes while responses are on their way to a slow Redis and others are being made.",
  expects: "Requests under way are answered, what was made is stored within a second, no lease is left.",
  async run(world) {
    const redis = await world.redis();
    const proxy = await world.proxy(redis.port);
    const prefix = world.prefix();
    const staying = await world.application({ url: redis.url, prefix });
    const leaving = await world.application({ url: proxy.url, prefix });
    await world.warm(staying, leaving);
    const loading = world.phase({ applications: [staying], seconds: world.seconds(5, 3) });

    proxy.delay(40);
    const count = 50;
    const paths = Array.from({ length: count }, (_, at) => `/fresh/last-${at}?bytes=20000`);
    const making = Array.from({ length: 10 }, (_, at) => world.ask(leaving, `/fresh/making-${at}?ms=300`));
    await Promise.all(paths.map((path) => world.ask(leaving, path)));
    const endedMs = await leaving.terminate();
    await Promise.all(making);
    world.figure("ended after ms", endedMs === undefined ? "never" : round(endedMs));
    const mostMs = FLUSH_MS + EXIT_MS;
    world.expect(`the process ends by itself within ${mostMs} ms`, endedMs <= mostMs, `${endedMs} ms`);

    let found = 0;
    for (const path of paths) if (await isStored(redis, prefix, path)) found += 1;
    const phase = await loading;
    await pause(200);
    const leases = await leaseKeys(redis, prefix);
    world.figure("last responses stored", `${found} of ${count}`);
    world.figure("leases left", leases.length);
    world.expect("what it had made is stored", found === count, `${found} of ${count}`);
    world.expect("no lease is left", leases.length === 0, leases.length);
    world.report(phase);
  },
};

async function isStored(redis, prefix, path) {
  const id = path.slice("/fresh/".length, path.indexOf("?"));
  return (await command(redis.port, "KEYS", `${prefix}:1:*/fresh/${id}?*`)).length > 0;
}
