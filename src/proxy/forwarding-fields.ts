/** `Via`, `Forwarded` and `X-Forwarded-…`: what each side is told of the hop in between. */

import type { IncomingMessage } from "node:http";
import type { TLSSocket } from "node:tls";

/** Our name in `Via` (RFC 9110 §7.6.3). A pseudonym: the host name is nobody's business. */
const PSEUDONYM = "reprise";

/** So many proxies of this kind in a row are a loop, not a design. */
const MAX_VIA_MEMBERS = 8;

/** The `Via` to send on, for a message that arrived with `via`, in the version of its sender. */
export function withVia(via: string | undefined, httpVersion: string): string {
  const own = `${httpVersion} ${PSEUDONYM}`;
  return via === undefined || via.trim() === "" ? own : `${via}, ${own}`;
}

/** True for a request that has passed so many of our kind that it must be running in a circle. */
export function isLooping(via: string | undefined): boolean {
  if (via === undefined) return false;
  return via.split(",").filter((member) => member.trim().split(/\s+/)[1] === PSEUDONYM).length >= MAX_VIA_MEMBERS;
}

/**
 * The fields that tell the upstream about the client: `X-Forwarded-For`, `-Host`, `-Proto` and `Forwarded` (RFC 7239).
 *
 * What the client itself said of this is gone from `request.headers` unless it is trusted; then `for` is added to, and the
 * first proxy's host and scheme stay.
 */
export function forwardingFields(request: IncomingMessage): string[] {
  const { headers, socket } = request;
  const address = clientAddress(socket.remoteAddress);
  const scheme = (socket as Partial<TLSSocket>).encrypted === true ? "https" : "http";
  const { host } = headers;
  const fields: string[] = [];
  const before = headers["x-forwarded-for"];
  const chain = [before === undefined ? "" : String(before), address ?? ""].filter((part) => part !== "").join(", ");
  if (chain !== "") fields.push("X-Forwarded-For", chain);
  fields.push("X-Forwarded-Proto", said(headers["x-forwarded-proto"]) ?? scheme);
  const forwardedHost = said(headers["x-forwarded-host"]) ?? host;
  if (forwardedHost !== undefined && forwardedHost !== "") fields.push("X-Forwarded-Host", forwardedHost);
  fields.push("Forwarded", withHop(said(headers.forwarded), address, host, scheme));
  return fields;
}

function said(value: string | string[] | undefined): string | undefined {
  return value === undefined ? undefined : String(value);
}

function withHop(
  before: string | undefined,
  address: string | undefined,
  host: string | undefined,
  scheme: string,
): string {
  const parameters = [`for=${address === undefined ? "unknown" : node(address)}`];
  if (host !== undefined && host !== "") parameters.push(`host=${/^[\w.-]+$/.test(host) ? host : `"${host}"`}`);
  parameters.push(`proto=${scheme}`);
  const own = parameters.join(";");
  return before === undefined || before.trim() === "" ? own : `${before}, ${own}`;
}

function node(address: string): string {
  return address.includes(":") ? `"[${address}]"` : address;
}

/** An IPv4 client of an IPv6 socket under its own address. */
function clientAddress(address: string | undefined): string | undefined {
  return address?.startsWith("::ffff:") === true && address.includes(".") ? address.slice(7) : address;
}
