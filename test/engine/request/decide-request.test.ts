import { describe, expect, it } from "vitest";
import { decideRequest, type CacheWideRules, type RequestRules } from "../../../src/engine/request/decide-request.ts";
import type { CacheRequest } from "../../../src/http.ts";
import { requestOf } from "../../rfc9111/nouns.ts";

const CACHE: CacheWideRules = {
  enabled: true,
  identity: {
    isLoginField: (name) => name === "authorization",
    isHarmlessCookie: (name) => name === "theme",
    varyNames: ["Cookie", "Authorization"],
  },
};

const ROUTE: RequestRules = {
  enabled: true,
  requestDirectives: "bypass",
  when: undefined,
  audience: undefined,
  sharesAuthorized: false,
  sharesSessions: false,
  vary: [],
};

interface Row {
  readonly request?: Partial<CacheRequest>;
  readonly route?: Partial<RequestRules>;
  readonly cache?: Partial<CacheWideRules>;
  readonly says: string;
  readonly because: string;
}

function told(row: Row): string {
  const decision = decideRequest(
    requestOf(row.request),
    { ...ROUTE, ...row.route },
    { ...CACHE, ...row.cache },
    undefined,
  );
  switch (decision.action) {
    case "take-part":
      return `take-part ${decision.member}`.trim();
    case "bypass":
      return `bypass ${decision.detail}`;
    case "pass":
      return decision.isUnsafe ? "pass unsafe" : "pass";
  }
}

const content = new Uint8Array(2);

describe("whether a request takes part", () => {
  it.each<Row>([
    { says: "take-part", because: "a plain GET does" },
    { request: { method: "HEAD" }, says: "take-part", because: "HEAD is answered from GET (RFC 9110 §9.3.2)" },
    { request: { method: "QUERY", content }, says: "take-part", because: "its content is known (RFC 10008)" },
    { request: { method: "QUERY" }, says: "pass", because: "its content is not known; QUERY is safe" },
    { request: { method: "OPTIONS" }, says: "pass", because: "it is safe and not cached" },
    { request: { method: "POST" }, says: "pass unsafe", because: "what it invalidates is purged (RFC 9111 §4.4)" },
    { request: { method: "BREW" }, says: "pass unsafe", because: "an unknown method may change anything" },
  ])("$request → $says: $because", (row) => {
    expect(told(row)).toBe(row.says);
  });

  const off = { enabled: false };
  it.each<Row>([
    { route: off, says: "bypass disabled", because: "the route is off" },
    { route: off, request: { method: "POST" }, says: "pass unsafe", because: "another route may store its URI" },
    { route: off, cache: off, request: { method: "POST" }, says: "pass", because: "nothing is stored at all" },
    { route: off, request: { method: "TRACE" }, says: "pass", because: "a safe method invalidates nothing" },
  ])("switched off: $route $cache $request → $says: $because", (row) => {
    expect(told(row)).toBe(row.says);
  });

  it.each<Row>([
    { request: { fields: { "cache-control": "no-cache" } }, says: "bypass request", because: "the client asks for it" },
    { request: { fields: { "cache-control": "no-store" } }, says: "bypass request", because: "the client asks for it" },
    {
      request: { fields: { "cache-control": "no-cache" } },
      route: { requestDirectives: "ignore" },
      says: "take-part",
      because: "clients cannot force work on this route",
    },
    {
      request: { fields: { "cache-control": "no-cache" } },
      route: { requestDirectives: "rfc9111" },
      says: "take-part",
      because: "the decision of reuse obeys it",
    },
    { request: { fields: { range: "items=0-9" } }, says: "bypass range", because: "only bytes have a meaning here" },
    { request: { fields: { "if-match": '"a"' } }, says: "bypass precondition", because: "only the origin knows" },
    { request: { fields: { "content-length": "3" } }, says: "bypass request-body", because: "it is not in the key" },
    { route: { when: () => false }, says: "bypass when", because: "the route said no" },
    { route: { when: () => true }, says: "take-part", because: "the route said yes" },
  ])("bypasses: $request $route → $says: $because", (row) => {
    expect(told(row)).toBe(row.says);
  });

  const cookie = { fields: { cookie: "sid=1" } };
  const login = { fields: { authorization: "Bearer x" } };
  it.each<Row>([
    { request: cookie, says: "bypass cookie", because: "nothing says who shares it" },
    { request: { fields: { cookie: "theme=dark" } }, says: "take-part", because: "it is declared harmless" },
    { request: login, says: "bypass authorization", because: "nothing says who shares it (RFC 9111 §3.5)" },
    { request: { clientCertificate: true }, says: "bypass client-certificate", because: "it names a user" },
    { request: cookie, route: { audience: "public" }, says: "take-part", because: "all share it" },
    { request: cookie, route: { audience: () => "ann" }, says: "take-part ann", because: "the user is in the key" },
    {
      request: cookie,
      route: { audience: () => undefined },
      says: "bypass audience",
      because: "no id, but an identity",
    },
    { route: { audience: () => undefined }, says: "take-part anonymous", because: "no id and no identity" },
    { request: login, route: { sharesAuthorized: true }, says: "take-part", because: "the profile shares it" },
    { request: cookie, route: { vary: ["cookie"] }, says: "take-part", because: "the cookie is in the key" },
  ])("identities: $request $route → $says: $because", (row) => {
    expect(told(row)).toBe(row.says);
  });

  it("calls no callback of a request that takes no part anyway", () => {
    const refuse = (): never => {
      throw new Error("called");
    };
    const route = { when: refuse, audience: refuse };
    expect(told({ request: { fields: { "if-match": '"a"' } }, route, says: "", because: "" })).toBe(
      "bypass precondition",
    );
    expect(told({ request: { method: "POST" }, route, says: "", because: "" })).toBe("pass unsafe");
  });
});
