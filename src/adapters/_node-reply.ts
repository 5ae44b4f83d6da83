import type { OutgoingHttpHeader, ServerResponse } from "node:http";
import type { LastLook, Reply } from "../engine/exchange.ts";
import { mergedVary } from "./_merged-vary.ts";

/** Writes a complete answer. Headers that outer layers set stay, where the reply has none of the same name. */
export function writeReply(response: ServerResponse, reply: Reply): void {
  // While it waited, a time limit of the application may have answered.
  if (response.headersSent || response.writableEnded) return;
  const { status, reason, fields, body } = reply;
  // The fastest form, where no layer outside has set a field or put its own method in the place of Node's.
  if (Object.hasOwn(response, "writeHead") || response.getHeaderNames().length > 0) {
    void writeAmongOthers(response, reply);
    return;
  }
  if (reason === undefined) response.writeHead(status, fields as string[]);
  else response.writeHead(status, reason, fields as string[]);
  end(response, body);
}

/** As `writeReply`, on a response that outer layers or the handler have worked on. */
export function writeAmongOthers(response: ServerResponse, reply: Reply, lastLook?: LastLook): void | Promise<void> {
  const { status, reason, fields, body } = reply;
  response.statusCode = status;
  response.statusMessage = reason ?? "";
  applyFields(response, reply.plainFields ?? fields);
  for (const name of reply.removed ?? []) response.removeHeader(name);
  const cookies = response.getHeader("set-cookie");
  finishHead(response, reply.freshness, lastLook);
  end(response, body);
  if (lastLook === undefined) return undefined;
  if (response.headersSent) return lookAgain(response, cookies, lastLook);
  // An outer `end` that writes later, such as one that saves a session first.
  return new Promise((resolve) => {
    response.once("close", () => {
      lookAgain(response, cookies, lastLook);
      resolve();
    });
  });
}

function end(response: ServerResponse, body: Uint8Array | null): void {
  if (body === null) response.end();
  else response.end(body);
}

/** Where the head of a response arrives, beneath all hooks on `writeHead`: at the cached route next to them, if there is one. */
const headEnds = new WeakMap<ServerResponse, ServerResponse["writeHead"]>();

/** Makes `end` the function that heads of a response arrive at; gives the one that was it. */
export function setHeadEnd(
  response: ServerResponse,
  end: ServerResponse["writeHead"] | undefined,
): ServerResponse["writeHead"] | undefined {
  const before = headEnds.get(response);
  if (end === undefined) headEnds.delete(response);
  else headEnds.set(response, end);
  return before;
}

/** True while hooks are run that must write nothing yet. */
export function isRehearsed(response: ServerResponse): boolean {
  return Object.hasOwn(response, "_storeHeader");
}

/**
 * Sets the last fields of a head: freshness, unless a cookie leaves with it. Where outer layers have hooks on `writeHead`
 * they run first, because what they do decides; the head is then written.
 */
export function finishHead(
  response: ServerResponse,
  freshness: readonly string[] | undefined,
  lastLook?: LastLook,
): void {
  // oxlint-disable-next-line typescript/unbound-method
  const headEnd = headEnds.get(response) ?? (Object.getPrototypeOf(response) as ServerResponse).writeHead;
  const isHooked = response.writeHead !== headEnd;
  const cookies = response.getHeader("set-cookie");
  const cacheControl = response.getHeader("cache-control");
  if (isHooked) runHooks(response);
  const setsCookie = hasNewLines(cookies, response.getHeader("set-cookie"));
  const lateCacheControl = response.getHeader("cache-control");
  const isLate = lateCacheControl !== cacheControl;
  const changes = { setsCookie, ...(isLate ? { cacheControl: String(lateCacheControl ?? "") } : {}) };
  if (lastLook !== undefined) applyFields(response, lastLook(changes));
  const mayBeFresh = response.getHeader("set-cookie") === undefined && !isLate;
  if (freshness !== undefined && mayBeFresh) applyFields(response, freshness);
  if (isHooked) headEnd.call(response, response.statusCode);
}

/** Looks for cookies that were set after the head was finished. */
export function lookAgain(
  response: ServerResponse,
  cookiesBefore: OutgoingHttpHeader | undefined,
  lastLook: LastLook,
): void {
  if (hasNewLines(cookiesBefore, response.getHeader("set-cookie"))) lastLook({ setsCookie: true });
}

/**
 * Calls `writeHead` with all hooks that outer layers have put around it (`on-headers`, for one), but writes nothing yet:
 * `_storeHeader` is where Node would.
 */
function runHooks(response: ServerResponse): void {
  Object.defineProperty(response, "_storeHeader", { value: () => {}, configurable: true, writable: true });
  try {
    response.writeHead(response.statusCode);
  } finally {
    Reflect.deleteProperty(response, "_storeHeader");
  }
}

/** True when `now` has a line that was not there before. */
export function hasNewLines(before: OutgoingHttpHeader | undefined, now: OutgoingHttpHeader | undefined): boolean {
  if (now === undefined) return false;
  const known = new Set([before ?? []].flat());
  return [now].flat().some((line) => !known.has(line));
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
 * Adds fields to a response whose handler has yet to run, as its head is written: set before, they would change what Node
 * makes of the handler's own, and a handler that sets a `Vary` would replace ours.
 */
export function addFieldsAtHead(response: ServerResponse, fields: readonly string[]): void {
  const isOwn = Object.hasOwn(response, "writeHead");
  // It is called on the response.
  // oxlint-disable-next-line typescript/unbound-method
  const writeHead: (...head: unknown[]) => ServerResponse = response.writeHead as (
    ...head: unknown[]
  ) => ServerResponse;
  const hook = (...head: unknown[]): ServerResponse => {
    if (isOwn) response.writeHead = writeHead;
    else Reflect.deleteProperty(response, "writeHead");
    try {
      return writeHead.apply(response, response.headersSent ? head : withFields(response, head, fields));
    } catch (error) {
      // The head is still to come.
      response.writeHead = hook;
      throw error;
    }
  };
  response.writeHead = hook;
}

/** The arguments of `writeHead` with further fields in them, or as they are once those are set on the response. */
function withFields(response: ServerResponse, head: unknown[], fields: readonly string[]): unknown[] {
  const at = head.findIndex((argument) => typeof argument === "object" && argument !== null);
  if (at === -1) {
    applyFields(response, fields);
    return head;
  }
  const { rest, vary } = splitVary(head[at] as object);
  if (response.getHeaderNames().length > 0) {
    if (vary !== undefined) response.setHeader("vary", vary);
    applyFields(response, fields);
    return head.with(at, rest);
  }
  const flat = Array.isArray(rest) ? [...(rest as unknown[])] : Object.entries(rest).flatMap(linesOf);
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const name = fields[index] ?? "";
    const value = fields[index + 1] ?? "";
    flat.push(name, name === "vary" ? mergedVary(vary, value) : value);
  }
  if (vary !== undefined && !fields.includes("vary")) flat.push("vary", vary);
  return head.with(at, flat);
}

function linesOf([name, value]: [string, unknown]): unknown[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? value.flatMap((line: unknown) => [name, line]) : [name, value];
}

/** Takes `Vary` out of what `writeHead` was given: an object, pairs, or one flat list. Pairs become a flat list. */
function splitVary(headers: object): { readonly rest: object; readonly vary: string | undefined } {
  const vary: string[] = [];
  const isOther = (name: unknown, value: unknown): boolean => {
    if (String(name).toLowerCase() !== "vary") return true;
    vary.push(String(value));
    return false;
  };
  let rest: object;
  if (!Array.isArray(headers)) {
    rest = Object.fromEntries(Object.entries(headers).filter(([name, value]) => isOther(name, value)));
  } else if (Array.isArray(headers[0])) {
    rest = (headers as unknown as [unknown, unknown][]).filter(([name, value]) => isOther(name, value)).flat();
  } else {
    const flat = headers as unknown[];
    rest = flat.filter((_, at) => (at % 2 === 0 ? isOther(flat[at], flat[at + 1]) : !isVaryName(flat[at - 1])));
  }
  return { rest, vary: vary.length === 0 ? undefined : vary.join(", ") };
}

function isVaryName(name: unknown): boolean {
  return String(name).toLowerCase() === "vary";
}
