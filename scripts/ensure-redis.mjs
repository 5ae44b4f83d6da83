/**
 * Makes sure the tests have a real Redis: `node scripts/ensure-redis.mjs`.
 *
 * Content with REDIS_URL or with redis-server or valkey-server on PATH. Otherwise it installs one with the package manager
 * of the system where that needs no password, and says so. Exits with 1 and the ways to get one when there is none.
 */

import { spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

const BINARIES = ["redis-server", "valkey-server"];
const INSTALL_WITHIN_MS = 5 * 60 * 1000;

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
} else if (BINARIES.some(find)) {
  console.log(`Redis for the tests: ${BINARIES.map(find).find(Boolean)}.`);
} else if (!install()) {
  console.error(WAYS);
  process.exit(1);
}

/** Path of a program, also where a user's PATH lacks the system's own directories. */
function find(program) {
  const directories = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin"];
  return directories.map((directory) => join(directory, program)).find(isExecutable);
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function install() {
  const manager = MANAGERS.find(({ command }) => find(command));
  if (manager === undefined) return false;
  const asRoot = manager.needsRoot ? rootPrefix() : [];
  if (asRoot === undefined) return false;
  console.log(`Redis for the tests: not found, installing it with ${manager.command}.`);
  const attempts = [manager.steps, manager.or ?? []];
  return attempts.some((steps) => run(steps, asRoot) && BINARIES.some(find));
}

/** What to put before a command to run it as root, or undefined where that would ask for a password. */
function rootPrefix() {
  if (process.getuid?.() === 0) return [];
  const sudo = find("sudo") && spawnSync("sudo", ["-n", "true"], { stdio: "ignore" });
  return sudo && sudo.status === 0 ? ["sudo", "-n"] : undefined;
}

/** True when the last step succeeded: `apt-get update` may fail for a source that has nothing to do with Redis. */
function run(steps, prefix) {
  let last;
  for (const step of steps) {
    const [command, ...args] = [...prefix, ...step];
    last = spawnSync(command, args, {
      encoding: "utf8",
      timeout: INSTALL_WITHIN_MS,
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive", HOMEBREW_NO_AUTO_UPDATE: "1" },
    });
    if (last.status !== 0)
      console.error(`  ${step.join(" ")}: ${lastLine(last.stderr) ?? last.error?.message ?? "failed"}`);
  }
  return last?.status === 0;
}

function lastLine(text) {
  return text?.trim().split("\n").at(-1) || undefined;
}
