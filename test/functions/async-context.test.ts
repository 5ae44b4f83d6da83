import { AsyncLocalStorage } from "node:async_hooks";
import { afterEach, describe, expect, it, vi } from "vitest";
import { wrapFunction } from "../../src/functions/wrap.ts";
import { gate, harness, remoteStore, settled, type Gate } from "./harness.ts";

const users = new AsyncLocalStorage<string>();

const STORES = [
  { kind: "a store that answers at once", store: undefined },
  { kind: "a store that answers later", store: remoteStore },
];

const ENDS: readonly {
  readonly end: string;
  readonly options?: object;
  readonly finish: (run: Gate<unknown>) => void;
}[] = [
  { end: "is stored", finish: (run) => run.open("done") },
  { end: "throws", finish: (run) => run.fail(new Error("down")) },
  { end: "is not storable", finish: (run) => run.open(() => 1) },
  { end: "is refused by storeWhen", options: { storeWhen: () => false }, finish: (run) => run.open("done") },
  { end: "exceeds the deadline", finish: () => void vi.advanceTimersByTime(5_000) },
  {
    end: "stands in for a failure",
    options: { expire: 10, staleIfError: 3600 },
    finish: (run) => run.fail(new Error("down")),
  },
];

afterEach(() => {
  vi.useRealTimers();
});

describe.each(STORES)("over $kind, the async context of two overlapping calls", ({ store }) => {
  it.each(ENDS)("stays each caller's own where the first one $end", async ({ end, options, finish }) => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const { context, advance } = harness({ fillDeadlineMs: 5_000, ...(store === undefined ? {} : { store }) });
    const ranAs: (string | undefined)[] = [];
    const first = gate<unknown>();
    const results: (() => unknown)[] = [() => first.promise, () => "own"];
    if (end.startsWith("stands in")) results.unshift(() => "stale");
    const find = wrapFunction(
      context,
      "find",
      (): unknown => {
        ranAs.push(users.getStore());
        return results.shift()?.();
      },
      options,
    );
    if (end.startsWith("stands in")) {
      await find();
      await settled();
      advance(20);
      ranAs.length = 0;
    }
    const callAs = (user: string): Promise<string | undefined> =>
      users.run(user, async () => {
        await find().catch(() => undefined);
        return users.getStore();
      });
    const calls = [callAs("ann"), callAs("bob")];
    await settled();
    finish(first);
    const bob = await calls[1];
    first.open("late");
    expect([await calls[0], bob]).toEqual(["ann", "bob"]);
    expect(ranAs).toEqual(["ann", "bob"].slice(0, ranAs.length));
  });
});

it("events of a call are reported in its own context", async () => {
  const { context } = harness({ store: remoteStore });
  const reportedTo: (string | undefined)[] = [];
  const find = wrapFunction({ ...context, report: () => reportedTo.push(users.getStore()) }, "find", () => "done");
  await users.run("ann", () => find());
  await settled();
  await users.run("bob", () => find());
  expect(reportedTo).toEqual(["ann", "bob"]);
});
