import { readdirSync, readFileSync } from "node:fs";
import { join, posix, sep } from "node:path";
import { describe, expect, it } from "vitest";
import { moduleImports } from "./module-imports.ts";

const src = join(import.meta.dirname, "../../src");

const BASE = ["types.ts", "errors.ts", "duration.ts", "real-time.ts", "timer.ts"];

/** What an adapter needs of the rest. */
const SERVING = [
  "cache.ts",
  "options.ts",
  "route-options.ts",
  "purge.ts",
  "engine/exchange.ts",
  "engine/renewals.ts",
  "engine/request-tags.ts",
  ...BASE,
];

/**
 * Which module may import which: arrows go down only. A name ending in `/` is a folder with all below it; the longest
 * name that fits a module is its row. `node:` permits all of Node's own modules, `node:x` one, `npm:x` the package x.
 */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  "types.ts": [],
  "errors.ts": [],
  "duration.ts": ["errors.ts"],
  "real-time.ts": [],
  "timer.ts": [],
  "rfc9111/": ["rfc9111/", "types.ts", "npm:structured-headers"],
  "tags.ts": [],
  "engine/": ["engine/", "rfc9111/", "tags.ts", "types.ts", "errors.ts", "real-time.ts", "timer.ts", "npm:lru-cache"],
  "stores/": ["stores/", "known-options.ts", ...BASE, "node:", "npm:lru-cache"],
  "stores/_redis-client.ts": ["stores/", ...BASE, "node:", "npm:redis", "npm:ioredis"],
  "functions/": [
    "functions/",
    "known-options.ts",
    "synchronous.ts",
    "tags.ts",
    ...BASE,
    "node:async_hooks",
    "node:crypto",
    "npm:devalue",
  ],
  "events.ts": ["engine/", ...BASE, "node:diagnostics_channel"],
  "log.ts": ["events.ts", "engine/", ...BASE],
  "warnings.ts": ["types.ts", "npm:lru-cache"],
  "nearest.ts": [],
  "unknown-routes.ts": ["nearest.ts", "engine/", ...BASE],
  "ready.ts": ["known-options.ts", ...BASE],
  "profiles.ts": [],
  "known-options.ts": ["errors.ts"],
  "synchronous.ts": ["errors.ts"],
  "option-checks.ts": ["rfc9111/fields.ts", "synchronous.ts", ...BASE],
  "options.ts": [
    "known-options.ts",
    "option-checks.ts",
    "functions/",
    "engine/",
    "rfc9111/",
    "stores/memory.ts",
    ...BASE,
  ],
  "purge.ts": ["known-options.ts", "option-checks.ts", "route-options.ts", "engine/", "rfc9111/", "tags.ts", ...BASE],
  "route-options.ts": [
    "known-options.ts",
    "option-checks.ts",
    "tags.ts",
    "options.ts",
    "profiles.ts",
    "functions/",
    "engine/",
    "rfc9111/",
    ...BASE,
  ],
  "cache.ts": [
    "known-options.ts",
    "option-checks.ts",
    "options.ts",
    "purge.ts",
    "route-options.ts",
    "events.ts",
    "log.ts",
    "ready.ts",
    "warnings.ts",
    "unknown-routes.ts",
    "functions/",
    "engine/",
    "rfc9111/",
    "stores/",
    ...BASE,
    "node:async_hooks",
    "node:crypto",
  ],
  "decorators.ts": ["cache.ts", "known-options.ts", "options.ts", "route-options.ts", "functions/", ...BASE],
  "adapters/": ["adapters/", ...SERVING, "node:"],
  "adapters/_cached.ts": ["adapters/", ...SERVING, "known-options.ts"],
  "adapters/_web.ts": ["adapters/", ...SERVING],
  "adapters/express.ts": ["adapters/", ...SERVING, "node:", "npm:express"],
  "adapters/_express-patterns.ts": ["npm:express"],
  "adapters/_hono-entry.ts": ["adapters/", ...SERVING, "npm:hono"],
  "adapters/_hono-exit.ts": ["adapters/", ...SERVING, "npm:hono"],
  "adapters/_hono-outer.ts": ["adapters/", ...SERVING, "npm:hono"],
  "adapters/_hono-paths.ts": ["adapters/", "npm:hono"],
  "adapters/fetch.ts": ["adapters/", ...SERVING, "known-options.ts"],
  "adapters/hono.ts": ["adapters/", ...SERVING, "known-options.ts", "npm:hono"],
  "proxy/": ["proxy/", "adapters/", ...SERVING, "profiles.ts", "node:"],
  "cli/": ["cli/", "proxy/", "nearest.ts", "cache.ts", "purge.ts", "profiles.ts", "stores/", ...BASE, "node:"],
  "testing/": ["testing/", ...BASE, "node:assert/strict", "node:crypto"],
  "testing.ts": ["testing/", "stores/", "types.ts"],
  "index.ts": [
    "cache.ts",
    "purge.ts",
    "options.ts",
    "ready.ts",
    "route-options.ts",
    "events.ts",
    "log.ts",
    "functions/",
    "engine/",
    "stores/",
    ...BASE,
  ],
};

const modules = readdirSync(src, { recursive: true, encoding: "utf8" })
  .map((path) => path.split(sep).join("/"))
  .filter((path) => path.endsWith(".ts"))
  .toSorted();

function covers(name: string, module: string): boolean {
  return name.endsWith("/") || name === "node:" ? module.startsWith(name) : module === name;
}

function layerOf(module: string): string | undefined {
  const fitting = Object.keys(LAYERS).filter((name) => covers(name, module));
  return fitting.toSorted((a, b) => b.length - a.length)[0];
}

/** What an import points at, in the words of the table: a path below src, `node:<module>` or `npm:<package>`. */
function targetOf(module: string, specifier: string): string {
  if (specifier.startsWith("node:")) return specifier;
  if (!specifier.startsWith(".")) return `npm:${packageOf(specifier)}`;
  return posix.join(posix.dirname(module), specifier);
}

function packageOf(specifier: string): string {
  return specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
}

function forbiddenImports(module: string, text: string): readonly string[] {
  const permitted = LAYERS[layerOf(module) ?? ""] ?? [];
  return moduleImports(text)
    .map(({ specifier }) => targetOf(module, specifier))
    .filter((target) => !permitted.some((name) => covers(name, target)));
}

describe("layers of src", () => {
  it.each(modules)("%s imports only from the layers below it", (module) => {
    expect(layerOf(module), "no row of the table covers this module").toBeDefined();
    expect(forbiddenImports(module, readFileSync(join(src, module), "utf8"))).toEqual([]);
  });

  it.each([
    { module: "rfc9111/freshness.ts", code: 'import { get } from "../stores/memory.ts";', target: "stores/memory.ts" },
    { module: "rfc9111/freshness.ts", code: 'import type {\n  A,\n} from "node:http";', target: "node:http" },
    { module: "rfc9111/freshness.ts", code: 'export * from "../engine/engine.ts";', target: "engine/engine.ts" },
    { module: "engine/engine.ts", code: 'import "node:fs";', target: "node:fs" },
    { module: "stores/memory.ts", code: '  const x = await import("redis");', target: "npm:redis" },
    { module: "stores/memory.ts", code: "  const x = await import(name);", target: "npm:name" },
    { module: "adapters/node.ts", code: 'import { a } from "../rfc9111/reuse.ts";', target: "rfc9111/reuse.ts" },
    { module: "cache.ts", code: 'import { a } from "../test/harness.ts";', target: "../test/harness.ts" },
  ])("$module would fail on: $code", ({ module, code, target }) => {
    expect(forbiddenImports(module, code)).toEqual([target]);
  });

  it("does not take an example in a comment for an import", () => {
    expect(moduleImports('/**\n * import { a } from "express";\n */\n// import("x")\nexport const a = 1;')).toEqual([]);
  });
});
