/** Real Redis servers for tests: found, started on a free port, frozen, killed. */

import { type ChildProcess, spawn } from "node:child_process";
import { accessSync, constants, mkdtempSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";

export interface RedisServer {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Ends it in an orderly way and waits until it is gone. */
  stop(): Promise<void>;
  /** SIGKILL, and waits until it is gone. */
  kill(): Promise<void>;
  /** SIGSTOP: connections stay open and nothing answers. */
  freeze(): void;
  /** SIGCONT. */
  thaw(): void;
}

export interface RedisServerOptions {
  /** Default: a free one. */
  readonly port?: number;
  readonly password?: string;
}

const BINARIES = ["redis-server", "valkey-server"];
const UP_WITHIN_MS = 10_000;

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
  const settings = [
    "--port",
    String(port),
    "--bind",
    "127.0.0.1",
    "--save",
    "",
    "--appendonly",
    "no",
    "--dir",
    directory,
  ];
  if (options.password !== undefined) settings.push("--requirepass", options.password);
  const child = spawn(binary, settings, { stdio: "ignore" });
  const gone = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
  });
  // A test run that ends early must not leave servers behind.
  const killAtExit = (): void => {
    child.kill("SIGKILL");
  };
  process.once("exit", killAtExit);
  void gone.then(() => {
    process.off("exit", killAtExit);
    rmSync(directory, { recursive: true, force: true });
  });
  await answering(port, child);

  const credentials = options.password === undefined ? "" : `:${encodeURIComponent(options.password)}@`;
  const end = async (...signals: readonly NodeJS.Signals[]): Promise<void> => {
    for (const signal of signals) child.kill(signal);
    await gone;
  };
  return {
    url: `redis://${credentials}127.0.0.1:${port}`,
    port,
    pid: child.pid ?? 0,
    stop: () => end("SIGCONT", "SIGTERM"),
    kill: () => end("SIGKILL"),
    freeze: () => void child.kill("SIGSTOP"),
    thaw: () => void child.kill("SIGCONT"),
  };
}

/** A port nothing listens on at this moment. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  await new Promise((resolve) => {
    server.close(resolve);
  });
  if (address === null || typeof address === "string") throw new Error("No free port.");
  return address.port;
}

async function answering(port: number, child: ChildProcess): Promise<void> {
  const giveUpAtMs = Date.now() + UP_WITHIN_MS;
  while (!(await answersPing(port))) {
    if (child.exitCode !== null) throw new Error(`The Redis server for tests ended with code ${child.exitCode}.`);
    if (Date.now() > giveUpAtMs) throw new Error(`The Redis server for tests did not answer on port ${port}.`);
    await new Promise((resolve) => {
      setTimeout(resolve, 20);
    });
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
