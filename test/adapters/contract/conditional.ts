import { expect, it } from "vitest";

import type { Given, RouteSpec } from "./driver.ts";
import { cacheStatusOf, counter, hitOrMiss, type Setup, untilStored } from "./world.ts";

const MODIFIED = "Sun, 01 Feb 2026 12:00:00 GMT";
const LATER = "Sun, 15 Feb 2026 12:00:00 GMT";
const EARLIER = "Thu, 01 Jan 2026 12:00:00 GMT";

/** `If-None-Match` and `If-Modified-Since` of clients. */
export function conditional(setup: Setup): void {
  it("5.7 T40 If-None-Match: alone, in a list, weak, and * are 304 with no body; others are 200", async () => {
    const { get } = await setup.serve(() => ({ text: "body", headers: { ETag: '"v1"' } }));
    await get("/");

    for (const value of ['"v1"', '"a", "v1"', '"a","v1" , "b"', 'W/"v1"', '"a, b", W/"v1"', "*"]) {
      const received = await get("/", { "If-None-Match": value });
      expect(received.status, value).toBe(304);
      expect(received.body, value).toHaveLength(0);
      expect(hitOrMiss(received), value).toBe("Hit");
    }
    for (const value of ['"v2"', '"V1"', "v1", '"v1', 'w/"v1"', '"a, "v1""', "", '"*"']) {
      const received = await get("/", { "If-None-Match": value });
      expect([received.status, received.text], value).toEqual([200, "body"]);
    }
  });

  it("5.7 T40 If-None-Match has precedence over If-Modified-Since", async () => {
    const { get } = await setup.serve(() => ({ text: "body", headers: { ETag: '"v1"', "Last-Modified": MODIFIED } }));
    await get("/");

    expect((await get("/", { "If-None-Match": '"v2"', "If-Modified-Since": LATER })).status).toBe(200);
    expect((await get("/", { "If-None-Match": '"v1"', "If-Modified-Since": EARLIER })).status).toBe(304);
    expect((await get("/", { "If-Modified-Since": LATER })).status).toBe(304);
    expect((await get("/", { "If-Modified-Since": MODIFIED })).status).toBe(304);
    expect((await get("/", { "If-Modified-Since": EARLIER })).status).toBe(200);
    expect((await get("/", { "If-Modified-Since": "yesterday" })).status).toBe(200);
  });

  it("If-Modified-Since counts for nothing where a response was just made and has no Last-Modified", async () => {
    let version = 1;
    const { get, cache, advance, nowMs } = await setup.start([
      { path: "/kept", handler: () => ({ text: `v${version}` }), options: { expire: 60, tags: ["kept"] } },
      { path: "/refused", handler: () => ({ text: `v${version}`, headers: { "Cache-Control": "no-store" } }) },
      { path: "/cookie", handler: () => ({ text: `v${version}`, headers: { "Set-Cookie": "seen=1" } }) },
      {
        path: "/renewed",
        handler: (seen) =>
          seen.header("if-none-match") === '"v"'
            ? { status: 304, empty: true, headers: { ETag: '"v"' } }
            : { text: "v", headers: { ETag: '"v"' } },
        options: { expire: 10 },
      },
    ]);
    const since = (seconds: number): Record<string, string> => ({
      "If-Modified-Since": new Date(nowMs() + seconds * 1000).toUTCString(),
    });
    for (const path of ["/kept", "/refused", "/cookie", "/renewed"]) await get(path);
    version = 2;
    await cache.purge({ tag: "kept" });
    advance(11);

    for (const seconds of [0, 5]) {
      for (const path of ["/kept", "/refused", "/cookie", "/renewed"]) {
        const received = await get(path, since(seconds));
        expect([received.status, received.text], path).toEqual([200, path === "/renewed" ? "v" : "v2"]);
      }
      await cache.purge({ tag: "kept" });
      advance(11);
    }
  });

  it("If-Modified-Since is compared with the Date of a response that is reused, and ignored in the future", async () => {
    const { get, advance, nowMs } = await setup.serve(() => ({ text: "body" }), { expire: 60 });
    await get("/");
    advance(10);
    const at = (seconds: number): Record<string, string> => ({
      "If-Modified-Since": new Date(nowMs() + seconds * 1000).toUTCString(),
    });

    // RFC 9111 §4.3.2
    expect((await get("/", at(0))).status).toBe(304);
    expect((await get("/", at(-11))).status).toBe(200);
    for (const seconds of [1, 5, 3600]) expect((await get("/", at(seconds))).status).toBe(200);
  });

  it("requests that wait for another one's response ignore If-Modified-Since without Last-Modified, too", async () => {
    const { get, nowMs } = await setup.serve(async () => {
      await new Promise((resolve) => setTimeout(resolve, 50));
      return { text: "body" };
    });
    const headers = { "If-Modified-Since": new Date(nowMs()).toUTCString() };
    const received = await Promise.all([get("/", headers), get("/", headers), get("/", headers)]);
    expect(received.map(({ status }) => status)).toEqual([200, 200, 200]);
  });

  it("5.7 a condition on a miss is evaluated by the cache, and the whole response is stored", async () => {
    const seen: (string | undefined)[] = [];
    const { get } = await setup.serve((request) => {
      seen.push(request.header("if-none-match"), request.header("if-modified-since"));
      return { json: { a: 1 }, headers: { ETag: '"v1"' } };
    });

    const miss = await get("/", { "If-None-Match": '"v1"', "If-Modified-Since": LATER });
    const hit = await get("/");

    expect(seen).toEqual([undefined, undefined]);
    expect([200, 304]).toContain(miss.status);
    expect([hit.status, hit.text, hitOrMiss(hit)]).toEqual([200, '{"a":1}', "Hit"]);
  });

  it("5.7 T38 the tag is strong, quoted, made of the content and kept across lifetimes", async () => {
    let text = "one";
    const { get, advance } = await setup.serve(() => ({ text }), { expire: 10 });

    const first = (await get("/")).headers.etag ?? "none";
    expect(first).toMatch(/^"[\x21\x23-\x7e]{16,}"$/);
    advance(10);
    expect((await get("/")).headers.etag).toBe(first);
    text = "two";
    advance(10);
    const changed = (await get("/")).headers.etag ?? "none";
    expect(changed).not.toBe(first);
    expect((await get("/", { "If-None-Match": first })).status).toBe(200);
    expect((await get("/", { "If-None-Match": changed })).status).toBe(304);
  });

  it("5.7 T38 a second cache makes the same tag of the same content", async () => {
    const handler = () => ({ json: { same: true } });
    const one = await setup.serve(handler, {}, { authority: "api.example" });
    const two = await setup.serve(handler, {}, { authority: "api.example" });

    const [first, second] = [await one.get("/"), await two.get("/")];

    expect([first, second].map(hitOrMiss)).toEqual(["Miss", "Miss"]);
    expect(first.headers.etag).toMatch(/^"[^"]+"$/);
    expect(second.headers.etag).toBe(first.headers.etag);
    expect((await two.get("/", { "If-None-Match": first.headers.etag ?? "" })).status).toBe(304);
  });

  it.each(['"mine"', 'W/"weak-mine"'])("5.7 the handler's own tag %s is kept", async (etag) => {
    const { get } = await setup.serve(() => ({ json: { a: 1 }, headers: { ETag: etag } }));

    for (const outcome of ["Miss", "Hit"]) {
      const received = await get("/");
      expect([received.headers.etag, hitOrMiss(received)]).toEqual([etag, outcome]);
    }
    expect((await get("/", { "If-None-Match": etag })).status).toBe(304);
  });

  it("5.7 T26 the tag of one URL never makes a 304 on another, not even for equal bodies", async () => {
    const { get } = await setup.start([
      { path: "/a", handler: () => ({ text: "equal" }) },
      { path: "/b", handler: () => ({ text: "equal" }) },
    ]);

    const etags = new Set<string>();
    for (const path of ["/a", "/b", "/a?x=1"]) etags.add((await get(path)).headers.etag ?? "none");
    expect(etags.size).toBe(3);
    const [ofA = ""] = etags;
    expect((await get("/a", { "If-None-Match": ofA })).status).toBe(304);
    expect((await get("/b", { "If-None-Match": ofA })).status).toBe(200);
    expect((await get("/a?x=1", { "If-None-Match": ofA })).status).toBe(200);
    expect((await get("/a?never=seen", { "If-None-Match": ofA })).status).toBe(200);
  });

  it("5.7 T41 a 304 has every field a 200 would have, but none of the body", async () => {
    const { get } = await setup.serve(
      () => ({
        json: { a: 1 },
        headers: {
          ETag: '"v1"',
          Vary: "Accept-Language",
          "Content-Location": "/canonical",
          "Access-Control-Allow-Origin": "*",
          "Content-Language": "en",
        },
      }),
      { expire: 60 },
    );
    await get("/");

    const received = await get("/", { "If-None-Match": '"v1"' });

    expect(received.status).toBe(304);
    expect(received.headers).toMatchObject({
      "cache-control": "max-age=60",
      "content-location": "/canonical",
      etag: '"v1"',
      expires: "Sun, 01 Mar 2026 12:01:00 GMT",
      vary: "Accept-Language, Cookie, Authorization",
      "access-control-allow-origin": "*",
      "x-reprise-cache": "Hit",
    });
    expect(received.headers.date).toBeDefined();
    expect(received.headers["content-type"]).toBeUndefined();
    expect(Number(received.headers["content-length"] ?? 0)).toBe(0);
  });

  it("5.7 conditions that protect a change reach the handler", async () => {
    const { get } = await setup.serve((seen) => ({ text: `if-match ${seen.header("if-match") ?? "none"}` }));
    await get("/");

    const received = await get("/", { "If-Match": '"v1"' });

    expect(received.text).toBe('if-match "v1"');
    expect(received.headers["cache-status"]).toBe("reprise; fwd=bypass; detail=precondition");
    expect((await get("/")).text).toBe("if-match none");
  });

  it("5.7 a stored status other than 200 is never a 304", async () => {
    const { get } = await setup.serve(() => ({ status: 404, text: "gone" }), { statuses: [404] });
    const etag = (await get("/")).headers.etag ?? "*";

    for (const value of [etag, "*"]) expect((await get("/", { "If-None-Match": value })).status).toBe(404);
  });

  it("5.7 revalidation: a stale response whose handler says 304 is fresh again", async () => {
    const run = counter();
    let asked: string | undefined;
    const { get, advance } = await setup.serve(
      (seen) => {
        void run.handler(seen);
        asked = seen.header("if-none-match");
        if (asked === '"v1"') return { status: 304, empty: true, headers: { ETag: '"v1"' } };
        return { text: "the body", headers: { ETag: '"v1"' } };
      },
      { expire: 10 },
    );
    await get("/");
    advance(10);

    const renewed = await get("/");

    expect(asked).toBe('"v1"');
    expect([renewed.status, renewed.text]).toEqual([200, "the body"]);
    expect(renewed.headers["cache-status"]).toBe("reprise; fwd=stale; fwd-status=304; ttl=10; stored");
    const hit = await get("/");
    expect([hitOrMiss(hit), hit.text, run.runs]).toEqual(["Hit", "the body", 2]);
  });

  const NOT_STORED: readonly { what: string; given: Partial<Given>; make?: RouteSpec["make"] }[] = [
    { what: "private", given: { headers: { "Cache-Control": "private" } } },
    { what: "no-store", given: { headers: { "Cache-Control": "no-store" } } },
    { what: "with a cookie", given: { headers: { "Set-Cookie": "a=1" } } },
    { what: "that varies by everything", given: { headers: { Vary: "*" } } },
    { what: "without a lifetime", given: {}, make: (cached, rest) => cached.byHeaders({}, ...rest) },
    { what: "too large", given: {}, make: (cached, rest) => cached({ maxBodyBytes: 3 }, ...rest) },
    { what: "refused by storeWhen", given: {}, make: (cached, rest) => cached({ storeWhen: () => false }, ...rest) },
  ];

  it.each(NOT_STORED)(
    "a response $what: conditions are answered on the first request and on later ones",
    async (row) => {
      const given: Given = {
        text: "body",
        headers: { ETag: '"v1"', "Last-Modified": MODIFIED, ...row.given.headers },
      };
      const route = { path: "/", handler: () => given, ...(row.make === undefined ? {} : { make: row.make }) };
      const { get } = await setup.start([route]);

      for (let round = 0; round < 3; round++) {
        for (const condition of [{ "If-None-Match": '"v0", W/"v1"' }, { "If-Modified-Since": MODIFIED }]) {
          const received = await get("/", condition);
          expect([received.status, received.text, received.headers.etag]).toEqual([304, "", '"v1"']);
          expect(cacheStatusOf(received)).toMatch(/^reprise; fwd=/);
        }
        for (const condition of [{ "If-None-Match": '"v2"' }, { "If-Modified-Since": EARLIER }, {}]) {
          const received = await get("/", condition);
          expect([received.status, received.text]).toEqual([200, "body"]);
        }
      }
    },
  );

  it("a response that streams: a condition of the first request is answered, and the whole is stored", async () => {
    const world = await setup.serve(() => ({ stream: pieces, headers: { ETag: '"v1"' } }));

    const first = await world.get("/", { "If-None-Match": '"v1"' });
    expect([first.status, first.text]).toEqual([304, ""]);
    await untilStored(world, 1);
    const hit = await world.get("/");
    expect([hit.text, hitOrMiss(hit)]).toEqual(["in pieces", "Hit"]);
  });

  it("a validation that fails is followed by a full request", async () => {
    let run = 0;
    const { get, advance } = await setup.serve(
      (seen): Given => {
        run += 1;
        if (seen.header("if-none-match") !== undefined)
          return { status: 304, empty: true, headers: { ETag: '"other"' } };
        return { text: `run ${run}`, headers: { ETag: `"${run}"` } };
      },
      { expire: 10 },
    );
    await get("/");
    advance(11);

    const second = await get("/");
    expect([second.status, second.text, second.headers.etag]).toEqual([200, "run 3", '"3"']);
    const hit = await get("/");
    expect([hit.text, hitOrMiss(hit)]).toEqual(["run 3", "Hit"]);
  });

  it("a validation that fails is followed by a full request, whose response may stream and be private", async () => {
    let run = 0;
    const { get, advance } = await setup.serve(
      (seen): Given => {
        run += 1;
        const headers = { ETag: `"${run}"` };
        if (seen.header("if-none-match") !== undefined) return { status: 304, empty: true, headers };
        return run === 1 ? { text: "first", headers } : { stream: pieces, headers: { "Cache-Control": "private" } };
      },
      { expire: 10 },
    );
    await get("/");
    advance(11);

    const second = await get("/");
    expect([second.status, second.text, second.headers["cache-control"]]).toEqual([200, "in pieces", "private"]);
    expect(cacheStatusOf(second)).toBe("reprise; fwd=stale; fwd-status=200; detail=private");
    expect((await get("/")).text).toBe("in pieces");
  });

  it.each(["must-revalidate", "proxy-revalidate", "no-cache"])(
    "a response with %s is never served after a validation that failed",
    async (directive) => {
      let run = 0;
      const { get, advance } = await setup.start([
        {
          path: "/",
          handler: (seen): Given => {
            run += 1;
            const headers = { "Cache-Control": `max-age=10, ${directive}`, ETag: `"${run}"` };
            if (seen.header("if-none-match") === undefined) return { text: `run ${run}`, headers };
            return { status: 304, empty: true, headers };
          },
          make: (cached, rest) => cached.byHeaders({}, ...rest),
        },
      ]);
      await get("/");
      advance(11);

      expect((await get("/")).text).toBe("run 3");
    },
  );
}

async function* pieces(): AsyncIterable<Uint8Array> {
  for (const piece of ["in ", "pie", "ces"]) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    yield new TextEncoder().encode(piece);
  }
}
