import * as fc from "fast-check";
import { describe, expect, it } from "vitest";

import { originSpelling, pathSpellings, targetSpellings } from "../../../src/engine/request/spelling.ts";

describe("the one spelling of URIs for purges", () => {
  it.each<{ path: string; spelled: readonly string[] }>([
    { path: "/", spelled: ["/"] },
    { path: "//", spelled: ["/"] },
    { path: "/Users/7/", spelled: ["/users/7"] },
    { path: "/%7Ea-%5F%2E", spelled: ["/~a-_."] },
    { path: "/a%40b@%3A:", spelled: ["/a@b@::"] },
    { path: "/caf%C3%a9", spelled: ["/caf%c3%a9"] },
    { path: "/caf\u00e9", spelled: ["/caf%c3%a9"] },
    { path: "/a%2Fb%3fc%23%25", spelled: ["/a%2fb%3fc%23%25"] },
    { path: "/a%zz%", spelled: ["/a%zz%"] },
    { path: "/a%20b%00", spelled: ["/a%20b%00"] },
    { path: "/a//b", spelled: ["/a//b", "/a/b"] },
    { path: "/a/%2e%2E/b", spelled: ["/a/../b", "/b"] },
    { path: "/.well-known/x", spelled: ["/.well-known/x"] },
    { path: "/..", spelled: ["/..", "/"] },
  ])("$path → $spelled", ({ path, spelled }) => {
    expect(pathSpellings(path)).toEqual(spelled);
  });

  it.each<{ target: string; spelled: readonly string[] }>([
    { target: "/A?", spelled: ["/a"] },
    { target: "/A?B=C&a=1", spelled: ["/a?B=C&a=1"] },
    { target: "/?b=2&a=1", spelled: ["/?a=1&b=2"] },
    { target: "/?q=a+b", spelled: ["/?q=a%20b"] },
    { target: "/?q=a b", spelled: ["/?q=a%20b"] },
    { target: "/?q=%26%3d%2B%3B%7E", spelled: ["/?q=%26%3D%2B%3B~"] },
    { target: "/?a%5B%5D=1", spelled: ["/?a[]=1"] },
  ])("$target → $spelled", ({ target, spelled }) => {
    expect(targetSpellings(target)).toEqual(spelled);
  });

  it.each<{ origin: string; spelled: string }>([
    { origin: "", spelled: "" },
    { origin: "http://A.example:80", spelled: "http://a.example" },
    { origin: "https://a.example:443", spelled: "https://a.example" },
    { origin: "https://a.example:80", spelled: "https://a.example:80" },
    { origin: "http://a.example.", spelled: "http://a.example" },
    { origin: "http://[::1]:8080", spelled: "http://[::1]:8080" },
    { origin: "http://m\u00fcnchen.example", spelled: "http://xn--mnchen-3ya.example" },
    { origin: "http://[bad", spelled: "http://[bad" },
  ])("$origin → $spelled", ({ origin, spelled }) => {
    expect(originSpelling(origin)).toBe(spelled);
  });

  it("is one for all ways to write the same, and spelling it again changes nothing", () => {
    const character = fc.constantFrom(...Array.from("abcXYZ019-._~!$'()*,:@%/ \u00e9\u20ac"));
    const segment = fc.array(character, { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(segment, fc.infiniteStream(fc.boolean()), (characters, choices) => {
        const choose = (): boolean => choices.next().value === true;
        const written = (text: string): string => {
          const code = text.charCodeAt(0);
          if (code > 0x7e || text === " ") return choose() ? text : encodeURIComponent(text);
          if (text === "%" || text === "/") return encodeURIComponent(text);
          const triplet = `%${code.toString(16)}`;
          return choose() ? text : choose() ? triplet : triplet.toUpperCase();
        };
        const path = (): string => `/x${characters.map(written).join("")}${choose() ? "/" : ""}`;
        const [one] = pathSpellings(path());
        expect(pathSpellings(path())[0]).toBe(one);
        expect(pathSpellings(one)[0]).toBe(one);
      }),
    );
  });

  it("takes time in proportion to the length of the path", () => {
    const path = `/${"/".repeat(500_000)}a${"%2e".repeat(200_000)}`;
    const startedMs = performance.now();
    pathSpellings(path);
    expect(performance.now() - startedMs).toBeLessThan(2_000);
  });
});
