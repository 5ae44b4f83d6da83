import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { EXPLAIN_FLAGS } from "../../src/cli/explain.ts";
import type { Flag } from "../../src/cli/flags.ts";
import { PROXY_FLAGS } from "../../src/cli/proxy-settings.ts";
import { PROFILE_NAMES } from "../../src/options/profiles.ts";
import { DEFAULT_PROFILE } from "../../src/proxy/profile.ts";

const root = join(import.meta.dirname, "../..");
const guide = readFileSync(join(root, "docs/proxy.md"), "utf8");
const readme = readFileSync(join(root, "README.md"), "utf8");

/** The cells of every table row that begins with a flag, below the heading of one command. */
function flagRows(text: string, heading: string): string[][] {
  const start = text.indexOf(`\n${heading}\n`) + 1 || text.indexOf(`${heading}\n`);
  expect(start).toBeGreaterThanOrEqual(0);
  const end = text.indexOf("\n# ", start + 1);
  return text
    .slice(start, end === -1 ? undefined : end)
    .split("\n")
    .filter((line) => line.startsWith("| `--"))
    .map((line) => line.split("|").slice(1, -1))
    .map((cells) => cells.map((cell) => cell.trim()));
}

function rowOf({ name, value, help, default: byDefault }: Flag): string[] {
  const flag = `\`--${name}${value === undefined ? "" : ` ${value}`}\``;
  return [flag, byDefault === undefined ? "" : `\`${byDefault}\``, help];
}

describe("docs/proxy.md", () => {
  it.each([
    ["# reprise proxy", PROXY_FLAGS],
    ["# reprise explain", EXPLAIN_FLAGS],
  ] as const)("%s lists every flag with its default and its help, and no other", (heading, flags) => {
    expect(flagRows(guide, heading)).toEqual(flags.map(rowOf));
  });

  it("has a column for each profile, and says which one is the default", () => {
    const header = guide.split("\n").find((line) => line.includes("`rfc9111-shared`") && line.startsWith("| ")) ?? "";
    for (const name of PROFILE_NAMES)
      expect(header).toContain(`\`${name}\`${name === DEFAULT_PROFILE ? " (default)" : ""}`);
  });
});

describe("README.md", () => {
  const rows = flagRows(readme, "## In front of any HTTP API").filter(([, byDefault]) => byDefault !== undefined);

  it("names flags that exist, with the defaults they have", () => {
    expect(rows.length).toBeGreaterThan(5);
    for (const [names = "", byDefault] of rows) {
      for (const [, name] of names.matchAll(/--([a-z-]+)/g)) {
        const flag = PROXY_FLAGS.find((candidate) => candidate.name === name);
        expect(flag, `--${name}`).toBeDefined();
        expect(byDefault).toBe(flag?.default === undefined ? "" : `\`${flag.default}\``);
      }
    }
  });

  it.each(PROFILE_NAMES)("has a row for profile %s", (name) => {
    expect(readme).toContain(`\n| \`${name}\` `);
  });
});
