import * as fc from "fast-check";
import { describe, expect, it } from "vitest";

import { NOT_PURGED, PURGED, PurgeTable } from "../../../src/stores/purging/table.ts";
import { targetText } from "../../../src/stores/purging/targets.ts";
import type { PurgeTarget, StoreEntry } from "../../../src/http.ts";

const NOTHING = new Uint8Array(0);

function entry(names: readonly string[] = [], uri?: string): StoreEntry {
  return { meta: {}, body: NOTHING, names, ...(uri === undefined ? {} : { uri }) };
}

function tableOf(target: PurgeTarget, soft = false): PurgeTable {
  const table = new PurgeTable();
  table.apply(10, soft, [targetText(target)]);
  return table;
}

function isPurged(target: PurgeTarget, key: string, each: StoreEntry): boolean {
  return tableOf(target).judge(9, key, each) === PURGED;
}

describe("which entries a purge covers", () => {
  const users = entry(["#users", "#user:7"], "https://api.test/users/7?lang=en");
  const key = "shop GET https://api.test/users/7?lang=en";

  it.each<{ target: PurgeTarget; covered: boolean; because: string }>([
    { target: { kind: "all" }, covered: true, because: "all is all" },
    { target: { kind: "name", text: "#users" }, covered: true, because: "it has the name" },
    { target: { kind: "name", text: "#user:7" }, covered: true, because: "it has this name too" },
    { target: { kind: "name", text: "#user:70" }, covered: false, because: "another name begins with its name" },
    { target: { kind: "name", text: "#user:" }, covered: false, because: "its name begins with another one" },
    { target: { kind: "name", text: "#USERS" }, covered: false, because: "names have case" },
    { target: { kind: "name", text: "*" }, covered: false, because: "names are no patterns" },
    { target: { kind: "name", text: "" }, covered: false, because: "the empty name is a name" },
    { target: { kind: "key", text: key }, covered: true, because: "it has the key" },
    { target: { kind: "key", text: `${key}&` }, covered: false, because: "a longer key is another one" },
    { target: { kind: "key", text: "#users" }, covered: false, because: "a name is no key" },
    { target: { kind: "uri", text: "https://api.test/users/7?lang=en" }, covered: true, because: "it has the URI" },
    { target: { kind: "uri", text: "HTTPS://API.test/users/7?lang=en" }, covered: true, because: "hosts have no case" },
    { target: { kind: "uri", text: "/users/7?lang=en" }, covered: true, because: "a path is one of any origin" },
    { target: { kind: "uri", text: "/Users/7?lang=en" }, covered: false, because: "paths have case" },
    { target: { kind: "uri", text: "/users/7" }, covered: false, because: "the query is part of the URI" },
    {
      target: { kind: "uri", text: "https://b.test/users/7?lang=en" },
      covered: false,
      because: "it is of another origin",
    },
    { target: { kind: "under", text: "/users" }, covered: true, because: "it is below" },
    { target: { kind: "under", text: "/users/" }, covered: true, because: "a closing slash says nothing" },
    { target: { kind: "under", text: "/users/7" }, covered: true, because: "it is the path itself, with a query" },
    {
      target: { kind: "under", text: "/users/7?lang=fr" },
      covered: true,
      because: "a query says nothing below a path",
    },
    { target: { kind: "under", text: "/" }, covered: true, because: "all paths are below the root" },
    { target: { kind: "under", text: "https://api.test" }, covered: true, because: "it is of the origin" },
    { target: { kind: "under", text: "https://api.test/" }, covered: true, because: "it is of the origin" },
    {
      target: { kind: "under", text: "https://api.test/users" },
      covered: true,
      because: "it is below, of that origin",
    },
    { target: { kind: "under", text: "https://b.test/users" }, covered: false, because: "it is of another origin" },
    { target: { kind: "under", text: "/user" }, covered: false, because: "a path ends at a slash" },
    { target: { kind: "under", text: "/users/70" }, covered: false, because: "a path ends at a slash" },
    { target: { kind: "under", text: "/users/7/friends" }, covered: false, because: "it is above" },
    { target: { kind: "under", text: "/*" }, covered: false, because: "paths are no patterns" },
  ])("$target.kind $target.text: $covered, $because", ({ target, covered }) => {
    expect(isPurged(target, key, users)).toBe(covered);
  });

  it.each(["usersAbc", "user", "users:", "Users", "users*", "user?", "[users]", "user[s]", "users ", "__proto__"])(
    "a purge of the tag users, and of the path /users, leaves %s alone",
    (neighbour) => {
      expect(isPurged({ kind: "name", text: "users" }, "k", entry([neighbour]))).toBe(false);
      expect(isPurged({ kind: "name", text: neighbour }, "k", entry(["users"]))).toBe(false);
      const path = `https://api.test/${neighbour}`;
      expect(isPurged({ kind: "under", text: "/users" }, "k", entry([], path))).toBe(false);
      expect(isPurged({ kind: "uri", text: "/users" }, "k", entry([], path))).toBe(false);
      expect(isPurged({ kind: "under", text: `/${neighbour}` }, "k", entry([], "https://api.test/users"))).toBe(false);
    },
  );

  it("tells long names apart and finds them", () => {
    const long = "x".repeat(5000);
    for (const kind of ["name", "key", "uri", "under"] as const) {
      const text = kind === "uri" || kind === "under" ? `/${long}` : long;
      const named = entry([text], `https://api.test${text}`);
      expect(isPurged({ kind, text }, text, named)).toBe(true);
      expect(isPurged({ kind, text: `${text}y` }, text, named)).toBe(false);
      expect(targetText({ kind, text }).length).toBeLessThanOrEqual(101);
    }
  });

  it("covers what is below a path of any depth", () => {
    const deep = "/a".repeat(300);
    expect(isPurged({ kind: "under", text: deep }, "k", entry([], `https://api.test${deep}/b?c`))).toBe(true);
    expect(isPurged({ kind: "under", text: "/a/a" }, "k", entry([], `https://api.test${deep}`))).toBe(true);
    expect(isPurged({ kind: "under", text: deep }, "k", entry([], "https://api.test/a/a"))).toBe(false);
  });

  it("agrees, for any paths, with what below means", () => {
    const segment = fc.constantFrom("a", "b", "ab", "", "%2f", "*", ".");
    const path = fc.array(segment, { maxLength: 5 }).map((segments) => `/${segments.join("/")}`);
    fc.assert(
      fc.property(path, path, fc.constantFrom("", "?q", "?q=/a", "#f"), (above, below, query) => {
        const bare = above.replace(/\/+$/, "");
        const expected = below === bare || below.startsWith(`${bare}/`);
        expect(isPurged({ kind: "under", text: above }, "k", entry([], `http://h${below}${query}`))).toBe(expected);
        expect(isPurged({ kind: "under", text: `http://h${above}` }, "k", entry([], `http://h${below}${query}`))).toBe(
          expected,
        );
      }),
      { numRuns: 1000 },
    );
  });

  it.each(["", "x", "xusers", "*all", "N#users"])("takes %j, which it does not know, for everything", (text) => {
    const table = new PurgeTable();
    table.apply(10, true, [text]);
    expect(table.judge(9, "k", entry())).toBe(PURGED);
    expect(table.judge(10, "k", entry())).toBe(NOT_PURGED);
  });
});

describe("when a purge holds", () => {
  const named = entry(["#a"]);
  const text = targetText({ kind: "name", text: "#a" });

  it("against what was asked for before it, and not after", () => {
    const table = tableOf({ kind: "name", text: "#a" });
    expect(table.judge(9, "k", named)).toBe(PURGED);
    expect(table.judge(10, "k", named)).toBe(NOT_PURGED);
    expect(table.judge(11, "k", named)).toBe(NOT_PURGED);
  });

  it("softly, with the position of the first soft purge of what is known", () => {
    const table = tableOf({ kind: "name", text: "#a" }, true);
    table.apply(20, true, [targetText({ kind: "key", text: "k" })]);
    expect(table.judge(9, "k", named)).toBe(10);
    expect(table.judge(10, "k", named)).toBe(20);
    expect(table.judge(20, "k", named)).toBe(NOT_PURGED);
  });

  it("hard, whether the soft one came before or after", () => {
    const table = tableOf({ kind: "name", text: "#a" }, true);
    table.apply(12, false, [text]);
    table.apply(14, true, [text]);
    expect(table.judge(9, "k", named)).toBe(PURGED);
    expect(table.judge(11, "k", named)).toBe(PURGED);
    expect(table.judge(13, "k", named)).toBe(14);
  });

  it("in whatever order purges become known", () => {
    const purges = fc.array(
      fc.record({ position: fc.integer({ min: 1, max: 50 }), soft: fc.boolean(), name: fc.constantFrom("#a", "#b") }),
    );
    fc.assert(
      fc.property(purges, fc.integer({ min: 0, max: 50 }), (list, position) => {
        const [forwards, backwards] = [new PurgeTable(), new PurgeTable()];
        for (const { position: at, soft, name } of list) forwards.apply(at, soft, [`n${name}`]);
        for (const { position: at, soft, name } of list.toReversed()) backwards.apply(at, soft, [`n${name}`]);
        expect(forwards.judge(position, "k", named)).toBe(backwards.judge(position, "k", named));
      }),
    );
  });

  it("against everything before a horizon", () => {
    const table = new PurgeTable();
    table.forgetBefore(10);
    expect(table.judge(9, "k", entry())).toBe(PURGED);
    expect(table.judge(10, "k", entry())).toBe(NOT_PURGED);
  });
});

describe("a table stays small, however much is purged", () => {
  it("forgets none of 100,000 names, and touches nothing that is asked for later", () => {
    const table = new PurgeTable({ exactTargets: 1000, paths: 10 });
    for (let index = 1; index <= 100_000; index += 1) table.apply(index, false, [`n#${index}`]);
    for (let index = 1; index <= 100_000; index += 1) {
      expect(table.judge(index - 1, "k", entry([`#${index}`]))).toBe(PURGED);
    }
    for (let index = 1; index <= 1000; index += 1) {
      expect(table.judge(100_000, "k", entry([`#${index}`]))).toBe(NOT_PURGED);
    }
  });

  it("touches few entries that were never purged", () => {
    const table = new PurgeTable({ exactTargets: 1000, paths: 10 });
    for (let index = 1; index <= 11_000; index += 1) table.apply(index, false, [`n#${index}`]);
    const others = Array.from({ length: 10_000 }, (_, index) => entry([`#other ${index}`]));
    const purged = others.filter((each) => table.judge(0, "k", each) === PURGED).length;
    expect(purged).toBeGreaterThan(0);
    expect(purged).toBeLessThan(1500);
  });

  it("forgets no purge of a path: the oldest become a purge of all that is older", () => {
    const table = new PurgeTable({ exactTargets: 1000, paths: 10 });
    for (let index = 1; index <= 100; index += 1) table.apply(index, index % 2 === 0, [`b/${index}`]);
    for (let index = 1; index <= 100; index += 1) {
      expect(table.judge(index - 1, "k", entry([], `https://h/${index}/x`))).not.toBe(NOT_PURGED);
    }
    expect(table.judge(95, "k", entry([], "https://h/other"))).toBe(NOT_PURGED);
    expect(table.judge(50, "k", entry([], "https://h/other"))).toBe(PURGED);
  });
});

describe("what a table costs", () => {
  function cpuMs(act: () => void): number {
    const started = process.cpuUsage();
    act();
    const { user, system } = process.cpuUsage(started);
    return (user + system) / 1000;
  }

  it("is little for a long, deep URL, whatever paths were purged", () => {
    const table = new PurgeTable();
    table.apply(10, false, [targetText({ kind: "under", text: "/reports" })]);
    table.apply(11, true, [targetText({ kind: "under", text: `/${"long".repeat(100)}` })]);
    const hostile = entry([], `https://h/${"x".repeat(14_000)}${"/b".repeat(500)}`);
    // Hashing each ancestor took 9 ms.
    const judged = cpuMs(() => {
      for (let round = 0; round < 1000; round += 1) expect(table.judge(5, "k", hostile)).toBe(NOT_PURGED);
    });
    expect(judged).toBeLessThan(2000);
  });

  it("finds a long path below which everything was purged", () => {
    const long = `/${"long".repeat(100)}`;
    const table = new PurgeTable();
    table.apply(10, false, [targetText({ kind: "under", text: long })]);
    expect(table.judge(9, "k", entry([], `https://h${long}/x`))).toBe(PURGED);
    expect(table.judge(9, "k", entry([], `https://h${long}x/x`))).toBe(NOT_PURGED);
  });

  it("does not grow with the targets that were pushed out", () => {
    const table = new PurgeTable();
    const texts = Array.from({ length: 200_000 }, (_, index) => `n#${index}`);
    // Looking for the oldest from the beginning took 40 µs each, 6 s here.
    expect(cpuMs(() => table.apply(10, false, texts))).toBeLessThan(2000);
  });
});

describe("soft purges one after the other", () => {
  function outdated(purgedAt: readonly number[], position: number): number {
    const table = new PurgeTable();
    for (const each of purgedAt) table.apply(each, true, ["n#a", "*"]);
    return table.judge(position, "k", entry(["#a"]));
  }

  it("make an entry stale at the first of them that is about it, in whatever order they come", () => {
    expect(outdated([10, 20, 30], 5)).toBe(10);
    expect(outdated([30, 10, 20], 10)).toBe(20);
    expect(outdated([10, 10, 30], 25)).toBe(30);
    expect(outdated([10, 20, 30], 30)).toBe(NOT_PURGED);
  });

  it("of which only the latest eight are known make an older entry stale at once", () => {
    const many = Array.from({ length: 20 }, (_, index) => (index + 1) * 10);
    expect(outdated(many, 5)).toBe(6);
    expect(outdated(many, 145)).toBe(150);
    expect(outdated(many, 195)).toBe(200);
  });
});
