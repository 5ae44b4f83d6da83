import { describe, expect, it } from "vitest";

import { KnownQueries } from "../../../src/engine/request/known-queries.ts";
import type { QueryRule } from "../../../src/rfc9111/cache-key.ts";

function knownQueries(...rules: readonly QueryRule[]): KnownQueries {
  const known = new KnownQueries();
  for (const query of rules) known.add({ keyRules: { prefix: "test", query }, searchRule: undefined });
  return known;
}

const only = (...names: readonly string[]): QueryRule => ({ only: new Set(names) });
const except = (...names: readonly string[]): QueryRule => ({ except: new Set(names) });

describe("URIs that routes know a response by", () => {
  it.each<{ rules: readonly QueryRule[]; uri: string; uris: readonly string[]; because: string }>([
    { rules: ["all", "as-sent"], uri: "/a?b=1", uris: [], because: "the whole query is in the key" },
    { rules: ["none"], uri: "/a?b=1", uris: ["/a"], because: "no query is in the key" },
    { rules: ["none"], uri: "/a", uris: [], because: "it has no query" },
    { rules: [only("b")], uri: "http://h/a?b=1&c=2", uris: ["http://h/a?b=1"], because: "the other is dropped" },
    { rules: [only("b")], uri: "/a?b=1", uris: [], because: "nothing is dropped" },
    { rules: [only("b"), except("c")], uri: "/a?b=1&c=2", uris: ["/a?b=1"], because: "two rules make the same URI" },
    { rules: [only("c"), "none"], uri: "/a?b=1&c=2", uris: ["/a?c=2", "/a"], because: "each rule may hold" },
  ])("$uri → $uris: $because", ({ rules, uri, uris }) => {
    expect(knownQueries(...rules).urisOf(uri)).toEqual(uris);
  });

  it("are the same for one rule however often it is given", () => {
    const rules = Array.from({ length: 1000 }, (_, at) => (at % 2 === 0 ? only("b", "c") : only("c", "b")));
    expect(knownQueries(...rules).urisOf("/a?b=1&d=1")).toEqual(["/a?b=1"]);
  });

  it("are all with any query where there are more rules or URIs than one small command takes", () => {
    const rules = Array.from({ length: 201 }, (_, at) => only(`p${at}`));
    expect(knownQueries(...rules).urisOf("/a?b=1")).toBe("any query");
    const few = knownQueries(...rules.slice(0, 200));
    expect(few.urisOf("/a?p1=1&p2=2&b=1")).toEqual(["/a", "/a?p1=1", "/a?p2=2"]);
    const query = Array.from({ length: 40 }, (_, at) => `p${at}=1`).join("&");
    expect(few.urisOf(`/a?${query}`)).toBe("any query");
  });
});
