/** Responses of the web family: read as the server would send them, and made anew. */

import { mergedVary } from "../shared/merged-vary.ts";
import type { ReportedHead, Reply } from "../../engine/exchange.ts";
import type { Fields } from "../../http.ts";
import type { BodyContent } from "./body.ts";

type Lines = Record<string, string | readonly string[]>;

/** The native type of a text, and how servers with a light `Response` of their own spell it. */
const NATIVE_TEXT = "text/plain;charset=UTF-8";
const SERVERS_TEXT = "text/plain; charset=UTF-8";
const BUNS_TEXT = "text/plain;charset=utf-8";
const BUNS_BYTES = "application/octet-stream";

const IS_BUN = (globalThis as { readonly Bun?: unknown }).Bun !== undefined;

/** True where the server would name a type by what the body was made of, and a copy of the response is made of bytes. */
export function lacksType(headers: Headers): boolean {
  return IS_BUN && !headers.has("content-type");
}

/**
 * Gives a body the type that Bun's server does. Bun tells nothing of what a body was made of, so bytes without a type that
 * are a text in UTF-8 get the type of a text.
 */
export function learnType(headers: Headers, whole: Uint8Array | undefined): void {
  if (whole === undefined || whole.byteLength === 0 || !lacksType(headers)) return;
  headers.set("content-type", isText(whole) ? BUNS_TEXT : BUNS_BYTES);
}

/** True for UTF-8 without the "binary data bytes" of the MIME Sniffing standard, §3. */
function isText(bytes: Uint8Array): boolean {
  for (const byte of bytes) if (byte < 0x20 && !TEXT_CONTROLS.has(byte)) return false;
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}

/** Tab, line feed, form feed, carriage return, escape. */
const TEXT_CONTROLS: ReadonlySet<number> = new Set([0x09, 0x0a, 0x0c, 0x0d, 0x1b]);

/** A response as the server would send it. */
export interface Opened {
  readonly status: number;
  /** The reason phrase, where the handler gave one. */
  readonly reason: string | undefined;
  /** A copy: the handler may keep its response. */
  readonly headers: Headers;
  readonly body: ReadableStream<Uint8Array> | null;
}

/**
 * Opens a response that can be copied. `undefined` for others, which are handed through as they are: a switch of protocols,
 * `Response.error()`, a body that is in use, and what is no `Response` (`server.upgrade()` of Bun leaves nothing to
 * return).
 */
export function openResponse(response: unknown): Opened | undefined {
  if (typeof response !== "object" || response === null) return undefined;
  const { status } = response as Partial<Response>;
  if (typeof status !== "number" || status < 200 || status > 599) return undefined;
  const headers = readHeaders(response as Response);
  // `RESPONSE_ALREADY_SENT` of `@hono/node-server`: the handler has written to Node's response.
  if (headers === undefined || headers.has("x-hono-already-sent")) return undefined;
  // Light responses (srvx, `@hono/node-server`) become native ones when more than status and headers is read, and make up
  // some of their fields, or spell them otherwise.
  const { body, bodyUsed, statusText } = response as Response;
  if (!isUnused(body, bodyUsed)) return undefined;
  for (const [name, value] of (response as Response).headers) {
    if (headers.has(name)) continue;
    headers.set(name, name === "content-type" && value === NATIVE_TEXT ? SERVERS_TEXT : value);
  }
  return { status, reason: statusText === "" ? undefined : statusText, headers, body };
}

/** Those of another realm or package are no `Headers` here. */
function readHeaders(response: Response): Headers | undefined {
  const headers: unknown = response.headers;
  const isList = typeof headers === "object" && headers !== null && Symbol.iterator in headers;
  return isList ? new Headers([...(headers as Iterable<[string, string]>)]) : undefined;
}

function isUnused(body: unknown, bodyUsed: boolean): boolean {
  if (body === null) return true;
  if (typeof body !== "object") return false;
  const { getReader, locked } = body as Partial<ReadableStream>;
  return typeof getReader === "function" && locked !== true && !bodyUsed;
}

/** The fields of a handler's response that are its own, and the names of those of outer layers that it took away. */
export interface OwnFields {
  readonly fields: Fields;
  readonly removed: readonly string[];
  /** The `Set-Cookie` lines of outer layers that it left in place. */
  readonly outerCookies?: readonly string[] | undefined;
}

/** Headers as fields: each `Set-Cookie` on a line of its own. */
export function fieldsOf(headers: Headers): Fields {
  const fields = Object.create(null) as Lines;
  for (const [name, value] of headers) if (name !== "set-cookie") fields[name] = value;
  const cookies = headers.getSetCookie();
  if (cookies.length > 0) fields["set-cookie"] = cookies;
  return fields;
}

/** The head of a handler's response. */
export function headOf({ status, reason }: Opened, { fields, removed, outerCookies }: OwnFields): ReportedHead {
  return { status, fields, reason, removed, outerCookies };
}

/**
 * A flat list of fields as headers. Runtimes count the bytes that leave: a `Content-Length` of this cache would be wrong once
 * an outer layer changes the body, so it is there only `withLength`, for a response that leaves without a body.
 */
export function headersOf(flat: readonly string[], withLength: boolean): Headers {
  const headers = new Headers();
  for (let at = 0; at + 1 < flat.length; at += 2) {
    const name = flat[at] ?? "";
    if (withLength || name !== "content-length") headers.append(name, flat[at + 1] ?? "");
  }
  return headers;
}

/** Sets each field in place of one of the same name; the members of `Vary` are added to those there are. */
export function setFields(headers: Headers, flat: readonly string[]): void {
  for (let at = 0; at + 1 < flat.length; at += 2) {
    const name = flat[at] ?? "";
    const value = flat[at + 1] ?? "";
    headers.set(name, name === "vary" ? mergedVary(headers.get(name), value) : value);
  }
}

/** Adds the fields of which there is none of the name. */
export function addAbsent(headers: Headers, flat: readonly string[]): void {
  for (let at = 0; at + 1 < flat.length; at += 2) {
    const name = flat[at] ?? "";
    if (!headers.has(name)) headers.set(name, flat[at + 1] ?? "");
  }
}

/** As `setFields`, on a response as it is. False where its headers let nothing be changed. */
export function setFieldsOn({ headers }: Response, flat: readonly string[]): boolean {
  try {
    setFields(headers, flat);
    return true;
  } catch {
    return false;
  }
}

/** A response of these parts. */
export function responseOf(status: number, reason: string | undefined, headers: Headers, body: BodyContent): Response {
  const init = { status, headers, ...(reason === undefined ? {} : { statusText: reason }) };
  return new Response(body as ConstructorParameters<typeof Response>[0], init);
}

/** The bytes of a reply, or `null` where there are none to send. */
export function contentOf({ body }: Reply): Uint8Array | null {
  // A stored response without content (204, 205) has no bytes, and may not have any.
  return body === null || body.byteLength === 0 ? null : body;
}
