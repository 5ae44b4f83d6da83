/** The commands of `reprise`, and what it says when it is called without one. */

import { readFileSync } from "node:fs";

import { usageError, type CodedError } from "../errors.ts";
import { explainCommand } from "./explain.ts";
import { nearest } from "../options/nearest.ts";
import { proxyCommand } from "./proxy.ts";
import { purgeCommand } from "./purge.ts";
import type { Terminal } from "./terminal.ts";
import { didYouMean } from "./values.ts";

interface Command {
  readonly summary: string;
  run(args: readonly string[], terminal: Terminal): Promise<number>;
}

const COMMANDS: Readonly<Record<string, Command>> = {
  proxy: { summary: "Put a cache in front of an HTTP server.", run: proxyCommand },
  purge: { summary: "Purge what a proxy or application has stored in Redis.", run: purgeCommand },
  explain: { summary: "Say how a URL would be cached, and by which rules.", run: explainCommand },
};

/** Runs a command line; the result is the exit code: 0, 1 for a failure, 2 for a line that cannot mean anything. */
export async function runLine(args: readonly string[], terminal: Terminal): Promise<number> {
  try {
    return await dispatch(args, terminal);
  } catch (error) {
    const { code, message } = error as Partial<CodedError>;
    if (code !== "ERR_USAGE" && code !== "ERR_COMMAND_FAILED") throw error;
    terminal.err(`reprise: ${message}\n`);
    return code === "ERR_USAGE" ? 2 : 1;
  }
}

async function dispatch(args: readonly string[], terminal: Terminal): Promise<number> {
  const [name, ...rest] = args;
  if (name === "--version" || name === "-v") {
    terminal.out(`${version()}\n`);
    return 0;
  }
  if (name === "--help" || name === "-h" || name === "help") {
    const command = COMMANDS[rest[0] ?? ""];
    if (command !== undefined) return command.run(["--help"], terminal);
    terminal.out(help());
    return 0;
  }
  if (name === undefined) throw usageError("which command? See reprise --help");
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command !== undefined) return command.run(rest, terminal);
  const kind = name.startsWith("-") ? "flag" : "command";
  const known = kind === "flag" ? ["--help", "--version"] : [...Object.keys(COMMANDS), "help"];
  throw usageError(`there is no ${kind} ${name}${didYouMean(nearest(name, known)) || ". See reprise --help"}`);
}

function help(): string {
  const width = Math.max(...Object.keys(COMMANDS).map((name) => name.length));
  const rows = Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`);
  return `Usage: reprise <command> [flags]

Commands:
${rows.join("\n")}

  reprise <command> --help  Show the flags of a command.
  reprise --version         Show the version.
`;
}

function version(): string {
  const manifest = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(manifest) as { version: string }).version;
}
