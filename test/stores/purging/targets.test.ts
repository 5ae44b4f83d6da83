import { describe, expect, it } from "vitest";

import { digestedLength, pathStart, shortName, someAncestor, targetText } from "../../../src/stores/purging/targets.ts";
import type { PurgeTarget } from "../../../src/http.ts";

const LONG = "x".repeat(200);

describe("the text of a target", () => {
  it.each<{ target: PurgeTarget; text: string; because: string }>([
    { target: { kind: "all" }, text: "*", because: "everything" },
    { target: { kind: "name", text: "#a" }, text: "n#a", because: "a name stays as it is" },
    { target: { kind: "key", text: "p k" }, text: "kp k", because: "a key stays as it is" },
    {
      target: { kind: "uri", text: "http://A.test" },
      text: "uhttp://a.test/",
      because: "hosts have no case, a path is /",
    },
    { target: { kind: "uri", text: "/A?b" }, text: "u/A?b", because: "paths have a case" },
    { target: { kind: "under", text: "/a/?q#f" }, text: "b/a", because: "query and closing slashes do not count" },
    { target: { kind: "under", text: "http://A.test/" }, text: "bhttp://a.test", because: "all of an origin" },
    { target: { kind: "under", text: "/" }, text: "b", because: "all paths" },
  ])("$text: $because", ({ target, text }) => {
    expect(targetText(target)).toBe(text);
  });

  it("is short whatever is named, and says how long the name was", () => {
    const text = shortName(LONG);
    expect(text.length).toBeLessThan(100);
    expect(digestedLength(text)).toBe(200);
    expect(digestedLength("#a")).toBeUndefined();
    expect(shortName(`${LONG}1`)).not.toBe(shortName(`${LONG}2`));
  });
});

describe("a URI", () => {
  it.each([
    { uri: "http://a.test/b", start: 13 },
    { uri: "http://a.test", start: 13 },
    { uri: "/b?c=http://d", start: 0 },
    { uri: "no uri", start: 0 },
  ])("$uri has its path at $start", ({ uri, start }) => {
    expect(pathStart(uri)).toBe(start);
  });

  it("has itself, each path above it and its origin as ancestors", () => {
    const ancestors: string[] = [];
    someAncestor("http://a.test/b/c?d", (ancestor) => {
      ancestors.push(ancestor);
      return false;
    });
    expect(ancestors).toEqual(["http://a.test", "", "http://a.test/b", "/b", "http://a.test/b/c", "/b/c"]);
  });

  it("is not walked further than to the ancestor that is looked for", () => {
    let visits = 0;
    expect(someAncestor("/a/b/c", (ancestor) => ++visits > 0 && ancestor === "/a")).toBe(true);
    expect(visits).toBe(2);
  });
});
