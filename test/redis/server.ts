/** Real Redis servers for tests: found, started on a free port, frozen, killed. */

import { type ChildProcess, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { accessSync, constants, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

import { ADMIN, adminUrl, usersOfTests } from "./users.ts";

export interface RedisServer {
  /** For the cache, which may do there what its documentation says it must be allowed to. */
  readonly url: string;
  /** For the test. The same as `url` where `password` or `acl` are the test's own. */
  readonly adminUrl: string;
  readonly port: number;
  /** Of the process that runs now, or ran last. */
  readonly pid: number;
  /** Ends it in an orderly way and waits until it is gone. */
  stop(): Promise<void>;
  /** SIGKILL, and waits until it is gone. */
  kill(): Promise<void>;
  /** Starts it again on the same port after `kill()`: empty, or with what it had saved if it `keepsDirectory`. */
  start(): Promise<void>;
  /** SIGSTOP: connections stay open and nothing answers. */
  freeze(): void;
  /** SIGCONT. */
  thaw(): void;
}

export interface RedisServerOptions {
  /** Default: a free one. */
  readonly port?: number;
  readonly password?: string;
  /** Port of the primary it replicates. */
  readonly replicaOf?: number;
  /** Lines of an ACL file: `user app on >secret ~app:* +@all`. Default: those of users.ts. */
  readonly acl?: readonly string[];
  /** More settings, each as on the command line: `["--appendonly", "yes"]`. They win over the ones set here. */
  readonly config?: readonly string[];
  /** Lines of a Sentinel's configuration: it becomes one. */
  readonly sentinel?: readonly string[];
  /** Its directory outlives `kill()`, for `start()` to find what was saved in it. `stop()` removes it. */
  readonly keepsDirectory?: boolean;
}

const BINARIES = ["redis-server", "valkey-server"];
const UP_WITHIN_MS = 10_000;
const FIRST_PORT = 20_000;
const LAST_PORT = 32_000;

/** A test run that ends early must not leave servers behind. */
const onceAtExit = new Set<() => void>();
process.once("exit", () => {
  for (const act of onceAtExit) act();
});

/** Path of an installed server, or undefined. */
function findRedisBinary(): string | undefined {
  const directories = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin"];
  for (const directory of directories) {
    for (const binary of BINARIES) {
      const path = join(directory, binary);
      if (isExecutable(path)) return path;
    }
  }
  return undefined;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Starts a server of its own on the loopback interface, without persistence, and waits until it answers. */
export async function startRedis(options: RedisServerOptions = {}): Promise<RedisServer> {
  const binary = findRedisBinary();
  if (binary === undefined)
    throw new Error("No redis-server or valkey-server on PATH: run `node scripts/ensure-redis.mjs`.");
  const port = options.port ?? (await freePort());
  const directory = mkdtempSync(join(tmpdir(), "reprise-redis-"));
  const removeDirectory = (): void => rmSync(directory, { recursive: true, force: true });

  let child: ChildProcess;
  let gone: Promise<void>;
  const killAtExit = (): void => {
    child.kill("SIGKILL");
    removeDirectory();
  };
  const start = async (): Promise<void> => {
    mkdirSync(directory, { recursive: true });
    child = spawn(binary, commandLine(port, directory, options), { stdio: "ignore" });
    gone = new Promise<void>((resolve) => {
      child.once("exit", () => resolve());
    });
    onceAtExit.add(killAtExit);
    await answering(port, child);
  };
  const end = async (keepsDirectory: boolean, ...signals: readonly NodeJS.Signals[]): Promise<void> => {
    for (const signal of signals) child.kill(signal);
    await gone;
    if (keepsDirectory) return;
    onceAtExit.delete(killAtExit);
    removeDirectory();
  };
  await start();

  const credentials = options.password === undefined ? "" : `:${encodeURIComponent(options.password)}@`;
  const url = `redis://${credentials}127.0.0.1:${port}`;
  return {
    url,
    adminUrl: hasOwnUsers(options) ? url : adminUrl(port),
    port,
    get pid() {
      return child.pid ?? 0;
    },
    stop: () => end(false, "SIGCONT", "SIGTERM"),
    kill: () => end(options.keepsDirectory === true, "SIGKILL"),
    start,
    freeze: () => void child.kill("SIGSTOP"),
    thaw: () => void child.kill("SIGCONT"),
  };
}

/** What follows the name of the binary. Files the options call for are written into `directory`. */
function commandLine(port: number, directory: string, options: RedisServerOptions): string[] {
  const words = ["--port", String(port), "--bind", "127.0.0.1", "--dir", directory];
  if (options.sentinel !== undefined) {
    // A Sentinel rewrites its configuration, so it must have a file.
    const file = join(directory, "sentinel.conf");
    writeFileSync(file, `${options.sentinel.join("\n")}\n`);
    return [file, ...words, "--sentinel"];
  }
  words.push("--save", "", "--appendonly", "no");
  if (options.password !== undefined) words.push("--requirepass", options.password);
  if (options.replicaOf !== undefined) words.push("--replicaof", `127.0.0.1 ${options.replicaOf}`);
  const acl = hasOwnUsers(options) ? options.acl : usersOfTests(options.config?.includes("--cluster-enabled") === true);
  if (acl !== undefined) {
    const file = join(directory, "users.acl");
    writeFileSync(file, `${acl.join("\n")}\n`);
    words.push("--aclfile", file);
  }
  // For a replica, which it may also become later.
  if (!hasOwnUsers(options)) words.push("--masteruser", ADMIN.username, "--masterauth", ADMIN.password);
  return [...words, ...(options.config ?? [])];
}

function hasOwnUsers({ password, acl }: RedisServerOptions): boolean {
  return password !== undefined || acl !== undefined;
}

/**
 * A port nothing listens on at this moment. It is below the ports that systems give to outgoing connections: of those, one
 * may be taken between this answer and the server's start, and a client that tries a closed one can reach itself.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(FIRST_PORT, LAST_PORT);
    if (await isFree(port)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

async function answering(port: number, child: ChildProcess): Promise<void> {
  const giveUpAtMs = Date.now() + UP_WITHIN_MS;
  while (!(await answersPing(port))) {
    if (child.exitCode !== null) throw new Error(`The Redis server for tests ended with code ${child.exitCode}.`);
    if (Date.now() > giveUpAtMs) throw new Error(`The Redis server for tests did not answer on port ${port}.`);
    await pause(20);
  }
}

/** Any reply will do: a server with a password answers -NOAUTH. */
function answersPing(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1" }, () => socket.write("PING\r\n"));
    const settle = (answered: boolean): void => {
      socket.destroy();
      resolve(answered);
    };
    socket.setTimeout(1000, () => settle(false));
    socket.once("data", (reply) => settle(!reply.toString().startsWith("-LOADING")));
    socket.once("error", () => settle(false));
  });
}
