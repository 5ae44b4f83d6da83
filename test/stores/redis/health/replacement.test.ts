import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import type { RedisClient } from "../../../../src/stores/redis/client/port.ts";
import { FakeClient } from "./fake-client.ts";

// Timers are taken from the runtime when `real-time.ts` is loaded, so that module is loaded after they are replaced.
beforeEach(() => {
  vi.useFakeTimers();
  vi.resetModules();
});
afterEach(() => vi.useRealTimers());

interface World {
  readonly made: FakeClient[];
  readonly ready: RedisClient[];
  dropped: number;
  readonly drop: () => void;
}

async function replacing(make: (made: FakeClient[]) => unknown = anotherClient): Promise<World> {
  const { Replacement } = await import("../../../../src/stores/redis/health/replacement.ts");
  const made: FakeClient[] = [];
  const ready: RedisClient[] = [];
  const replacement = new Replacement({
    make: () => make(made),
    nextRebuildMs: () => 250,
    onReady: (client) => ready.push(client),
    onDropped: () => {
      world.dropped += 1;
    },
  });
  const world: World = { made, ready, dropped: 0, drop: () => replacement.drop() };
  replacement.start();
  await vi.advanceTimersByTimeAsync(0);
  return world;
}

function anotherClient(made: FakeClient[]): FakeClient {
  const client = new FakeClient(made.length + 1);
  made.push(client);
  return client;
}

describe("a client that is to take over", () => {
  it("does when it is ready", async () => {
    const { made, ready } = await replacing();
    made[0]?.ready();
    expect(ready.map(({ address }) => address)).toEqual(["redis://redis.test:1"]);
    await vi.advanceTimersByTimeAsync(100_000);
    expect(made).toHaveLength(1);
    expect(made[0]?.status).toBe("ready");
  });

  it("is dropped for another one with twice the time, up to a minute", async () => {
    const { made } = await replacing();
    const atMs: number[] = [];
    for (let second = 1; second <= 125; second += 1) {
      await vi.advanceTimersByTimeAsync(1000);
      if (made.length > atMs.length + 1) atMs.push(second);
    }
    expect(atMs).toEqual([1, 3, 7, 15, 31, 63, 123]);
    expect(made.map(({ status }) => status).slice(0, -1)).toEqual(Array.from({ length: 7 }, () => "end"));
  });

  it("that was dropped and gets ready late does not take over", async () => {
    const { made, ready } = await replacing();
    await vi.advanceTimersByTimeAsync(1000);
    made[0]?.ready();
    expect(ready).toEqual([]);
    made[1]?.ready();
    expect(ready).toHaveLength(1);
  });

  it("may take five seconds to be made, and is ended when it comes later", async () => {
    const late = new FakeClient();
    let calls = 0;
    const { ready } = await replacing(() => {
      calls += 1;
      return calls > 1 ? new FakeClient() : new Promise((resolve) => setTimeout(resolve, 6000, late));
    });
    await vi.advanceTimersByTimeAsync(4999);
    expect(calls).toBe(1);
    await vi.advanceTimersByTimeAsync(2000);
    expect(calls).toBe(2);
    expect(late.status).toBe("end");
    expect(ready).toEqual([]);
  });

  it("is made again soon after it could not be made", async () => {
    let calls = 0;
    const world = await replacing(() => {
      calls += 1;
      throw new Error("no");
    });
    await vi.advanceTimersByTimeAsync(1000);
    expect(calls).toBe(5);
    expect(world.dropped).toBe(0);
    world.drop();
  });

  it.each([
    { what: "it is dropped", act: ({ drop }: World) => drop() },
    { what: "it ends", act: ({ made }: World) => made[0]?.end() },
  ])("is not made again after $what", async ({ act }) => {
    const world = await replacing();
    act(world);
    world.drop();
    await vi.advanceTimersByTimeAsync(100_000);
    expect(world).toMatchObject({ dropped: 1, ready: [] });
    expect(world.made).toHaveLength(1);
    expect(world.made[0]?.status).toBe("end");
  });

  it("is not made again when what was made is no client", async () => {
    const { dropped } = await replacing(() => ({}));
    expect(dropped).toBe(1);
  });
});
