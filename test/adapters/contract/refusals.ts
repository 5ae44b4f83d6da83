import { expect, it } from "vitest";

import type { Given } from "./driver.ts";
import { linesOf } from "./http-client.ts";
import { cacheStatusOf, hitOrMiss, type Setup, untilStored } from "./world.ts";

interface Refused {
  readonly trap: string;
  readonly given: Omit<Given, "text"> & { readonly text?: string };
  readonly detail: string;
}

const REFUSED: readonly Refused[] = [
  { trap: "Set-Cookie", given: { headers: { "Set-Cookie": ["a=1; Path=/", "b=2"] } }, detail: "set-cookie" },
  { trap: "private", given: { headers: { "Cache-Control": "private" } }, detail: "private" },
  { trap: "no-store", given: { headers: { "Cache-Control": "no-store" } }, detail: "no-store" },
  { trap: "no-cache", given: { headers: { "Cache-Control": "no-cache" } }, detail: "no-cache" },
  {
    trap: "PRIVATE in capitals",
    given: { headers: { "Cache-Control": "max-age=60, PRIVATE" } },
    detail: "private",
  },
  { trap: "No-Store in mixed case", given: { headers: { "Cache-Control": "No-Store" } }, detail: "no-store" },
  {
    trap: "a qualified private",
    given: { headers: { "Cache-Control": 'private, private="x"' } },
    detail: "private",
  },
  { trap: "Vary: Cookie", given: { headers: { Vary: "Cookie" } }, detail: "vary-identity" },
  { trap: "Vary: Authorization", given: { headers: { Vary: "accept, AUTHORIZATION" } }, detail: "vary-identity" },
  { trap: "Vary: *", given: { headers: { Vary: "*" } }, detail: "vary-any" },
  { trap: "Vary with odd blanks", given: { headers: { Vary: "accept,,\t*\t," } }, detail: "vary-any" },
  {
    trap: "one CORS origin",
    given: { headers: { "Access-Control-Allow-Origin": "https://a.example" } },
    detail: "origin-unkeyed",
  },
  { trap: "T31 401", given: { status: 401 }, detail: "status" },
  { trap: "T31 403", given: { status: 403 }, detail: "status" },
  { trap: "404", given: { status: 404 }, detail: "status" },
  { trap: "500", given: { status: 500 }, detail: "status" },
  { trap: "503", given: { status: 503 }, detail: "status" },
  { trap: "302", given: { status: 302, headers: { Location: "/login" } }, detail: "status" },
  { trap: "303", given: { status: 303, headers: { Location: "/login" } }, detail: "status" },
  { trap: "307", given: { status: 307, headers: { Location: "/login" } }, detail: "status" },
  { trap: "201", given: { status: 201 }, detail: "status" },
  { trap: "206", given: { status: 206, headers: { "Content-Range": "bytes 0-1/9" } }, detail: "partial" },
  { trap: "200 with Content-Range", given: { headers: { "Content-Range": "bytes 0-1/9" } }, detail: "partial" },
];

/** Responses that are never stored. */
export function refusals(setup: Setup): void {
  it.each(REFUSED)("$trap is not stored", async ({ given, detail }) => {
    let run = 0;
    const { get, events } = await setup.serve(() => ({ ...given, text: `run ${++run}` }));

    for (const text of ["run 1", "run 2"]) {
      const received = await get("/");
      expect([received.status, received.text]).toEqual([given.status ?? 200, text]);
      expect(hitOrMiss(received)).toBe("Miss");
      expect(cacheStatusOf(received)).toBe(`reprise; fwd=uri-miss; fwd-status=${received.status}; detail=${detail}`);
      for (const [name, value] of Object.entries(given.headers ?? {})) {
        expect(linesOf(received, name.toLowerCase()).join(", ")).toContain([value].flat().join(", "));
      }
      if (given.headers?.["Cache-Control"] === undefined) expect(received.headers["cache-control"]).toBeUndefined();
      expect(received.headers.expires).toBeUndefined();
    }
    expect(events.filter(({ type }) => type === "not-stored")).toHaveLength(2);
  });

  it.each([204, 205, 304])("%i is not stored", async (status) => {
    let run = 0;
    const { get } = await setup.serve(() => {
      run++;
      return { status, empty: true };
    });

    for (const runs of [1, 2]) {
      const received = await get("/");
      expect([received.status, received.body.length, run]).toEqual([status, 0, runs]);
      expect(hitOrMiss(received)).toBe("Miss");
    }
  });

  it.each([301, 308])("%i is stored: it is meant for good", async (status) => {
    const { get } = await setup.serve(() => ({ status, empty: true, headers: { Location: "/new" } }));

    await get("/");
    const hit = await get("/");
    expect([hit.status, hit.headers.location, hitOrMiss(hit)]).toEqual([status, "/new", "Hit"]);
  });

  it("a CORS origin is stored where Origin is in the key, by Vary or by the route", async () => {
    const reflect = (seen: { header(name: string): string | undefined }) => ({
      text: "data",
      headers: { "Access-Control-Allow-Origin": seen.header("origin") ?? "null", Vary: "Origin" },
    });
    const { get } = await setup.start([
      { path: "/by-response", handler: reflect },
      { path: "/by-route", handler: reflect, options: { vary: ["origin"] } },
    ]);

    for (const path of ["/by-response", "/by-route"]) {
      for (const outcome of ["Miss", "Hit"]) {
        for (const origin of ["https://a.example", "https://b.example"]) {
          const received = await get(path, { Origin: origin });
          expect(received.headers["access-control-allow-origin"]).toBe(origin);
          expect(hitOrMiss(received)).toBe(outcome);
        }
      }
    }
  });

  it("a login redirect for one does not redirect the others", async () => {
    let isLoggedIn = false;
    const { get } = await setup.serve(() =>
      isLoggedIn ? { text: "the page" } : { status: 302, empty: true, headers: { Location: "/login" } },
    );

    expect((await get("/")).status).toBe(302);
    isLoggedIn = true;
    expect((await get("/")).text).toBe("the page");
  });

  it("a Range on a miss is the handler's to answer, and the whole response is stored", async () => {
    const seen: (string | undefined)[] = [];
    const world = await setup.serve((request) => {
      const range = request.header("range");
      seen.push(range);
      return range === undefined
        ? { text: "0123456789" }
        : { status: 206, text: "234", headers: { "Content-Range": "bytes 2-4/10" } };
    });
    const { get } = world;

    const part = await get("/", { Range: "bytes=2-4" });
    expect([part.status, part.text, hitOrMiss(part)]).toEqual([206, "234", "Miss"]);
    await untilStored(world, 1);
    const hit = await get("/");
    expect([hit.text, hitOrMiss(hit)]).toEqual(["0123456789", "Hit"]);
    const next = await get("/", { Range: "bytes=5-6" });
    expect([next.status, next.text, hitOrMiss(next)]).toEqual([206, "56", "Hit"]);
    expect(seen).toEqual(["bytes=2-4", undefined]);
  });

  it("a stored response that its handler takes back is gone", async () => {
    let directive = "public";
    const { get, advance } = await setup.serve(() => ({ text: directive, headers: { "Cache-Control": directive } }), {
      expire: 10,
      staleIfError: 1000,
    });

    await get("/");
    directive = "no-store";
    advance(10);
    expect((await get("/")).text).toBe("no-store");
    expect((await get("/")).text).toBe("no-store");
  });
}
