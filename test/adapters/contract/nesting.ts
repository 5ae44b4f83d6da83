import { setTimeout as pause } from "node:timers/promises";
import { expect, it } from "vitest";

import { untilArrived } from "./collapsing.ts";
import type { RouteSpec } from "./driver.ts";
import { cacheStatusOf, gate, hitOrMiss, type Setup, until, type World } from "./world.ts";

/** Cached routes behind cached routes of the same cache: the one next to the handler decides. */
export function nesting(setup: Setup): void {
  /** One route at `/` behind another one, whose lifetime is an hour. */
  const nested = (handler: RouteSpec["handler"], inner: RouteSpec["options"]): Promise<World> =>
    setup.start([{ path: "/", handler, options: inner ?? {}, outer: { expire: "1h", browser: "30m" } }]);

  it("a cached route behind another one does not wait for it, and its options hold", async () => {
    let run = 0;
    const { get, advance } = await nested(() => ({ text: `run ${++run}` }), { expire: "1m" });

    const miss = await Promise.race([get("/"), pause(5_000, undefined, { ref: false })]);
    expect([miss?.status, miss?.text]).toEqual([200, "run 1"]);
    const hit = await get("/");
    expect([hit.text, cacheStatusOf(hit)]).toEqual(["run 1", "reprise; hit; ttl=60"]);
    expect(hit.headers["cache-control"]).toBe("max-age=60");
    advance(61);
    expect((await get("/")).text).toBe("run 2");
    expect(hitOrMiss(await get("/"))).toBe("Hit");
  });

  it("a cached route behind another one: what its key tells apart stays apart", async () => {
    const { get } = await nested((seen) => ({ text: `for ${seen.header("x-group")}` }), { vary: ["x-group"] });

    for (const outcome of ["Miss", "Hit"]) {
      for (const group of ["a", "b"]) {
        const received = await get("/", { "X-Group": group });
        expect([received.text, hitOrMiss(received)]).toEqual([`for ${group}`, outcome]);
      }
    }
  });

  it("a cached route behind another one: what it refuses is stored by neither", async () => {
    let run = 0;
    const { get } = await nested(() => ({ text: `run ${++run}` }), { when: () => false });

    expect([(await get("/")).text, (await get("/")).text]).toEqual(["run 1", "run 2"]);
    expect(cacheStatusOf(await get("/"))).toBe("reprise; fwd=bypass; detail=when");
  });

  it("a cached route behind another one answers conditions and ranges of the client", async () => {
    const { get } = await nested(() => ({ text: "0123456789", headers: { ETag: '"v1"' } }), { expire: "1m" });
    await get("/");

    expect((await get("/", { "If-None-Match": '"v1"' })).status).toBe(304);
    const part = await get("/", { Range: "bytes=2-4" });
    expect([part.status, part.text, hitOrMiss(part)]).toEqual([206, "234", "Hit"]);
  });

  it("a cached route behind another one: many requests at once make one run", async () => {
    const slow = gate();
    let run = 0;
    const { get } = await nested(
      async () => {
        run += 1;
        await slow.opened;
        return { text: "shared" };
      },
      { expire: "1m" },
    );

    const answers = Array.from({ length: 10 }, () => get("/"));
    await until(() => run === 1);
    await untilArrived();
    slow.open();

    expect(new Set((await Promise.all(answers)).map(({ text }) => text))).toEqual(new Set(["shared"]));
    expect(run).toBe(1);
  });

  it("a cached route behind another one is renewed in the background", async () => {
    let run = 0;
    const { get, advance } = await nested(() => ({ text: `run ${++run}` }), { expire: 10, staleWhileRevalidate: 60 });
    await get("/");
    advance(15);

    await get("/");
    await until(() => run === 2);
    await until(async () => (await get("/")).text === "run 2");
    expect(cacheStatusOf(await get("/"))).toMatch(/^reprise; hit; ttl=\d+$/);
  });
}
