/** Where things are in Redis: index.ts has the layout. */

import { hash } from "node:crypto";

import { splitKey } from "../entry-keys.ts";

const LAYOUT_MAJOR = 1;
const LABEL_CHARACTERS = 80;
const HASH_CHARACTERS = 22;

/** Where an entry and its lease are. */
export interface EntryKeys {
  readonly entry: string;
  readonly lease: string;
}

/** Where an entry and its lease are: two keys on one Cluster slot. */
export function entryKeys(key: string): EntryKeys {
  const { prefix, name } = splitKey(key);
  const label = legible(name.slice(0, LABEL_CHARACTERS));
  const tag = hash("sha256", key, "base64url").slice(0, HASH_CHARACTERS);
  return {
    entry: `${inKey(prefix)}:${label === "lease" ? "lease_" : label}:{${tag}}`,
    lease: `${inKey(prefix)}:lease:{${tag}}`,
  };
}

/** Where the purge log of a prefix and its end are: two keys on one Cluster slot. */
export function logKeys(prefix: string): { readonly log: string; readonly end: string } {
  const start = `${inKey(prefix)}:{${legible(prefix)}}`;
  return { log: `${start}:log`, end: `${start}:pos` };
}

/** The part of a key in Redis that tells which entry it is of, for error messages. */
export function tagOf(entryKey: string): string {
  return entryKey.slice(entryKey.lastIndexOf("{"));
}

function inKey(prefix: string): string {
  return `${legible(prefix)}:${LAYOUT_MAJOR}`;
}

/** Without anything that has a meaning in a key: the `:` between parts, the `{}` of a hash tag, `*` and `[` of a pattern. */
function legible(text: string): string {
  return text.replace(/[^A-Za-z0-9_.()/,?=&%+~-]/g, "_");
}
