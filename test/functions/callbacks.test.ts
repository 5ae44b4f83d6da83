import { describe, expect, it } from "vitest";
import { wrapFunction } from "../../src/functions/wrap.ts";
import { watchUnhandled } from "../redis/unhandled.ts";
import { harness, settled } from "./harness.ts";

const failing = (): Promise<never> => Promise.reject(new Error("late"));

const NO_ANSWERS: readonly { readonly what: string; readonly answer: () => unknown }[] = [
  { what: "a promise of true", answer: () => Promise.resolve(true) },
  { what: "a promise of false", answer: () => Promise.resolve(false) },
  { what: "a promise that rejects", answer: failing },
  { what: "undefined", answer: () => undefined },
  { what: "null", answer: () => null },
  { what: "a text", answer: () => "no" },
  { what: "1", answer: () => 1 },
];

describe.each(NO_ANSWERS)("a callback that answers $what", ({ answer }) => {
  it("as `when`: the call is served without the cache, and the event names option and cure", async () => {
    const expectNoneUnhandled = watchUnhandled();
    const { context, events } = harness();
    let runs = 0;
    const find = wrapFunction(context, "find", (_id: number) => ++runs, { when: answer as never });
    expect(await find(7)).toBe(1);
    expect(await find(7)).toBe(2);
    expect(await find.refresh(7)).toBe(3);
    expect(events).toHaveLength(3);
    expect(events[0]).toMatchObject({
      type: "callback-failed",
      callback: "when",
      key: "test find(…)",
      error: { code: "ERR_INVALID_CALLBACK_RESULT" },
    });
    expect((events[0] as { error: Error }).error.message).toMatch(
      /^wrap\("find", …\): when: expected true or false, got .*\.\n(?:Return it on every path|It is asked for an answer at once)/,
    );
    await settled();
    await expectNoneUnhandled();
  });

  it("as `storeWhen`: the result is neither stored nor shared", async () => {
    const expectNoneUnhandled = watchUnhandled();
    const { context, events } = harness();
    let runs = 0;
    const find = wrapFunction(context, "find", async () => ({ run: ++runs }), { storeWhen: answer as never });
    expect(await Promise.all([find(), find()])).toEqual([{ run: 1 }, { run: 2 }]);
    expect(events).toHaveLength(2);
    expect(events[0]).toMatchObject({
      type: "not-stored",
      because: "store-when",
      error: { code: "ERR_INVALID_CALLBACK_RESULT" },
    });
    await settled();
    await expectNoneUnhandled();
  });

  it("as `ignoreArgs`: the call is served without the cache", async () => {
    const expectNoneUnhandled = watchUnhandled();
    const { context, trace } = harness();
    let runs = 0;
    const find = wrapFunction(context, "find", (_id: number) => ++runs, { ignoreArgs: answer as never });
    expect(await find(7)).toBe(1);
    expect(await find(8)).toBe(2);
    expect(trace()).toEqual(["callback-failed", "callback-failed"]);
    expect(() => find.keyOf(7)).toThrow("ignoreArgs: expected true or false");
    await settled();
    await expectNoneUnhandled();
  });
});

describe("a callback that throws", () => {
  const fail = (): never => {
    throw new Error("broken");
  };

  it.each([
    { options: { when: fail }, callback: "when" },
    { options: { key: fail }, callback: "key" },
    { options: { ignoreArgs: fail }, callback: "ignoreArgs" },
  ])("as $callback does not break the call", async ({ options, callback }) => {
    const { context, events } = harness();
    const find = wrapFunction(context, "find", (id: number) => id, options);
    expect(await find(7)).toBe(7);
    expect(events).toEqual([expect.objectContaining({ type: "callback-failed", callback })]);
  });
});

describe("a key that is none", () => {
  it.each([{ key: () => undefined }, { key: () => Promise.resolve(7) }, { key: failing }])(
    "shares nothing",
    async ({ key }) => {
      const expectNoneUnhandled = watchUnhandled();
      const { context, trace } = harness();
      const find = wrapFunction(context, "find", (id: number) => id, { key });
      expect(await find(7)).toBe(7);
      expect(await find(8)).toBe(8);
      expect(trace()).toEqual(["callback-failed", "callback-failed"]);
      await expect(find.purge(7)).rejects.toThrow('wrap("find", …): key: expected a value');
      await settled();
      await expectNoneUnhandled();
    },
  );
});

describe("a callback that is async", () => {
  it.each(["when", "storeWhen", "key", "tags", "ignoreArgs"])(
    "is refused as %s when the function is wrapped",
    (name) => {
      const options = { [name]: async () => true };
      expect(() => wrapFunction(harness().context, "find", () => 1, options as never)).toThrow(
        expect.objectContaining({
          code: "ERR_INVALID_CALLBACK",
          message: expect.stringContaining(`wrap("find", …): ${name}: expected a function that is not async`) as string,
        }) as Error,
      );
    },
  );
});

describe("a promise that rejects inside of what is refused", () => {
  const rejecting = (): Promise<unknown> => Promise.reject(new Error("late"));

  it.each([
    { what: "in the tags", options: { tags: () => [rejecting()] } },
    { what: "beside a tag that is too long", options: { tags: () => ["x".repeat(300), rejecting()] } },
    { what: "in a key", options: { key: () => [rejecting()] } },
    { what: "deep in a key", options: { key: () => ({ a: new Map([[1, new Set([rejecting()])]]) }) } },
    { what: "in place of tags", options: { tags: () => rejecting() } },
  ])("leaves no rejection behind: $what", async ({ options }) => {
    const expectNoneUnhandled = watchUnhandled();
    const find = wrapFunction(harness().context, "find", (id: number) => id, options as never);
    await find(7).catch((error: unknown) => expect(error).toMatchObject({ code: "ERR_UNSTABLE_ARGUMENT" }));
    await settled();
    await expectNoneUnhandled();
  });

  it.each([
    { what: "an argument", args: () => [rejecting()] },
    { what: "in an argument", args: () => [1, { a: [rejecting()] }, rejecting()] },
  ])("leaves no rejection behind: $what", async ({ args }) => {
    const expectNoneUnhandled = watchUnhandled();
    const find = wrapFunction(harness().context, "find", (...all: unknown[]) => all.length);
    await expect(find(...args())).rejects.toMatchObject({ code: "ERR_UNSTABLE_ARGUMENT" });
    await settled();
    await expectNoneUnhandled();
  });

  it("is passed on to the function as it is where it is an ignored argument", async () => {
    const unhandled: unknown[] = [];
    const find = wrapFunction(
      harness().context,
      "find",
      async (_id: number, other: Promise<unknown>) => {
        unhandled.push(other);
        return other.catch((error: unknown) => (error as Error).message);
      },
      { ignoreArgs: [1] },
    );
    const passed = rejecting();
    expect(await find(1, passed)).toBe("late");
    expect(unhandled[0]).toBe(passed);
  });
});

describe("`this` of a call", () => {
  it("is given to every callback", async () => {
    const { context } = harness();
    const seen: string[] = [];
    const note = (self: unknown, callback: string): void => void seen.push(`${callback} ${(self as Owner).name}`);
    interface Owner {
      readonly name: string;
    }
    const owner = {
      name: "owner",
      find: wrapFunction(context, "find", async (id: number) => id, {
        when() {
          note(this, "when");
          return true;
        },
        key(id) {
          note(this, "key");
          return id;
        },
        tags() {
          note(this, "tags");
          return [];
        },
        storeWhen() {
          note(this, "storeWhen");
          return true;
        },
      }),
    };
    await owner.find(7);
    expect(new Set(seen)).toEqual(new Set(["when owner", "key owner", "tags owner", "storeWhen owner"]));
  });

  it("must be named to purge by a key that reads it, unless there was only one", async () => {
    const { context } = harness();
    const find = wrapFunction(context, "find", async (id: number) => id, {
      key(id) {
        return [(this as { tenant: string }).tenant, id];
      },
    });
    await expect(find.purge(7)).rejects.toMatchObject({ code: "ERR_UNKNOWN_THIS" });
    const a = { tenant: "a", find };
    await a.find(7);
    expect(find.keyOf(7)).toBe('test find(["a",7])');
    await find.purge(7);
    expect(await context.store.get('test find(["a",7])')).toBeUndefined();
    const b = { tenant: "b", find };
    await b.find(7);
    await expect(find.purge(7)).rejects.toMatchObject({ code: "ERR_UNKNOWN_THIS" });
    await find.purge.call(b, 7);
    expect(await context.store.get('test find(["b",7])')).toBeUndefined();
  });
});
