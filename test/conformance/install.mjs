/** Installs the public suite, which is kept apart from the dependencies of the project, when it is missing or differs from the lock file. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const FOLDER = import.meta.dirname;

const readJson = (path) => JSON.parse(readFileSync(join(FOLDER, path), "utf8"));

function isInstalled() {
  try {
    const installed = readJson("node_modules/.package-lock.json").packages;
    const locked = Object.entries(readJson("package-lock.json").packages);
    return locked.every(([path, { version }]) => path === "" || installed[path]?.version === version);
  } catch {
    return false;
  }
}

/** Returns the folder of the published suite. */
export function installSuite() {
  if (!isInstalled()) {
    console.log("Installing the published suite.");
    const npm = spawnSync("npm ci --ignore-scripts --no-audit --no-fund --silent", {
      cwd: FOLDER,
      shell: true,
      stdio: ["ignore", "inherit", "inherit"],
    });
    if (npm.status !== 0) throw new Error("npm ci failed in test/conformance. Is the registry reachable?");
  }
  return join(FOLDER, "node_modules/http-cache-tests");
}
