import { describe, expect, it } from "vitest";

import { mayStore, responseDirectives, whyNotStored } from "../../src/rfc9111/index.ts";
import type { Fields, NotStoredReason, StoringRules } from "../../src/rfc9111/index.ts";
import { headOf, requestOf } from "./nouns.ts";

const ROUTE: StoringRules = {
  lifetimeFrom: "route",
  statuses: new Set([200, 203, 301, 308, 404, 410]),
  sharedByDeclaration: false,
  keyedFields: new Set(),
  heuristic: false,
};
const FIELDS: StoringRules = { ...ROUTE, lifetimeFrom: "fields", statuses: new Set([404, 410]) };

interface Case {
  readonly fields?: Fields;
  readonly status?: number;
  readonly method?: string;
  readonly sent?: Fields;
  readonly rules?: Partial<StoringRules>;
  readonly reason: NotStoredReason | undefined;
  readonly because: string;
}

function verdict(rules: StoringRules, { fields = {}, status = 200, method = "GET", sent = {}, ...given }: Case) {
  const head = headOf(fields, status);
  const request = requestOf({ method, fields: sent });
  const directives = responseDirectives(fields);
  const applied = { ...rules, ...given.rules };
  const reason = whyNotStored(request, head, directives, applied);
  expect(mayStore(request, head, directives, applied)).toBe(reason === undefined);
  return reason;
}

describe("storing with the route's lifetime (RFC 9111 §3)", () => {
  it.each<Case>([
    { reason: undefined, because: "a plain 200" },
    { fields: { "cache-control": "public, max-age=5" }, reason: undefined, because: "nothing forbids it" },
    { status: 404, reason: undefined, because: "the route covers this status" },
    { method: "HEAD", reason: "method", because: "it has no body to store" },
    { method: "POST", reason: "method", because: "only GET" },
    { method: "QUERY", reason: "method", because: "only GET" },
    { status: 103, reason: "status", because: "not final" },
    { status: 204, reason: "status", because: "no content" },
    { status: 204, rules: { statuses: new Set([204]) }, reason: "status", because: "not even when listed" },
    { status: 205, reason: "status", because: "no content" },
    { status: 304, rules: { statuses: new Set([304]) }, reason: "status", because: "not a response of its own" },
    { status: 206, rules: { statuses: new Set([206]) }, reason: "partial", because: "a part" },
    { fields: { "content-range": "bytes 0-4/10" }, reason: "partial", because: "a part under a wrong status" },
    { status: 302, reason: "status", because: "a login redirect" },
    { status: 500, reason: "status", because: "an error" },
    { status: 403, reason: "status", because: "an error" },
    { fields: { "cache-control": "max-age=5, no-store" }, reason: "no-store", because: "the handler said so" },
    { fields: { "cache-control": "No-Store" }, reason: "no-store", because: "in any case" },
    { fields: { "cache-control": ["max-age=5", "no-store"] }, reason: "no-store", because: "on a second line" },
    { fields: { "cache-control": "PRIVATE" }, reason: "private", because: "T21" },
    { fields: { "cache-control": 'private="x-user"' }, reason: "private", because: "we do not store in part" },
    { fields: { "cache-control": 'private, private="x"' }, reason: "private", because: "T23" },
    { fields: { "cache-control": "no-cache" }, reason: "no-cache", because: "the handler wants each one validated" },
    { fields: { "cache-control": 'no-cache="x"' }, reason: "no-cache", because: "qualified too" },
    { fields: { "set-cookie": "a=1" }, reason: "set-cookie", because: "T17" },
    { fields: { "set-cookie": ["a=1", "b=2"] }, reason: "set-cookie", because: "several" },
    { fields: { trailer: "x-sum" }, reason: "trailer", because: "we would lose the trailer" },
    { fields: { vary: "*" }, reason: "vary-any", because: "T20" },
    { fields: { vary: ["accept", "origin, *"] }, reason: "vary-any", because: "any member of any line" },
    { fields: { vary: "a b" }, reason: "vary-any", because: "what it names is not known" },
    { fields: { vary: "accept-encoding" }, reason: undefined, because: "an ordinary variant" },
    { fields: { vary: "Cookie" }, reason: "vary-identity", because: "T19" },
    { fields: { vary: ",,\taccept\t,\tAUTHORIZATION" }, reason: "vary-identity", because: "T22" },
    {
      fields: { vary: "cookie" },
      rules: { keyedFields: new Set(["cookie"]) },
      reason: undefined,
      because: "it is in the key",
    },
    {
      fields: { vary: "cookie" },
      rules: { sharedByDeclaration: true },
      reason: "vary-identity",
      because: "a declaration does not undo what the handler says",
    },
    { fields: { "access-control-allow-origin": "*" }, reason: undefined, because: "any origin may read it" },
    {
      fields: { "access-control-allow-origin": "https://a.example" },
      reason: "origin-unkeyed",
      because: "the next origin would be refused, or let in",
    },
    { fields: { "access-control-allow-origin": "null" }, reason: "origin-unkeyed", because: "T29" },
    {
      fields: { "access-control-allow-origin": "https://a.example", vary: "accept, Origin" },
      reason: undefined,
      because: "each origin has its variant",
    },
    {
      fields: { "access-control-allow-origin": "https://a.example" },
      rules: { keyedFields: new Set(["origin"]) },
      reason: undefined,
      because: "each origin has its key",
    },
    { sent: { authorization: "Bearer x" }, reason: "authorization", because: "T16" },
    {
      sent: { authorization: "Bearer x" },
      rules: { sharedByDeclaration: true },
      reason: undefined,
      because: "the route declared its audience",
    },
    {
      sent: { authorization: "Bearer x" },
      fields: { "cache-control": "max-age=5" },
      reason: "authorization",
      because: "max-age is no permission (§3.5)",
    },
    {
      sent: { authorization: "Bearer x" },
      fields: { "cache-control": 'public="x"' },
      reason: "authorization",
      because: "doubt is no permission",
    },
    { sent: { authorization: "x" }, fields: { "cache-control": "public" }, reason: undefined, because: "§3.5" },
    { sent: { authorization: "x" }, fields: { "cache-control": "s-maxage=5" }, reason: undefined, because: "§3.5" },
    {
      sent: { authorization: "x" },
      fields: { "cache-control": "must-revalidate" },
      reason: undefined,
      because: "§3.5",
    },
    { status: 200, fields: { "cache-control": "no-store, must-understand" }, reason: undefined, because: "§5.2.2.3" },
    {
      status: 299,
      rules: { statuses: new Set([299]) },
      fields: { "cache-control": "no-store, must-understand" },
      reason: "must-understand",
      because: "nobody told us what a 299 is",
    },
    {
      fields: { "cache-control": "no-store, must-understand, private" },
      reason: "private",
      because: "only no-store is lifted",
    },
  ])("$method $status $fields $sent → $reason: $because", (given) => {
    expect(verdict(ROUTE, given)).toBe(given.reason);
  });
});

describe("storing with the lifetime of the response's own fields (RFC 9111 §3)", () => {
  const fresh = { "cache-control": "max-age=5" };
  const lastModified = { "last-modified": "Sun, 06 Nov 1994 08:49:37 GMT" };
  it.each<Case>([
    { fields: fresh, reason: undefined, because: "explicit" },
    { fields: { "cache-control": "s-maxage=5" }, reason: undefined, because: "explicit" },
    { fields: { expires: "0" }, reason: undefined, because: "explicit, and already stale" },
    { reason: "no-lifetime", because: "nothing states one" },
    { fields: { "cache-control": "public" }, reason: "no-lifetime", because: "public states none" },
    { fields: lastModified, reason: "no-lifetime", because: "heuristics are off" },
    { fields: lastModified, rules: { heuristic: true }, reason: undefined, because: "heuristics are on" },
    { rules: { heuristic: true }, reason: "no-lifetime", because: "there is nothing to guess from" },
    { fields: lastModified, status: 302, rules: { heuristic: true }, reason: "no-lifetime", because: "not for a 302" },
    { fields: fresh, status: 302, reason: undefined, because: "any final status below 400" },
    { fields: fresh, status: 299, reason: undefined, because: "any final status below 400" },
    { fields: fresh, status: 404, reason: undefined, because: "listed" },
    { fields: fresh, status: 403, reason: "status", because: "not listed" },
    { fields: fresh, status: 503, reason: "status", because: "not listed" },
    { fields: fresh, status: 204, reason: "status", because: "not listed" },
    { fields: fresh, status: 204, rules: { statuses: new Set([204]) }, reason: undefined, because: "listed" },
    { fields: fresh, status: 304, rules: { statuses: new Set([304]) }, reason: "status", because: "T32" },
    { fields: fresh, status: 206, rules: { statuses: new Set([206]) }, reason: "partial", because: "T47" },
    { fields: { "cache-control": "no-cache, max-age=5" }, reason: undefined, because: "reuse will validate it" },
    { fields: { ...fresh, "set-cookie": "a=1" }, reason: "set-cookie", because: "T17" },
    { fields: { ...fresh, vary: "cookie" }, reason: "vary-identity", because: "T19" },
  ])("$status $fields → $reason: $because", (given) => {
    expect(verdict(FIELDS, given)).toBe(given.reason);
  });
});

describe("storing all that RFC 9111 allows", () => {
  const fresh = { "cache-control": "max-age=5" };
  const lastModified = { "last-modified": "Sun, 06 Nov 1994 08:49:37 GMT" };
  const part = { ...fresh, "content-range": "bytes 5-9/10" };
  const range = { range: "bytes=-5" };
  const oneOrigin = { ...fresh, "access-control-allow-origin": "https://a.example" };
  const setCookie: Partial<StoringRules> = { allowSetCookie: true };
  const anyStatus: Partial<StoringRules> = { allowAnyFinalStatus: true };
  const guessing: Partial<StoringRules> = { allowAnyFinalStatus: true, heuristic: true };
  const varyIdentity: Partial<StoringRules> = { allowVaryIdentity: true };
  const partial: Partial<StoringRules> = { allowPartial: true };

  it.each<Case>([
    { fields: { ...fresh, "set-cookie": "a=1" }, rules: setCookie, reason: undefined, because: "§7.3" },
    {
      fields: { "cache-control": 'max-age=5, private="set-cookie"', "set-cookie": "a=1" },
      rules: setCookie,
      reason: "private",
      because: "the origin can still forbid it",
    },
    { fields: fresh, status: 204, rules: anyStatus, reason: undefined, because: "explicit" },
    { fields: fresh, status: 403, rules: anyStatus, reason: undefined, because: "explicit" },
    { fields: fresh, status: 503, rules: anyStatus, reason: undefined, because: "explicit" },
    { fields: fresh, status: 599, rules: anyStatus, reason: undefined, because: "explicit, and not known" },
    { fields: fresh, status: 999, rules: anyStatus, reason: undefined, because: "explicit, and not known" },
    { fields: fresh, status: 103, rules: anyStatus, reason: "status", because: "not final" },
    { fields: fresh, status: 304, rules: anyStatus, reason: "status", because: "not a response of its own" },
    { fields: fresh, status: 206, rules: anyStatus, reason: "partial", because: "a part" },
    { fields: { "cache-control": "no-store" }, status: 503, rules: anyStatus, reason: "no-store", because: "§5.2.2.5" },
    { status: 503, rules: anyStatus, reason: "no-lifetime", because: "nothing states one" },
    { fields: lastModified, status: 501, rules: guessing, reason: undefined, because: "heuristically cacheable" },
    { fields: lastModified, status: 500, rules: guessing, reason: "no-lifetime", because: "not heuristically" },
    {
      fields: { ...lastModified, "cache-control": "public" },
      status: 500,
      rules: guessing,
      reason: undefined,
      because: "public allows the heuristic (§4.2.2)",
    },
    {
      fields: { "cache-control": "max-age=5, no-store, must-understand" },
      status: 599,
      rules: anyStatus,
      reason: "must-understand",
      because: "nobody told us what a 599 is",
    },
    { fields: { ...fresh, vary: "cookie" }, rules: varyIdentity, reason: undefined, because: "a variant for each" },
    {
      fields: { ...fresh, vary: "authorization" },
      rules: varyIdentity,
      reason: undefined,
      because: "a variant for each",
    },
    { fields: oneOrigin, rules: varyIdentity, reason: undefined, because: "RFC 9111 knows no CORS" },
    { fields: { ...fresh, vary: "*" }, rules: varyIdentity, reason: "vary-any", because: "§4.1 stays" },
    {
      fields: fresh,
      sent: { authorization: "x" },
      rules: varyIdentity,
      reason: "authorization",
      because: "§3.5 stays",
    },
    { fields: part, status: 206, sent: range, rules: partial, reason: undefined, because: "a part, and it says which" },
    {
      fields: { ...fresh, "content-type": "multipart/byteranges; boundary=x" },
      status: 206,
      sent: range,
      rules: partial,
      reason: undefined,
      because: "several parts",
    },
    {
      fields: { ...lastModified, "content-range": "bytes 5-9/10" },
      status: 206,
      sent: range,
      rules: { ...partial, heuristic: true },
      reason: undefined,
      because: "heuristically cacheable",
    },
    {
      fields: { "cache-control": "max-age=5, no-store, must-understand", "content-range": "bytes 5-9/10" },
      status: 206,
      sent: range,
      rules: partial,
      reason: undefined,
      because: "we know what a 206 is",
    },
    { fields: part, status: 206, rules: partial, reason: "partial", because: "nobody asked for a part" },
    {
      fields: fresh,
      status: 206,
      sent: range,
      rules: partial,
      reason: "partial",
      because: "it does not say which part",
    },
    {
      fields: part,
      status: 200,
      sent: range,
      rules: partial,
      reason: "partial",
      because: "a part under a wrong status",
    },
    {
      fields: { ...fresh, "content-range": "bytes 9-5/10" },
      status: 206,
      sent: range,
      rules: partial,
      reason: "partial",
      because: "a contradiction",
    },
    {
      fields: { "content-range": "bytes 5-9/10" },
      status: 206,
      sent: range,
      rules: partial,
      reason: "no-lifetime",
      because: "nothing states one",
    },
  ])("$status $fields $sent → $reason: $because", (given) => {
    expect(verdict(FIELDS, given)).toBe(given.reason);
  });

  it.each<Case>([
    { status: 503, rules: anyStatus, reason: "status", because: "the route's lifetime covers its own statuses" },
    { fields: part, status: 206, sent: range, rules: partial, reason: "partial", because: "a route stores no parts" },
    { fields: { "set-cookie": "a=1" }, rules: setCookie, reason: undefined, because: "a route may say so too" },
  ])("with the route's lifetime: $status → $reason: $because", (given) => {
    expect(verdict(ROUTE, given)).toBe(given.reason);
  });
});
