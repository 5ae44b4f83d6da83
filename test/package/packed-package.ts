import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const root = join(import.meta.dirname, "../..");
/** What publishing reads besides node_modules: dist/ is made anew. */
const READ_BY_PUBLISHING = /^(src|scripts|package\.json|tsconfig.*\.json|LICENSE|.+\.md)$/;

/** The fields of package.json these tests read. */
export interface Manifest {
  readonly name: string;
  readonly exports: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
}

export const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Manifest;

/** Subpaths with code: `.`, `./memory`, … */
export const subpaths = Object.keys(manifest.exports).filter((subpath) => manifest.exports[subpath]?.endsWith(".js"));

/** What a user of the subpath imports: `reprise/memory`. */
export function specifierOf(subpath: string): string {
  return manifest.name + subpath.slice(1);
}

export interface PackedPackage {
  /** Paths inside the tarball, sorted. */
  readonly files: readonly string[];
  /** Folder of the unpacked package. */
  readonly folder: string;
  /** A project that has installed the package with these packages beside its dependencies. */
  project(name: string, packages: readonly string[]): Project;
  remove(): void;
}

export interface Project {
  write(file: string, text: string): void;
  /** Runs Node in the project and returns what it printed; throws with its error output when it fails. */
  node(args: readonly string[]): string;
  /** Compiles the project's own tsconfig.json; throws with the errors. */
  tsc(): string;
}

/**
 * Builds and packs a copy of the repository just as publishing does, so neither a stale dist/ nor the tests beside
 * this one can change the outcome. Needs no network: dependencies are links to those of the repository.
 */
export function packPackage(): PackedPackage {
  const temporary = mkdtempSync(join(tmpdir(), "reprise-package-"));
  const copy = join(temporary, "repository");
  for (const name of readdirSync(root).filter((entry) => READ_BY_PUBLISHING.test(entry))) {
    cpSync(join(root, name), join(copy, name), { recursive: true });
  }
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"), "junction");
  run("npm", ["pack", "--pack-destination", ".."], copy);

  const tarball = readdirSync(temporary).find((name) => name.endsWith(".tgz"));
  if (tarball === undefined) throw new Error("npm pack wrote no tarball.");
  run("tar", ["-xzf", tarball], temporary);
  const folder = join(temporary, "package");

  return {
    folder,
    files: readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) =>
        join(entry.parentPath, entry.name)
          .slice(folder.length + 1)
          .replaceAll("\\", "/"),
      )
      .toSorted(),
    project: (name, packages) => createProject(join(temporary, name), folder, packages),
    remove: () => rmSync(temporary, { recursive: true, force: true }),
  };
}

function createProject(folder: string, packedFolder: string, packages: readonly string[]): Project {
  const installed = join(folder, "node_modules", manifest.name);
  cpSync(packedFolder, installed, { recursive: true });
  for (const name of [...Object.keys(manifest.dependencies), ...packages]) {
    const link = join(folder, "node_modules", name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(join(root, "node_modules", name), link, "junction");
  }
  writeFileSync(join(folder, "package.json"), '{ "name": "consumer", "private": true, "type": "module" }');

  return {
    write: (file, text) => writeFileSync(join(folder, file), text),
    node: (args) => run(process.execPath, args, folder),
    tsc: () => run(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", "."], folder),
  };
}

function run(command: string, args: readonly string[], cwd: string): string {
  try {
    // npm is a shell script on Windows.
    const shell = command === "npm" && process.platform === "win32";
    return execFileSync(command, args, { cwd, encoding: "utf8", shell, stdio: ["ignore", "pipe", "pipe"] });
  } catch (error) {
    const { stdout = "", stderr = "" } = error as { stdout?: string; stderr?: string };
    throw new Error(`${command} ${args.join(" ")} failed:\n${stdout}${stderr}`, { cause: error });
  }
}
