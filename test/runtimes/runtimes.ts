/** Starting the programs of this folder in other runtimes than Node. */

import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { Miniflare } from "miniflare";

export interface Runtime {
  readonly name: string;
  /** Requests of one client may wait for those of another. */
  readonly collapses: boolean;
  readonly start: () => Promise<Running>;
}

export interface Running {
  readonly url: string;
  stop(): Promise<void>;
}

const folder = fileURLToPath(new URL(".", import.meta.url));
const bin = (name: string): string => fileURLToPath(new URL(`../../node_modules/.bin/${name}`, import.meta.url));

/** Starts a program that says its URL on the first line. */
async function startProgram(command: string, args: readonly string[]): Promise<Running> {
  const program = spawn(command, args, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
  return { url: await firstLine(program), stop: () => ended(program) };
}

function firstLine(program: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let out = "";
    let errors = "";
    program.stdout?.on("data", (data: Buffer) => {
      out += data.toString();
      if (out.includes("\n")) resolve(out.slice(0, out.indexOf("\n")));
    });
    program.stderr?.on("data", (data: Buffer) => {
      errors += data.toString();
    });
    program.once("error", reject);
    program.once("exit", (code) => reject(new Error(`it ended with ${code}: ${errors}`)));
  });
}

function ended(program: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (program.exitCode !== null) return resolve();
    program.once("exit", () => resolve());
    program.kill("SIGKILL");
  });
}

async function startWorker(): Promise<Running> {
  const { outputFiles } = await build({
    entryPoints: [`${folder}worker.mjs`],
    bundle: true,
    format: "esm",
    external: ["node:*"],
    write: false,
  });
  const worker = new Miniflare({
    modules: true,
    script: outputFiles[0]?.text ?? "",
    compatibilityDate: "2026-01-01",
    compatibilityFlags: ["nodejs_compat"],
  });
  return { url: (await worker.ready).origin, stop: () => worker.dispose() };
}

export const RUNTIMES: readonly Runtime[] = [
  { name: "Bun", collapses: true, start: () => startProgram(bin("bun"), ["bun.mjs"]) },
  {
    name: "Deno",
    collapses: true,
    start: () =>
      startProgram(bin("deno"), ["run", "--no-lock", "--node-modules-dir=manual", "--allow-all", "deno.mjs"]),
  },
  { name: "workerd", collapses: false, start: startWorker },
];
