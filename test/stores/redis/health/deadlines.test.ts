/** Real timers and a real event loop: what is late, and whose fault it is. */

import { setTimeout as pause } from "node:timers/promises";

import { describe, expect, it } from "vitest";

import { Deadlines } from "../../../../src/stores/redis/health/deadlines.ts";

function busyFor(ms: number): void {
  const endMs = performance.now() + ms;
  while (performance.now() < endMs);
}

/** Resolves with the time until it was missed. */
function missed(deadlines: Deadlines): Promise<number> {
  const startMs = performance.now();
  return new Promise((resolve) => {
    deadlines.start(() => resolve(performance.now() - startMs));
  });
}

describe("deadlines", () => {
  it("are missed in the order they were set, none before its time", async () => {
    const deadlines = new Deadlines(40);
    const order: number[] = [];
    const all: Promise<void>[] = [];
    for (let at = 0; at < 10; at += 1) {
      all.push(
        missed(deadlines).then((tookMs) => {
          order.push(at);
          expect(tookMs).toBeGreaterThanOrEqual(39);
        }),
      );
      await pause(7);
    }
    await Promise.all(all);
    expect(order).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it("may count from an earlier time, and are then missed before those set since", async () => {
    const deadlines = new Deadlines(60);
    const order: string[] = [];
    const startMs = performance.now();
    const usual = missed(deadlines).then(() => order.push("usual"));
    const earlier = new Promise<void>((resolve) => {
      deadlines.start(() => {
        order.push("earlier");
        expect(performance.now() - startMs).toBeLessThan(60);
        resolve();
      }, startMs - 45);
    });
    await Promise.all([usual, earlier]);
    expect(order).toEqual(["earlier", "usual"]);
  });

  it("are either met or missed", async () => {
    const deadlines = new Deadlines(30);
    let count = 0;
    const met = deadlines.start(() => (count += 1));
    expect(met.meet()).toBe(true);
    expect(met.meet()).toBe(false);
    const late = deadlines.start(() => (count += 1));
    await pause(80);
    expect(count).toBe(1);
    expect(late.meet()).toBe(false);
  });

  it("do not count time in which the process was busy", async () => {
    const deadlines = new Deadlines(100);
    const first = missed(deadlines);
    busyFor(300);
    // Set at the end of a busy time: it lost nothing.
    const second = missed(deadlines);
    await pause(60);
    busyFor(200);
    // Both have what is left of their 100 ms. The timer looks each 25 ms: of each busy time so much may go unnoticed.
    expect(await first).toBeGreaterThan(300 + 200 + 100 - 2 * 25 - 10);
    expect(await second).toBeGreaterThan(200 + 100 - 25 - 10);
    expect(await second, "as if it had been busy for as long as the first").toBeLessThan(200 + 100 + 150);
  });

  it("leave an answer that came while the process was busy the time to be read", async () => {
    const deadlines = new Deadlines(50);
    let met: boolean | undefined;
    const deadline = deadlines.start(() => {});
    // What is sent at the end of a busy turn is answered some milliseconds later.
    setImmediate(() => setTimeout(() => (met = deadline.meet()), 15));
    busyFor(200);
    await pause(60);
    expect(met).toBe(true);
  });
});
