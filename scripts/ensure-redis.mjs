/**
 * Makes sure the tests have a real Redis: `node scripts/ensure-redis.mjs`.
 *
 * Content with REDIS_URL or with redis-server or valkey-server on PATH. Otherwise it installs one with the package manager
 * of the system where that needs no password, and says so. Exits with 1 and the ways to get one when there is none.
 */

import { findProgram, runSteps, usableManager } from "./system-package.mjs";

const BINARIES = ["redis-server", "valkey-server"];

const MANAGERS = [
  {
    command: "apt-get",
    needsRoot: true,
    steps: [
      ["apt-get", "update", "-q"],
      ["apt-get", "install", "-q", "-y", "--no-install-recommends", "redis-server"],
    ],
  },
  { command: "apk", needsRoot: true, steps: [["apk", "add", "--no-cache", "redis"]] },
  {
    command: "dnf",
    needsRoot: true,
    steps: [["dnf", "install", "-q", "-y", "redis"]],
    or: [["dnf", "install", "-q", "-y", "valkey"]],
  },
  { command: "brew", needsRoot: false, steps: [["brew", "install", "--quiet", "redis"]] },
];

const WAYS = `The tests use a real Redis or Valkey server, and there is none. Any one of these helps:

  1. install one:           apt-get install redis-server | apk add redis | dnf install valkey | brew install redis
  2. run one in Docker:     docker run --rm -d -p 6379:6379 redis
                            REDIS_URL=redis://127.0.0.1:6379 npm test
  3. point to one you have: REDIS_URL=redis://host:6379 npm test

With 2 and 3 the tests that freeze and kill a server still need a redis-server or valkey-server on PATH.`;

if (process.env.REDIS_URL) {
  console.log("Redis for the tests: the server of REDIS_URL.");
} else if (find() !== undefined) {
  console.log(`Redis for the tests: ${find()}.`);
} else if (!install()) {
  console.error(WAYS);
  process.exit(1);
}

function find() {
  return BINARIES.map(findProgram).find(Boolean);
}

function install() {
  const manager = usableManager(MANAGERS);
  if (manager === undefined) return false;
  console.log(`Redis for the tests: not found, installing it with ${manager.command}.`);
  const attempts = [manager.steps, manager.or ?? []];
  return attempts.some((steps) => runSteps(steps, manager.needsRoot) && find() !== undefined);
}
