import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { wrapFunction } from "../../src/functions/wrap.ts";
import { gate, harness, remoteStore, settled } from "./harness.ts";

const STORES = [
  { kind: "a store that answers at once", store: undefined },
  { kind: "a store that answers later", store: remoteStore },
];

type Find = (id: number, ...rest: unknown[]) => Promise<number>;

describe.each(STORES)("a function that calls itself over $kind", ({ store }) => {
  const cache = (): ReturnType<typeof harness> => harness(store === undefined ? {} : { store });

  it("fails at once with the same arguments, and is free afterwards", async () => {
    const { context } = cache();
    let isRecursive = true;
    const find: Find = wrapFunction(context, "find", async (id: number) => {
      await nextTurn();
      return isRecursive ? find(id) : id;
    });
    const failure = await find(7).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "ERR_RECURSIVE_CALL" });
    expect((failure as Error).message).toMatch(/^find\(7\) calls itself with the same arguments/);
    isRecursive = false;
    expect(await find(7)).toBe(7);
  });

  it("fails at once through another function, with ignored arguments that differ, and from refresh()", async () => {
    const { context } = cache();
    const ping: Find = wrapFunction(context, "ping", (id: number) => pong(id));
    const pong: Find = wrapFunction(context, "pong", (id: number) => ping(id));
    await expect(ping(7)).rejects.toMatchObject({ code: "ERR_RECURSIVE_CALL" });
    const deep = wrapFunction(context, "deep", (id: number, depth: number): Promise<number> => deep(id, depth + 1), {
      ignoreArgs: [1],
    });
    await expect(deep(7, 0)).rejects.toMatchObject({ code: "ERR_RECURSIVE_CALL" });
    await expect(deep.refresh(7, 0)).rejects.toMatchObject({ code: "ERR_RECURSIVE_CALL" });
    const again = wrapFunction(context, "again", (): Promise<number> => again.refresh());
    await expect(again()).rejects.toMatchObject({ code: "ERR_RECURSIVE_CALL" });
  });

  it("fails at once where it purges itself before", async () => {
    const { context } = cache();
    const find = wrapFunction(context, "find", async (id: number): Promise<number> => {
      await find.purge(id);
      return find(id);
    });
    await expect(find(7)).rejects.toMatchObject({ code: "ERR_RECURSIVE_CALL" });
  });

  it("fails at once in what it has started and does not wait for, until its end, and says so", async () => {
    const { context } = cache();
    const { promise, open } = gate<number>();
    const started: Promise<unknown>[] = [];
    const find: Find = wrapFunction(context, "find", async (id: number) => {
      started.push(nextTurn().then(async () => find(id).catch((error: unknown) => error)));
      return promise;
    });
    const call = find(7);
    await settled();
    expect(await started[0]).toMatchObject({
      code: "ERR_RECURSIVE_CALL",
      message: expect.stringContaining("counts as inside of it until it ends") as string,
    });
    open(7);
    expect(await call).toBe(7);
  });

  it("works with other arguments", async () => {
    const { context } = cache();
    const factorial: Find = wrapFunction(context, "factorial", async (n: number) =>
      n <= 1 ? 1 : n * (await factorial(n - 1)),
    );
    expect(await Promise.all([factorial(5), factorial(6)])).toEqual([120, 720]);
  });

  it("lets another request wait for it, and what it has started call it after its end", async () => {
    const { context } = cache();
    const { promise, open } = gate<number>();
    const later: Promise<number>[] = [];
    const isOver = gate<void>();
    const find: Find = wrapFunction(
      context,
      "find",
      async (id: number) => {
        if (later.length === 0) later.push(isOver.promise.then(() => find(id)));
        return promise;
      },
      { storeWhen: () => false },
    );
    const calls = [find(7), find(7)];
    await settled();
    open(7);
    expect(await Promise.all(calls)).toEqual([7, 7]);
    isOver.open();
    expect(await later[0]).toBe(7);
  });
});
