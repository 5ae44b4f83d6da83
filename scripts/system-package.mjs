// Finds programs, and installs them with the system's package manager where that needs no password.
import { spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

const INSTALL_WITHIN_MS = 10 * 60 * 1000;

/** Path of a program, also where a user's PATH lacks the system's own directories. */
export function findProgram(name) {
  const directories = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin"];
  return directories.map((directory) => join(directory, name)).find(isExecutable);
}

export function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The first of `managers` that this system has and that may be used; undefined if there is none. */
export function usableManager(managers) {
  const manager = managers.find(({ command }) => findProgram(command));
  return manager !== undefined && (!manager.needsRoot || rootPrefix() !== undefined) ? manager : undefined;
}

/**
 * Runs the steps of an installation, each a command with its arguments. True when the last one succeeded: the lists of
 * packages may fail to be renewed for a source that has nothing to do with the package.
 */
export function runSteps(steps, needsRoot) {
  const prefix = needsRoot ? (rootPrefix() ?? []) : [];
  let last;
  for (const step of steps) {
    const [command, ...args] = [...prefix, ...step];
    last = spawnSync(command, args, {
      encoding: "utf8",
      timeout: INSTALL_WITHIN_MS,
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive", HOMEBREW_NO_AUTO_UPDATE: "1" },
    });
    if (last.status !== 0)
      console.error(`  ${step.join(" ")}: ${lastLine(last.stderr) ?? last.error?.message ?? "failed"}`);
  }
  return last?.status === 0;
}

/** What to put before a command to run it as root, or undefined where that would ask for a password. */
function rootPrefix() {
  if (process.getuid?.() === 0) return [];
  const sudo = findProgram("sudo") && spawnSync("sudo", ["-n", "true"], { stdio: "ignore" });
  return sudo && sudo.status === 0 ? ["sudo", "-n"] : undefined;
}

function lastLine(text) {
  return text?.trim().split("\n").at(-1) || undefined;
}
