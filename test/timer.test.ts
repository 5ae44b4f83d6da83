import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { startTimer } from "../src/timer.ts";

const DAY_MS = 24 * 60 * 60 * 1000;

describe("timers", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it.each([
    { ms: 0, what: "at once" },
    { ms: 2 ** 31 - 1, what: "the longest span of setTimeout" },
    { ms: 2 ** 31, what: "a millisecond more" },
    { ms: 30 * DAY_MS, what: "a month" },
    { ms: 365 * DAY_MS, what: "a year" },
  ])("fire once, after $ms ms: $what", ({ ms }) => {
    const fired = vi.fn<() => void>();
    startTimer(ms, fired);
    vi.advanceTimersByTime(Math.max(0, ms - 1));
    expect(fired).toHaveBeenCalledTimes(ms === 0 ? 1 : 0);
    vi.advanceTimersByTime(400 * DAY_MS);
    expect(fired).toHaveBeenCalledTimes(1);
  });

  it("can be stopped in each part of a long span", () => {
    const fired = vi.fn<() => void>();
    const stop = startTimer(60 * DAY_MS, fired);
    vi.advanceTimersByTime(50 * DAY_MS);
    stop();
    expect(vi.getTimerCount()).toBe(0);
    expect(fired).not.toHaveBeenCalled();
  });
});
