/** The examples as a user has them: compiled against the built package and run as processes of their own. */
import { execFileSync, spawn } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "../redis/store.ts";

const root = join(import.meta.dirname, "../..");
const COPIED = [
  "src",
  "examples",
  "scripts",
  "package.json",
  "package-lock.json",
  "tsconfig.json",
  "tsconfig.build.json",
];
const UP_WITHIN_MS = 30_000;
const DOWN_WITHIN_MS = 10_000;

type Environment = Readonly<Record<string, string>>;

export interface BuiltExamples {
  /** Starts `examples/<name>.ts`. */
  start(name: string, environment?: Environment): RunningProgram;
  /** Starts `npm start`. */
  npmStart(environment: Environment): RunningProgram;
  /** Ends what still runs. */
  remove(): void;
}

export interface RunningProgram {
  /** Lines of standard output and standard error so far. */
  lines(): readonly string[];
  /** Waits for a line that holds `part`. */
  line(part: string): Promise<string>;
  /** Origin of the URL it prints when it is up: `http://localhost:41234`. */
  origin(): Promise<string>;
  /** Its exit code, once it has ended. */
  readonly exitCode: Promise<number | null>;
  /** Sends a signal and waits for the exit code. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

/** Builds a copy, so neither a stale dist/ nor the tests beside this one can change the outcome. */
export function buildExamples(): BuiltExamples {
  const copy = mkdtempSync(join(tmpdir(), "reprise-examples-"));
  for (const name of COPIED) cpSync(join(root, name), join(copy, name), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"), "junction");
  rmSync(join(copy, "examples/dist"), { recursive: true, force: true });
  try {
    compile(copy, "tsconfig.build.json");
    compile(copy, "examples/tsconfig.json");
  } catch (error) {
    rmSync(copy, { recursive: true, force: true });
    throw error;
  }

  const running = new Set<() => void>();
  const started = (command: string, args: readonly string[], environment: Environment): RunningProgram =>
    startProgram(running, copy, command, args, environment);
  return {
    start: (name, environment = {}) => started(process.execPath, [join(copy, `examples/dist/${name}.js`)], environment),
    npmStart: (environment) => started("npm", ["start"], environment),
    remove: () => {
      for (const kill of running) kill();
      rmSync(copy, { recursive: true, force: true });
    },
  };
}

function compile(copy: string, project: string): void {
  try {
    const tsc = join(root, "node_modules/typescript/bin/tsc");
    execFileSync(process.execPath, [tsc, "-p", project], {
      cwd: copy,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    });
  } catch (error) {
    throw new Error(`tsc -p ${project} failed:\n${(error as { stdout?: string }).stdout ?? ""}`, { cause: error });
  }
}

function startProgram(
  running: Set<() => void>,
  cwd: string,
  command: string,
  args: readonly string[],
  environment: Environment,
): RunningProgram {
  const { PATH = "", HOME = "" } = process.env;
  // A group of its own: `npm start` has the demo as a grandchild, and a signal is for all of them, as Ctrl+C is.
  const child = spawn(command, args, {
    cwd,
    env: { PATH, HOME, PORT: "0", ...environment },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  const signalAll = (signal: NodeJS.Signals): void => {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    process.kill(-child.pid, signal);
  };
  const kill = (): void => signalAll("SIGKILL");
  running.add(kill);
  // A test run that ends early must not leave programs behind.
  process.once("exit", kill);
  let output = "";
  const collect = (text: string): void => {
    output += text;
  };
  child.stdout.setEncoding("utf8").on("data", collect);
  child.stderr.setEncoding("utf8").on("data", collect);
  let ended = false;
  const exitCode = new Promise<number | null>((resolve) => {
    child.once("close", (code) => {
      ended = true;
      running.delete(kill);
      process.off("exit", kill);
      resolve(code);
    });
  });

  const lines = (): readonly string[] => output.split("\n").filter((line) => line !== "");
  const line = async (part: string): Promise<string> => {
    const found = (): string | undefined => lines().find((candidate) => candidate.includes(part));
    await until(() => found() !== undefined || ended, UP_WITHIN_MS);
    const text = found();
    if (text === undefined) throw new Error(`It ended without a line with ${JSON.stringify(part)}:\n${output}`);
    return text;
  };
  return {
    lines,
    line,
    exitCode,
    origin: async () => /http:\/\/localhost:\d+/.exec(await line("http://localhost:"))?.[0] ?? "",
    stop: async (signal = "SIGTERM") => {
      signalAll(signal);
      const tooLate = setTimeout(kill, DOWN_WITHIN_MS);
      const code = await exitCode;
      clearTimeout(tooLate);
      return code;
    },
  };
}
