import { expect, it } from "vitest";

import { open } from "./http-client.ts";
import { cacheStatusOf, gate, hitOrMiss, type Setup, until, untilStored, type World } from "./world.ts";

/** `/` is "v1" for ten seconds. Who is given it stale leaves while its renewal waits; the "v2" of that is stored nevertheless. */
export async function leavesWithStale(
  world: World,
  renewal: { readonly isUnderWay: () => boolean; readonly open: () => void },
): Promise<void> {
  await world.get("/");
  world.advance(15);

  const stale = await open(`${world.url}/`);
  stale.on("error", () => {});
  stale.destroy();
  await until(renewal.isUnderWay);
  renewal.open();
  await untilStored(world, 2);
  expect((await world.get("/")).text).toBe("v2");
}

/** Stale responses: while they are renewed, and instead of an error. */
export function staleResponses(setup: Setup): void {
  it("stale-while-revalidate: the client has the stale response at once, and one run renews it (RFC 5861 §3)", async () => {
    const slow = gate();
    let run = 0;
    const world = await setup.serve(
      async () => {
        run++;
        if (run > 1) await slow.opened;
        return { text: `v${run}` };
      },
      { expire: 10, staleWhileRevalidate: 60 },
    );
    const { get, advance } = world;
    await get("/");
    advance(15);

    const stale = await Promise.all([get("/"), get("/"), get("/")]);

    for (const received of stale) {
      expect([received.text, hitOrMiss(received)]).toEqual(["v1", "Hit"]);
      expect(cacheStatusOf(received)).toBe("reprise; hit; ttl=-5");
      expect(received.headers["cache-control"]).toBe("max-age=0");
    }
    await until(() => run === 2);
    slow.open();
    await untilStored(world, 2);
    const renewed = await get("/");
    expect([renewed.text, cacheStatusOf(renewed), run]).toEqual(["v2", "reprise; hit; ttl=10", 2]);
  });

  it("stale-while-revalidate: the second run has the request of the first", async () => {
    const seen: string[] = [];
    const world = await setup.serve(
      (request) => {
        seen.push([request.method, request.url, request.query("lang"), request.header("accept")].join(" "));
        return { text: "a" };
      },
      { expire: 10, staleWhileRevalidate: 60, query: ["lang"] },
    );
    await world.get("/?lang=en&utm=1", { Accept: "text/html" });
    world.advance(15);
    await world.get("/?utm=2&lang=en", { Accept: "text/html", "If-None-Match": "*", Range: "bytes=0-0" });
    await untilStored(world, 2);

    expect(seen).toEqual(["GET /?lang=en en text/html", "GET /?lang=en en text/html"]);
  });

  it("stale-while-revalidate: a failed renewal leaves the stale response, and the next reader tries again", async () => {
    let run = 0;
    const world = await setup.serve(
      () => {
        run++;
        if (run === 2) throw new Error("down");
        if (run === 3) return { status: 503, text: "down" };
        return { text: `v${run}` };
      },
      { expire: 10, staleWhileRevalidate: 60 },
    );
    const { get, advance, events } = world;
    await get("/");
    advance(15);

    for (const failures of [1, 2]) {
      expect((await get("/")).text).toBe("v1");
      await until(() => events.filter(({ type }) => type === "revalidation-failed").length === failures);
    }
    expect((await get("/")).text).toBe("v1");
    await untilStored(world, 2);
    expect((await get("/")).text).toBe("v4");
  });

  it("stale-while-revalidate: past its window a reader waits for the new one", async () => {
    let run = 0;
    const { get, advance } = await setup.serve(() => ({ text: `v${++run}` }), { expire: 10, staleWhileRevalidate: 60 });

    await get("/");
    advance(71);
    expect((await get("/")).text).toBe("v2");
  });

  it("must-revalidate is never served stale", async () => {
    let run = 0;
    const { get, advance } = await setup.serve(
      () => {
        run++;
        if (run > 1) return { status: 500, text: "down" };
        return { text: "v1", headers: { "Cache-Control": "must-revalidate" } };
      },
      { expire: 10, staleWhileRevalidate: 60, staleIfError: 60 },
    );

    await get("/");
    advance(15);
    expect((await get("/")).status).toBe(500);
  });

  it.each([500, 502, 503, 504])(
    "stale-if-error: %i is answered with the stale response (RFC 5861 §4)",
    async (status) => {
      let isDown = false;
      const { get, advance } = await setup.serve(() => (isDown ? { status, text: "down" } : { text: "v1" }), {
        expire: 10,
        staleIfError: 60,
      });
      await get("/");
      isDown = true;
      advance(15);

      const stale = await get("/");

      expect([stale.status, stale.text]).toEqual([200, "v1"]);
      expect(cacheStatusOf(stale)).toBe(`reprise; fwd=stale; fwd-status=${status}; ttl=-5; detail=stale-if-error`);
      expect((await get("/", { "If-None-Match": stale.headers.etag ?? "" })).status).toBe(304);
      advance(60);
      expect((await get("/")).status).toBe(status);
    },
  );

  it.each([
    { style: "at once", fail: () => fail() },
    { style: "later", fail: async () => fail() },
  ])("stale-if-error: a handler that throws $style", async ({ fail: failing }) => {
    let isDown = false;
    const { get, advance } = await setup.serve(() => (isDown ? failing() : { text: "v1" }), {
      expire: 10,
      staleIfError: 60,
    });
    await get("/");
    isDown = true;
    advance(15);

    const stale = await get("/");
    expect([stale.status, stale.text]).toEqual([200, "v1"]);
    advance(60);
    expect((await get("/")).status).toBe(500);
    expect((await get("/?never=stored")).status).toBe(500);
  });

  it.each([401, 403, 404, 410])("stale-if-error does not hide %i", async (status) => {
    let isGone = false;
    const { get, advance } = await setup.serve(() => (isGone ? { status, text: "gone" } : { text: "v1" }), {
      expire: 10,
      staleIfError: 600,
    });
    await get("/");
    isGone = true;
    advance(15);

    expect((await get("/")).status).toBe(status);
    expect((await get("/")).status).toBe(status);
  });
}

function fail(): never {
  throw new Error("down");
}
