/** What one row has to work with for one client: servers, processes, load, expectations and figures; all ended at the end. */
import { randomBytes } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";

import { startApplication } from "./application.mjs";
import { command, freePort, startCluster, startFaultProxy, startRedis, startSentinel } from "./fixtures.mjs";
import { openLoad, summary } from "./load.mjs";
import { startOrigin } from "./origin.mjs";
import { ask, connections } from "./request.mjs";

/** The store's deadline for a read: the most that trouble with Redis may add to a request. */
export const DEADLINE_MS = 100;
/** Timers are late on a busy machine, and a deadline is checked in steps. */
const TIMER_ALLOWANCE_MS = 50;
/** A lease whose holder lost its connection is given back over the next one. */
const LEASES_END_WITHIN_MS = 1000;
const RECOVERS_WITHIN_MS = 5000;
const MIB = 1024 * 1024;

export class World {
  #cleanups = [];
  #applications = [];
  #memoryBefore = new Map();
  /** Of all servers that may have leases. */
  #redisPorts = [];
  /** What the tallies of the processes contain that is no part of the row. */
  #warmUp = { cachedRequests: 0, originCalls: 0 };
  client;
  isShort;
  /** @type {{ text: string, isMet: boolean, actual: string }[]} */
  expectations = [];
  /** By name, in the order in which they came. */
  figures = {};
  /** Set by a row in which the client package itself leaves connections open that nobody can reach. */
  clientMayLinger = false;
  requests = 0;
  problems = [];
  agent = connections();

  constructor(client, isShort) {
    this.client = client;
    this.isShort = isShort;
    this.onEnd(() => this.agent.destroy());
  }

  /** The first in a full run, the second in a short one. */
  seconds(full, short) {
    return this.isShort ? short : full;
  }

  onEnd(cleanup) {
    this.#cleanups.push(cleanup);
  }

  async redis(options) {
    const redis = await startRedis(options);
    this.#redisPorts.push(redis.port);
    this.onEnd(() => redis.stop());
    return redis;
  }

  async proxy(port) {
    const proxy = await startFaultProxy(port);
    this.onEnd(() => proxy.stop());
    return proxy;
  }

  async cluster(options) {
    const cluster = await startCluster(options);
    this.#redisPorts.push(...cluster.nodes.map(({ port }) => port));
    this.onEnd(() => cluster.stop());
    return cluster;
  }

  async sentinel(options) {
    const sentinel = await startSentinel(options);
    this.#redisPorts.push(...sentinel.nodes.map(({ port }) => port));
    this.onEnd(() => sentinel.stop());
    return sentinel;
  }

  async origin() {
    const origin = await startOrigin();
    this.onEnd(() => origin.stop());
    return origin;
  }

  /** A namespace no other row has. */
  prefix() {
    return `faults-${randomBytes(4).toString("hex")}`;
  }

  freePort() {
    return freePort();
  }

  /** An application process; `url` or `topology` say where its Redis is. */
  async application({ url, ...settings }) {
    const application = await startApplication({
      client: this.client,
      prefix: this.prefix(),
      ...(url === undefined ? {} : { topology: { kind: "standalone", url } }),
      ...settings,
    });
    this.#applications.push(application);
    return application;
  }

  /** Asks until the cache finds what it stored; how long that took, or undefined. */
  async untilHit(application, { withinMs = 15_000, path = "/fresh/until-hit" } = {}) {
    const startMs = performance.now();
    while (performance.now() - startMs < withinMs) {
      const answer = await this.ask(application, path);
      if (answer.isHit) return performance.now() - startMs;
      await pause(20);
    }
    return undefined;
  }

  /** One request, whose answer must be right. */
  async ask(application, path, options) {
    const answer = await ask(application.port, path, { agent: this.agent, ...options });
    this.count([answer]);
    return answer;
  }

  count(answers) {
    this.requests += answers.length;
    for (const answer of answers) if (answer.problem !== undefined) this.problems.push(answer);
  }

  /** Problems of requests to a process that the row itself killed. */
  forgive(port) {
    this.problems = this.problems.filter((answer) => answer.port !== port);
  }

  /** Load until everything is warm: connections, compiled code, stored responses. Remembers how much memory is used then. */
  async warm(...applications) {
    const before = await talliesOf(applications);
    for (const application of applications) {
      const ms = await this.untilHit(application);
      if (ms === undefined) throw new Error(`Nothing is cached before the fault: ${await whatWasTold(application)}`);
    }
    await this.load({ applications, seconds: this.seconds(3, 0.8) });
    for (const application of applications) {
      this.#memoryBefore.set(application, (await application.tell("memory")).bytes);
    }
    const after = await talliesOf(applications);
    for (const name of Object.keys(this.#warmUp)) this.#warmUp[name] += sum(after, name) - sum(before, name);
  }

  /** Load; each answer must be right. */
  async load(options) {
    const result = await openLoad(options);
    this.count(result.answers);
    return result;
  }

  /** Load during a fault, with the figures of the phase. `fromMs` leaves the first moments out. */
  async phase(options) {
    const result = await this.load(options);
    return Object.assign(summary(result, options), { answers: result.answers });
  }

  /** The latencies of a phase with a fault; of several phases the worst. */
  report(phase) {
    this.#worst("added p50 ms", round(phase.addedP50Ms, 1));
    this.#worst("added p99 ms", round(phase.addedP99Ms, 1));
    this.#worst("added max ms", round(phase.addedMaxMs));
  }

  #worst(name, value) {
    this.figure(name, Math.max(this.figures[name] ?? value, value));
  }

  /**
   * No request may have waited longer than the deadline for the cache, late timers aside. A response that has to be made
   * may cost two round trips, the look-up and the lease, and each of them may come just in time.
   */
  expectWithinDeadline(phase, { roundTrips = 1 } = {}) {
    const deadlineMs = DEADLINE_MS * roundTrips;
    const mostMs = deadlineMs + TIMER_ALLOWANCE_MS;
    const actual = `${round(phase.addedMaxMs)} ms (event loops were up to ${round(phase.lagMs)} ms late)`;
    const of = roundTrips === 1 ? "the deadline" : `${roundTrips} deadlines`;
    this.expect(`no request waits longer than ${of}, ${deadlineMs} ms`, phase.addedMaxMs <= mostMs, actual);
  }

  /** Once Redis is known to be out of use, nothing is waited for. */
  expectNoWaiting(phase) {
    const actual = `${round(phase.addedP50Ms, 1)} ms in the middle, ${round(phase.addedMaxMs)} ms at most`;
    const isMet = phase.addedP50Ms < 5 && phase.addedMaxMs < DEADLINE_MS;
    this.expect("nothing is waited for once Redis is known to be out of use", isMet, actual);
  }

  /** A purge that Redis cannot take must be refused; returns what the application was told. */
  async expectPurgeRefused(application, path = "/fresh/1") {
    const purge = await application.tell("purge", { target: { url: path } });
    const told = purge.acknowledged ? "acknowledged" : (purge.code ?? purge.message);
    this.expect("a purge is refused, not pretended", purge.code === "ERR_PURGE_NOT_ACKNOWLEDGED", told);
    return purge;
  }

  /** The longest of the recoveries of a row is its figure. */
  expectRecovery(ms, withinMs) {
    const before = this.figures["recovered after ms"] ?? 0;
    this.figure("recovered after ms", ms === undefined || before === "never" ? "never" : Math.max(before, round(ms)));
    this.expect(
      `hits again within ${withinMs} ms`,
      ms !== undefined && ms <= withinMs,
      `${round(ms ?? Number.NaN)} ms`,
    );
  }

  /** Compares with the memory after `warm()`. */
  async expectMemory(application, mostMib) {
    const grownMib = await this.#measureMemory(application);
    this.expect(`memory grows by at most ${mostMib} MiB`, grownMib <= mostMib, `${grownMib} MiB`);
  }

  async #measureMemory(application) {
    const { bytes } = await application.tell("memory");
    const grownMib = round((bytes - this.#memoryBefore.get(application)) / MIB, 1);
    this.#worst("heap MiB", grownMib);
    return grownMib;
  }

  expectNoStaleReads(history) {
    this.figure("reads", history.reads);
    this.figure("stale reads", history.violations.length);
    this.figure("purges", `${history.acknowledgedPurges} (${history.refusedPurges} not acknowledged)`);
    const example = history.violations.length === 0 ? "" : `, such as ${JSON.stringify(history.violations[0])}`;
    const isMet = history.violations.length === 0 && history.reads > 0 && history.acknowledgedPurges > 0;
    this.expect("no stale read after an acknowledged purge", isMet, `${history.violations.length}${example}`);
  }

  expect(text, isMet, actual) {
    this.expectations.push({ text, isMet, actual: String(actual) });
  }

  figure(name, value) {
    this.figures[name] = value;
  }

  /** Takes the figures that every row has, and ends the processes, each of which must do so by itself, and the servers. */
  async end() {
    const running = this.#applications.filter((application) => application.isRunning());
    for (const application of running) application.thaw();
    const warm = running.filter((application) => this.#memoryBefore.has(application));
    if (warm.length > 0 && this.figures["recovered after ms"] === undefined) {
      this.expectRecovery(await this.untilHit(warm[0]), RECOVERS_WITHIN_MS);
    }
    for (const application of warm) await this.#measureMemory(application);

    const lingering = [];
    for (const application of running) {
      const left = await application.close();
      if (left !== undefined) lingering.push(left);
    }
    const ended = running.length - lingering.length;
    const actual = `${ended} of ${running.length} ${lingering.join("; ")}`;
    if (this.clientMayLinger) this.figure("processes that ended by themselves", `${ended} of ${running.length}`);
    else this.expect("each process ends by itself once it is closed", lingering.length === 0, actual);

    const leases = await this.#leasesLeft();
    this.expect("no lease is left after a second", leases.length === 0, leases.length);
    const tallies = this.#applications.map(({ tally }) => tally());
    const unhandled = tallies.flatMap((tally) => tally.unhandled);
    this.expect("no unhandled rejection or exception", unhandled.length === 0, unhandled[0] ?? "0");
    const killed = this.#applications.filter(({ hasLingered }) => hasLingered());
    this.figure("leftovers", leases.length + killed.length + unhandled.length);
    const [originCalls, requests] = ["originCalls", "cachedRequests"].map(
      (name) => sum(tallies, name) - this.#warmUp[name],
    );
    this.figure("origin calls", `${originCalls} of ${requests}`);
    await this.cleanUp();
  }

  /** Those that the servers still have a second after everybody left. */
  async #leasesLeft() {
    const endMs = performance.now() + LEASES_END_WITHIN_MS;
    for (;;) {
      const keys = await Promise.all(this.#redisPorts.map((port) => command(port, "KEYS", "*:lease:*")));
      // A replica has what its primary has.
      const leases = [...new Set(keys.flat())];
      if (leases.length === 0 || performance.now() > endMs) return leases;
      await pause(50);
    }
  }

  async cleanUp() {
    for (const application of this.#applications) if (application.isRunning()) await application.kill();
    for (const cleanup of this.#cleanups.splice(0).reverse()) await cleanup();
  }
}

async function whatWasTold(application) {
  const { events, told } = await application.tell("stats");
  const { unhandled } = application.tally();
  return JSON.stringify({ events, unhandled, first: told.slice(0, 5).map(({ message }) => message) });
}

function talliesOf(applications) {
  return Promise.all(applications.map(({ tell }) => tell("tally")));
}

function sum(tallies, name) {
  return tallies.reduce((total, tally) => total + tally[name], 0);
}

export function round(value, digits = 0) {
  return Number(value.toFixed(digits));
}
