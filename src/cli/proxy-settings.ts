/** What `reprise proxy` was asked to do: command line over configuration file over defaults. */

import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";

import { commandFailed, describeValue, usageError } from "../errors.ts";
import { PROXY_DEFAULTS, whyNoUpstream, type ProxyOptions } from "../proxy/options.ts";
import { PROFILE_NAMES, type ProfileName } from "../options/profiles.ts";
import { DEFAULT_PROFILE } from "../proxy/profile.ts";
import type { ListenAddress } from "../proxy/server.ts";
import { parseConfig, type Flag, type Given, type ParsedLine } from "./flags.ts";
import {
  readBytes,
  readChoice,
  readCount,
  readDurationMs,
  readListenAddress,
  readPrefix,
  readRedisUrl,
} from "./values.ts";

const LOG_LEVELS = ["silent", "warn", "info", "debug"] as const;

export type LogLevel = (typeof LOG_LEVELS)[number];

/** Everything the command needs, read and checked. */
export interface ProxyCommand {
  readonly upstream: URL;
  readonly listen: ListenAddress;
  readonly redis: string | undefined;
  readonly memoryBytes: number | undefined;
  readonly prefix: string | undefined;
  readonly profile: ProfileName;
  /** 0: this process alone. */
  readonly cluster: number;
  readonly log: LogLevel;
  readonly shutdownTimeoutMs: number;
  readonly proxy: Omit<ProxyOptions, "upstream" | "cache" | "route" | "logger">;
}

const MAX_WORKERS = 256;

function seconds(ms: number): string {
  return `${ms / 1000}s`;
}

/** The flags of `reprise proxy`, in the order of the help. */
export const PROXY_FLAGS: readonly Flag[] = [
  {
    name: "listen",
    value: "<host:port>",
    default: "127.0.0.1:8080",
    help: "Where to listen; a port alone means 127.0.0.1, :8080 every address of the machine.",
  },
  { name: "redis", value: "<url>", help: "Keep responses in Redis or Valkey, for all processes and machines." },
  {
    name: "memory",
    value: "<size>",
    default: "64MiB",
    help: "Memory of each process for responses; with --redis, for those it serves most.",
  },
  { name: "prefix", value: "<name>", default: "reprise", help: "Namespace of the keys; one for each upstream." },
  {
    name: "profile",
    value: "<name>",
    default: DEFAULT_PROFILE,
    help: `How the cache decides: ${PROFILE_NAMES.join(", ")}.`,
  },
  { name: "cluster", value: "<n>", default: "0", help: "Worker processes that share the port; 0 for none." },
  { name: "config", value: "<file>", help: "JSON with the names of these flags, and upstream; flags win." },
  { name: "cert", value: "<file>", help: "Certificate in PEM, to listen for HTTPS." },
  { name: "key", value: "<file>", help: "Its private key in PEM." },
  { name: "upstream-ca", value: "<file>", help: "Certificates in PEM to trust for an https upstream, and no others." },
  {
    name: "preserve-host",
    help: "Show the upstream the client's Host. Default: its own, and the client's as X-Forwarded-Host.",
  },
  {
    name: "trust-forwarded",
    help: "Keep and add to what clients say in Forwarded and X-Forwarded-…. Default: replace it.",
  },
  {
    name: "connect-timeout",
    value: "<time>",
    default: seconds(PROXY_DEFAULTS.connectTimeoutMs),
    help: "Longest wait for a connection to the upstream.",
  },
  {
    name: "head-timeout",
    value: "<time>",
    default: seconds(PROXY_DEFAULTS.headTimeoutMs),
    help: "Longest wait for the head of its response.",
  },
  {
    name: "idle-timeout",
    value: "<time>",
    default: seconds(PROXY_DEFAULTS.idleTimeoutMs),
    help: "Longest silence within a body.",
  },
  {
    name: "client-head-timeout",
    value: "<time>",
    default: seconds(PROXY_DEFAULTS.clientHeadTimeoutMs),
    help: "Longest time a client may take for the head of a request.",
  },
  {
    name: "client-request-timeout",
    value: "<time>",
    default: seconds(PROXY_DEFAULTS.clientRequestTimeoutMs),
    help: "Longest time a client may take for a whole request.",
  },
  {
    name: "keep-alive-timeout",
    value: "<time>",
    default: seconds(PROXY_DEFAULTS.keepAliveTimeoutMs),
    help: "How long an unused connection of a client stays open.",
  },
  {
    name: "shutdown-timeout",
    value: "<time>",
    default: seconds(PROXY_DEFAULTS.shutdownTimeoutMs),
    help: "How long SIGTERM and SIGINT wait for what is in flight.",
  },
  {
    name: "max-head",
    value: "<size>",
    default: `${PROXY_DEFAULTS.maxHeadBytes / 1024}KiB`,
    help: "Largest head of a request.",
  },
  {
    name: "max-fields",
    value: "<n>",
    default: String(PROXY_DEFAULTS.maxFields),
    help: "Most fields in a request.",
  },
  { name: "log", value: "<level>", default: "warn", help: `What is written to stderr: ${LOG_LEVELS.join(", ")}.` },
];

/** The configuration file may hold the upstream too; it may not name another file. */
const CONFIG_NAMES: readonly Flag[] = [
  { name: "upstream", value: "<url>", help: "" },
  ...PROXY_FLAGS.filter(({ name }) => name !== "config"),
];

/** Reads the command line and the files it names. */
export function readProxyCommand(line: ParsedLine): ProxyCommand {
  const given = withConfig(line);
  const value = (name: string): Given | undefined => given.get(name);
  const read = <Value>(name: string, reader: (text: string, where: string) => Value): Value => {
    const { text, where } = value(name) ?? { text: defaultOf(name), where: `--${name}` };
    return reader(text, where);
  };
  const upstream = upstreamOf(line, value("upstream"));
  const listen = read("listen", readListenAddress);
  refuseCircle(upstream, listen, value("cert") === undefined ? "http:" : "https:");
  const redis = value("redis");
  const memory = value("memory");
  const cert = value("cert");
  const key = value("key");
  const ca = value("upstream-ca");
  const shutdownTimeoutMs = read("shutdown-timeout", readDurationMs);
  const tls = tlsOf(cert, key);
  return {
    upstream,
    listen,
    redis: redis === undefined ? undefined : readRedisUrl(redis.text, redis.where),
    memoryBytes: memory === undefined ? undefined : readBytes(memory.text, memory.where),
    prefix: read("prefix", readPrefix),
    profile: read("profile", (text, where) => readChoice(text, where, PROFILE_NAMES)),
    cluster: read("cluster", (text, where) => readCount(text, where, 0, MAX_WORKERS)),
    log: read("log", (text, where) => readChoice(text, where, LOG_LEVELS)),
    shutdownTimeoutMs,
    proxy: {
      ...(tls === undefined ? {} : { tls }),
      ...(ca === undefined ? {} : { upstreamCa: readPem(ca) }),
      preserveHost: value("preserve-host") !== undefined,
      trustForwarded: value("trust-forwarded") !== undefined,
      connectTimeoutMs: read("connect-timeout", readDurationMs),
      headTimeoutMs: read("head-timeout", readDurationMs),
      idleTimeoutMs: read("idle-timeout", readDurationMs),
      clientHeadTimeoutMs: read("client-head-timeout", readDurationMs),
      clientRequestTimeoutMs: read("client-request-timeout", readDurationMs),
      keepAliveTimeoutMs: read("keep-alive-timeout", readDurationMs),
      shutdownTimeoutMs,
      maxHeadBytes: read("max-head", readBytes),
      maxFields: read("max-fields", (text, where) => readCount(text, where, 1, 10_000)),
    },
  };
}

function withConfig(line: ParsedLine): ReadonlyMap<string, Given> {
  const config = line.given.get("config");
  if (config === undefined) return line.given;
  const fromFile = parseConfig(readFile(config).toString("utf8"), config.text, CONFIG_NAMES);
  return new Map([...fromFile, ...line.given]);
}

function defaultOf(name: string): string {
  return PROXY_FLAGS.find((flag) => flag.name === name)?.default ?? "";
}

function upstreamOf(line: ParsedLine, configured: Given | undefined): URL {
  const [text = configured?.text, ...more] = line.positionals;
  if (text === undefined) throw usageError("proxy: which upstream? For example: reprise proxy http://127.0.0.1:8000");
  if (more.length > 0) throw usageError(`proxy: expected one upstream, got ${line.positionals.length}`);
  const why = whyNoUpstream(text);
  if (why === undefined) return new URL(text);
  // A password is not to be shown.
  const shown = text.includes("@") ? "it" : describeValue(text);
  throw usageError(`the upstream must be a URL such as http://127.0.0.1:8000, and ${shown} ${why}`);
}

const LOOPBACK = /^(?:localhost|127(?:\.\d+){3}|\[?::1\]?)$/;

function refuseCircle(upstream: URL, listen: ListenAddress, scheme: string): void {
  const port = upstream.port === "" ? (upstream.protocol === "https:" ? 443 : 80) : Number(upstream.port);
  if (port !== listen.port || upstream.protocol !== scheme) return;
  const { host } = listen;
  const isSame = host === undefined || host === "0.0.0.0" || host === "::" || LOOPBACK.test(host);
  if (host !== upstream.hostname && !(isSame && LOOPBACK.test(upstream.hostname))) return;
  throw usageError(`the upstream ${upstream.origin} is the address to listen on: the proxy would ask itself`);
}

function tlsOf(cert: Given | undefined, key: Given | undefined): ProxyOptions["tls"] {
  if (cert === undefined && key === undefined) return undefined;
  if (cert === undefined || key === undefined) {
    throw usageError("a certificate and its key belong together: give both --cert and --key");
  }
  const tls = { cert: readFile(cert), key: readFile(key) };
  try {
    createSecureContext(tls);
    return tls;
  } catch (error) {
    const { code = "unreadable" } = error as NodeJS.ErrnoException;
    throw commandFailed(`${cert.text} and ${key.text} are not a certificate in PEM and its key (${code})`);
  }
}

function readPem(given: Given): Buffer {
  const pem = readFile(given);
  if (pem.includes("-----BEGIN CERTIFICATE-----")) return pem;
  throw commandFailed(`${given.where}: ${given.text} holds no certificate in PEM`);
}

function readFile({ text, where }: Given): Buffer {
  try {
    return readFileSync(text);
  } catch (error) {
    throw commandFailed(`${where}: cannot read ${text} (${(error as NodeJS.ErrnoException).code ?? "unreadable"})`);
  }
}
