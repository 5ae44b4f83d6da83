import type { OutgoingHttpHeader, ServerResponse } from "node:http";
import type { LastLook, Reply } from "../engine/exchange.ts";

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
    else response.setHeader(name, name === "vary" ? mergedVary(response.getHeader("vary"), value) : value);
    seen.add(name);
  }
}

function mergedVary(outer: number | string | readonly string[] | undefined, value: string): string {
  if (outer === undefined) return value;
  const names = `${String(outer)}, ${value}`.split(",").map((name) => name.trim());
  const byLowerCase = new Map(names.filter((name) => name !== "").map((name) => [name.toLowerCase(), name]));
  return [...byLowerCase.values()].join(", ");
}
