/** Packages a part of the project keeps apart from its dependencies, in a folder with a package.json and a lock file of its own. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const readJson = (folder, file) => JSON.parse(readFileSync(join(folder, file), "utf8"));

function isInstalled(folder) {
  try {
    const installed = readJson(folder, "node_modules/.package-lock.json").packages;
    const locked = Object.entries(readJson(folder, "package-lock.json").packages);
    return locked.every(([path, { version }]) => path === "" || installed[path]?.version === version);
  } catch {
    return false;
  }
}

/**
 * Installs what the lock file of `folder` names, when it is missing or differs; `what` it is, it says then. Returns the
 * versions asked for, by name.
 */
export function installLocked(folder, what) {
  if (!isInstalled(folder)) {
    console.log(`Installing ${what}.`);
    const npm = spawnSync("npm ci --ignore-scripts --no-audit --no-fund --silent", {
      cwd: folder,
      shell: true,
      stdio: ["ignore", "inherit", "inherit"],
    });
    if (npm.status !== 0) throw new Error(`npm ci failed in ${folder}. Is the registry reachable?`);
  }
  return readJson(folder, "package.json").dependencies;
}
