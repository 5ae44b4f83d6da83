import { describe, expect, it } from "vitest";

import { clusterSlot } from "../../../src/stores/redis/client/cluster-slot.ts";
import { entryKeys, logKeys, tagOf } from "../../../src/stores/redis/keys.ts";

describe("keys in Redis", () => {
  it("of an entry and its lease are on one Cluster slot, and differ", () => {
    const { entry, lease } = entryKeys("p GET http://a.test/users?x=1");
    expect(entry).toMatch(/^p:1:GET_http_\/\/a\.test\/users\?x=1:\{[\w-]{22}\}$/);
    expect(lease).toMatch(/^p:1:lease:\{[\w-]{22}\}$/);
    expect(clusterSlot(lease)).toBe(clusterSlot(entry));
    expect(tagOf(entry)).toBe(tagOf(lease));
  });

  it("of an entry that is called lease are not those of its lease", () => {
    const { entry, lease } = entryKeys("p lease");
    expect(entry).not.toBe(lease);
  });

  it("of names that are alike differ by their hash", () => {
    const long = "x".repeat(200);
    const names = ["a:b", "a_b", "a{b", "a*b", `${long}1`, `${long}2`];
    expect(new Set(names.map((name) => entryKeys(`p ${name}`).entry)).size).toBe(names.length);
  });

  it("have no pattern, hash tag or separator of a prefix or a name in them", () => {
    const { entry } = entryKeys("p:{q}* a:{b}*[c]");
    expect(entry).toMatch(/^p__q__:1:a__b___c_:\{[\w-]{22}\}$/);
  });

  it("of a purge log and its end are on one Cluster slot", () => {
    const { log, end } = logKeys("p");
    expect({ log, end }).toEqual({ log: "p:1:{p}:log", end: "p:1:{p}:pos" });
    expect(clusterSlot(log)).toBe(clusterSlot(end));
  });
});
