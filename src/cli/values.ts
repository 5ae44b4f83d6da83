/** Reads the values of flags. `where` names the flag, or the name in a configuration file, for the error. */

import { durationSeconds } from "../duration.ts";
import { describeValue, usageError } from "../errors.ts";
import { LONGEST_TIMEOUT_MS } from "../proxy/options.ts";
import type { ListenAddress } from "../proxy/server.ts";
import { nearest } from "../options/nearest.ts";

const UNIT_BYTES: ReadonlyMap<string, number> = new Map([
  ["", 1],
  ["b", 1],
  ["kb", 1e3],
  ["mb", 1e6],
  ["gb", 1e9],
  ["kib", 1024],
  ["mib", 1024 ** 2],
  ["gib", 1024 ** 3],
]);

/** `256MiB` in bytes. */
export function readBytes(text: string, where: string): number {
  const [, count = "", unit = ""] = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text) ?? [];
  const bytes =
    count === "" ? Number.NaN : Math.floor(Number(count) * (UNIT_BYTES.get(unit.toLowerCase()) ?? Number.NaN));
  if (Number.isSafeInteger(bytes) && bytes > 0) return bytes;
  throw usageError(`${where}: expected a size such as 256MiB, 1GiB or a number of bytes, got ${describeValue(text)}`);
}

/** `30s` in milliseconds; a bare number counts seconds. */
export function readDurationMs(text: string, where: string): number {
  const ms = durationMs(text, where);
  if (ms <= LONGEST_TIMEOUT_MS) return ms;
  throw usageError(`${where}: expected a duration of at most 24d, got ${describeValue(text)}`);
}

function durationMs(text: string, where: string): number {
  try {
    return durationSeconds(/^\d+$/.test(text) ? Number(text) : text, where) * 1000;
  } catch {
    throw usageError(`${where}: expected a duration such as 30s or 5m, got ${describeValue(text)}`);
  }
}

/** `8080`, `:8080`, `127.0.0.1:8080`, `localhost:8080`, `[::1]:8080`. A port alone means the loopback interface. */
export function readListenAddress(text: string, where: string): ListenAddress {
  const [, host, port = ""] = /^(?:(\[[0-9a-f:.]+\]|[\w.-]*):)?(\d{1,5})$/i.exec(text) ?? [];
  if (port === "" || Number(port) > 65_535) {
    throw usageError(`${where}: expected host:port or a port, such as 127.0.0.1:8080, got ${describeValue(text)}`);
  }
  if (host === "") return { port: Number(port) };
  return { host: (host ?? "127.0.0.1").replace(/^\[|\]$/g, ""), port: Number(port) };
}

/** A whole number within bounds. */
export function readCount(text: string, where: string, least: number, most: number): number {
  const count = /^\d{1,6}$/.test(text) ? Number(text) : Number.NaN;
  if (count >= least && count <= most) return count;
  throw usageError(`${where}: expected a whole number from ${least} to ${most}, got ${describeValue(text)}`);
}

/** One of a few words. */
export function readChoice<Word extends string>(text: string, where: string, words: readonly Word[]): Word {
  const found = words.find((word) => word === text);
  if (found !== undefined) return found;
  throw usageError(
    `${where}: expected ${words.join(", ")}, got ${describeValue(text)}${didYouMean(nearest(text, words))}`,
  );
}

/** The end of a message about a word that is unknown. */
export function didYouMean(suggestion: string | undefined): string {
  return suggestion === undefined ? "" : `. Did you mean ${suggestion}?`;
}

/** The URL of a Redis; one that may hold a password is not repeated. */
export function readRedisUrl(text: string, where: string): string {
  const protocol = URL.canParse(text) ? new URL(text).protocol : "";
  if (protocol === "redis:" || protocol === "rediss:") return text;
  const shown = text.includes("@") ? "another text" : describeValue(text);
  throw usageError(`${where}: expected a URL such as redis://127.0.0.1:6379, got ${shown}`);
}

/** The namespace of keys. */
export function readPrefix(text: string, where: string): string {
  if (/^[\w.-]{1,64}$/.test(text)) return text;
  throw usageError(`${where}: expected 1 to 64 letters, digits, _ . or -, got ${describeValue(text)}`);
}
