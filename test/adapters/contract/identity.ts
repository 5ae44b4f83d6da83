import { expect, it } from "vitest";

import { cacheStatusOf, counter, hitOrMiss, type Setup } from "./world.ts";

/** Whose response it is. */
export function identity(setup: Setup): void {
  it("5.11 T16 a request with Authorization bypasses, and Cache-Status says why", async () => {
    const { get } = await setup.serve((seen) => ({ text: `hello ${seen.header("authorization") ?? "stranger"}` }));

    for (const user of ["Bearer a", "Bearer b", "Bearer a"]) {
      const received = await get("/", { Authorization: user });
      expect(received.text).toBe(`hello ${user}`);
      expect(cacheStatusOf(received)).toBe("reprise; fwd=bypass; detail=authorization");
      expect(hitOrMiss(received)).toBe("Miss");
      expect(received.headers["cache-control"]).toBeUndefined();
    }
    expect((await get("/")).text).toBe("hello stranger");
    expect((await get("/", { Authorization: "Bearer a" })).text).toBe("hello Bearer a");
    expect(hitOrMiss(await get("/"))).toBe("Hit");
  });

  it.each(["connect.sid=a", "theme=dark; session=a", "__Host-session=a", "PHPSESSID=a"])(
    "5.11 T16 a session cookie bypasses: %s",
    async (cookie) => {
      const { get } = await setup.serve((seen) => ({ text: `cookie ${seen.header("cookie") ?? "none"}` }));

      await get("/");
      const mine = await get("/", { Cookie: cookie });

      expect(mine.text).toBe(`cookie ${cookie}`);
      expect(cacheStatusOf(mine)).toBe("reprise; fwd=bypass; detail=session-cookie");
      expect((await get("/")).text).toBe("cookie none");
    },
  );

  it("T24 a handler that reads a session and says no Vary: its answer reaches nobody else", async () => {
    const { get } = await setup.serve((seen) => ({ text: `cart of ${seen.header("cookie") ?? "nobody"}` }));

    expect((await get("/", { Cookie: "sid=a" })).text).toBe("cart of sid=a");
    const stranger = await get("/");
    expect([stranger.text, hitOrMiss(stranger)]).toEqual(["cart of nobody", "Miss"]);
    expect((await get("/", { Cookie: "sid=b" })).text).toBe("cart of sid=b");
  });

  it("5.11 other cookies make no difference", async () => {
    const { get } = await setup.serve(counter().handler);
    await get("/");

    expect(hitOrMiss(await get("/", { Cookie: "theme=dark; _ga=GA1.2.3; mysession=a" }))).toBe("Hit");
  });

  it("5.11 the identity rules of a cache can be changed", async () => {
    const { get } = await setup.serve(
      counter().handler,
      {},
      { identity: { authorization: false, cookies: ["login"] } },
    );

    await get("/");
    expect(hitOrMiss(await get("/", { Cookie: "session=a" }))).toBe("Hit");
    expect(cacheStatusOf(await get("/", { Cookie: "LOGIN=a" }))).toContain("detail=session-cookie");
  });

  it('5.11 audience "public": everybody shares', async () => {
    const { get } = await setup.serve(counter().handler, { audience: "public" });

    await get("/", { Authorization: "Bearer a" });
    for (const headers of [{ Authorization: "Bearer b" }, { Cookie: "session=a" }, {}]) {
      const received = await get("/", headers);
      expect([received.text, hitOrMiss(received)]).toEqual(['{"run":1}', "Hit"]);
    }
  });

  it("5.11 audience per user: each has a response of their own, private to downstream caches", async () => {
    const { get, events } = await setup.serve(
      (seen) => ({ text: `hello ${seen.header("authorization") ?? "stranger"}` }),
      (header) => ({ expire: 60, audience: (native) => header(native, "authorization") }),
    );

    for (const outcome of ["Miss", "Hit"]) {
      for (const user of ["user-secret-a", "user-secret-b"]) {
        const received = await get("/", { Authorization: user });
        expect([received.text, hitOrMiss(received)]).toEqual([`hello ${user}`, outcome]);
        expect(received.headers["cache-control"]).toBe("private, max-age=60");
      }
      const anonymous = await get("/");
      expect([anonymous.text, hitOrMiss(anonymous)]).toEqual(["hello stranger", outcome]);
    }
    expect(JSON.stringify(events)).not.toContain("user-secret");
  });

  it("5.11 an audience that throws or is no id bypasses", async () => {
    const { get } = await setup.serve(counter().handler, { audience: (() => ({ id: 7 })) as unknown as () => string });

    for (const run of [1, 2]) {
      const received = await get("/");
      expect(received.text).toBe(`{"run":${run}}`);
      expect(cacheStatusOf(received)).toBe("reprise; fwd=bypass; detail=callback-failed");
    }
  });

  it("T16 a response to Authorization may be shared if its handler says public", async () => {
    const { get } = await setup.serve(
      () => ({ text: "everybody's", headers: { "Cache-Control": "public" } }),
      {},
      { identity: { authorization: false } },
    );

    await get("/", { Authorization: "Bearer a" });
    expect(hitOrMiss(await get("/", { Authorization: "Bearer b" }))).toBe("Hit");
  });

  it("T16 without that it is not stored, even where Authorization does not bypass", async () => {
    const { get } = await setup.serve(counter().handler, {}, { identity: { authorization: false } });

    const mine = await get("/", { Authorization: "Bearer a" });
    expect(cacheStatusOf(mine)).toBe("reprise; fwd=uri-miss; fwd-status=200; detail=authorization");
    expect((await get("/")).text).toBe('{"run":2}');
  });

  it("T11 Cache-Status and the log of events hold no credentials", async () => {
    const { get, events } = await setup.serve(counter().handler);

    const received = await get("/", { Authorization: "Bearer very-secret", Cookie: "session=also-secret" });

    expect(JSON.stringify(received.headers)).not.toContain("secret");
    expect(JSON.stringify(events)).not.toContain("secret");
  });
}
