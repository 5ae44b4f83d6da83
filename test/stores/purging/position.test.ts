import * as fc from "fast-check";
import { describe, expect, it } from "vitest";

import { positionAt, positionIn, positionMs, positionText } from "../../../src/stores/purging/position.ts";

const MS = fc.integer({ min: 0, max: 4_000_000_000_000 });
const COUNT = fc.integer({ min: 0, max: 2047 });

describe("positions", () => {
  it("are the same number after a way through text, and know their time", () => {
    fc.assert(
      fc.property(MS, COUNT, (ms, count) => {
        const position = positionAt(ms, count);
        expect(positionText(position)).toBe(`${ms}-${count}`);
        expect(positionIn(`epoch:${positionText(position)}`, "epoch")).toBe(position);
        expect(positionMs(position)).toBe(ms);
      }),
    );
  });

  it.each([
    { ms: 1, count: 2048, because: "a millisecond has 2048 positions" },
    { ms: 9_999_999_999_999, count: 0, because: "a position is a safe integer" },
    { ms: Number.NaN, count: 0, because: "the text was no number" },
  ])("there is none at $ms-$count: $because", ({ ms, count }) => {
    expect(positionAt(ms, count)).toBeNaN();
  });

  it.each(["", "epoch", "epoch:", "epoch2:1-0", "epo:1-0", "epoch:1-a", "epoch:1-2048", ":1-0"])(
    "%j is no position in this epoch, or the first",
    (generation) => {
      expect(positionIn(generation, "epoch") || 0).toBe(0);
    },
  );

  it("an empty epoch has no positions", () => {
    expect(positionIn(":1-0", "")).toBeNaN();
  });
});
