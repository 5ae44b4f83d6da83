/** Responses of the web family: read as the server would send them, and made anew. */

import type { ReportedHead, Reply } from "../engine/exchange.ts";
import type { Fields } from "../types.ts";
import type { BodyContent } from "./_web-body.ts";

type Lines = Record<string, string | readonly string[]>;

/** The native type of a text, and how servers with a light `Response` of their own spell it. */
const NATIVE_TEXT = "text/plain;charset=UTF-8";
const SERVERS_TEXT = "text/plain; charset=UTF-8";

/**
 * A response that can be copied. Others are handed through as they are: a switch of protocols, `Response.error()`, a body
 * that is in use, whatever is no `Response` (`server.upgrade()` of Bun leaves nothing to return).
 */
export function isOrdinary(response: unknown): response is Response {
  if (typeof response !== "object" || response === null) return false;
  const { status, headers, body, bodyUsed } = response as Partial<Response>;
  if (typeof status !== "number" || status < 200 || status > 599) return false;
  if (typeof headers !== "object" || typeof headers.getSetCookie !== "function") return false;
  if (bodyUsed === true) return false;
  return body === null || (typeof body?.getReader === "function" && !body.locked);
}

/** The body of a response and its headers as the server would send them. */
export interface Opened {
  readonly headers: Headers;
  readonly body: ReadableStream<Uint8Array> | null;
}

/** Light responses (srvx, `@hono/node-server`) make up some of their fields when they are sent, or when the body is read. */
export function openResponse(response: Response): Opened {
  const before = new Headers(response.headers);
  const { body } = response;
  for (const [name, value] of response.headers) {
    if (before.has(name)) continue;
    before.set(name, name === "content-type" && value === NATIVE_TEXT ? SERVERS_TEXT : value);
  }
  return { headers: before, body };
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
export function headOf(response: Response, fields: Fields, removed: readonly string[] | undefined): ReportedHead {
  const { status, statusText } = response;
  const reason = statusText === "" || statusText === undefined ? undefined : statusText;
  return { status, fields, reason, removed };
}

/** A flat list of fields as headers. */
export function headersOf(flat: readonly string[]): Headers {
  const headers = new Headers();
  for (let at = 0; at + 1 < flat.length; at += 2) headers.append(flat[at] ?? "", flat[at + 1] ?? "");
  return headers;
}

/** Sets each field in place of one of the same name; the members of `Vary` are added to those there are. */
export function setFields(headers: Headers, flat: readonly string[]): void {
  for (let at = 0; at + 1 < flat.length; at += 2) {
    const name = flat[at] ?? "";
    const value = flat[at + 1] ?? "";
    const known = name === "vary" ? headers.get(name) : null;
    headers.set(name, known === null ? value : mergedList(known, value));
  }
}

/** The members of both lists, each once whatever its case. */
export function mergedList(...lists: readonly string[]): string {
  const members = lists.flatMap((list) => list.split(",").map((member) => member.trim()));
  return [...new Map(members.map((member) => [member.toLowerCase(), member])).values()].join(", ");
}

/** A response of these parts. */
export function responseOf(status: number, reason: string | undefined, headers: Headers, body: BodyContent): Response {
  const init = { status, headers, ...(reason === undefined ? {} : { statusText: reason }) };
  return new Response(body as ConstructorParameters<typeof Response>[0], init);
}

/** The bytes of a reply, or `null` where there are none to send. */
export function contentOf({ body }: Reply, method: string): Uint8Array | null {
  // A stored response without content (204, 205) has no bytes, and may not have any.
  return method === "HEAD" || body === null || body.byteLength === 0 ? null : body;
}
