import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const root = join(import.meta.dirname, "../..");
const tsc = join(createRequire(import.meta.url).resolve("typescript/package.json"), "../bin/tsc");

export interface Compiled {
  readonly load: <Module>(fixture: string) => Promise<Module>;
  readonly remove: () => void;
}

/** Compiles fixtures with the installed TypeScript and the options of this project; a type error throws. */
export function compile(fixtures: readonly string[], compilerOptions: Readonly<Record<string, unknown>>): Compiled {
  const outDir = mkdtempSync(join(tmpdir(), "reprise-decorators-"));
  const project = join(outDir, "tsconfig.json");
  const config = {
    extends: join(root, "tsconfig.json"),
    compilerOptions: {
      target: "ES2022",
      rootDir: root,
      outDir,
      noEmit: false,
      rewriteRelativeImportExtensions: true,
      typeRoots: [join(root, "node_modules/@types")],
      ...compilerOptions,
    },
    include: [],
    files: fixtures.map((fixture) => join(import.meta.dirname, "fixtures", `${fixture}.ts`)),
  };
  writeFileSync(project, JSON.stringify(config));
  writeFileSync(join(outDir, "package.json"), JSON.stringify({ type: "module" }));
  try {
    execFileSync(process.execPath, [tsc, "-p", project], { stdio: "pipe", encoding: "utf8" });
  } catch (error) {
    throw new Error(`the fixtures do not compile:\n${(error as { stdout?: string }).stdout ?? ""}`, { cause: error });
  }
  const directory = join(outDir, "test/decorators/fixtures");
  return {
    load: async (fixture) => import(/* @vite-ignore */ pathToFileURL(join(directory, `${fixture}.js`)).href) as never,
    remove: () => rmSync(outDir, { recursive: true, force: true }),
  };
}
