/** When the store is left out, when it is asked again, and what counts as which trouble. */

import { setTimeout as pause } from "node:timers/promises";

import { afterEach, describe, expect, it } from "vitest";

import { Breaker } from "../../../../src/stores/redis/health/breaker.ts";
import { troubleOf } from "../../../../src/stores/redis/client/error-replies.ts";
import { Guard, type GuardOptions } from "../../../../src/stores/redis/health/command-guard.ts";
import { Unanswered } from "../../../../src/stores/redis/health/unanswered.ts";
import { until } from "../../../redis/store.ts";

describe("what an error of a client says about the server", () => {
  it.each([
    { message: "LOADING Redis is loading the dataset in memory", trouble: "unavailable" },
    { message: "BUSY Redis is busy running a script.", trouble: "unavailable" },
    { message: "MASTERDOWN Link with MASTER is down", trouble: "unavailable" },
    { message: "CLUSTERDOWN Hash slot not served", trouble: "unavailable" },
    { message: "NOAUTH Authentication required.", trouble: "forbidden" },
    { message: "NOPERM this user has no permissions to run the 'get' command", trouble: "forbidden" },
    { message: "ERR The user executing the script can't run this command or subcommand", trouble: "forbidden" },
    {
      message: "ERR ACL failure in script: User app has no permissions to run the 'xadd' command",
      trouble: "forbidden",
    },
    { message: "WRONGPASS invalid username-password pair", trouble: "forbidden" },
    { message: "OOM command not allowed when used memory > 'maxmemory'.", trouble: "refused" },
    { message: "READONLY You can't write against a read only replica.", trouble: "demoted" },
    { message: "NOREPLICAS Not enough good replicas to write.", trouble: "refused" },
    { message: "MISCONF Redis is configured to save RDB snapshots", trouble: "refused" },
    { message: "TRYAGAIN Multiple keys request during rehashing of slot", trouble: "refused" },
    { message: "WRONGTYPE Operation against a key holding the wrong kind of value", trouble: "refused" },
    { message: "ERR unknown command", trouble: "refused" },
    { message: "Connection is closed.", trouble: "no-answer" },
    { message: "The client is closed", trouble: "no-answer" },
    { message: "read ECONNRESET", trouble: "no-answer" },
    { message: "timed out", trouble: "no-answer" },
    { message: "", trouble: "no-answer" },
  ])("$message → $trouble", ({ message, trouble }) => {
    expect(troubleOf(new Error(message))).toBe(trouble);
  });
});

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

describe("a part of the store is silent", () => {
  it("when commands stay without an answer for three seconds", () => {
    const unanswered = new Unanswered();
    for (let ms = 0; ms < 3000; ms += 100) {
      unanswered.add(ms);
      expect(unanswered.isTimeForANewClient(ms)).toBe(false);
    }
    unanswered.add(3000);
    expect(unanswered.isTimeForANewClient(3000)).toBe(true);
    expect(unanswered.isTimeForANewClient(3001), "asked for once").toBe(false);
  });

  it("and not when it is slow: late answers count", () => {
    const unanswered = new Unanswered();
    const waiting: (() => void)[] = [];
    for (let ms = 0; ms < 30_000; ms += 10) {
      waiting.push(unanswered.add(ms));
      if (waiting.length > 50) waiting.shift()?.();
      expect(unanswered.isTimeForANewClient(ms)).toBe(false);
    }
  });

  it("and not when an outage took some commands with it and is over", () => {
    const unanswered = new Unanswered();
    for (let at = 0; at < 100; at += 1) unanswered.add(at);
    for (let ms = 10_000; ms < 20_000; ms += 1500) {
      unanswered.add(ms)();
      expect(unanswered.isTimeForANewClient(ms)).toBe(false);
    }
  });

  it("for longer each time, so that clients are not made without end", () => {
    const unanswered = new Unanswered();
    const atMs: number[] = [];
    for (let ms = 0; ms < 60_000; ms += 100) {
      unanswered.add(ms);
      if (unanswered.isTimeForANewClient(ms)) atMs.push(ms);
    }
    expect(atMs[0]).toBe(3000);
    expect(atMs.length).toBeLessThanOrEqual(6);
    // A calm minute later it is an accident of its own again.
    for (let ms = 200_000; ms < 203_000; ms += 100) unanswered.add(ms);
    expect(unanswered.isTimeForANewClient(203_000)).toBe(true);
  });
});

describe("the guard", () => {
  const guards: Guard[] = [];
  afterEach(() => {
    for (const guard of guards.splice(0)) guard.close();
  });

  function guarding(options: Partial<GuardOptions> = {}): { guard: Guard; failures: string[] } {
    const failures: string[] = [];
    const guard = new Guard({
      deadlineMs: 20,
      maxWritingBytes: 1000,
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
