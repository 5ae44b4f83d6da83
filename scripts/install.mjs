// Installs the dependencies when they are missing or differ from package-lock.json.
// `npm start` and `npm test` run this first, on a clone without node_modules: Node's own modules only.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";

const readJson = (path) => JSON.parse(readFileSync(new URL(`../${path}`, import.meta.url), "utf8"));

function stop(message) {
  console.error(`reprise: ${message}`);
  process.exit(1);
}

/** Refuses a Node older than `engines.node` of package.json, which reads `>=major.minor`. */
function checkNode() {
  const floor = readJson("package.json").engines.node;
  const [major, minor] = floor.match(/\d+/g).map(Number);
  const [actualMajor, actualMinor] = process.versions.node.split(".").map(Number);
  if (actualMajor > major || (actualMajor === major && actualMinor >= minor)) return;
  stop(`Node.js ${floor} is needed, this is ${process.version}. Get it from https://nodejs.org.`);
}

/** Why the dependencies must be installed; undefined when what is installed is what the lock file names. */
function reasonToInstall() {
  let installed;
  try {
    installed = readJson("node_modules/.package-lock.json").packages;
  } catch {
    return "node_modules is missing";
  }
  const locked = Object.entries(readJson("package-lock.json").packages);
  // An optional package may be for another platform, and the entry "" is this project itself.
  const changed = locked.find(
    ([path, { optional, version }]) => path && !optional && installed[path]?.version !== version,
  );
  return changed && `${changed[0]} is not at ${changed[1].version}`;
}

checkNode();
const reason = reasonToInstall();
if (reason) {
  console.log(`reprise: installing the dependencies with npm ci (${reason})`);
  const npm = spawnSync("npm ci --no-audit --no-fund", {
    cwd: new URL("..", import.meta.url),
    shell: true,
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (npm.status !== 0) {
    stop("npm ci failed. Is the registry reachable? `npm config get registry` names it, and the lines above say why.");
  }
}
