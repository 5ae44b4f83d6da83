import { describe, expect, it } from "vitest";

import { InFlight } from "../../../../src/stores/redis/health/in-flight.ts";
import { MAX_WAITING_LOOK_UPS, MAX_WAITING_OTHERS } from "../../../../src/stores/redis/health/limits.ts";

function begin(inFlight: InFlight, count: number, place: "lookUps" | "others"): (() => void)[] {
  return Array.from({ length: count }, () => inFlight.begin(place, 0));
}

describe("commands that wait for an answer", () => {
  it("are bounded, look-ups apart from the rest", () => {
    const inFlight = new InFlight(1000);
    begin(inFlight, MAX_WAITING_LOOK_UPS - 1, "lookUps");
    expect(inFlight.tooMany("lookUps")).toBeUndefined();
    begin(inFlight, 1, "lookUps");
    expect(inFlight.tooMany("lookUps")).toBe("1024 look-ups");
    expect(inFlight.tooMany("others")).toBeUndefined();
    begin(inFlight, MAX_WAITING_OTHERS, "others");
    expect(inFlight.tooMany("others")).toBe("10240 commands");
  });

  it("carry a bounded number of bytes, but for one write that is larger by itself", () => {
    const inFlight = new InFlight(1000);
    expect(inFlight.tooMuch(5000)).toBeUndefined();
    inFlight.begin("others", 600);
    expect(inFlight.tooMuch(400)).toBeUndefined();
    expect(inFlight.tooMuch(401)).toBe("600 bytes");
  });

  it("end once, however often they are said to", () => {
    const inFlight = new InFlight(1000);
    inFlight.begin("others", 600);
    const landed = inFlight.begin("others", 300);
    landed();
    landed();
    expect(inFlight.tooMuch(500)).toBe("600 bytes");
  });

  it("over an old connection neither count nor end what counts now", () => {
    const inFlight = new InFlight(1000);
    const landed = inFlight.begin("others", 900);
    inFlight.reset();
    expect(inFlight.tooMuch(900)).toBeUndefined();
    inFlight.begin("others", 900);
    landed();
    expect(inFlight.tooMuch(200)).toBe("900 bytes");
  });
});
