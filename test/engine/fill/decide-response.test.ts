import { describe, expect, it } from "vitest";
import type { LateChanges, ReportedHead } from "../../../src/engine/exchange.ts";
import {
  decideResponse,
  whyRefusedLate,
  type Forwarded,
  type ResponseRules,
} from "../../../src/engine/fill/decide-response.ts";
import type { Fields } from "../../../src/http.ts";
import { requestOf, storedOf } from "../../rfc9111/nouns.ts";

const ROUTE: ResponseRules = {
  targets: [],
  maxBodyBytes: 1_000,
  storing: {
    lifetimeFrom: "route",
    statuses: new Set([200]),
    sharedByDeclaration: false,
    keyedFields: new Set(),
    heuristic: false,
  },
};

const FORWARDED: Forwarded = {
  request: requestOf(),
  storable: true,
  showsRange: false,
  isOtherRequest: false,
  hasThrown: false,
  stale: undefined,
  isSecondRun: false,
  mayServeOnError: false,
  newLogin: undefined,
};

interface Row {
  readonly forwarded?: Partial<Forwarded>;
  readonly status?: number;
  readonly fields?: Fields;
  readonly head?: Partial<ReportedHead>;
  readonly bodyBytes?: number;
  readonly says: string;
  readonly because: string;
}

function told({ forwarded, status = 200, fields = {}, head, bodyBytes }: Row): string {
  const reported = { status, fields, ...head };
  const decision = decideResponse({ ...FORWARDED, ...forwarded }, reported, bodyBytes, ROUTE, ["cookie"]);
  if (decision.action === "refuse") return `refuse ${decision.because}`;
  if (decision.action !== "pass") return decision.action;
  return `pass ${decision.detail ?? ""}${decision.fillsWhole ? " and fill" : ""}`.trim();
}

const tagged = storedOf({ fields: { etag: '"a"' } });

describe("what becomes of a response", () => {
  it.each<Row>([
    { says: "keep", because: "nothing forbids it" },
    { fields: { "cache-control": "private" }, says: "refuse private", because: "RFC 9111 §5.2.2.7" },
    { fields: { "set-cookie": "a=1" }, says: "refuse set-cookie", because: "others must not get it" },
    { fields: { "content-type": "text/event-stream" }, says: "refuse event-stream", because: "it has no end" },
    { fields: { "content-length": "1001" }, says: "refuse too-large", because: "it says so" },
    { bodyBytes: 1001, says: "refuse too-large", because: "the body is here" },
    { bodyBytes: 1000, says: "keep", because: "it is just as large as is allowed" },
    { head: { shows: "csrf-token" }, says: "refuse csrf-token", because: "the token is one client's" },
    { forwarded: { newLogin: "sid" }, says: "refuse set-cookie", because: "the page may show the session" },
    { forwarded: { isOtherRequest: true }, says: "refuse other-request", because: "its key is another one's" },
    { forwarded: { storable: false }, says: "pass", because: "it only passes by" },
    { forwarded: { hasThrown: true }, says: "failed", because: "it answers an error, whatever its status" },
    { forwarded: { hasThrown: true }, status: 302, says: "failed", because: "no redirect that was thrown is kept" },
    { forwarded: { hasThrown: true }, status: 404, says: "refuse status", because: "its status says so" },
  ])("$status $fields $head $forwarded → $says: $because", (row) => {
    expect(told(row)).toBe(row.says);
  });

  it.each<Row>([
    { forwarded: { stale: tagged }, status: 304, fields: { etag: '"a"' }, says: "freshen", because: "same tag" },
    { forwarded: { stale: tagged }, status: 304, fields: { etag: '"b"' }, says: "ask-again", because: "another tag" },
    { forwarded: { isSecondRun: true }, status: 304, says: "unvalidated", because: "nothing was asked about" },
    {
      forwarded: { stale: tagged, storable: false },
      status: 304,
      fields: { etag: '"a"' },
      says: "pass",
      because: "it answers the client's own condition",
    },
    { forwarded: { stale: tagged, mayServeOnError: true }, status: 503, says: "stand-in", because: "RFC 5861 §4" },
    { forwarded: { mayServeOnError: true }, status: 503, says: "refuse status", because: "nothing can stand in" },
    { forwarded: { stale: tagged, mayServeOnError: true }, status: 501, says: "refuse status", because: "RFC 5861 §4" },
    { forwarded: { stale: tagged }, status: 500, says: "refuse status", because: "stale-if-error is over" },
  ])("validation: $forwarded $status $fields → $says: $because", (row) => {
    expect(told(row)).toBe(row.says);
  });

  const range = { storable: false, showsRange: true };
  it.each<Row>([
    {
      forwarded: range,
      status: 206,
      fields: { "content-range": "bytes 0-3/10" },
      says: "pass range and fill",
      because: "the whole is small enough",
    },
    {
      forwarded: range,
      status: 206,
      fields: { "content-range": "bytes 0-3/5000" },
      says: "pass range",
      because: "the whole is too large",
    },
    { forwarded: range, status: 206, fields: {}, says: "pass range", because: "its length is not known" },
    { forwarded: range, status: 416, says: "pass range", because: "no part of it was given" },
    {
      forwarded: range,
      fields: { "cache-control": "no-store" },
      says: "pass range",
      because: "the whole may not be stored",
    },
  ])("ranges: $status $fields → $says: $because", (row) => {
    expect(told(row)).toBe(row.says);
  });
});

describe("what outer layers did late", () => {
  it.each<{ changes: Partial<LateChanges>; says: string | undefined }>([
    { changes: {}, says: undefined },
    { changes: { setsCookie: true }, says: "set-cookie" },
    { changes: { shows: "csrf-token" }, says: "csrf-token" },
    { changes: { shows: "session" }, says: "session" },
    { changes: { replacedBy: 403 }, says: "replaced" },
    { changes: { vary: ["x-user"] }, says: "late-vary" },
    { changes: { vary: ["cookie"] }, says: undefined },
    { changes: { cacheControl: "private" }, says: "private" },
    { changes: { cacheControl: "no-store" }, says: "no-store" },
    { changes: { cacheControl: "no-cache" }, says: "no-cache" },
    { changes: { cacheControl: "max-age=5" }, says: undefined },
  ])("$changes → $says", ({ changes, says }) => {
    expect(whyRefusedLate({ setsCookie: false, ...changes }, ROUTE, ["cookie"])).toBe(says);
  });
});
