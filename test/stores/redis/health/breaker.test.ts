import { describe, expect, it } from "vitest";

import { Breaker } from "../../../../src/stores/redis/health/breaker.ts";

describe("failures are too many", () => {
  it("at the fifth in a row, however slowly they come", () => {
    const breaker = new Breaker();
    for (let at = 0; at < 4; at += 1) expect(breaker.failed(at * 60_000, at * 60_000 + 100)).toBeUndefined();
    expect(breaker.failed(300_000, 300_100)).toBe("5 operations in a row");
  });

  it("when they are half of ten or more within one second", () => {
    const breaker = new Breaker();
    for (let at = 0; at < 4; at += 1) {
      breaker.succeeded(at);
      expect(breaker.failed(at, at)).toBeUndefined();
    }
    breaker.succeeded(5);
    expect(breaker.failed(6, 6)).toBe("5 of 10 operations");
  });

  it("and not when others succeeded meanwhile, although their deadlines pass together", () => {
    const breaker = new Breaker();
    for (let batchMs = 0; batchMs < 10_000; batchMs += 200) {
      for (let at = 0; at < 20; at += 1) breaker.succeeded(batchMs + 1);
      for (let at = 0; at < 10; at += 1) expect(breaker.failed(batchMs, batchMs + 100)).toBeUndefined();
    }
  });

  it("and not when they are fewer, or spread over time", () => {
    const fewer = new Breaker();
    for (let at = 0; at < 900; at += 3) {
      fewer.succeeded(at);
      fewer.succeeded(at);
      expect(fewer.failed(at, at)).toBeUndefined();
    }
    const spread = new Breaker();
    for (let at = 0; at < 100; at += 1) {
      spread.succeeded(at * 600);
      expect(spread.failed(at * 600, at * 600)).toBeUndefined();
    }
  });
});
