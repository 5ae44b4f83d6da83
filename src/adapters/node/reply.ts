import type { OutgoingHttpHeader, OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { LastLook, LateChanges, Reply } from "../../engine/exchange.ts";
import { mergedVary } from "../shared/merged-vary.ts";
import { restrictedBy, restricts } from "../shared/outer-freshness.ts";
import { addedVary } from "../shared/outer-vary.ts";
import { correctLength } from "./written-length.ts";

/** Writes a complete answer. Headers that outer layers set stay, where the reply has none of the same name. */
export function writeReply(response: ServerResponse, reply: Reply): void {
  // While it waited, a time limit of the application may have answered.
  if (response.headersSent || response.writableEnded) return;
  const { status, reason, fields } = reply;
  // The fastest form, where no layer outside has set a field or put its own method in the place of Node's.
  if (OVERRIDDEN.some((name) => Object.hasOwn(response, name)) || response.getHeaderNames().length > 0) {
    void writeAmongOthers(response, reply);
    return;
  }
  if (reason === undefined) response.writeHead(status, fields as string[]);
  else response.writeHead(status, reason, fields as string[]);
  end(response, reply);
}

const OVERRIDDEN = ["writeHead", "write", "end"] as const;

/** As `writeReply`, on a response that outer layers or the handler have worked on. */
export function writeAmongOthers(response: ServerResponse, reply: Reply, lastLook?: LastLook): void | Promise<void> {
  const { status, reason, fields } = reply;
  const mayBeCoded = OVERRIDDEN.some((name) => Object.hasOwn(response, name));
  const isPart = mayBeCoded && status === 206;
  const outer = statedFreshness(response);
  response.statusCode = status;
  response.statusMessage = reason ?? "";
  applyFields(response, reply.plainFields ?? fields);
  for (const name of reply.removed ?? []) response.removeHeader(name);
  // Only what the handler has just made comes with a last look: it set its `Cache-Control` knowing that of the layers.
  const isRestricted = lastLook === undefined && keepRestriction(response, outer);
  const freshness = isRestricted || leavesWithFreshness(response, outer) ? undefined : reply.freshness;
  if (isPart) response.setHeader("cache-control", untransformed(response.getHeader("cache-control")));
  if (mayBeCoded && status === 304) weakenAsAsked(response);
  finishHead(response, isPart ? untransformedFields(freshness) : freshness, {
    lastLook,
    coding: valueIn(fields, "content-encoding"),
    addedLength: reply.declaresLength === true ? undefined : valueIn(fields, "content-length"),
    isStreamed: reply.endBytes !== undefined,
  });
  const before = lateState(response);
  end(response, reply);
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

/** Fields that say how long a response is fresh. */
const FRESHNESS_FIELDS = ["cache-control", "expires", "cdn-cache-control"] as const;

/** What outer layers have set of freshness for this request. */
function statedFreshness(response: ServerResponse): OutgoingHttpHeaders {
  const stated: Record<string, OutgoingHttpHeader> = {};
  for (const name of FRESHNESS_FIELDS) {
    const value = response.getHeader(name);
    if (value !== undefined) stated[name] = value;
  }
  return stated;
}

/** True where what outer layers have stated of freshness leaves with the response: the cache promises nothing beside it. */
export function leavesWithFreshness(response: ServerResponse, outer: OutgoingHttpHeaders): boolean {
  return FRESHNESS_FIELDS.some((name) => outer[name] !== undefined && response.getHeader(name) === outer[name]);
}

/**
 * Puts a restriction that outer layers set for this request in place of all that a stored response says of its freshness.
 * True where there is one.
 */
function keepRestriction(response: ServerResponse, outer: OutgoingHttpHeaders): boolean {
  const own = textOf(response.getHeader("cache-control"));
  const stated = textOf(outer["cache-control"]);
  // Where the handler had taken the field away, it stays away.
  if (stated === undefined || own === undefined || !restricts(stated)) return false;
  for (const name of FRESHNESS_FIELDS) response.removeHeader(name);
  applyFields(
    response,
    Object.entries(outer).flatMap(([name, value]) => [name, textOf(value) ?? ""]),
  );
  response.setHeader("cache-control", restrictedBy(stated, own));
  return true;
}

/** The lines of a field as one. */
function textOf(value: OutgoingHttpHeader | undefined): string | undefined {
  return value === undefined ? undefined : [value].flat().map(String).join(", ");
}

/**
 * `Cache-Control` of a part: outer layers must not code its bytes, because `Content-Range` counts those of the response as it
 * is stored (RFC 9110 §7.7). Packages that compress obey `no-transform`.
 */
function untransformed(cacheControl: OutgoingHttpHeader | undefined): string {
  const own = [cacheControl ?? []].flat().join(", ").trim();
  if (/(?:^|,)\s*no-transform\s*(?:,|$)/i.test(own)) return own;
  return own === "" ? "no-transform" : `${own}, no-transform`;
}

function untransformedFields(fields: readonly string[] | undefined): readonly string[] | undefined {
  return fields?.map((text, at) => (at % 2 === 1 && fields[at - 1] === "cache-control" ? untransformed(text) : text));
}

function valueIn(fields: readonly string[], name: string): string | undefined {
  for (let at = 0; at + 1 < fields.length; at += 2) if (fields[at] === name) return fields[at + 1];
  return undefined;
}

/**
 * Makes the tag of a 304 as weak as the one that the client has: it may be that of a coded response, and would become strong
 * when the client freshens that one (RFC 9111 §4.3.4).
 */
function weakenAsAsked(response: ServerResponse): void {
  const tag = response.getHeader("etag");
  if (typeof tag !== "string" || tag.startsWith("W/")) return;
  const weak = `W/${tag}`;
  // The fields as they were sent: a handler is not shown the condition.
  const { rawHeaders = [] } = response.req as { rawHeaders?: readonly string[] };
  const asked = rawHeaders.filter((_, at) => at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase() === "if-none-match");
  const known = asked.join(", ");
  if (known.includes(weak) && !known.replaceAll(weak, "").includes(tag)) response.setHeader("etag", weak);
}

/**
 * Weakens the `ETag` where an outer layer applied a content coding: a strong one names the bytes that are stored, and would
 * name two forms of them (RFC 9110 §8.8.1, §8.8.3.3). `coding` is that of the response as the cache has it.
 */
function weakenIfCoded(response: ServerResponse, coding: string | undefined): void {
  if (response.headersSent) return;
  const tag = response.getHeader("etag");
  if (typeof tag !== "string" || tag.startsWith("W/")) return;
  const now = response.getHeader("content-encoding");
  if ((now === undefined ? undefined : String(now)) !== coding) response.setHeader("etag", `W/${tag}`);
}

/**
 * Has the head written by Node's own `write` or `end`, when outer layers have given it what they make of the body. Their hooks
 * on `writeHead` do not run, but `look` does, right before: it sees what they changed since.
 */
function writeHeadLater(response: ServerResponse, headEnd: ServerResponse["writeHead"], look: () => void): void {
  response.writeHead = (...head: unknown[]): ServerResponse => {
    if (!response.headersSent) look();
    return Reflect.apply(headEnd, response, head) as ServerResponse;
  };
}

function end(response: ServerResponse, { body, endBytes }: Reply): void {
  const isOwn = Object.hasOwn(response, "end");
  // A layer's own `end` may look whether it is given anything.
  if (body === null || (isOwn && body.byteLength === 0)) return void response.end();
  if (endBytes !== undefined && (isOwn || Object.hasOwn(response, "write")))
    return endInPieces(response, body, endBytes);
  // A layer's own `end` expects what handlers give it.
  response.end(isOwn ? asBuffer(body, 0, body.byteLength) : body);
}

/** As the handler gave it, since layers may do one thing in `write` and another in `end`. Of a part all is written. */
function endInPieces(response: ServerResponse, body: Uint8Array, endBytes: number): void {
  const writtenBytes = response.statusCode === 206 ? body.byteLength : body.byteLength - endBytes;
  if (writtenBytes > 0) response.write(asBuffer(body, 0, writtenBytes));
  if (writtenBytes < body.byteLength) response.end(asBuffer(body, writtenBytes, body.byteLength));
  else response.end();
}

function asBuffer({ buffer, byteOffset }: Uint8Array, from: number, to: number): Buffer {
  return Buffer.from(buffer, byteOffset + from, to - from);
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

/** What is known of a response when its head is finished. */
interface FinishedHead {
  readonly lastLook?: LastLook | undefined;
  /** `Content-Encoding` of the response as the cache has it. */
  readonly coding: string | undefined;
  /** The `Content-Length` that this cache has added, where the handler had declared none. */
  readonly addedLength: string | undefined;
  /** The handler gave the body in pieces, whether or not it leaves in one. */
  readonly isStreamed?: boolean;
}

/**
 * Sets the last fields of a head: freshness, unless a cookie leaves with it, and a weak tag where outer layers code the body.
 * Where they have hooks on `writeHead` they run first, because what they do decides. The head is then left to be written with
 * the body, which a `write` or an `end` of theirs may change, or for a streamed body written at once.
 */
export function finishHead(
  response: ServerResponse,
  freshness: readonly string[] | undefined,
  { lastLook, coding, addedLength, isStreamed = false }: FinishedHead,
): void {
  // oxlint-disable-next-line typescript/unbound-method
  const headEnd = headEnds.get(response) ?? (Object.getPrototypeOf(response) as ServerResponse).writeHead;
  const isHooked = response.writeHead !== headEnd;
  const before = lateState(response);
  if (isHooked) runHooks(response);
  const changes = lateChanges(response, before) ?? { setsCookie: false };
  const isLate = response.getHeader("cache-control") !== before.cacheControl;
  if (lastLook !== undefined) applyFields(response, lastLook(changes));
  const isReplaced = changes.replacedBy !== undefined;
  if (isReplaced) takeValidators(response, before);
  const mayBeFresh = response.getHeader("set-cookie") === undefined && !isLate && !isReplaced;
  const unpromised = freshness?.map((name, at) => (at % 2 === 0 ? response.getHeader(name) : undefined));
  if (freshness !== undefined && mayBeFresh) applyFields(response, freshness);
  weakenIfCoded(response, coding);
  if (!Object.hasOwn(response, "write") && !Object.hasOwn(response, "end")) {
    // Node codes a `Content-Disposition` in another way where it knows the length of the body, as it does of one given whole.
    if (isStreamed) headEnd.call(response, response.statusCode);
    else if (isHooked) writeHeadLater(response, headEnd, () => {});
    return;
  }
  const finished = lateState(response);
  writeHeadLater(response, headEnd, () => {
    weakenIfCoded(response, coding);
    if (isChanged(response, finished)) takeFreshness(response, freshness, unpromised);
    if (lateChanges(response, finished)?.replacedBy !== undefined) takeValidators(response, finished);
    if (addedLength !== undefined) correctLength(response, addedLength);
  });
}

/** True where an outer layer has set a cookie, a `Cache-Control` or another status since. */
function isChanged(response: ServerResponse, finished: LateState): boolean {
  const { cookies, cacheControl } = lateState(response);
  return (
    response.statusCode !== finished.status ||
    cacheControl !== finished.cacheControl ||
    hasNewLines(finished.cookies, cookies)
  );
}

/** Takes back what names the content of the response, where a layer gives another one in its place. */
function takeValidators(response: ServerResponse, before: LateState): void {
  if (response.getHeader("etag") === before.etag) response.removeHeader("etag");
  if (response.getHeader("last-modified") === before.lastModified) response.removeHeader("last-modified");
}

/** Takes back what this cache promised, where it still stands. */
function takeFreshness(
  response: ServerResponse,
  freshness: readonly string[] = [],
  unpromised: readonly (OutgoingHttpHeader | undefined)[] = [],
): void {
  for (let at = 0; at + 1 < freshness.length; at += 2) {
    const name = freshness[at] ?? "";
    if (response.getHeader(name) !== freshness[at + 1]) continue;
    const own = unpromised[at];
    if (own === undefined) response.removeHeader(name);
    else response.setHeader(name, own);
  }
}

/** What outer layers may still change of a head that is finished, and that decides whether a response is kept. */
export interface LateState {
  readonly status: number;
  readonly etag: OutgoingHttpHeader | undefined;
  readonly lastModified: OutgoingHttpHeader | undefined;
  readonly cookies: OutgoingHttpHeader | undefined;
  readonly cacheControl: OutgoingHttpHeader | undefined;
  readonly vary: OutgoingHttpHeader | undefined;
}

export function lateState(response: ServerResponse): LateState {
  return {
    status: response.statusCode,
    etag: response.getHeader("etag"),
    lastModified: response.getHeader("last-modified"),
    cookies: response.getHeader("set-cookie"),
    cacheControl: response.getHeader("cache-control"),
    vary: response.getHeader("vary"),
  };
}

/** What changed since then. */
export function lateChanges(response: ServerResponse, before: LateState): LateChanges | undefined {
  const now = lateState(response);
  const setsCookie = hasNewLines(before.cookies, now.cookies);
  const vary = lateVary(response, before.vary, now.vary);
  const cacheControl = now.cacheControl === before.cacheControl ? undefined : String(now.cacheControl ?? "");
  // What a layer makes of a 200 for a condition or a range is no other response.
  const isSame = now.status === before.status || (before.status === 200 && (now.status === 304 || now.status === 206));
  const replacedBy = isSame ? undefined : now.status;
  return setsCookie || vary !== undefined || cacheControl !== undefined || replacedBy !== undefined
    ? { setsCookie, vary, cacheControl, replacedBy }
    : undefined;
}

/** Names that cached routes further out have added to the `Vary` of a response. */
const addedByRoutes = new WeakMap<ServerResponse, string>();

function lateVary(
  response: ServerResponse,
  before: OutgoingHttpHeader | undefined,
  now: OutgoingHttpHeader | undefined,
): readonly string[] | undefined {
  if (now === before || now === undefined) return undefined;
  return addedVary([String(before ?? ""), addedByRoutes.get(response) ?? ""], String(now));
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
      const [, vary] = onlyVary(fields);
      if (vary !== undefined) addedByRoutes.set(response, mergedVary(addedByRoutes.get(response), vary));
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
