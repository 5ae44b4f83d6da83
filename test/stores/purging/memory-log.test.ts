import { describe, expect, it } from "vitest";

import { inProcessLog } from "../../../src/stores/purging/memory-log.ts";
import { memoryStore } from "../../../src/stores/memory/index.ts";
import type { PurgeTarget, StoreEntry } from "../../../src/http.ts";

const TAG: PurgeTarget = { kind: "name", text: "#a" };
const HARD = { soft: false };
const NOW_MS = 1_764_000_000_000;

function entry(generation?: string, names: readonly string[] = ["#a"]): StoreEntry {
  const plain: StoreEntry = { meta: { status: 200 }, body: new TextEncoder().encode("body"), names };
  return generation === undefined ? plain : { ...plain, generation };
}

describe("purge log in a process", () => {
  it("gives a position at once and moves it with each purge", () => {
    const log = inProcessLog(() => NOW_MS);
    const first = log.generation("p");
    expect(first).toMatch(/^[0-9a-f]{32}:0-0$/);
    const receipt = log.purge("p", [TAG], HARD);
    expect(receipt.before).toBe(first);
    expect(receipt.after).toBe(log.generation("p"));
    expect(log.purge("p", [TAG], HARD).before).toBe(receipt.after);
    expect(log.generation("other")).toBe(first);
    expect(log.verify("p")).toBe(true);
    expect(log.verifiedAtMs("p")).toBe(Infinity);
  });

  it("goes on when the clock goes back", () => {
    let nowMs = NOW_MS;
    const log = inProcessLog(() => nowMs);
    const before = entry(log.purge("p", [TAG], HARD).after);
    nowMs -= 1_000_000;
    for (let round = 0; round < 5000; round += 1) log.purge("p", [TAG], HARD);
    expect(log.judge("p", "p k", before)).toBe("purged");
    expect(log.judge("p", "p k", entry(log.generation("p")))).toBe("valid");
  });

  it("a purge of nothing changes nothing", () => {
    const log = inProcessLog(() => NOW_MS);
    const { before, after } = log.purge("p", [], HARD);
    expect(before).toBe(after);
    expect(log.hasPurges).toBe(false);
  });

  it("counts what comes from another log as older than all purges", () => {
    const [log, other] = [inProcessLog(() => NOW_MS), inProcessLog(() => NOW_MS)];
    const foreign = entry(other.generation("p"));
    expect(log.judge("p", "p k", foreign)).toBe("valid");
    log.purge("p", [{ kind: "name", text: "#b" }], HARD);
    expect(log.judge("p", "p k", foreign)).toBe("valid");
    log.purge("p", [TAG], HARD);
    expect(log.judge("p", "p k", foreign)).toBe("purged");
    expect(log.judge("p", "p k", entry())).toBe("purged");
    expect(log.judge("p", "p k", entry("garbage"))).toBe("purged");
  });

  it("a soft purge has the time of its clock", () => {
    let nowMs = NOW_MS;
    const log = inProcessLog(() => nowMs);
    const kept = entry(log.generation("p"));
    log.purge("p", [TAG], { soft: true });
    nowMs += 60_000;
    expect(log.judge("p", "p k", kept)).toEqual({ outdatedAtMs: NOW_MS });
    log.purge("p", [TAG], HARD);
    expect(log.judge("p", "p k", kept)).toBe("purged");
  });
});

describe("purges of the memory store", () => {
  it("hold at once, also against what was asked for before and put after", () => {
    const store = memoryStore();
    const generation = store.purges.generation("p");
    store.put("p kept", entry(generation), 60_000);
    expect(store.purges.purge("p", [TAG], HARD)).not.toBeInstanceOf(Promise);
    expect(store.get("p kept")).toBeUndefined();
    expect(store.entryCount).toBe(0);
    store.put("p late", entry(generation), 60_000);
    expect(store.get("p late")).toBeUndefined();
    store.put("p fresh", entry(store.purges.generation("p")), 60_000);
    expect(store.get("p fresh")).toBeDefined();
  });

  it("a late put of what was purged leaves the newer entry where it is", () => {
    const store = memoryStore();
    const old = entry(store.purges.generation("p"));
    store.purges.purge("p", [{ kind: "key", text: "p k" }], HARD);
    const fresh = entry(store.purges.generation("p"));
    store.put("p k", fresh, 60_000);
    store.put("p k", old, 60_000);
    expect(store.get("p k")).toBe(fresh);
  });

  it("softly leave it with the time, and the decoded form", () => {
    const store = memoryStore({ now: () => NOW_MS });
    const live = { value: { decoded: true } };
    store.put("p k", { ...entry(store.purges.generation("p")), live }, 60_000);
    store.purges.purge("p", [TAG], { soft: true });
    expect(store.get("p k")).toMatchObject({ outdatedAtMs: NOW_MS, live });
    expect(store.get("p k")?.live).toBe(live);
  });
});
