import * as fc from "fast-check";
import { describe, expect, it } from "vitest";

import { decideReuse } from "../../src/rfc9111/index.ts";
import type { Fields, RequestDirectiveMode, ReuseDecision, StoredResponse } from "../../src/rfc9111/index.ts";
import { NOW_MS, requestOf, storedOf } from "./nouns.ts";

interface Case {
  readonly stored?: Partial<StoredResponse>;
  readonly afterSeconds: number;
  readonly asks?: string;
  readonly says: string;
  readonly because: string;
}

function decide(
  stored: StoredResponse | undefined,
  afterSeconds: number,
  mode: RequestDirectiveMode,
  fields: Fields = {},
) {
  return decideReuse(requestOf({ fields }), { stored, varyMiss: false }, mode, NOW_MS + afterSeconds * 1000);
}

function summary(decision: ReuseDecision): string {
  switch (decision.action) {
    case "reuse":
    case "reuse-part":
    case "reuse-and-revalidate":
      return `${decision.action} age=${decision.ageSeconds} ttl=${decision.ttlSeconds}`;
    case "revalidate":
      return `revalidate ${decision.because}${decision.mayServeOnError ? " or serve on error" : ""}`;
    case "forward":
      return `forward ${decision.because}`;
    case "gateway-timeout":
      return "gateway-timeout";
  }
}

describe.each(["bypass", "ignore", "rfc9111"] as const)("reuse in mode %s (RFC 9111 §4)", (mode) => {
  it.each<Case>([
    { afterSeconds: 0, says: "reuse age=0 ttl=60", because: "fresh" },
    { afterSeconds: 59, says: "reuse age=59 ttl=1", because: "fresh for another second" },
    { afterSeconds: -2, says: "reuse age=0 ttl=60", because: "clocks differ by so much" },
    { afterSeconds: -3, says: "revalidate stale", because: "a response from the future may be any age" },
    {
      stored: { correctedInitialAgeSeconds: 50 },
      afterSeconds: 5,
      says: "reuse age=55 ttl=5",
      because: "it was old when it came",
    },
    { afterSeconds: 60, says: "revalidate stale", because: "fresh means lifetime greater than age" },
    {
      stored: { freshnessLifetimeSeconds: 0 },
      afterSeconds: 0,
      says: "revalidate stale",
      because: "0 is not for ever",
    },
    { stored: { requiresRevalidation: true }, afterSeconds: 0, says: "revalidate stale", because: "no-cache" },
    {
      stored: { requiresRevalidation: true, staleIfErrorSeconds: 99, staleWhileRevalidateSeconds: 99 },
      afterSeconds: 61,
      says: "revalidate stale",
      because: "no-cache forbids every stale use",
    },
    {
      stored: { staleWhileRevalidateSeconds: 30 },
      afterSeconds: 60,
      says: "reuse-and-revalidate age=60 ttl=0",
      because: "RFC 5861 §3",
    },
    {
      stored: { staleWhileRevalidateSeconds: 30 },
      afterSeconds: 90,
      says: "reuse-and-revalidate age=90 ttl=-30",
      because: "the last second of the window",
    },
    { stored: { staleWhileRevalidateSeconds: 30 }, afterSeconds: 91, says: "revalidate stale", because: "too late" },
    {
      stored: { staleIfErrorSeconds: 30 },
      afterSeconds: 90,
      says: "revalidate stale or serve on error",
      because: "RFC 5861 §4",
    },
    { stored: { staleIfErrorSeconds: 30 }, afterSeconds: 91, says: "revalidate stale", because: "too late" },
    {
      stored: { mayServeStale: false },
      afterSeconds: 60,
      says: "revalidate stale",
      because: "a window of 0 seconds is none",
    },
    {
      stored: { staleWhileRevalidateSeconds: 10, staleIfErrorSeconds: 30 },
      afterSeconds: 75,
      says: "revalidate stale or serve on error",
      because: "past one window, inside the other",
    },
  ])("after $afterSeconds s with $stored: $says, because $because", ({ stored, afterSeconds, says }) => {
    expect(summary(decide(storedOf(stored), afterSeconds, mode))).toBe(says);
  });

  it("forwards what is not stored, and says why", () => {
    expect(decide(undefined, 0, mode)).toEqual({ action: "forward", because: "uri-miss" });
    const missed = decideReuse(requestOf(), { stored: undefined, varyMiss: true }, mode, NOW_MS);
    expect(missed).toEqual({ action: "forward", because: "vary-miss" });
  });
});

describe("request directives in mode rfc9111 (RFC 9111 §5.2.1)", () => {
  it.each<Case>([
    { asks: "no-cache", afterSeconds: 0, says: "revalidate request", because: "§5.2.1.4" },
    {
      asks: "no-cache",
      stored: { staleIfErrorSeconds: 5 },
      afterSeconds: 0,
      says: "revalidate request or serve on error",
      because: "an error may still be answered",
    },
    {
      asks: "no-cache",
      stored: { staleWhileRevalidateSeconds: 99 },
      afterSeconds: 61,
      says: "revalidate request",
      because: "the client will wait",
    },
    { asks: "no-store", afterSeconds: 0, says: "reuse age=0 ttl=60", because: "it is about storing" },
    { asks: "max-age=10", afterSeconds: 10, says: "reuse age=10 ttl=50", because: "not older than that" },
    { asks: "max-age=10", afterSeconds: 11, says: "revalidate request", because: "older than that" },
    { asks: "max-age=0", afterSeconds: 0, says: "revalidate request", because: "a reload" },
    {
      asks: "max-age=90",
      stored: { staleWhileRevalidateSeconds: 99 },
      afterSeconds: 70,
      says: "revalidate stale",
      because: "who limits the age wants nothing stale",
    },
    {
      asks: "max-age=90, max-stale=20",
      afterSeconds: 70,
      says: "reuse age=70 ttl=-10",
      because: "unless it says how stale",
    },
    { asks: "min-fresh=10", afterSeconds: 50, says: "reuse age=50 ttl=10", because: "fresh for as long" },
    { asks: "min-fresh=10", afterSeconds: 51, says: "revalidate request", because: "not for as long" },
    { asks: "max-stale=10", afterSeconds: 70, says: "reuse age=70 ttl=-10", because: "not staler than that" },
    { asks: "max-stale=10", afterSeconds: 71, says: "revalidate stale", because: "staler than that" },
    { asks: "max-stale", afterSeconds: 9999, says: "reuse age=9999 ttl=-9939", because: "any staleness" },
    {
      asks: "max-stale",
      stored: { mayServeStale: false },
      afterSeconds: 70,
      says: "revalidate stale",
      because: "must-revalidate is stronger",
    },
    {
      asks: "max-stale",
      stored: { requiresRevalidation: true },
      afterSeconds: 0,
      says: "revalidate stale",
      because: "no-cache is stronger",
    },
    { asks: "only-if-cached", afterSeconds: 0, says: "reuse age=0 ttl=60", because: "it is cached" },
    { asks: "only-if-cached", afterSeconds: 60, says: "gateway-timeout", because: "only stale" },
    { asks: "only-if-cached, max-stale", afterSeconds: 60, says: "reuse age=60 ttl=0", because: "stale will do" },
    { asks: "only-if-cached, no-cache", afterSeconds: 0, says: "gateway-timeout", because: "it cannot be both" },
    { asks: "x-no-cache-thing", afterSeconds: 0, says: "reuse age=0 ttl=60", because: "part of a name" },
    { asks: "NO-CACHE", afterSeconds: 0, says: "revalidate request", because: "T21" },
  ])("$asks after $afterSeconds s with $stored: $says, because $because", ({ asks, stored, afterSeconds, says }) => {
    const decision = decide(storedOf(stored), afterSeconds, "rfc9111", { "cache-control": asks });
    expect(summary(decision)).toBe(says);
  });

  it("Pragma: no-cache counts where there is no Cache-Control (§5.4)", () => {
    expect(summary(decide(storedOf(), 0, "rfc9111", { pragma: "no-cache" }))).toBe("revalidate request");
    const both = { pragma: "no-cache", "cache-control": "x" };
    expect(summary(decide(storedOf(), 0, "rfc9111", both))).toBe("reuse age=0 ttl=60");
  });

  it("only-if-cached without a stored response is a 504 (§5.2.1.7)", () => {
    expect(decide(undefined, 0, "rfc9111", { "cache-control": "only-if-cached" })).toEqual({
      action: "gateway-timeout",
    });
  });

  it.each(["bypass", "ignore"] as const)("in mode %s no directive forces anything", (mode) => {
    for (const asks of ["no-cache", "max-age=0", "min-fresh=999", "only-if-cached", "no-store"]) {
      expect(summary(decide(storedOf(), 5, mode, { "cache-control": asks, pragma: "no-cache" }))).toBe(
        "reuse age=5 ttl=55",
      );
      expect(summary(decide(undefined, 0, mode, { "cache-control": asks }))).toBe("forward uri-miss");
      expect(summary(decide(storedOf(), 70, mode, { "cache-control": "max-stale" }))).toBe("revalidate stale");
    }
  });
});

describe("what holds for every decision", () => {
  const seconds = fc.nat({ max: 100 });
  const storedResponses = fc
    .record({
      freshnessLifetimeSeconds: seconds,
      correctedInitialAgeSeconds: seconds,
      staleWhileRevalidateSeconds: fc.oneof(fc.constant(0), seconds),
      staleIfErrorSeconds: fc.oneof(fc.constant(0), seconds),
      mayServeStale: fc.boolean(),
      requiresRevalidation: fc.boolean(),
    })
    .map((given) => storedOf(given));
  const mode = fc.constantFrom("bypass", "rfc9111", "ignore") as fc.Arbitrary<RequestDirectiveMode>;
  const asks = fc
    .array(fc.constantFrom("no-cache", "max-age=5", "max-stale", "max-stale=5", "min-fresh=5", "only-if-cached"))
    .map((list) => list.join(", "));

  it("nothing that needs validation is served without, and stale only where it was allowed", () => {
    fc.assert(
      fc.property(storedResponses, mode, asks, fc.nat({ max: 300 }), (stored, given, cacheControl, afterSeconds) => {
        const decision = decide(stored, afterSeconds, given, { "cache-control": cacheControl });
        expect(decision.action).not.toBe("forward");
        if (decision.action === "forward" || decision.action === "gateway-timeout") return;
        expect(decision.ageSeconds + decision.ttlSeconds).toBe(stored.freshnessLifetimeSeconds);
        if (decision.action === "revalidate") {
          if (decision.mayServeOnError) expect(stored.requiresRevalidation).toBe(false);
          return;
        }
        expect(stored.requiresRevalidation).toBe(false);
        if (decision.ttlSeconds > 0) return;
        const inWindow = -decision.ttlSeconds <= stored.staleWhileRevalidateSeconds;
        expect(inWindow || (stored.mayServeStale && cacheControl.includes("max-stale"))).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });
});
