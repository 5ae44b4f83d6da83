import type { OutgoingHttpHeader, OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { Reply } from "../engine/exchange.ts";
import { mergedVary } from "./_merged-vary.ts";

/** Writes a complete answer. Headers that outer layers set stay, where the reply has none of the same name. */
export function writeReply(response: ServerResponse, reply: Reply): void {
  // While it waited, a time limit of the application may have answered.
  if (response.headersSent || response.writableEnded) return;
  // The list form of writeHead is the fastest, but middleware that replaced writeHead may not know it.
  if (Object.hasOwn(response, "writeHead") || response.getHeaderNames().length > 0) {
    applyFields(response, reply.fields);
    response.statusCode = reply.status;
  } else {
    response.writeHead(reply.status, reply.fields as string[]);
  }
  if (reply.body === null) response.end();
  else response.end(reply.body);
}

/** Sets fields on a response, each in place of what was there; `Vary` is added to. */
export function applyFields(response: ServerResponse, fields: readonly string[]): void {
  const seen = new Set<string>();
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const name = fields[at] ?? "";
    const value = fields[at + 1] ?? "";
    if (seen.has(name)) response.appendHeader(name, value);
    else response.setHeader(name, name === "vary" ? mergedVary(headerText(response), value) : value);
    seen.add(name);
  }
}

function headerText(response: ServerResponse): string | undefined {
  const vary = response.getHeader("vary");
  return vary === undefined ? undefined : String(vary);
}

/**
 * Sets fields on a response whose handler has yet to run. `Vary` is added as the head is written: a handler that sets one of
 * its own would replace ours.
 */
export function applyFieldsAhead(response: ServerResponse, fields: readonly string[]): void {
  const at = fields.findIndex((name, index) => index % 2 === 0 && name === "vary");
  if (at === -1) return applyFields(response, fields);
  applyFields(response, fields.toSpliced(at, 2));
  addVaryAtHead(response, fields[at + 1] ?? "");
}

function addVaryAtHead(response: ServerResponse, value: string): void {
  const isOwn = Object.hasOwn(response, "writeHead");
  // It is called on the response.
  // oxlint-disable-next-line typescript/unbound-method
  const writeHead: (...head: never[]) => ServerResponse = response.writeHead;
  response.writeHead = (...head: unknown[]): ServerResponse => {
    if (isOwn) response.writeHead = writeHead;
    else Reflect.deleteProperty(response, "writeHead");
    const at = head.findIndex((argument) => typeof argument === "object" && argument !== null);
    const given = splitVary(head[at]);
    if (given !== undefined) head[at] = given.rest;
    if (!response.headersSent) response.setHeader("vary", mergedVary(given?.vary ?? headerText(response), value));
    return writeHead.apply(response, head as never[]);
  };
}

/** Takes `Vary` out of what `writeHead` was given: an object, pairs, or one flat list. */
function splitVary(headers: unknown): { readonly rest: unknown; readonly vary: string | undefined } | undefined {
  if (typeof headers !== "object" || headers === null) return undefined;
  const vary: string[] = [];
  const isOther = (name: unknown, value: unknown): boolean => {
    if (String(name).toLowerCase() !== "vary") return true;
    vary.push(String(value));
    return false;
  };
  let rest: unknown;
  if (!Array.isArray(headers)) {
    const entries = Object.entries(headers as OutgoingHttpHeaders);
    rest = Object.fromEntries(entries.filter(([name, value]) => isOther(name, value)));
  } else if (Array.isArray(headers[0])) {
    rest = (headers as unknown as [unknown, unknown][]).filter(([name, value]) => isOther(name, value));
  } else {
    const flat = headers as OutgoingHttpHeader[];
    rest = flat.filter((_, at) => (at % 2 === 0 ? isOther(flat[at], flat[at + 1]) : !isVaryName(flat[at - 1])));
  }
  return { rest, vary: vary.length === 0 ? undefined : vary.join(", ") };
}

function isVaryName(name: unknown): boolean {
  return String(name).toLowerCase() === "vary";
}
