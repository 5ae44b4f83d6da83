/** `reprise purge`: purges what processes that share a Redis have stored. */

import { createCache } from "../cache.ts";
import { commandFailed, usageError } from "../errors.ts";
import { type PurgeSelection, purgeTargets } from "../options/purge-options.ts";
import { redisStore } from "../stores/redis/index.ts";
import { describeFlags, parseLine, type Flag, type ParsedLine } from "./flags.ts";
import type { Terminal } from "./terminal.ts";
import { readPrefix, readRedisUrl } from "./values.ts";

const PURGE_FLAGS: readonly Flag[] = [
  { name: "redis", value: "<url>", help: "The Redis or Valkey the responses are in." },
  { name: "prefix", value: "<name>", default: "reprise", help: "Namespace of the keys, as given to the proxy." },
  {
    name: "tag",
    value: "<tag>",
    repeats: true,
    help: "Responses with this tag: of Cache-Tag, Surrogate-Key, Cache-Groups.",
  },
  { name: "url", value: "<url>", repeats: true, help: "Responses of this URL, or path and query on any host." },
  { name: "under", value: "<path>", repeats: true, help: "Responses of this path and all below it." },
  { name: "all", help: "Everything with this prefix." },
  { name: "soft", help: "Keep it as stale, to be served while it is renewed or when the upstream fails." },
];

const PURGE_HELP: string = `Usage: reprise purge --redis <url> (--tag <tag>… | --url <url>… | --under <path>… | --all) [flags]

Purges stored responses in every process that shares the Redis. For example:

  reprise purge --redis redis://127.0.0.1:6379 --tag user:7

Flags:
${describeFlags(PURGE_FLAGS)}
`;

const CONNECT_WITHIN_MS = 5000;

/** Runs the command; the result is the exit code. */
export async function purgeCommand(args: readonly string[], terminal: Terminal): Promise<number> {
  const line = parseLine(args, PURGE_FLAGS);
  if (line.given.has("help")) {
    terminal.out(PURGE_HELP);
    return 0;
  }
  if (line.positionals.length > 0)
    throw usageError(`expected flags only, got ${line.positionals[0]}. See reprise purge --help`);
  const { REDIS_URL = "" } = process.env;
  const fromEnvironment = REDIS_URL === "" ? undefined : { text: REDIS_URL, where: "REDIS_URL" };
  const redis = line.given.get("redis") ?? fromEnvironment;
  if (redis === undefined) throw usageError("where is the Redis? Give --redis redis://host:port or set REDIS_URL");
  const prefix = line.given.get("prefix");
  await purge(
    readRedisUrl(redis.text, redis.where),
    prefix === undefined ? {} : { prefix: readPrefix(prefix.text, prefix.where) },
    selectionsOf(line),
    line.given.has("soft"),
  );
  terminal.out("purged\n");
  return 0;
}

function selectionsOf({ given, repeated }: ParsedLine): readonly ("all" | PurgeSelection)[] {
  const texts = (name: string, selection: (text: string) => PurgeSelection): readonly string[] =>
    (repeated.get(name) ?? []).map(({ text, where }) => readSelected(text, where, selection(text)));
  const tags = texts("tag", (tag) => ({ tag }));
  const urls = texts("url", (url) => ({ url }));
  const named = tags.length + urls.length > 0 ? [{ tags, urls }] : [];
  const selections = [...named, ...texts("under", (prefix) => ({ prefix })).map((prefix) => ({ prefix }))];
  if (given.has("all") === selections.length > 0) {
    throw usageError("what shall be purged? Give --tag, --url or --under, or --all alone");
  }
  return given.has("all") ? ["all"] : selections;
}

/** All values are read before the first purge, so that a wrong one purges nothing. */
function readSelected(text: string, where: string, selection: PurgeSelection): string {
  try {
    purgeTargets(where, selection);
    return text;
  } catch (error) {
    // The library speaks of its options, and its cure is one in code.
    const [line = ""] = (error as Error).message.split("\n");
    throw usageError(where + line.slice(line.indexOf(": expected")));
  }
}

async function purge(
  url: string,
  named: { readonly prefix?: string },
  selections: readonly ("all" | PurgeSelection)[],
  soft: boolean,
): Promise<void> {
  let trouble: string | undefined;
  let purged = 0;
  try {
    const cache = createCache({ store: redisStore({ url }), ...named });
    cache.events.on("connection-failed", ({ error }) => {
      trouble ??= error.message;
    });
    try {
      let isReady = false;
      void cache.ready({ timeoutMs: CONNECT_WITHIN_MS }).then(
        () => (isReady = true),
        () => {},
      );
      await connected(() => isReady || trouble !== undefined);
      for (const what of trouble === undefined ? selections : []) {
        await cache.purge(what, { soft });
        purged += 1;
      }
    } finally {
      await cache.close();
    }
  } catch (error) {
    trouble ??= error instanceof Error ? error.message : String(error);
  }
  if (trouble === undefined) return;
  throw commandFailed(`${purged === 0 ? "nothing" : "not everything"} was purged: ${trouble}`);
}

async function connected(isDecided: () => boolean): Promise<void> {
  const giveUpAtMs = performance.now() + CONNECT_WITHIN_MS;
  while (!isDecided() && performance.now() < giveUpAtMs) {
    await new Promise((resolve) => {
      setTimeout(resolve, 20);
    });
  }
}
