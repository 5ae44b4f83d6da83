import { describe, expect, it } from "vitest";

import { Unanswered } from "../../../../src/stores/redis/health/unanswered.ts";

describe("a part of the store is silent", () => {
  it("when commands stay without an answer for three seconds", () => {
    const unanswered = new Unanswered();
    for (let ms = 0; ms < 3000; ms += 100) {
      unanswered.add(ms);
      expect(unanswered.isTimeForANewClient(ms)).toBe(false);
    }
    unanswered.add(3000);
    expect(unanswered.isTimeForANewClient(3000)).toBe(true);
    expect(unanswered.isTimeForANewClient(3001), "asked for once").toBe(false);
  });

  it("and not when it is slow: late answers count", () => {
    const unanswered = new Unanswered();
    const waiting: (() => void)[] = [];
    for (let ms = 0; ms < 30_000; ms += 10) {
      waiting.push(unanswered.add(ms));
      if (waiting.length > 50) waiting.shift()?.();
      expect(unanswered.isTimeForANewClient(ms)).toBe(false);
    }
  });

  it("and not when an outage took some commands with it and is over", () => {
    const unanswered = new Unanswered();
    for (let at = 0; at < 100; at += 1) unanswered.add(at);
    for (let ms = 10_000; ms < 20_000; ms += 1500) {
      unanswered.add(ms)();
      expect(unanswered.isTimeForANewClient(ms)).toBe(false);
    }
  });

  it("for longer each time, so that clients are not made without end", () => {
    const unanswered = new Unanswered();
    const atMs: number[] = [];
    for (let ms = 0; ms < 60_000; ms += 100) {
      unanswered.add(ms);
      if (unanswered.isTimeForANewClient(ms)) atMs.push(ms);
    }
    expect(atMs[0]).toBe(3000);
    expect(atMs.length).toBeLessThanOrEqual(6);
    // A calm minute later it is an accident of its own again.
    for (let ms = 200_000; ms < 203_000; ms += 100) unanswered.add(ms);
    expect(unanswered.isTimeForANewClient(203_000)).toBe(true);
  });
});
