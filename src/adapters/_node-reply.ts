import type { OutgoingHttpHeader, ServerResponse } from "node:http";
import type { LastLook, LateChanges, Reply } from "../engine/exchange.ts";
import { mergedVary } from "./_merged-vary.ts";

/** Writes a complete answer. Headers that outer layers set stay, where the reply has none of the same name. */
export function writeReply(response: ServerResponse, reply: Reply): void {
  // While it waited, a time limit of the application may have answered.
  if (response.headersSent || response.writableEnded) return;
  const { status, reason, fields, body } = reply;
  // The fastest form, where no layer outside has set a field or put its own method in the place of Node's.
  if (OVERRIDDEN.some((name) => Object.hasOwn(response, name)) || response.getHeaderNames().length > 0) {
    void writeAmongOthers(response, reply);
    return;
  }
  if (reason === undefined) response.writeHead(status, fields as string[]);
  else response.writeHead(status, reason, fields as string[]);
  end(response, body);
}

const OVERRIDDEN = ["writeHead", "write", "end"] as const;

/** As `writeReply`, on a response that outer layers or the handler have worked on. */
export function writeAmongOthers(response: ServerResponse, reply: Reply, lastLook?: LastLook): void | Promise<void> {
  const { status, reason, fields, body } = reply;
  response.statusCode = status;
  response.statusMessage = reason ?? "";
  applyFields(response, reply.plainFields ?? fields);
  for (const name of reply.removed ?? []) response.removeHeader(name);
  finishHead(response, reply.freshness, lastLook);
  const before = lateState(response);
  end(response, body);
  if (lastLook === undefined) return undefined;
  if (response.headersSent) return lookAgain(response, before, lastLook);
  // An outer `end` that writes later, such as one that saves a session first.
  return new Promise((resolve) => {
    response.once("close", () => {
      lookAgain(response, before, lastLook);
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
  const before = lateState(response);
  if (isHooked) runHooks(response);
  const changes = lateChanges(response, before) ?? { setsCookie: false };
  const isLate = response.getHeader("cache-control") !== before.cacheControl;
  if (lastLook !== undefined) applyFields(response, lastLook(changes));
  const mayBeFresh = response.getHeader("set-cookie") === undefined && !isLate;
  if (freshness !== undefined && mayBeFresh) applyFields(response, freshness);
  if (isHooked) headEnd.call(response, response.statusCode);
}

/** What outer layers may still change of a head that is finished, and that decides whether a response is kept. */
export interface LateState {
  readonly cookies: OutgoingHttpHeader | undefined;
  readonly cacheControl: OutgoingHttpHeader | undefined;
  readonly vary: OutgoingHttpHeader | undefined;
}

export function lateState(response: ServerResponse): LateState {
  return {
    cookies: response.getHeader("set-cookie"),
    cacheControl: response.getHeader("cache-control"),
    vary: response.getHeader("vary"),
  };
}

/** What changed since then. */
export function lateChanges(response: ServerResponse, before: LateState): LateChanges | undefined {
  const now = lateState(response);
  const setsCookie = hasNewLines(before.cookies, now.cookies);
  if (addsVary(before.vary, now.vary)) return { setsCookie, cacheControl: "no-store" };
  if (now.cacheControl !== before.cacheControl) return { setsCookie, cacheControl: String(now.cacheControl ?? "") };
  return setsCookie ? { setsCookie } : undefined;
}

/** Names that layers around the cache deal with by themselves, for each response anew: CORS and compression. */
const OUTER_VARY: ReadonlySet<string> = new Set(["origin", "accept-encoding"]);

/** Names that tell browsers of identities, which requests that share a response do not carry; caches set them, too. */
const IDENTITY_VARY: ReadonlySet<string> = new Set(["cookie", "authorization"]);

export function addsVary(before: OutgoingHttpHeader | undefined, now: OutgoingHttpHeader | undefined): boolean {
  if (now === before || now === undefined) return false;
  const known = new Set(varyMembers(before));
  return varyMembers(now).some((name) => !known.has(name) && !OUTER_VARY.has(name) && !IDENTITY_VARY.has(name));
}

function varyMembers(vary: OutgoingHttpHeader | undefined): string[] {
  const members = String(vary ?? "").split(",");
  return members.map((name) => name.trim().toLowerCase()).filter((name) => name !== "");
}

/** A `Vary` of outer layers counts as the handler's, but for what they deal with by themselves. */
export function countedVary(vary: OutgoingHttpHeader): string {
  return varyMembers(vary)
    .filter((name) => !OUTER_VARY.has(name))
    .join(", ");
}

/** Tells what outer layers changed after the head was finished. */
export function lookAgain(response: ServerResponse, before: LateState, lastLook: LastLook): void {
  const changes = lateChanges(response, before);
  if (changes !== undefined) lastLook(changes);
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
function hasNewLines(before: OutgoingHttpHeader | undefined, now: OutgoingHttpHeader | undefined): boolean {
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
      const added = isAnswered(response, fields) ? onlyVary(fields) : fields;
      return writeHead.apply(response, response.headersSent ? head : withFields(response, head, added));
    } catch (error) {
      // The head is still to come.
      response.writeHead = hook;
      throw error;
    }
  };
  response.writeHead = hook;
}

/** True when a cached route within this one has told how it answered. */
function isAnswered(response: ServerResponse, fields: readonly string[]): boolean {
  return fields.some((name, at) => at % 2 === 0 && !ALWAYS_ADDED.has(name) && response.hasHeader(name));
}

/** What handlers may set by themselves, and what a cached route adds nonetheless. */
const ALWAYS_ADDED: ReadonlySet<string> = new Set(["vary", "cache-status"]);

function onlyVary(fields: readonly string[]): readonly string[] {
  const at = fields.findIndex((name, index) => index % 2 === 0 && name === "vary");
  return at === -1 ? [] : fields.slice(at, at + 2);
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
