import type { Outcome } from "../http.ts";
import { isTokenCode } from "./fields.ts";

/**
 * One member of the `Cache-Status` field: what this cache did with a request (RFC 9211 §2).
 *
 * It never holds the key, which would tell a stranger how to poison it.
 *
 * @example cacheStatus("reprise", { hit: true, stored: false, collapsed: false, ttlSeconds: 299 }) // "reprise; hit; ttl=299"
 */
export function cacheStatus(cacheName: string, outcome: Outcome): string {
  let member = bareItem(cacheName);
  if (outcome.hit) member += "; hit";
  else if (outcome.forwarded !== undefined) {
    member += "; fwd=" + outcome.forwarded;
    if (outcome.originStatus !== undefined) member += "; fwd-status=" + outcome.originStatus;
  }
  if (outcome.ttlSeconds !== undefined) member += "; ttl=" + Math.floor(outcome.ttlSeconds);
  if (outcome.stored) member += "; stored";
  if (outcome.collapsed) member += "; collapsed";
  if (outcome.detail !== undefined) member += "; detail=" + bareItem(outcome.detail);
  return member;
}

/** A token where the text is one, else a string; a character a string cannot hold becomes `?` (RFC 8941 §3.3). */
function bareItem(text: string): string {
  if (isToken(text)) return text;
  let content = "";
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code < 0x20 || code > 0x7e) content += "?";
    else if (code === 0x22 || code === 0x5c) content += "\\" + text.charAt(at);
    else content += text.charAt(at);
  }
  return `"${content}"`;
}

function isToken(text: string): boolean {
  const first = text.charCodeAt(0);
  if (!isLetter(first) && first !== 0x2a) return false;
  for (let at = 1; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (!isTokenCode(code) && code !== 0x3a && code !== 0x2f) return false;
  }
  return true;
}

function isLetter(code: number): boolean {
  return (code >= 0x41 && code <= 0x5a) || (code >= 0x61 && code <= 0x7a);
}
