/** Runs the built command line as a user does. */

import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { onTestFinished } from "vitest";

const MAIN = join(import.meta.dirname, "../../dist/cli/main.js");

export interface Run {
  readonly child: ChildProcess;
  out: string;
  err: string;
  readonly ended: Promise<{ readonly code: number | null; readonly out: string; readonly err: string }>;
}

/** Starts `reprise` with these arguments; it is killed with the test if it has not ended. */
export function start(...args: readonly string[]): Run {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const run: Run = {
    child,
    out: "",
    err: "",
    ended: new Promise((resolve) => {
      child.once("close", (code) => resolve({ code, out: run.out, err: run.err }));
    }),
  };
  child.stdout.on("data", (text: Buffer) => {
    run.out += text.toString();
  });
  child.stderr.on("data", (text: Buffer) => {
    run.err += text.toString();
  });
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await run.ended;
  });
  return run;
}

/** Runs `reprise` to its end. */
export function reprise(...args: readonly string[]): Run["ended"] {
  return start(...args).ended;
}

/** Starts `reprise proxy`, on a free port unless told otherwise, and waits until it listens. */
export async function startProxy(
  ...args: readonly string[]
): Promise<{ readonly run: Run; readonly url: string; readonly port: number }> {
  const run = start("proxy", "--listen", "127.0.0.1:0", ...args);
  const line = await new Promise<string>((resolve, reject) => {
    const look = (): void => {
      if (run.out.includes("\n")) resolve(run.out);
    };
    run.child.stdout?.on("data", look);
    void run.ended.then(({ err }) => reject(new Error(`It ended before it listened: ${err}`)));
  });
  const [, url = "", port = ""] = /(https?:\/\/127\.0\.0\.1:(\d+))/.exec(line) ?? [];
  return { run, url, port: Number(port) };
}
