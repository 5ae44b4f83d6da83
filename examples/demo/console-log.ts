/** A small logger: lines go to stdout and the latest ones to the start page. */
import type { Logger } from "reprise";

export interface LogLine {
  /** Counts up from 1. */
  readonly number: number;
  readonly at: string;
  readonly level: keyof Logger;
  readonly text: string;
}

const KEPT_LINES = 200;
const COLOURS: Readonly<Record<keyof Logger, number>> = { debug: 90, info: 36, warn: 33 };

export class ConsoleLog implements Logger {
  readonly #lines: LogLine[] = [];
  #count = 0;

  debug(text: string): void {
    this.#write("debug", text);
  }

  info(text: string): void {
    this.#write("info", text);
  }

  warn(text: string): void {
    this.#write("warn", text);
  }

  /** The lines after the one with this number, the latest 200 at most. */
  after(number: number): readonly LogLine[] {
    return this.#lines.filter((line) => line.number > number);
  }

  #write(level: keyof Logger, message: string): void {
    // What a client sent may be in it: nothing that moves a terminal's cursor.
    const text = message.replaceAll(/\p{Cc}+/gu, " ");
    const at = new Date().toISOString().slice(11, 23);
    this.#lines.push({ number: ++this.#count, at, level, text });
    if (this.#lines.length > KEPT_LINES) this.#lines.shift();
    process.stdout.write(`${at} ${inColour(level)} ${text}\n`);
  }
}

function inColour(level: keyof Logger): string {
  const padded = level.padEnd(5);
  return process.stdout.isTTY && process.env.NO_COLOR === undefined
    ? `\u001B[${COLOURS[level]}m${padded}\u001B[0m`
    : padded;
}
