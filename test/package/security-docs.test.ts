import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { HARMLESS_COOKIES, LOGIN_FIELDS } from "../../src/index.ts";

const page = readFileSync(join(import.meta.dirname, "../../docs/security.md"), "utf8");

describe("docs/security.md", () => {
  it.each([
    { what: "harmless cookies", lists: HARMLESS_COOKIES },
    { what: "fields that stand for a login", lists: LOGIN_FIELDS },
  ])("lists all $what, and no others", ({ lists }) => {
    for (const [purpose, names] of Object.entries(lists)) {
      const row = page.split("\n").find((line) => line.startsWith(`| ${purpose} `)) ?? "";
      expect(
        [...row.matchAll(/`([^`]+)`/g)].map(([, name]) => name),
        purpose,
      ).toEqual(names);
    }
  });
});
