import { readdirSync, readFileSync } from "node:fs";
import { join, posix, sep } from "node:path";
import { describe, expect, it } from "vitest";
import { moduleImports } from "./module-imports.ts";

const src = join(import.meta.dirname, "../../src");

const BASE = ["http.ts", "errors.ts", "duration.ts", "real-time.ts", "timer.ts"];

/** What an adapter needs of the rest. */
const SERVING = [
  "cache.ts",
  "options/",
  "engine/exchange.ts",
  "engine/fill/renewals.ts",
  "engine/request/request-tags.ts",
  ...BASE,
];

/** What every room of the engine may use. */
const ENGINE = [
  "engine/state.ts",
  "engine/route-rules.ts",
  "engine/exchange.ts",
  "engine/cache-events.ts",
  "engine/request-context.ts",
  "engine/purge-fence.ts",
  "rfc9111/",
  "tags.ts",
  ...BASE,
];
/** What every store needs of the rest. */
const STORING = ["stores/entry-keys.ts", "options/known-options.ts", ...BASE];

/**
 * Which module may import which: arrows go down only. A name ending in `/` is a folder with all below it; the longest
 * name that fits a module is its row. `node:` permits all of Node's own modules, `node:x` one, `npm:x` the package x.
 */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  "http.ts": [],
  "errors.ts": [],
  "duration.ts": ["errors.ts"],
  "real-time.ts": [],
  "timer.ts": [],
  "tags.ts": [],
  "rfc9111/": ["rfc9111/", "http.ts", "npm:structured-headers"],
  "engine/": ["engine/", "rfc9111/", "tags.ts", ...BASE, "npm:lru-cache"],
  "engine/request/": [...ENGINE, "engine/request/"],
  "engine/lookup/": [...ENGINE, "engine/request/", "engine/lookup/", "engine/reply/prepared-reply.ts"],
  "engine/reply/": [...ENGINE, "engine/request/", "engine/lookup/", "engine/reply/"],
  "engine/fill/": [...ENGINE, "engine/request/", "engine/lookup/", "engine/reply/", "engine/fill/"],
  "engine/write/": [...ENGINE, "engine/request/", "engine/fill/", "engine/write/"],
  "engine/write/unknown-routes.ts": [...ENGINE, "engine/request/", "engine/write/", "options/nearest.ts"],
  "stores/entry-keys.ts": [],
  "stores/tiered.ts": ["stores/entry-keys.ts", "options/known-options.ts", ...BASE],
  "stores/purging/": ["stores/purging/", "stores/entry-keys.ts", ...BASE],
  "stores/memory/": ["stores/memory/", "stores/purging/", ...STORING, "npm:lru-cache"],
  "stores/redis/": ["stores/redis/", ...STORING, "node:crypto", "node:zlib"],
  "stores/redis/client/": ["stores/redis/client/", ...BASE, "node:crypto"],
  "stores/redis/client/detect.ts": ["stores/redis/client/", ...BASE, "npm:redis", "npm:ioredis"],
  "stores/redis/health/": ["stores/redis/health/", "stores/redis/client/", ...BASE],
  "stores/redis/purges/": [
    "stores/redis/purges/",
    "stores/redis/health/",
    "stores/redis/client/",
    "stores/purging/",
    ...BASE,
    "node:crypto",
  ],
  "functions/": [
    "functions/",
    "engine/purge-fence.ts",
    "options/known-options.ts",
    "options/synchronous.ts",
    "tags.ts",
    ...BASE,
    "node:async_hooks",
    "node:crypto",
    "npm:devalue",
  ],
  "options/": ["options/", "functions/", "engine/", "rfc9111/", "stores/memory/", "tags.ts", ...BASE],
  "options/nearest.ts": [],
  "options/profiles.ts": [],
  "options/known-options.ts": ["errors.ts"],
  "options/synchronous.ts": ["errors.ts"],
  "event-hub.ts": ["engine/", ...BASE, "node:diagnostics_channel"],
  "log.ts": ["event-hub.ts", "engine/", ...BASE],
  "warnings.ts": ["http.ts", "npm:lru-cache"],
  "ready.ts": ["options/known-options.ts", ...BASE],
  "cache.ts": [
    "options/",
    "event-hub.ts",
    "log.ts",
    "ready.ts",
    "warnings.ts",
    "functions/",
    "engine/",
    "rfc9111/",
    "stores/",
    ...BASE,
    "node:async_hooks",
    "node:crypto",
  ],
  "decorators.ts": ["cache.ts", "options/", "functions/", ...BASE],
  "adapters/shared/": ["adapters/shared/", "engine/write/known-routes.ts", ...SERVING],
  "adapters/node/": ["adapters/node/", "adapters/shared/", ...SERVING, "node:"],
  "adapters/web/": ["adapters/web/", "adapters/shared/", "adapters/node/", ...SERVING],
  "adapters/web/entry.ts": ["adapters/web/", "adapters/node/", ...SERVING, "node:http"],
  "adapters/express/": ["adapters/express/", "adapters/node/", "adapters/shared/", ...SERVING, "node:", "npm:express"],
  "adapters/fetch/": ["adapters/web/", "adapters/shared/", ...SERVING],
  "adapters/hono/": ["adapters/hono/", "adapters/web/", "adapters/shared/", ...SERVING, "npm:hono"],
  "proxy/": ["proxy/", "adapters/", ...SERVING, "node:"],
  "cli/": ["cli/", "proxy/", "cache.ts", "options/", "stores/", ...BASE, "node:"],
  "testing/": ["testing/", ...BASE, "node:assert/strict", "node:crypto"],
  "testing.ts": ["testing/", "stores/", "http.ts"],
  "index.ts": [
    "cache.ts",
    "options/",
    "ready.ts",
    "event-hub.ts",
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

/** Modules that import each other, types included, in groups. */
function circles(imports: ReadonlyMap<string, readonly string[]>): readonly (readonly string[])[] {
  const reaches = (from: string, to: string): boolean => {
    const seen = new Set<string>();
    const next = [...(imports.get(from) ?? [])];
    for (let at = next.pop(); at !== undefined; at = next.pop()) {
      if (at === to) return true;
      if (seen.has(at)) continue;
      seen.add(at);
      next.push(...(imports.get(at) ?? []));
    }
    return false;
  };
  const inCircle = [...imports.keys()].filter((module) => reaches(module, module));
  const groups = inCircle.map((one) =>
    inCircle.filter((other) => one === other || (reaches(one, other) && reaches(other, one))),
  );
  return [...new Map(groups.map((group) => [group.join(), group])).values()];
}

describe("circles", () => {
  it("no modules of src import each other, not even for types", () => {
    const imports = modules.map((module): [string, readonly string[]] => {
      const text = readFileSync(join(src, module), "utf8");
      return [module, moduleImports(text).map(({ specifier }) => targetOf(module, specifier))];
    });
    expect(circles(new Map(imports))).toEqual([]);
  });

  it("would be found", () => {
    const imports = new Map([
      ["a", ["b"]],
      ["b", ["c", "npm:x"]],
      ["c", ["a"]],
      ["d", ["a"]],
    ]);
    expect(circles(imports)).toEqual([["a", "b", "c"]]);
  });
});

describe("layers of src", () => {
  it.each(modules)("%s imports only from the layers below it", (module) => {
    expect(layerOf(module), "no row of the table covers this module").toBeDefined();
    expect(forbiddenImports(module, readFileSync(join(src, module), "utf8"))).toEqual([]);
  });

  it.each([
    { module: "rfc9111/freshness.ts", code: 'import { get } from "../stores/tiered.ts";', target: "stores/tiered.ts" },
    { module: "rfc9111/freshness.ts", code: 'import type {\n  A,\n} from "node:http";', target: "node:http" },
    { module: "rfc9111/freshness.ts", code: 'export * from "../engine/state.ts";', target: "engine/state.ts" },
    { module: "engine/state.ts", code: 'import "node:fs";', target: "node:fs" },
    { module: "stores/tiered.ts", code: '  const x = await import("redis");', target: "npm:redis" },
    { module: "stores/tiered.ts", code: "  const x = await import(name);", target: "npm:name" },
    {
      module: "stores/purging/table.ts",
      code: 'import { a } from "../redis/purges/timeline.ts";',
      target: "stores/redis/purges/timeline.ts",
    },
    {
      module: "stores/redis/purges/log.ts",
      code: 'import { a } from "../leases.ts";',
      target: "stores/redis/leases.ts",
    },
    {
      module: "adapters/node/index.ts",
      code: 'import { a } from "../../rfc9111/reuse.ts";',
      target: "rfc9111/reuse.ts",
    },
    { module: "cache.ts", code: 'import { a } from "../test/harness.ts";', target: "../test/harness.ts" },
  ])("$module would fail on: $code", ({ module, code, target }) => {
    expect(forbiddenImports(module, code)).toEqual([target]);
  });

  it("does not take an example in a comment for an import", () => {
    expect(moduleImports('/**\n * import { a } from "express";\n */\n// import("x")\nexport const a = 1;')).toEqual([]);
  });
});
