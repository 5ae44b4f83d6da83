import { describe, expect, it } from "vitest";

import { RedisClock } from "../../../../src/stores/redis/client/server-clock.ts";

describe("the clock of the server", () => {
  it("is not known, and due, before the first reading", () => {
    const clock = new RedisClock(() => 0);
    expect(clock.nowMs()).toBeUndefined();
    expect(clock.offsetMs).toBeUndefined();
    expect(clock.isDue).toBe(true);
  });

  it("is read half way between sending and receiving", () => {
    const clock = new RedisClock(() => 1000);
    const nowMs = performance.now();
    clock.take(50_000, nowMs - 20, nowMs);
    expect(clock.isDue).toBe(false);
    expect(clock.nowMs()).toBeCloseTo(50_010 + performance.now() - nowMs, -2);
    expect(clock.offsetMs).toBeCloseTo(49_010 + performance.now() - nowMs, -2);
  });

  it("does not jump with the wall clock here", () => {
    let hereMs = 1000;
    const clock = new RedisClock(() => hereMs);
    const nowMs = performance.now();
    clock.take(50_000, nowMs, nowMs);
    const before = clock.nowMs() ?? 0;
    hereMs = 0;
    expect((clock.nowMs() ?? 0) - before).toBeLessThan(1000);
  });

  it("has one name for each wall clock, and keeps the first that it is given", () => {
    const now = (): number => 7;
    const clock = new RedisClock();
    clock.use(now);
    clock.use(() => 8);
    expect(clock.hereMs()).toBe(7);
    expect(clock.name).toBe(new RedisClock(now).name);
    expect(clock.name).not.toBe(new RedisClock(() => 7).name);
  });
});
