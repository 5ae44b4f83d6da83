/** The Redis servers and the TCP proxy of the tests, which are TypeScript: compiled once for a run, then imported. */
import { execFileSync } from "node:child_process";
import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const ROOT = join(import.meta.dirname, "../../..");
/** Inside node_modules, so that the packages the files import are found. */
const COMPILED = join(ROOT, "node_modules/.cache/reprise-faults", String(process.pid));
const FILES = ["server", "command", "cluster", "sentinel", "fault-proxy"];

process.once("exit", () => rmSync(COMPILED, { recursive: true, force: true }));
compile();

const load = (file) => import(pathToFileURL(join(COMPILED, "test/redis", `${file}.js`)).href);

export const { startRedis, freePort } = await load("server");
export const { command, info, commandCounts, errorCounts } = await load("command");
export const { startCluster } = await load("cluster");
export const { startSentinel } = await load("sentinel");
export const { startFaultProxy } = await load("fault-proxy");

function compile() {
  const flags =
    "--ignoreConfig --noCheck --module nodenext --target es2023 --types node --rewriteRelativeImportExtensions";
  const tsc = join(ROOT, "node_modules/typescript/bin/tsc");
  const files = FILES.map((file) => join("test/redis", `${file}.ts`));
  execFileSync(process.execPath, [tsc, ...flags.split(" "), "--rootDir", ROOT, "--outDir", COMPILED, ...files], {
    cwd: ROOT,
    stdio: ["ignore", "inherit", "inherit"],
  });
  // The users of the servers are those of this page.
  cpSync(join(ROOT, "docs/redis-acl.md"), join(COMPILED, "docs/redis-acl.md"));
}
