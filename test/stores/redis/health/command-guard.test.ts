/** When a part of Redis is suspended, and when it is asked again. */

import { setTimeout as pause } from "node:timers/promises";

import { afterEach, describe, expect, it } from "vitest";

import { Guard, type GuardOptions } from "../../../../src/stores/redis/health/command-guard.ts";
import { InFlight } from "../../../../src/stores/redis/health/in-flight.ts";
import { until } from "../../../redis/store.ts";

describe("the guard", () => {
  const guards: Guard[] = [];
  afterEach(() => {
    for (const guard of guards.splice(0)) guard.close();
  });

  function guarding(options: Partial<GuardOptions> = {}): { guard: Guard; failures: string[] } {
    const failures: string[] = [];
    const guard = new Guard({
      deadlineMs: 20,
      inFlight: new InFlight(1000),
      isConnected: () => true,
      probe: () => silent(),
      onFailure: (operation, error) => failures.push(`${operation} ${(error as Error & { code?: string }).code}`),
      onResumed: () => {},
      onStuck: () => {},
      ...options,
    });
    guards.push(guard);
    return { guard, failures };
  }

  const silent = (): Promise<never> => new Promise(() => {});
  const failing =
    (message: string): (() => Promise<never>) =>
    async () => {
      throw new Error(message);
    };

  it("lets a command that throws at once, or rejects too late, count as none", async () => {
    const { guard } = guarding();
    const thrower = (): Promise<string> => {
      throw new Error("The client is closed");
    };
    expect(await guard.read("get", thrower)).toBeUndefined();
    let reject = (_error: Error): void => {};
    const late = new Promise<string>((_, rejectIt) => {
      reject = rejectIt;
    });
    expect(await guard.read("get", () => late)).toBeUndefined();
    reject(new Error("too late"));
    await pause(10);
  });

  it.each(["WRONGTYPE no", "OOM no", "READONLY no", "TRYAGAIN no"])("goes on reading after %s", async (message) => {
    const { guard, failures } = guarding();
    for (let round = 0; round < 20; round += 1) await guard.read("get", failing(message));
    expect(guard.isSuspended).toBe(false);
    expect(failures).toEqual(["get ERR_STORE_OPERATION"]);
  });

  it.each(["OOM no", "READONLY no", "MISCONF no", "NOREPLICAS no", "NOPERM no"])(
    "goes on reading while writes are refused with %s",
    async (message) => {
      const { guard } = guarding();
      for (let round = 0; round < 20; round += 1) await guard.write("put", 10, failing(message));
      expect(guard.isSuspended).toBe(false);
    },
  );

  it.each(["LOADING no", "CLUSTERDOWN no", "MASTERDOWN no", "BUSY no", "NOAUTH no", "NOPERM no"])(
    "leaves the store out when reads fail with %s",
    async (message) => {
      const { guard, failures } = guarding();
      for (let round = 0; round < 5; round += 1) await guard.read("get", failing(message));
      expect(guard.isSuspended).toBe(true);
      expect(failures).toEqual(["get ERR_STORE_OPERATION", "get ERR_STORE_SUSPENDED"]);
      let called = false;
      const command = async (): Promise<void> => {
        called = true;
      };
      await guard.read("get", command);
      await guard.write("put", 1, command);
      expect(called).toBe(false);
    },
  );

  it("asks again within a second, and seldom when it is forbidden", async () => {
    const asked = { forbidden: 0, unavailable: 0 };
    const { guard: forbidden } = guarding({
      probe: async () => {
        asked.forbidden += 1;
        throw new Error("NOPERM no");
      },
    });
    const { guard: unavailable } = guarding({
      probe: async () => {
        asked.unavailable += 1;
        throw new Error("LOADING no");
      },
    });
    for (let round = 0; round < 5; round += 1) {
      await forbidden.read("get", failing("NOPERM no"));
      await unavailable.read("get", failing("LOADING no"));
    }
    await until(() => asked.unavailable >= 4);
    expect(asked.forbidden).toBe(0);
  });

  it("wants a new client for silence, and not for an answer that says no", async () => {
    let stuck = 0;
    const onStuck = (): void => {
      stuck += 1;
    };
    let loading = 0;
    const { guard: refused } = guarding({
      onStuck: () => {
        loading += 1;
      },
      probe: failing("LOADING no"),
    });
    const { guard: mute } = guarding({ onStuck });
    for (let round = 0; round < 5; round += 1) {
      await refused.read("get", failing("LOADING no"));
      await mute.read("get", silent);
    }
    await until(() => stuck > 0);
    expect(loading).toBe(0);
  });

  it("bounds the bytes of writes that wait", async () => {
    const { guard, failures } = guarding({ deadlineMs: 100 });
    let started = 0;
    const command = (): Promise<never> => {
      started += 1;
      return silent();
    };
    const writes = [400, 400, 400].map((bytes) => guard.write("put", bytes, command));
    expect(started).toBe(2);
    expect(failures).toEqual(["put ERR_STORE_OVERLOADED"]);
    await Promise.all(writes);
  });

  it("leaves look-ups out when too many wait, and nothing else because of them", async () => {
    const { guard, failures } = guarding({ deadlineMs: 200 });
    let sent = 0;
    const command = (): Promise<never> => {
      sent += 1;
      return silent();
    };
    const waiting = Array.from({ length: 1100 }, () => guard.read("get", command));
    expect(sent).toBe(1024);
    expect(failures).toEqual(["get ERR_STORE_OVERLOADED"]);
    waiting.push(guard.read("read-purges", command, "others"));
    const writing = guard.write("purge", 0, command);
    expect(sent).toBe(1026);
    await Promise.all([...waiting, writing]);
  });

  it("asks whether a store is back, however many commands were abandoned", async () => {
    const { guard } = guarding({ probe: async () => {} });
    const waiting = Array.from({ length: 1024 }, () => guard.read("get", silent));
    await Promise.all(waiting);
    expect(guard.isSuspended).toBe(true);
    await until(() => !guard.isSuspended);
  });

  it("forgets what waits on an old connection", async () => {
    const { guard } = guarding();
    const reads = Array.from({ length: 1024 }, () => guard.read("get", silent));
    guard.reset();
    expect(await guard.read("get", async () => "answer")).toBe("answer");
    await Promise.all(reads);
    expect(guard.isSuspended, "misses on the old connection say nothing of the new one").toBe(false);
  });
});
