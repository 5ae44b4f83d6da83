import { afterEach, describe, expect, it } from "vitest";

import { Guards } from "../../../../src/stores/redis/health/guards-by-slot.ts";
import { until } from "../../../redis/store.ts";

/** Slots 12,182 and 13,308, on different parts. */
const DEAD = "{foo}:1";
const ALIVE = "{foo";

const made: Guards[] = [];
afterEach(() => {
  for (const guards of made.splice(0)) guards.close();
});

interface World {
  readonly guards: Guards;
  readonly failures: string[];
  readonly probed: string[];
  resumed: number;
  /** Keys whose servers do not answer. */
  readonly dead: Set<string>;
}

function world({ isCluster = true } = {}): World {
  const dead = new Set<string>();
  const failures: string[] = [];
  const probed: string[] = [];
  const state = { resumed: 0 };
  const guards = new Guards({
    deadlineMs: 20,
    maxWritingBytes: 1000,
    isConnected: () => true,
    isCluster: () => isCluster,
    probe: (key) => {
      probed.push(key);
      return dead.has(key) ? never() : Promise.resolve();
    },
    onFailure: (operation, error) => failures.push(`${operation}: ${error.message}`),
    onResumed: () => {
      state.resumed += 1;
    },
    onStuck: () => {},
  });
  made.push(guards);
  return {
    guards,
    failures,
    probed,
    dead,
    get resumed() {
      return state.resumed;
    },
  };
}

function never(): Promise<never> {
  return new Promise(() => {});
}

async function failFiveTimes(guards: Guards, key: string): Promise<void> {
  await Promise.all(Array.from({ length: 5 }, () => guards.of(key).read("get", never)));
}

describe("guards of a Cluster", () => {
  it("leave out the part that does not answer and no other", async () => {
    const { guards } = world();
    await failFiveTimes(guards, DEAD);
    expect(guards.of(DEAD).isSuspended).toBe(true);
    expect(guards.of("{foo}:2").isSuspended).toBe(true);
    expect(guards.of(ALIVE).isSuspended).toBe(false);
    expect(await guards.of(ALIVE).read("get", async () => "answer")).toBe("answer");
    expect(guards.isSuspended).toBe(false);
  });

  it("ask the part they left out, by a key on its slot, and use it again when it answers", async () => {
    const { guards, probed, dead } = world();
    dead.add(DEAD);
    await failFiveTimes(guards, DEAD);
    await until(() => probed.length > 0);
    expect(probed).toEqual([DEAD]);
    expect(guards.of(DEAD).isSuspended).toBe(true);
    dead.clear();
    await until(() => !guards.of(DEAD).isSuspended);
  });

  it("tell once that parts were left out, and once that the last of them is used again", async () => {
    const state = world();
    await failFiveTimes(state.guards, DEAD);
    await failFiveTimes(state.guards, ALIVE);
    expect(state.failures.filter((failure) => failure.includes("in a row"))).toHaveLength(1);
    await until(() => state.resumed > 0);
    expect(state.guards.of(DEAD).isSuspended || state.guards.of(ALIVE).isSuspended).toBe(false);
    expect(state.resumed).toBe(1);
  });

  it("are all left out when each part that was asked is, however few they are", async () => {
    const { guards } = world();
    expect(guards.isSuspended, "nothing was asked yet").toBe(false);
    await failFiveTimes(guards, DEAD);
    expect(guards.isSuspended).toBe(true);
    // Of this part nothing bad is known.
    guards.of(ALIVE);
    expect(guards.isSuspended).toBe(false);
    await failFiveTimes(guards, ALIVE);
    expect(guards.isSuspended).toBe(true);
  });

  it("bound the bytes of writes that wait in all parts together", async () => {
    const { guards, failures } = world();
    void guards.of(DEAD).write("put", 800, never);
    let isSent = false;
    await guards.of(ALIVE).write("put", 800, async () => {
      isSent = true;
    });
    expect(isSent).toBe(false);
    expect(failures).toEqual([expect.stringContaining("800 bytes")]);
  });
});

it("of a single server are one guard", async () => {
  const { guards } = world({ isCluster: false });
  await failFiveTimes(guards, DEAD);
  expect(guards.of(ALIVE)).toBe(guards.of(DEAD));
  expect(guards.isSuspended).toBe(true);
});
