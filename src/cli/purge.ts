/** `reprise purge`: purges what processes that share a Redis have stored. */

import { createCache } from "../cache.ts";
import { commandFailed, usageError } from "../errors.ts";
import type { PurgeSelection } from "../purge.ts";
import { redisStore } from "../stores/redis.ts";
import { describeFlags, parseLine, type Flag, type ParsedLine } from "./flags.ts";
import type { Terminal } from "./terminal.ts";

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
  const url = line.given.get("redis")?.text ?? process.env["REDIS_URL"];
  if (url === undefined) throw usageError("where is the Redis? Give --redis redis://host:port or set REDIS_URL");
  await purge(url, line.given.get("prefix")?.text, selectionsOf(line), line.given.has("soft"));
  terminal.out("purged\n");
  return 0;
}

function selectionsOf({ given, repeated }: ParsedLine): readonly ("all" | PurgeSelection)[] {
  const texts = (name: string): readonly string[] => (repeated.get(name) ?? []).map(({ text }) => text);
  const tags = texts("tag");
  const urls = texts("url");
  const named = tags.length + urls.length > 0 ? [{ tags, urls }] : [];
  const selections = [...named, ...texts("under").map((prefix) => ({ prefix }))];
  if (given.has("all") === selections.length > 0) {
    throw usageError("what shall be purged? Give --tag, --url or --under, or --all alone");
  }
  return given.has("all") ? ["all"] : selections;
}

async function purge(
  url: string,
  prefix: string | undefined,
  selections: readonly ("all" | PurgeSelection)[],
  soft: boolean,
): Promise<void> {
  let trouble: string | undefined;
  try {
    const store = redisStore({ url });
    const cache = createCache({ store, ...(prefix === undefined ? {} : { prefix }) });
    cache.events.on("connection-failed", ({ error }) => {
      trouble ??= error.message;
    });
    try {
      await connected(() => store.isAvailable?.() !== false || trouble !== undefined);
      if (trouble === undefined) for (const what of selections) await cache.purge(what, { soft });
    } finally {
      await cache.close();
    }
  } catch (error) {
    trouble ??= error instanceof Error ? error.message : String(error);
  }
  if (trouble !== undefined) throw commandFailed(`nothing was purged: ${trouble}`);
}

async function connected(isDecided: () => boolean): Promise<void> {
  const giveUpAtMs = performance.now() + CONNECT_WITHIN_MS;
  while (!isDecided() && performance.now() < giveUpAtMs) {
    await new Promise((resolve) => {
      setTimeout(resolve, 20);
    });
  }
}
