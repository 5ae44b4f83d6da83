import type { IncomingMessage } from "node:http";

import type { Cache } from "../cache.ts";
import { invalidOption, unknownOption } from "../errors.ts";
import type { RouteOptions } from "../options/route-options.ts";
import type { Logger } from "../http.ts";

/** Options of {@link createProxy}. Times are milliseconds. */
export interface ProxyOptions {
  /** Scheme, host and port of the server behind: `"http://127.0.0.1:8000"`. It has no path. */
  readonly upstream: string | URL;
  /** Default: a cache in memory. The proxy closes only a cache that it made. */
  readonly cache?: Cache;
  /** Options of the one route that all requests take. Default: `{ profile: "proxy", requestDirectives: "rfc9111" }`. */
  readonly route?: RouteOptions<IncomingMessage>;
  /** Certificate and key in PEM, to be reached over HTTPS. */
  readonly tls?: { readonly cert: string | Buffer; readonly key: string | Buffer };
  /** Certificates in PEM to trust for an HTTPS upstream, besides no others. Default: those of Node. */
  readonly upstreamCa?: string | Buffer;
  /** True: the upstream sees the client's `Host`. Default false: its own, and the client's as `X-Forwarded-Host`. */
  readonly preserveHost?: boolean;
  /** True: what the client says in `Forwarded` and `X-Forwarded-…` is kept and added to. Default false: replaced. */
  readonly trustForwarded?: boolean;
  /** Longest wait for a connection to the upstream; then 504. Default 5,000. */
  readonly connectTimeoutMs?: number;
  /** Longest wait for the head of a response once the request is sent; then 504. Default 60,000. */
  readonly headTimeoutMs?: number;
  /** Longest silence within a body, in either direction. Default 60,000. */
  readonly idleTimeoutMs?: number;
  /** Longest time a client may take for the head of a request; then 408. Default 15,000. */
  readonly clientHeadTimeoutMs?: number;
  /** Longest time a client may take for a whole request; then 408. Default 300,000. */
  readonly clientRequestTimeoutMs?: number;
  /** How long an unused connection of a client stays open. Default 5,000. */
  readonly keepAliveTimeoutMs?: number;
  /** Longest time `close()` waits for what is in flight. Default 10,000. */
  readonly shutdownTimeoutMs?: number;
  /** Largest head of a request, in bytes; then 431. Default 16 KiB. */
  readonly maxHeadBytes?: number;
  /** Most fields in a request; then 431. Default 200. */
  readonly maxFields?: number;
  /** Hears of each failure of the upstream. Silent by default. */
  readonly logger?: Logger;
}

export interface ProxySettings {
  readonly upstream: URL;
  readonly tls: ProxyOptions["tls"];
  readonly upstreamCa: string | Buffer | undefined;
  readonly preserveHost: boolean;
  readonly trustForwarded: boolean;
  readonly connectTimeoutMs: number;
  readonly headTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly clientHeadTimeoutMs: number;
  readonly clientRequestTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
  readonly shutdownTimeoutMs: number;
  readonly maxHeadBytes: number;
  readonly maxFields: number;
  readonly logger: Logger | undefined;
}

/** Defaults of all numbers, for the documentation of the command line too. */
export const PROXY_DEFAULTS: Readonly<Record<Amount, number>> = {
  connectTimeoutMs: 5_000,
  headTimeoutMs: 60_000,
  idleTimeoutMs: 60_000,
  clientHeadTimeoutMs: 15_000,
  clientRequestTimeoutMs: 300_000,
  keepAliveTimeoutMs: 5_000,
  shutdownTimeoutMs: 10_000,
  maxHeadBytes: 16 * 1024,
  maxFields: 200,
};

/** 24 days: timers of Node fire at once when they are given more than 24.8. */
export const LONGEST_TIMEOUT_MS: number = 24 * 24 * 60 * 60 * 1000;

type Amount = Extract<keyof ProxyOptions, `${string}Ms` | "maxHeadBytes" | "maxFields">;

const OTHERS = ["upstream", "cache", "route", "tls", "upstreamCa", "preserveHost", "trustForwarded", "logger"];

/** Checks the options; every mistake throws here and names option, value and cure. */
export function resolveProxyOptions(options: ProxyOptions): ProxySettings {
  const known = [...OTHERS, ...Object.keys(PROXY_DEFAULTS)];
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) throw unknownOption("createProxy()", name, known);
  }
  const amount = (name: Amount): number => {
    const value = options[name] ?? PROXY_DEFAULTS[name];
    const most = name.endsWith("Ms") ? LONGEST_TIMEOUT_MS : 2 ** 31 - 1;
    if (Number.isSafeInteger(value) && value > 0 && value <= most) return value;
    throw invalidOption(
      `createProxy({ ${name} })`,
      `a whole number from 1 to ${most}`,
      value,
      `The default is ${PROXY_DEFAULTS[name]}.`,
    );
  };
  return {
    upstream: upstreamUrl(options.upstream),
    tls: options.tls,
    upstreamCa: options.upstreamCa,
    preserveHost: options.preserveHost ?? false,
    trustForwarded: options.trustForwarded ?? false,
    connectTimeoutMs: amount("connectTimeoutMs"),
    headTimeoutMs: amount("headTimeoutMs"),
    idleTimeoutMs: amount("idleTimeoutMs"),
    clientHeadTimeoutMs: amount("clientHeadTimeoutMs"),
    clientRequestTimeoutMs: amount("clientRequestTimeoutMs"),
    keepAliveTimeoutMs: amount("keepAliveTimeoutMs"),
    shutdownTimeoutMs: amount("shutdownTimeoutMs"),
    maxHeadBytes: amount("maxHeadBytes"),
    maxFields: amount("maxFields"),
    logger: options.logger,
  };
}

/** Why `text` cannot be an upstream, or `undefined`. */
export function whyNoUpstream(text: string): string | undefined {
  if (!URL.canParse(text)) return "is not a URL";
  const { protocol, pathname, search, hash, username, password } = new URL(text);
  if (protocol !== "http:" && protocol !== "https:") return "is not an http or https URL";
  if (username !== "" || password !== "") return "must not hold a user or password";
  if (pathname !== "/" || search !== "" || hash !== "") return "must end after the host and port";
  return undefined;
}

function upstreamUrl(upstream: unknown): URL {
  const text = upstream instanceof URL ? upstream.href : upstream;
  if (typeof text === "string" && whyNoUpstream(text) === undefined) return new URL(text);
  // The text may hold a password.
  const got = typeof text === "string" && text.includes("@") ? "a URL with a user" : upstream;
  throw invalidOption(
    "createProxy({ upstream })",
    "scheme, host and port of a server",
    got,
    'For example "http://127.0.0.1:8000".',
  );
}
