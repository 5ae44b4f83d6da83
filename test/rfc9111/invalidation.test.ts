import * as fc from "fast-check";
import { describe, expect, it } from "vitest";

import { invalidatedUris, isSafeMethod } from "../../src/rfc9111/index.ts";
import type { CacheRequest, Fields } from "../../src/rfc9111/index.ts";
import { headOf, requestOf } from "./nouns.ts";

const TARGET = "https://api.example/users/7?x=1";

describe("invalidation (RFC 9111 §4.4)", () => {
  it.each<{ given?: Partial<CacheRequest>; status?: number; fields?: Fields; uris: string[]; because: string }>([
    { uris: [TARGET], because: "the target itself" },
    { given: { method: "PUT" }, status: 204, uris: [TARGET], because: "any 2xx" },
    { given: { method: "DELETE" }, status: 303, uris: [TARGET], because: "any 3xx" },
    { given: { method: "FOO" }, uris: [TARGET], because: "a method we do not know may change things" },
    { status: 404, uris: [], because: "it failed" },
    { status: 500, uris: [], because: "it failed" },
    { status: 103, uris: [], because: "not yet" },
    { fields: { location: "/users/8" }, uris: [TARGET, "https://api.example/users/8"], because: "Location" },
    {
      fields: { "content-location": "8" },
      uris: [TARGET, "https://api.example/users/8"],
      because: "relative to the target",
    },
    {
      fields: { location: "https://API.example:443/a/../b?c#d" },
      uris: [TARGET, "https://api.example/b?c"],
      because: "resolved, in the request's own words",
    },
    {
      fields: { location: "/a", "content-location": "/b" },
      uris: [TARGET, "https://api.example/a", "https://api.example/b"],
      because: "both",
    },
    { fields: { location: "/users/7?x=1#top" }, uris: [TARGET], because: "the target is named once" },
    { fields: { location: "https://other.example/a" }, uris: [TARGET], because: "another host" },
    { fields: { location: "http://api.example/a" }, uris: [TARGET], because: "another scheme" },
    { fields: { location: "https://api.example:8443/a" }, uris: [TARGET], because: "another port" },
    { fields: { location: "//other.example/a" }, uris: [TARGET], because: "another host, without a scheme" },
    {
      fields: { location: "https://api.example@other.example/" },
      uris: [TARGET],
      because: "another host, in disguise",
    },
    { fields: { location: "data:text/plain,a" }, uris: [TARGET], because: "no origin at all" },
    { fields: { location: "https://[" }, uris: [TARGET], because: "not a URI" },
    {
      given: { authority: "api.example:443" },
      fields: { location: "/a" },
      uris: ["https://api.example:443/users/7?x=1", "https://api.example:443/a"],
      because: "the authority is spelt as in the keys",
    },
  ])("$given $status $fields → $uris: $because", ({ given, status, fields, uris }) => {
    const request = requestOf({ method: "POST", path: "/users/7?x=1", ...given });
    expect(invalidatedUris(request, headOf(fields ?? {}, status ?? 200))).toEqual(uris);
  });

  it.each(["GET", "HEAD", "OPTIONS", "TRACE", "QUERY"])("%s is safe and invalidates nothing", (method) => {
    expect(isSafeMethod(method)).toBe(true);
    expect(invalidatedUris(requestOf({ method }), headOf({ location: "/a" }))).toEqual([]);
  });

  it.each(["POST", "PUT", "PATCH", "DELETE", "M-SEARCH", "get", "", "__proto__"])("%s is not safe", (method) => {
    expect(isSafeMethod(method)).toBe(false);
  });

  it("never throws, and never names another origin", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.webUrl()), fc.string(), (location, path) => {
        const request = requestOf({ method: "POST", path: `/${path}` });
        for (const uri of invalidatedUris(request, headOf({ location }))) {
          expect(uri.startsWith("https://api.example/")).toBe(true);
        }
      }),
    );
  });
});
