/** Checks the options of `redisStore()`. */

import { invalidOption, invalidSecret, invalidStore, withoutUserInfo } from "../../errors.ts";
import { urlAddress } from "./client/address.ts";
import { clientForUrl, KNOWN_CLIENTS, redisClient } from "./client/detect.ts";
import type { ClientSource } from "./health/connection.ts";

/** Where Redis is: exactly one of the three. */
export interface RedisClientOptions {
  readonly url?: string | undefined;
  readonly client?: unknown;
  readonly connect?: (() => unknown) | undefined;
}

const ONE_OF_THREE = "exactly one of url, client and connect";
const EXAMPLE = 'For example redisStore({ url: "redis://127.0.0.1:6379" }).';

/** Throws for a URL or nothing in place of the options. */
export function refuseNoOptions(options: unknown): void {
  if (typeof options === "object" && options !== null) return;
  const shown = typeof options === "string" ? withoutCredentials(options) : options;
  throw invalidStore("redisStore(options)", `an object with ${ONE_OF_THREE}`, shown, EXAMPLE);
}

/** Where the client comes from, and a function that takes its secrets out of texts. */
export function clientSource(options: RedisClientOptions): {
  readonly source: ClientSource;
  readonly redact: (text: string) => string;
} {
  const given = (["url", "client", "connect"] as const).filter((name) => name in options);
  const option = given[0];
  if (option === undefined || given.length > 1) {
    const got = given.length === 0 ? undefined : given.join(" and ");
    throw invalidStore("redisStore(options)", ONE_OF_THREE, got, EXAMPLE);
  }
  switch (option) {
    case "url":
      return urlSource(options.url);
    case "client":
      return { source: givenSource(options.client), redact: withoutUserInfo };
    case "connect":
      return { source: connectSource(options.connect), redact: withoutUserInfo };
  }
}

function urlSource(url: unknown): { readonly source: ClientSource; readonly redact: (text: string) => string } {
  const parsed = typeof url === "string" && URL.canParse(url) ? new URL(url) : undefined;
  if (typeof url !== "string" || (parsed?.protocol !== "redis:" && parsed?.protocol !== "rediss:")) {
    throw invalidStore(
      "redisStore({ url })",
      'a URL such as "redis://127.0.0.1:6379" or "rediss://…"',
      typeof url === "string" ? withoutCredentials(url) : url,
      urlCure(url),
    );
  }
  if (/@/.test(parsed.pathname + parsed.search + parsed.hash)) {
    throw invalidStore(
      "redisStore({ url })",
      "a URL whose user and password are escaped",
      withoutCredentials(url),
      "A / ? or # in a password ends the host: write encodeURIComponent(password).",
    );
  }
  const secrets = [parsed.password, safeDecode(parsed.password)].filter((secret) => secret !== "");
  return {
    source: { kind: "made", option: "url", make: () => clientForUrl(url), address: urlAddress(url) },
    redact: (text) => withoutUserInfo(secrets.reduce((redacted, secret) => redacted.replaceAll(secret, "***"), text)),
  };
}

function urlCure(url: unknown): string {
  if (typeof url !== "string" || url === "") return "If it comes from the environment, is the variable set?";
  return /^rediss?:\/\//i.test(url) ? "Check its host and its port." : "It must begin with redis:// or rediss://.";
}

/** The part of a text after its last `@`: enough to recognise it, without anything that may be a password. */
function withoutCredentials(url: string): string {
  return url.includes("@") ? `…@${url.slice(url.lastIndexOf("@") + 1)}` : url;
}

function safeDecode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function givenSource(value: unknown): ClientSource {
  const client = redisClient(value);
  if (client !== undefined) return { kind: "given", client };
  throw invalidStore(
    "redisStore({ client })",
    KNOWN_CLIENTS,
    value,
    'Create the client yourself and pass it, or pass { url: "redis://…" }.',
  );
}

function connectSource(connect: unknown): ClientSource {
  if (typeof connect === "function") {
    return { kind: "made", option: "connect", make: connect as () => unknown, address: "redis" };
  }
  throw invalidStore(
    "redisStore({ connect })",
    "a function that returns a Redis client or a promise of one",
    connect,
    "A client that exists already is passed as { client }.",
  );
}

/** A whole number within bounds, or its default. */
export function boundedOption(
  name: string,
  value: number | undefined,
  fallback: number,
  { min = 1, max }: { readonly min?: number; readonly max: number },
): number {
  if (value === undefined) return fallback;
  if (Number.isSafeInteger(value) && value >= min && value <= max) return value;
  throw invalidOption(
    `redisStore({ ${name} })`,
    `a whole number from ${min} to ${max}`,
    value,
    `The default is ${fallback}.`,
  );
}

const MIN_INTEGRITY_KEY_BYTES = 16;
const INTEGRITY_KEY = "redisStore({ integrityKey })";

/** The bytes of the key. Never prints it. */
export function integrityKeyBytes(value: unknown): Uint8Array {
  if (typeof value !== "string" && !(value instanceof Uint8Array)) {
    throw invalidSecret(
      INTEGRITY_KEY,
      value === null || value === undefined ? String(value) : `a value of type ${typeof value}`,
    );
  }
  // A copy: if the caller's bytes change later, all entries would be misses.
  const bytes = typeof value === "string" ? new TextEncoder().encode(value) : Uint8Array.from(value);
  if (bytes.byteLength < MIN_INTEGRITY_KEY_BYTES) throw invalidSecret(INTEGRITY_KEY, `${bytes.byteLength} bytes`);
  return bytes;
}
