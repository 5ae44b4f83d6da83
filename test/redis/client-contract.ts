/** What each client of each family must do, on whatever kind of server. */

import { randomBytes } from "node:crypto";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { type RedisClient, redisScript } from "../../src/stores/redis/client/port.ts";
import type { MadeClient } from "./clients.ts";
import { command } from "./command.ts";
import { adapted, ownPrefix, until } from "./store.ts";

export interface ClientContractOptions {
  readonly form: string;
  readonly make: () => Promise<MadeClient>;
  /** Makes each server forget its scripts. */
  readonly flushScripts: () => Promise<unknown>;
  /** The port of the server that has `key`. */
  readonly portOf: (key: string) => number | Promise<number>;
}

/** Every byte there is, in no text encoding. */
const BINARY = Buffer.concat([Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)), randomBytes(5000)]);

/** A key that nobody else uses, and that a user of docs/redis-acl.md may. */
export function ownKey(name: string): string {
  return `${ownPrefix()}:1:${name}`;
}

export function clientContract({ form, make, flushScripts, portOf }: ClientContractOptions): void {
  const expiresInMs = async (key: string): Promise<unknown> => command(await portOf(key), "PTTL", key);
  describe(form, () => {
    let made: MadeClient;
    let client: RedisClient;
    let stopObserving: () => void;
    beforeAll(async () => {
      made = await make();
      client = adapted(made.client);
      stopObserving = client.observe({ onReady: () => {}, onTrouble: () => {}, onEnd: () => {} });
      await until(() => client.isReady());
    });
    afterAll(() => {
      stopObserving?.();
      made?.end();
    });

    it("sets, gets and deletes any bytes, with an expiry", async () => {
      const key = ownKey("a");
      expect(await client.get(key)).toBeNull();
      await client.set(key, BINARY, 60_000);
      const bytes = await client.get(key);
      expect(bytes).toBeInstanceOf(Uint8Array);
      expect(Buffer.from(bytes ?? []).equals(BINARY)).toBe(true);
      const leftMs = await expiresInMs(key);
      expect(leftMs).toBeGreaterThan(50_000);
      expect(leftMs).toBeLessThanOrEqual(60_000);
      await client.delete(key);
      expect(await client.get(key)).toBeNull();
    });

    it("gets a pair, each there or not, wherever the keys are", async () => {
      for (let round = 0; round < 10; round += 1) {
        const [first, second] = [ownKey("first"), ownKey("second")];
        expect(await client.getPair(first, second)).toEqual([null, null]);
        await client.set(first, BINARY, 60_000);
        expect((await client.getPair(first, second)).map((value) => value?.byteLength)).toEqual([
          BINARY.length,
          undefined,
        ]);
        await client.set(second, Buffer.from("7"), 60_000);
        const [one, two] = await client.getPair(second, first);
        expect(Buffer.from(one ?? []).toString()).toBe("7");
        expect(Buffer.from(two ?? []).equals(BINARY)).toBe(true);
      }
    });

    it("sets what is absent, once, with an expiry", async () => {
      const key = ownKey("token");
      const won = await Promise.all([1, 2, 3].map((token) => client.setIfAbsent(key, `token ${token}`, 60_000)));
      expect(won.filter(Boolean)).toHaveLength(1);
      const winner = await client.get(key);
      expect(Buffer.from(winner ?? []).toString()).toBe(`token ${won.indexOf(true) + 1}`);
      expect(await expiresInMs(key)).toBeGreaterThan(50_000);
    });

    it("runs a script the server does not know, again by its hash, and after its scripts were flushed", async () => {
      const key = ownKey("script");
      const script = redisScript(
        `redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) return {42, redis.call('GET', KEYS[1]), {ARGV[1], false}} -- ${key}`,
      );
      const run = (): Promise<unknown> => client.evaluate(script, [key], [BINARY, "60000"]);
      const expected = [42, BINARY, [BINARY, null]];
      expect(await run()).toEqual(expected);
      expect(await run()).toEqual(expected);
      await flushScripts();
      expect(await run()).toEqual(expected);
    });

    it("says of a refused command what the server said", async () => {
      const key = ownKey("stream");
      const add = redisScript(
        "redis.call('XADD', KEYS[1], '*', 'a', 'b') return redis.call('PEXPIRE', KEYS[1], 60000)",
      );
      await client.evaluate(add, [key], []);
      await expect(client.get(key)).rejects.toThrow(/^WRONGTYPE /);
      const refuse = redisScript("return redis.error_reply('MYERR no')");
      await expect(client.evaluate(refuse, [key], [])).rejects.toThrow(/^MYERR no/);
    });

    it("names where it connects to", () => {
      expect(client.address).toMatch(/^redis(:\/\/[\w.]+:\d+(,redis:\/\/[\w.]+:\d+)*)?$/);
    });
  });
}
