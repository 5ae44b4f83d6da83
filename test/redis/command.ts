/** One command on a connection of its own, over plain sockets: for starting, watching and breaking servers in tests. */

import { connect } from "node:net";

import { ADMIN } from "./users.ts";

/** A RESP2 reply. */
export type Reply = string | number | null | Reply[];

const ANSWERED_WITHIN_MS = 2000;

/**
 * Sends one command to 127.0.0.1, as ADMIN where there is one; rejects with the server's error, or when there is no answer
 * in time.
 */
export function command(port: number, ...words: readonly (string | number)[]): Promise<Reply> {
  const parts = words.map(String);
  const request = encoded(["AUTH", ADMIN.username, ADMIN.password]) + encoded(parts);
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1" }, () => socket.write(request));
    const timer = setTimeout(() => {
      fail(new Error(`${parts[0]} was not answered within ${ANSWERED_WITHIN_MS} ms on port ${port}.`));
    }, ANSWERED_WITHIN_MS);
    const end = (): void => {
      clearTimeout(timer);
      socket.destroy();
    };
    const fail = (error: Error): void => {
      end();
      reject(error);
    };
    let received = Buffer.alloc(0);
    socket.on("data", (piece) => {
      received = Buffer.concat([received, piece]);
      // A Sentinel, or a server with users of its own, has no ADMIN and says so.
      const loggedIn = parse(received, 0);
      const parsed = loggedIn && parse(received, loggedIn.end);
      if (parsed === undefined) return;
      if (parsed.value instanceof Error) return fail(parsed.value);
      end();
      resolve(parsed.value);
    });
    socket.once("error", fail);
    socket.once("close", () => fail(new Error(`${parts[0]}: the server on port ${port} closed the connection.`)));
  });
}

function encoded(words: readonly string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join("")}`;
}

/** The lines `name:value` of INFO, of one section or all. */
export async function info(port: number, section = "default"): Promise<ReadonlyMap<string, string>> {
  const text = String(await command(port, "INFO", section));
  const lines = text.split("\r\n").filter((line) => line.includes(":"));
  return new Map(lines.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1)]));
}

/** How often each command was called since the last CONFIG RESETSTAT: `get` → 17. */
export async function commandCounts(port: number): Promise<ReadonlyMap<string, number>> {
  return counts(await info(port, "commandstats"), "cmdstat_", /calls=(\d+)/);
}

/** How often each error was answered since the last CONFIG RESETSTAT: `MOVED` → 3. */
export async function errorCounts(port: number): Promise<ReadonlyMap<string, number>> {
  return counts(await info(port, "errorstats"), "errorstat_", /count=(\d+)/);
}

function counts(lines: ReadonlyMap<string, string>, prefix: string, figure: RegExp): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  for (const [name, value] of lines) {
    if (name.startsWith(prefix)) found.set(name.slice(prefix.length), Number(figure.exec(value)?.[1] ?? 0));
  }
  return found;
}

interface Parsed {
  readonly value: Reply | Error;
  /** Where the next reply begins. */
  readonly end: number;
}

function parse(bytes: Buffer, start: number): Parsed | undefined {
  const lineEnd = bytes.indexOf("\r\n", start);
  if (lineEnd === -1) return undefined;
  const line = bytes.toString("utf8", start + 1, lineEnd);
  const next = lineEnd + 2;
  switch (bytes.toString("latin1", start, start + 1)) {
    case "+":
      return { value: line, end: next };
    case "-":
      return { value: new Error(line), end: next };
    case ":":
      return { value: Number(line), end: next };
    case "$":
      return parseBulk(bytes, next, Number(line));
    case "*":
      return parseArray(bytes, next, Number(line));
    default:
      return { value: new Error(`No RESP2 reply: ${line}`), end: bytes.length };
  }
}

function parseBulk(bytes: Buffer, start: number, length: number): Parsed | undefined {
  if (length < 0) return { value: null, end: start };
  const end = start + length;
  return bytes.length < end + 2 ? undefined : { value: bytes.toString("utf8", start, end), end: end + 2 };
}

function parseArray(bytes: Buffer, start: number, length: number): Parsed | undefined {
  if (length < 0) return { value: null, end: start };
  const members: Reply[] = [];
  let end = start;
  for (let at = 0; at < length; at += 1) {
    const member = parse(bytes, end);
    if (member === undefined || member.value instanceof Error) return member;
    members.push(member.value);
    end = member.end;
  }
  return { value: members, end };
}
