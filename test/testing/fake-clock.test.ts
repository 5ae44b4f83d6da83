import { describe, expect, it } from "vitest";
import { fakeClock } from "../../src/testing.ts";

describe("fakeClock", () => {
  it("stands still, from 2026 on unless told otherwise", () => {
    const clock = fakeClock();
    expect(clock.now()).toBe(Date.UTC(2026, 0, 1));
    expect(clock.now()).toBe(clock.now());
    expect(fakeClock(7).now()).toBe(7);
  });

  it("moves by the sum of the parts, also back", () => {
    const clock = fakeClock(0);
    clock.advance({ days: 1, hours: 2, minutes: 3, seconds: 4, ms: 5 });
    expect(clock.now()).toBe(93_784_005);
    clock.advance({ seconds: -4 });
    expect(clock.now()).toBe(93_780_005);
  });

  it("works without its object, and apart from other clocks", () => {
    const clock = fakeClock(0);
    const { now } = clock;
    fakeClock(0).advance({ days: 1 });
    clock.advance({ ms: 1 });
    expect(now()).toBe(1);
  });
});
