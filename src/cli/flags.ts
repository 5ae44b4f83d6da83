/** Flags of a command: one table from which parsing, the configuration file and `--help` are made. */

import { parseArgs } from "node:util";

import { describeValue, usageError } from "../errors.ts";
import { nearest } from "../options/nearest.ts";
import { didYouMean } from "./values.ts";

/** One flag. Without `value` it is a switch. */
export interface Flag {
  readonly name: string;
  /** What stands behind the flag in the help: `host:port`. */
  readonly value?: string;
  /** As the help shows it, and what counts when the flag is not given; absent where there is none. */
  readonly default?: string;
  readonly help: string;
  /** One letter that stands for the name: `H` for `-H`. */
  readonly short?: string;
  /** True: it may be given more than once, and each value counts. */
  readonly repeats?: true;
}

/** A value as it was given, and where: `--listen` or `"listen" in proxy.json`. */
export interface Given {
  readonly text: string;
  readonly where: string;
}

/** What a command line says. */
export interface ParsedLine {
  readonly positionals: readonly string[];
  /** Flags by name; a switch has the text `true`. */
  readonly given: ReadonlyMap<string, Given>;
  /** Every value of each flag that repeats, in order. */
  readonly repeated: ReadonlyMap<string, readonly Given[]>;
}

const EVERYWHERE: readonly Flag[] = [{ name: "help", help: "Show this help.", short: "h" }];

/** Reads a command line, or says in one line what is wrong with it. */
export function parseLine(args: readonly string[], flags: readonly Flag[]): ParsedLine {
  const known = new Map([...flags, ...EVERYWHERE].map((flag) => [flag.name, flag]));
  const options = Object.fromEntries(
    [...known.values()].map(({ name, value, short }) => [
      name,
      {
        type: value === undefined ? ("boolean" as const) : ("string" as const),
        ...(short === undefined ? {} : { short }),
      },
    ]),
  );
  const { tokens } = parseArgs({ args: [...args], options, strict: false, allowPositionals: true, tokens: true });
  const positionals: string[] = [];
  const given = new Map<string, Given>();
  const repeated = new Map<string, Given[]>();
  for (const token of tokens) {
    if (token.kind === "positional") positionals.push(token.value);
    if (token.kind !== "option") continue;
    const flag = known.get(token.name);
    const where = token.rawName;
    if (flag === undefined) throw usageError(`there is no ${where}${suggestFlag(token.name, [...known.keys()])}`);
    if (flag.value === undefined) {
      if (token.value !== undefined) throw usageError(`${where} takes no value, got ${describeValue(token.value)}`);
      given.set(flag.name, { text: "true", where });
    } else if (token.value === undefined || (!token.inlineValue && token.value.startsWith("--"))) {
      throw usageError(`${where} needs a value: ${where} ${flag.value}`);
    } else {
      const value = { text: token.value, where };
      given.set(flag.name, value);
      if (flag.repeats === true) repeated.set(flag.name, [...(repeated.get(flag.name) ?? []), value]);
    }
  }
  return { positionals, given, repeated };
}

function suggestFlag(name: string, known: readonly string[]): string {
  const suggestion = nearest(name, known);
  return didYouMean(suggestion === undefined ? undefined : `--${suggestion}`);
}

/** Reads the object of a configuration file: names of flags without the dashes; `true` and `false` for a switch. */
export function parseConfig(json: string, file: string, flags: readonly Flag[]): Map<string, Given> {
  let config: unknown;
  try {
    config = JSON.parse(json);
  } catch (error) {
    throw usageError(`${file}: not JSON (${error instanceof Error ? error.message : ""})`);
  }
  if (typeof config !== "object" || config === null || Array.isArray(config)) {
    throw usageError(
      `${file}: expected an object such as { "listen": "127.0.0.1:8080" }, got ${describeValue(config)}`,
    );
  }
  const known = new Map(flags.map((flag) => [flag.name, flag]));
  const given = new Map<string, Given>();
  for (const [name, value] of Object.entries(config)) {
    const where = `"${name}" in ${file}`;
    const flag = known.get(name);
    if (flag === undefined) throw usageError(`there is no ${where}${didYouMean(nearest(name, [...known.keys()]))}`);
    if (flag.value === undefined) {
      if (typeof value !== "boolean") throw usageError(`${where}: expected true or false, got ${describeValue(value)}`);
      if (value) given.set(name, { text: "true", where });
    } else if (typeof value === "string" || typeof value === "number") given.set(name, { text: String(value), where });
    else throw usageError(`${where}: expected a text or a number, got ${describeValue(value)}`);
  }
  return given;
}

/** The flags as lines of the help, each with its default. */
export function describeFlags(flags: readonly Flag[]): string {
  const rows = [...flags, ...EVERYWHERE].map(({ name, value, help, short, repeats, default: byDefault }) => ({
    left: `--${name}${value === undefined ? "" : ` ${value}`}${repeats === true ? "…" : ""}`,
    right: `${short === undefined || name === "help" ? "" : `Or -${short}. `}${value === undefined ? help : `${help} (default: ${byDefault ?? "none"})`}`,
  }));
  const width = Math.max(...rows.map(({ left }) => left.length));
  return rows.map(({ left, right }) => `  ${left.padEnd(width)}  ${right}`).join("\n");
}
