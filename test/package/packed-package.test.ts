import { readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { moduleImports } from "./module-imports.ts";
import { manifest, packPackage, specifierOf, subpaths, type PackedPackage, type Project } from "./packed-package.ts";

/** What each subpath is for, and the most it may import from outside: `loads` at once, `onDemand` by import(), `types` only. */
const SUBPATHS: Readonly<Record<string, Allowance>> = {
  ".": { main: "createCache", loads: ["devalue", "lru-cache", "structured-headers"] },
  "./rfc9111": { main: "decideReuse", loads: ["structured-headers"] },
  "./memory": { main: "memoryStore", loads: ["lru-cache"] },
  "./redis": { main: "redisStore", onDemand: ["redis", "ioredis"] },
  "./tiered": { main: "tiered" },
  "./express": { main: "expressCache", loads: ["devalue", "lru-cache", "structured-headers"], types: ["express"] },
  "./hono": { main: "honoCache", loads: ["devalue", "lru-cache", "structured-headers"], types: ["hono"] },
  "./node": { main: "nodeCache", loads: ["devalue", "lru-cache", "structured-headers"] },
  "./fetch": { main: "fetchCache", loads: ["devalue", "lru-cache", "structured-headers"] },
  "./decorators": { main: "cachedMethods" },
  "./testing": { main: "storeContract" },
};

interface Allowance {
  readonly main: string;
  readonly loads?: readonly string[];
  readonly onDemand?: readonly string[];
  readonly types?: readonly string[];
}

const peers = Object.keys(manifest.peerDependencies);
const cases = subpaths.map((subpath) => ({
  subpath,
  specifier: specifierOf(subpath),
  main: SUBPATHS[subpath]?.main ?? "",
}));
const withoutPeers = cases.filter(
  ({ subpath }) => !(SUBPATHS[subpath]?.loads ?? []).some((name) => peers.includes(name)),
);

let packed: PackedPackage;
let bare: Project;
let full: Project;

beforeAll(() => {
  packed = packPackage();
  bare = packed.project("bare", []);
  full = packed.project("full", [...peers, "@types/express", "@types/node"]);
  return () => packed.remove();
}, 120_000);

describe("the packed package", () => {
  it("has a row in the table of this test for each of its subpaths", () => {
    expect(Object.keys(SUBPATHS).toSorted()).toEqual(subpaths.toSorted());
  });

  it("holds the built files, the licence and the documents, and nothing else", () => {
    expect(packed.files).toEqual(expect.arrayContaining(["LICENSE", "README.md", "CHANGELOG.md", "package.json"]));
    const others = packed.files.filter((file) => !/^dist\/.+\.(js|d\.ts)$/.test(file) && file.includes("/"));
    expect(others).toEqual([]);
  });

  it.each(cases)("import { $main } from $specifier", ({ specifier, main }) => {
    expect(full.node(["--input-type=module", "-e", `console.log(typeof (await import("${specifier}")).${main})`])).toBe(
      "function\n",
    );
  });

  it.each(cases)("require($specifier).$main", ({ specifier, main }) => {
    expect(full.node(["--input-type=commonjs", "-e", `console.log(typeof require("${specifier}").${main})`])).toBe(
      "function\n",
    );
  });

  it.each(withoutPeers)("$specifier loads with no peer installed", ({ specifier, main }) => {
    expect(bare.node(["--input-type=module", "-e", `console.log(typeof (await import("${specifier}")).${main})`])).toBe(
      "function\n",
    );
  });
});

/** Packages a subpath reaches, by the way it reaches them. */
interface Reach {
  readonly loads: Set<string>;
  readonly onDemand: Set<string>;
  readonly types: Set<string>;
}

function reach(subpath: string): Reach {
  const found: Reach = { loads: new Set(), onDemand: new Set(), types: new Set() };
  const entry = posix.normalize(manifest.exports[subpath] ?? "");
  walk(entry, (dynamic) => (dynamic ? found.onDemand : found.loads));
  walk(entry.replace(/\.js$/, ".d.ts"), () => found.types);
  return found;
}

/** Follows relative imports from one built file and adds each package to the set chosen for it. */
function walk(entry: string, setFor: (dynamic: boolean) => Set<string>): void {
  const queue = [{ file: entry, onDemand: false }];
  const seen = new Set<string>();
  for (const { file, onDemand } of queue) {
    if (seen.has(`${file} ${onDemand}`)) continue;
    seen.add(`${file} ${onDemand}`);
    const declarations = file.endsWith(".d.ts");
    for (const { specifier, dynamic } of moduleImports(readFileSync(join(packed.folder, file), "utf8"), {
      declarations,
    })) {
      const reachedOnDemand = onDemand || dynamic;
      if (specifier.startsWith("node:")) continue;
      if (!specifier.startsWith(".")) setFor(reachedOnDemand).add(packageOf(specifier));
      else queue.push({ file: builtFile(file, specifier), onDemand: reachedOnDemand });
    }
  }
}

/** A relative import of a declaration file names the module: `./types.ts` or `./types.js` is `types.d.ts`. */
function builtFile(from: string, specifier: string): string {
  const path = posix.join(posix.dirname(from), specifier);
  return from.endsWith(".d.ts") ? path.replace(/(\.d)?\.[jt]s$/, ".d.ts") : path;
}

function packageOf(specifier: string): string {
  return specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
}

describe("imports of the built files", () => {
  it.each(cases)("$specifier reaches no package but those of its row", ({ subpath }) => {
    const found = reach(subpath);
    const { loads = [], onDemand = [], types = [] } = SUBPATHS[subpath] ?? {};
    expect([...found.loads].filter((name) => !loads.includes(name))).toEqual([]);
    expect([...found.onDemand].filter((name) => ![...loads, ...onDemand].includes(name))).toEqual([]);
    expect([...found.types].filter((name) => ![...loads, ...types].includes(name))).toEqual([]);
  });

  it("package.json declares each package that is imported, and no other", () => {
    const declared = [...Object.keys(manifest.dependencies), ...peers];
    const imported = new Set(
      subpaths.map(reach).flatMap(({ loads, onDemand, types }) => [...loads, ...onDemand, ...types]),
    );
    expect([...imported].toSorted()).toEqual(declared.toSorted());
  });
});

describe("types of the packed package", () => {
  const importsOfAll = cases
    .map(({ specifier, main }, index) => `import { ${main} as main${index} } from "${specifier}";`)
    .join("\n");
  // A main export that resolved to \`any\` would pass as a function.
  const isFunction =
    "function use<T extends Function>(main: T, isAny: 0 extends 1 & T ? never : true): void { void main; void isAny; }";
  const uses = cases.map((_, index) => `use(main${index}, true);`).join("\n");

  it.each([
    { module: "nodenext", moduleResolution: "nodenext", lib: ["ES2023"] },
    { module: "preserve", moduleResolution: "bundler", lib: ["ES2023"] },
    { module: "preserve", moduleResolution: "bundler", lib: ["ES2023", "DOM", "DOM.Iterable"] },
  ])("every subpath resolves with moduleResolution $moduleResolution and lib $lib", (resolution) => {
    const compilerOptions = {
      ...resolution,
      target: "ES2023",
      types: ["node"],
      strict: true,
      noEmit: true,
      skipLibCheck: false,
    };
    full.write("tsconfig.json", JSON.stringify({ compilerOptions, files: ["consumer.ts"] }));
    full.write("consumer.ts", `${importsOfAll}\n${isFunction}\n${uses}\n`);
    expect(full.tsc()).toBe("");
  });
});
