/**
 * Makes sure the test of the demo's start page has a browser: `node scripts/ensure-chromium.mjs`.
 *
 * Content with CHROMIUM_PATH or with a Chromium or Chrome on PATH. Otherwise it installs one with the package manager of the
 * system where that needs no password. Prints the path of the program as its last line; exits with 1 and the ways to get
 * one when there is none.
 */
import { findProgram, isExecutable, runSteps, usableManager } from "./system-package.mjs";

const PROGRAMS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const MAC_PROGRAM = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome";

const MANAGERS = [
  {
    command: "apt-get",
    needsRoot: true,
    steps: [
      ["apt-get", "update", "-q"],
      ["apt-get", "install", "-q", "-y", "--no-install-recommends", "chromium"],
    ],
  },
  { command: "apk", needsRoot: true, steps: [["apk", "add", "--no-cache", "chromium"]] },
  { command: "dnf", needsRoot: true, steps: [["dnf", "install", "-q", "-y", "chromium"]] },
];

const WAYS = `The test of the demo's start page uses a real browser, and there is none. Any one of these helps:

  1. install one:            apt-get install chromium | apk add chromium | dnf install chromium | brew install --cask google-chrome
  2. point to one you have:  CHROMIUM_PATH=/path/to/chromium npm test`;

const browser = find() ?? install();
if (browser === undefined) {
  console.error(WAYS);
  process.exit(1);
}
console.log(browser);

function find() {
  const given = process.env.CHROMIUM_PATH;
  if (given) return isExecutable(given) ? given : undefined;
  return PROGRAMS.map(findProgram).find(Boolean) ?? (isExecutable(MAC_PROGRAM) ? MAC_PROGRAM : undefined);
}

function install() {
  const manager = process.env.CHROMIUM_PATH ? undefined : usableManager(MANAGERS);
  if (manager === undefined) return undefined;
  console.log(`Browser for the tests: not found, installing Chromium with ${manager.command}.`);
  return runSteps(manager.steps, manager.needsRoot) ? find() : undefined;
}
