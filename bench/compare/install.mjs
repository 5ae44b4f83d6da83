/** Installs what Reprise is compared with, apart from the dependencies of the project, when it is missing or not as locked. */
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

/** Returns the versions of what was asked for, by name. */
export function installCompared() {
  if (!isInstalled()) {
    console.log("Installing what Reprise is compared with.");
    const npm = spawnSync("npm ci --ignore-scripts --no-audit --no-fund --silent", {
      cwd: FOLDER,
      shell: true,
      stdio: ["ignore", "inherit", "inherit"],
    });
    if (npm.status !== 0) throw new Error("npm ci failed in bench/compare. Is the registry reachable?");
  }
  return readJson("package.json").dependencies;
}
