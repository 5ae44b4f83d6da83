/** Async context: a request that waits for another one goes on in its own. */

import { AsyncLocalStorage } from "node:async_hooks";
import { expect, it } from "vitest";

import type { CacheOptions } from "../../../src/index.ts";
import type { Around, Given, RouteSpec, Seen } from "./driver.ts";
import { untilArrived } from "./collapsing.ts";
import { gate, type Setup, until } from "./world.ts";

const currentUser = new AsyncLocalStorage<string>();

const around: Around = (header, next) => currentUser.run(header("x-user") ?? "nobody", next);

/** How the request that the other one waits for ends. */
interface Ending {
  readonly end: string;
  readonly given: (user: string, run: number) => Given;
  readonly options?: RouteSpec["options"];
  readonly cache?: CacheOptions;
  /** True where both get one response: it is the first one's. */
  readonly isShared?: true;
}

const ENDINGS: readonly Ending[] = [
  { end: "is private", given: (user) => ({ text: user, headers: { "Cache-Control": "private" } }) },
  { end: "is no-store", given: (user) => ({ text: user, headers: { "Cache-Control": "no-store" } }) },
  { end: "sets a cookie", given: (user) => ({ text: user, headers: { "Set-Cookie": `id=${user}` } }) },
  { end: "is a 503", given: (user) => ({ text: user, status: 503 }) },
  { end: "is refused by storeWhen", given: (user) => ({ text: user }), options: { storeWhen: () => false } },
  { end: "is too large", given: (user) => ({ text: user }), cache: { maxBodyBytes: 1 } },
  { end: "varies by everything", given: (user) => ({ text: user, headers: { Vary: "*" } }) },
  { end: "varies by the user", given: (user) => ({ text: user, headers: { Vary: "X-User" } }) },
  {
    end: "throws",
    given: (user, run) => {
      if (run === 1) throw new Error("down");
      return { text: user };
    },
  },
  { end: "is stored", given: (user) => ({ text: user }), isShared: true },
];

export function asyncContext(setup: Setup): void {
  it.each(ENDINGS)(
    "async context: a request that waited for one that $end goes on in its own",
    async ({ given, options, cache, isShared }) => {
      const slow = gate();
      const finished: string[] = [];
      let run = 0;
      const handler = async (seen: Seen): Promise<Given> => {
        run += 1;
        const number = run;
        const user = currentUser.getStore() ?? "none";
        if (number === 1) await slow.opened;
        // Also after a wait, and as the request's own header says.
        finished.push(`${user} ${currentUser.getStore()} ${seen.header("x-user")}`);
        return given(currentUser.getStore() ?? "none", number);
      };
      const route = { path: "/", handler, ...(options === undefined ? {} : { options }) };
      const { get } = await setup.start([route], cache, around);

      const ann = get("/", { "X-User": "ann" });
      await until(() => run === 1);
      const others = ["bob", "cid"].map((user) => get("/", { "X-User": user }));
      await untilArrived();
      slow.open();
      const [first, second, third] = [await ann, ...(await Promise.all(others))];

      if (isShared === true) {
        expect([second?.text, third?.text, run]).toEqual(["ann", "ann", 1]);
        return;
      }
      expect(["ann", "failed"].includes(first.text) || first.status === 500).toBe(true);
      // After a throw one of the two runs the handler, and the other may share its response.
      expect(["bob", "cid"]).toContain(second?.text);
      expect(["bob", "cid"]).toContain(third?.text);
      for (const line of finished) {
        const [before, after, header] = line.split(" ");
        expect([before, after]).toEqual([header, header]);
      }
    },
  );

  it("async context: the request that goes on when the first client has left is in its own", async () => {
    const slow = gate();
    const seen: (string | undefined)[] = [];
    const handler = async (): Promise<Given> => {
      seen.push(currentUser.getStore());
      if (seen.length === 1) await slow.opened;
      return { text: currentUser.getStore() ?? "none" };
    };
    const world = await setup.start([{ path: "/", handler }], {}, around);

    const ann = await opened(`${world.url}/`, "ann");
    await until(() => seen.length === 1);
    const bob = world.get("/", { "X-User": "bob" });
    await untilArrived();
    ann.destroy();
    slow.open();
    const { text } = await bob;

    // Either the run of ann was good enough for both, or bob has one of his own.
    expect(seen).toEqual(text === "ann" ? ["ann"] : ["ann", "bob"]);
  });

  it("async context: a request that no longer waits at the deadline goes on in its own", async () => {
    const slow = gate();
    const seen: (string | undefined)[] = [];
    const handler = async (): Promise<Given> => {
      seen.push(currentUser.getStore());
      if (seen.length === 1) await slow.opened;
      return { text: currentUser.getStore() ?? "none" };
    };
    const world = await setup.start([{ path: "/", handler }], { fillDeadline: 1, collapseDeadline: 1 }, around);

    const ann = world.get("/", { "X-User": "ann" });
    await until(() => seen.length === 1);
    expect((await world.get("/", { "X-User": "bob" })).text).toBe("bob");
    slow.open();
    expect((await ann).text).toBe("ann");
    expect(seen).toEqual(["ann", "bob"]);
  });

  it("async context: callbacks of options run in the request's own", async () => {
    const seen: string[] = [];
    const note = (callback: string): void => void seen.push(`${callback} ${currentUser.getStore()}`);
    const options: RouteSpec["options"] = {
      when: () => {
        note("when");
        return true;
      },
      key: () => {
        note("key");
        return "";
      },
      tags: () => {
        note("tags");
        return ["a"];
      },
      storeWhen: () => {
        note("storeWhen");
        return true;
      },
    };
    const { get } = await setup.start([{ path: "/", handler: () => ({ text: "a" }), options }], {}, around);

    await get("/", { "X-User": "ann" });

    expect(new Set(seen)).toEqual(new Set(["when ann", "key ann", "tags ann", "storeWhen ann"]));
  });
}

/** A request whose answer nobody reads. */
async function opened(url: string, user: string): Promise<{ destroy(): void }> {
  const { request } = await import("node:http");
  const asking = request(url, { headers: { "x-user": user }, agent: false });
  asking.on("error", () => {});
  asking.end();
  return { destroy: () => void asking.destroy() };
}
