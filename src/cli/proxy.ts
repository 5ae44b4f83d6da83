/** `reprise proxy`: starts the proxy, in this process or in several, and ends it in order. */

import { connect } from "node:net";
import type { AddressInfo } from "node:net";

import { createCache } from "../cache.ts";
import { commandFailed } from "../errors.ts";
import { isClusterWorker, runCluster, tellPrimary } from "../proxy/cluster.ts";
import { profileRoute } from "../proxy/profile.ts";
import { createProxy, type ListenAddress, type Proxy } from "../proxy/server.ts";
import { memoryStore } from "../stores/memory/index.ts";
import { redisStore } from "../stores/redis/index.ts";
import { tiered } from "../stores/tiered.ts";
import type { CacheStore, Logger } from "../http.ts";
import { describeFlags, parseLine } from "./flags.ts";
import { PROXY_FLAGS, readProxyCommand, type LogLevel, type ProxyCommand } from "./proxy-settings.ts";
import type { Terminal } from "./terminal.ts";

const PROXY_HELP: string = `Usage: reprise proxy <upstream-url> [flags]

Puts a cache in front of an HTTP server in any language. For example:

  reprise proxy http://127.0.0.1:8000 --listen 127.0.0.1:8080

Flags:
${describeFlags(PROXY_FLAGS)}

Sizes: 500KB, 256MiB, 1GiB. Times: 30s, 5m, 1h. SIGTERM and SIGINT end it when what is in flight is answered;
a second one ends it at once.
`;

/** Runs the command until it is told to stop; the result is the exit code. */
export async function proxyCommand(args: readonly string[], terminal: Terminal): Promise<number> {
  const line = parseLine(args, PROXY_FLAGS);
  if (line.given.has("help")) {
    terminal.out(PROXY_HELP);
    return 0;
  }
  const command = readProxyCommand(line);
  const logger = loggerFor(command.log, terminal);
  if (isClusterWorker()) return runWorker(command, logger);
  void warnIfUnreachable(command, logger);
  return command.cluster === 0 ? runAlone(command, logger, terminal) : runPrimary(command, logger, terminal);
}

async function runAlone(command: ProxyCommand, logger: Logger, terminal: Terminal): Promise<number> {
  const { proxy, close } = proxyFor(command, logger);
  const address = await listen(proxy, command.listen);
  terminal.out(`${announcement(command, address)}\n`);
  await stopSignal(["SIGTERM", "SIGINT"]);
  await close();
  return 0;
}

async function runPrimary(command: ProxyCommand, logger: Logger, terminal: Terminal): Promise<number> {
  let failure: string | undefined;
  const run = runCluster({
    workers: command.cluster,
    shutdownTimeoutMs: command.shutdownTimeoutMs,
    logger,
    onListening: (address) => terminal.out(`${announcement(command, address)}, ${command.cluster} workers\n`),
    onFailure: (message) => {
      failure = message;
    },
  });
  void stopSignal(["SIGTERM", "SIGINT"]).then(() => run.stop());
  const code = await run.ended;
  if (failure !== undefined) throw commandFailed(failure);
  return code;
}

async function runWorker(command: ProxyCommand, logger: Logger): Promise<number> {
  // A terminal sends SIGINT to the whole group; the primary process decides when workers end.
  process.on("SIGINT", () => {});
  const stopped = Promise.race([
    stopSignal(["SIGTERM"]),
    new Promise<void>((resolve) => {
      process.once("disconnect", () => resolve());
    }),
  ]);
  const { proxy, close } = proxyFor(command, logger);
  try {
    await tellPrimary({ type: "listening", address: await listen(proxy, command.listen) });
  } catch (error) {
    await tellPrimary({ type: "failed", message: (error as Error).message });
    return 1;
  }
  await stopped;
  await close();
  return 0;
}

function proxyFor(
  command: ProxyCommand,
  logger: Logger,
): { readonly proxy: Proxy; readonly close: () => Promise<void> } {
  const route = profileRoute(command.profile);
  const cache = createCache({
    store: storeFor(command),
    logger,
    ...(command.prefix === undefined ? {} : { prefix: command.prefix }),
  });
  const proxy = createProxy({ ...command.proxy, upstream: command.upstream, cache, route, logger });
  const close = async (): Promise<void> => {
    await proxy.close();
    await cache.close();
  };
  return { proxy, close };
}

/** Where responses are kept. */
function storeFor({ redis, memoryBytes }: ProxyCommand): CacheStore {
  const memory = memoryStore(memoryBytes === undefined ? {} : { maxBytes: memoryBytes });
  return redis === undefined ? memory : tiered(memory, redisStore({ url: redis }));
}

async function listen(proxy: Proxy, address: ListenAddress): Promise<AddressInfo> {
  try {
    return await proxy.listen(address);
  } catch (error) {
    throw commandFailed(whyNotListening(error as NodeJS.ErrnoException, address));
  }
}

function whyNotListening({ code = "", message }: NodeJS.ErrnoException, { host, port }: ListenAddress): string {
  const where = `${host === undefined ? "" : host.includes(":") ? `[${host}]` : host}:${port}`;
  switch (code) {
    case "EADDRINUSE":
      return `${where} is in use already; choose another address with --listen`;
    case "EACCES":
      return `not allowed to listen on ${where}; ports below 1024 often need a right of their own`;
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return `${where} is not an address of this machine (${code})`;
    default:
      return `cannot listen on ${where} (${code === "" ? message : code})`;
  }
}

function announcement(command: ProxyCommand, { address, port, family }: AddressInfo): string {
  const scheme = command.proxy.tls === undefined ? "http" : "https";
  const host = family === "IPv6" ? `[${address}]` : address;
  const store = command.redis === undefined ? "memory" : "Redis";
  return `${scheme}://${host}:${port} → ${command.upstream.origin} (profile ${command.profile}, ${store})`;
}

/** A server behind that is not up yet is no reason not to start. */
async function warnIfUnreachable(command: ProxyCommand, logger: Logger): Promise<void> {
  const { upstream } = command;
  const host = upstream.hostname.replace(/^\[|\]$/g, "");
  const port = upstream.port === "" ? (upstream.protocol === "https:" ? 443 : 80) : Number(upstream.port);
  const problem = await new Promise<string | undefined>((resolve) => {
    const socket = connect({ host, port, timeout: command.proxy.connectTimeoutMs ?? 0 });
    const settle = (why?: string): void => {
      socket.destroy();
      resolve(why);
    };
    socket.once("connect", () => settle());
    socket.once("timeout", () => settle("no answer in time"));
    socket.once("error", (error: NodeJS.ErrnoException) => settle(error.code ?? error.message));
  });
  if (problem === undefined) return;
  logger.warn(`${upstream.origin} cannot be reached (${problem}); until it can, requests are answered with 502 or 504`);
}

/** Resolves at the first of `signals`; a second one ends the process at once. */
function stopSignal(signals: readonly NodeJS.Signals[]): Promise<void> {
  return new Promise((resolve) => {
    let hasStopped = false;
    for (const signal of signals) {
      process.on(signal, () => {
        if (hasStopped) process.exit(1);
        hasStopped = true;
        resolve();
      });
    }
  });
}

function loggerFor(level: LogLevel, terminal: Terminal): Logger {
  const line = (text: string): void => terminal.err(`reprise: ${text}\n`);
  const silent = (): void => {};
  return {
    debug: level === "debug" ? line : silent,
    info: level === "debug" || level === "info" ? line : silent,
    warn: level === "silent" ? silent : (text) => line(`warning: ${text}`),
  };
}
