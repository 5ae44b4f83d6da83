/** The faults of the soak. Each begins, lasts a few seconds and is over when its promise resolves. */
import { setTimeout as pause } from "node:timers/promises";

import { command } from "./fixtures.mjs";

const MAX_FAULT_MS = 4000;

export class SoakFaults {
  #parts;
  #counts = new Map();
  count = 0;
  /** What was done last. */
  last = "nothing yet";

  constructor(parts) {
    this.#parts = parts;
  }

  /** One at random, from its beginning to its end. */
  async one() {
    const names = Object.keys(FAULTS);
    const name = names[Math.floor(Math.random() * names.length)];
    this.last = name;
    this.count += 1;
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
    await FAULTS[name](this.#parts, 500 + Math.random() * MAX_FAULT_MS);
  }

  /** Everything as it should be. */
  async end() {
    const { redis, proxy, applications } = this.#parts;
    proxy.pass();
    redis.thaw();
    for (const application of applications) application.thaw();
    await command(redis.port, "CONFIG", "SET", "maxmemory", "0").catch(() => {});
  }

  summary() {
    return [...this.#counts].map(([name, count]) => `${name} ${count}`).join(", ");
  }
}

function during(begin, end) {
  return async (parts, ms) => {
    await begin(parts);
    await pause(ms);
    await end(parts);
  };
}

const pass = ({ proxy }) => proxy.pass();
const theLog = ({ prefix }) => `${prefix}:1:{${prefix}}:log`;
const thePosition = ({ prefix }) => `${prefix}:1:{${prefix}}:pos`;
/** Sends one command, of words and functions of the parts that give one. */
const once =
  (...words) =>
  async (parts) => {
    const spoken = words.map((word) => (typeof word === "function" ? word(parts) : word));
    await command(parts.redis.port, ...spoken).catch(() => {});
  };
const some = (list) => list[Math.floor(Math.random() * list.length)];

const FAULTS = {
  "Redis killed": during(
    ({ redis }) => redis.kill(),
    ({ redis }) => redis.start(),
  ),
  "Redis restarted from a snapshot": async (parts, ms) => {
    await once("SAVE")(parts);
    await pause(ms);
    await parts.redis.kill();
    await parts.redis.start();
  },
  "Redis frozen": during(
    ({ redis }) => redis.freeze(),
    ({ redis }) => redis.thaw(),
  ),
  "slow network": during(({ proxy }) => proxy.delay(20, 60), pass),
  "very slow network": during(({ proxy }) => proxy.delay(90, 120), pass),
  "narrow network": during(({ proxy }) => proxy.limit(32 * 1024), pass),
  "silent network": during(({ proxy }) => proxy.blackHole(), pass),
  "cut replies": during(({ proxy }) => proxy.cutAfter(700, 50), pass),
  "refused connections": during(({ proxy }) => {
    proxy.refuse();
    proxy.reset();
  }, pass),
  resets: async ({ proxy }, ms) => {
    for (let atMs = 0; atMs < ms; atMs += 200) {
      proxy.reset();
      await pause(200);
    }
  },
  "memory full": during(once("CONFIG", "SET", "maxmemory", "1"), once("CONFIG", "SET", "maxmemory", "0")),
  "position lost": once("DEL", thePosition),
  "log lost": once("DEL", theLog),
  "log cut": once("XTRIM", theLog, "MAXLEN", "1"),
  "everything lost": once("FLUSHALL"),
  "scripts forgotten": once("SCRIPT", "FLUSH"),
  "Redis busy": async (parts, ms) => {
    await once("CONFIG", "SET", "busy-reply-threshold", "50")(parts);
    const spinning = once("EVAL", "while true do end", "0")(parts);
    await pause(Math.min(ms, 1500));
    await once("SCRIPT", "KILL")(parts);
    await spinning;
  },
  "process frozen": async ({ applications }, ms) => {
    const application = some(applications);
    application.freeze();
    await pause(ms);
    application.thaw();
  },
  "process blocked": async ({ applications }) => {
    await some(applications)
      .tell("block", { ms: 1000 })
      .catch(() => {});
  },
  "process killed": async ({ world, applications, start }) => {
    const at = Math.floor(Math.random() * applications.length);
    const killed = applications[at];
    // Nothing is sent to it any more, and what was under way is its own end.
    const next = await start(killed.at);
    applications[at] = next;
    await killed.kill();
    await pause(200);
    world.forgive(killed.port);
  },
};
