import { setTimeout as pause } from "node:timers/promises";
import { expect, it } from "vitest";

import type { Given } from "./driver.ts";
import { open } from "./http-client.ts";
import { cacheStatusOf, gate, hitOrMiss, type Setup, until } from "./world.ts";

/** Many requests for the same thing at once. */
export function collapsing(setup: Setup): void {
  it("fifty requests at once make one run of the handler", async () => {
    const { get, runs, release } = await waiting(setup, () => ({ text: "shared", headers: { "X-Custom": "1" } }));

    const answers = Array.from({ length: 50 }, () => get("/"));
    await until(() => runs() === 1);
    await untilArrived();
    release();

    const received = await Promise.all(answers);
    expect(runs()).toBe(1);
    expect(new Set(received.map(({ text }) => text))).toEqual(new Set(["shared"]));
    expect(new Set(received.map(({ headers }) => headers["x-custom"]))).toEqual(new Set(["1"]));
    expect(received.filter((one) => cacheStatusOf(one)?.includes("stored"))).toHaveLength(1);
  });

  it.each([
    { trap: "Set-Cookie", headers: { "Set-Cookie": "session=a" } },
    { trap: "private", headers: { "Cache-Control": "private" } },
  ])("$trap: fifty requests at once, fifty runs, and each client gets its own", async ({ headers }) => {
    let users = 0;
    const { get, runs, release } = await waiting(setup, () => ({ text: `user ${++users}`, headers }));

    const answers = Array.from({ length: 50 }, () => get("/"));
    await until(() => runs() >= 1);
    await untilArrived();
    release();

    const received = await Promise.all(answers);
    expect(runs()).toBe(50);
    expect(new Set(received.map(({ text }) => text)).size).toBe(50);
    const [name, value] = Object.entries(headers)[0] ?? [];
    for (const one of received) expect([one.headers[(name ?? "").toLowerCase()]].flat()).toEqual([value]);
  });

  it("the client whose request runs the handler leaves, and those who wait get a whole response", async () => {
    const { url, get, runs, release } = await waiting(setup, () => ({ text: "for those who stay" }));

    const leader = open(`${url}/`).catch(() => undefined);
    await until(() => runs() === 1);
    const controller = new AbortController();
    const leaving = fetch(`${url}/?other`, { signal: controller.signal }).catch(() => undefined);
    await until(() => runs() === 2);
    const waiters = [get("/"), get("/"), get("/?other"), get("/?other")];
    await untilArrived();
    controller.abort();
    await leaving;
    release();

    for (const received of await Promise.all(waiters)) expect(received.text).toBe("for those who stay");
    (await leader)?.resume();
    expect(hitOrMiss(await get("/"))).toBe("Hit");
  });

  it("the handler fails for the first, and the others ask on their own", async () => {
    let isFirst = true;
    const { get, runs, release } = await waiting(setup, () => {
      if (!isFirst) return { text: "works" };
      isFirst = false;
      throw new Error("only once");
    });

    const answers = [get("/"), get("/"), get("/")];
    await until(() => runs() === 1);
    await untilArrived();
    release();

    const received = await Promise.all(answers);
    expect(received.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 200, 500]);
  });
}

/** A route whose handler waits until it is released. */
async function waiting(setup: Setup, answer: () => Given) {
  const open = gate();
  let runs = 0;
  const world = await setup.serve(async () => {
    runs++;
    await open.opened;
    return answer();
  });
  return { ...world, runs: () => runs, release: open.open };
}

/** Long enough for requests that are under way to have arrived; whether they wait is what the test is about. */
export function untilArrived(): Promise<void> {
  return pause(60);
}
