/** What a cache in front of an origin should do and public suites do not ask yet. */

import { describe, expect, it } from "vitest";
import { linesOf } from "../adapters/contract/http-client.ts";
import { BOTH, outcome, story } from "./story.ts";

const FRESH = ["Cache-Control", "max-age=60"];
const OLD = "Thu, 01 Jan 2015 00:00:00 GMT";

describe.each(BOTH)("profile %s", (profile) => {
  it.each(["GET", "HEAD", "OPTIONS", "QUERY"])(
    "%s is safe: it invalidates nothing (RFC 9110 §9.2.1)",
    async (method) => {
      const { get, send, requests } = await story(profile, {
        fields: [...FRESH, "Location", "/", "Content-Location", "/"],
      });
      await get();
      await send(method, method === "GET" || method === "HEAD" ? "/other" : "/");
      const asked = requests.length;
      expect(outcome(await get())).toBe("Hit");
      expect(requests).toHaveLength(asked);
    },
  );

  it("only-if-cached is answered from what is stored, stale or not, and else with 504 (RFC 9111 §5.2.1.7)", async () => {
    const { get, clock, requests } = await story(profile, { fields: ["Cache-Control", "max-age=10"] });
    const onlyStored = { "cache-control": "only-if-cached" };
    expect((await get("/", onlyStored)).status).toBe(504);
    await get();
    expect(await get("/", onlyStored)).toMatchObject({ status: 200, text: "GET /" });
    clock.advance({ seconds: 20 });
    expect((await get("/", onlyStored)).status).toBe(504);
    expect((await get("/", { "cache-control": "only-if-cached, max-stale" })).status).toBe(200);
    expect(requests).toHaveLength(1);
  });

  it.each([["if-match", '"v"'], ["if-match", "*"], ["if-unmodified-since", OLD]])(
    "%s: %s is the origin's to judge (RFC 9110 §13.1.1)",
    async (name, value) => {
      const { get, requests, tells } = await story(profile, { fields: [...FRESH, "ETag", '"v"'] });
      await get();
      tells({ status: 412, body: "changed" });
      expect(await get("/", { [name]: value })).toMatchObject({ status: 412, text: "changed" });
      expect(requests.at(-1)?.headers[name]).toBe(value);
      expect(await get()).toMatchObject({ status: 200 });
    },
  ); // prettier-ignore

  it("If-None-Match: * is a 304 while anything is stored (RFC 9110 §13.1.2)", async () => {
    const { get, requests } = await story(profile, { fields: FRESH });
    await get();
    expect((await get("/", { "if-none-match": "*" })).status).toBe(304);
    expect(requests).toHaveLength(1);
  });

  it.each([
    ['"v"', 206],
    ['"x"', 200],
    ['W/"v"', 200],
    [OLD, 206],
    ["Thu, 01 Jan 2015 00:00:01 GMT", 200],
    ["v", 200],
  ])("If-Range: %s gives %i (RFC 9110 §13.1.5)", async (condition, status) => {
    const { get, requests } = await story(profile, {
      fields: [...FRESH, "ETag", '"v"', "Last-Modified", OLD],
      body: "0123456789",
    });
    await get();
    const answer = await get("/", { range: "bytes=0-1", "if-range": condition });
    expect([answer.status, answer.text]).toEqual(status === 206 ? [206, "01"] : [200, "0123456789"]);
    expect(requests).toHaveLength(1);
  });

  it("a field that is private to one client reaches no other (RFC 9111 §5.2.2.7)", async () => {
    const { get } = await story(profile, (_request, count) => ({
      fields: ["Cache-Control", 'max-age=60, private="x-user"', "X-User", `user ${count}`],
    }));
    expect((await get()).headers["x-user"]).toBe("user 1");
    expect((await get()).headers["x-user"]).not.toBe("user 1");
  });

  it("max-stale without a value takes any staleness, with one only so much (RFC 9111 §5.2.1.2)", async () => {
    const { get, clock, tells } = await story(profile, { fields: ["Cache-Control", "max-age=10", "ETag", '"v"'], body: "v1" });
    await get();
    clock.advance({ seconds: 30 });
    tells({ fields: FRESH, body: "v2" });
    expect((await get("/", { "cache-control": "max-stale" })).text).toBe("v1");
    expect((await get("/", { "cache-control": "max-stale=25" })).text).toBe("v1");
    expect((await get("/", { "cache-control": "max-stale=5" })).text).toBe("v2");
  }); // prettier-ignore

  it("a 200 to a validation takes the place of what was stored (RFC 9111 §4.3.3)", async () => {
    const { get, clock, tells, requests } = await story(profile, { fields: ["Cache-Control", "max-age=10", "ETag", '"1"'], body: "v1" });
    await get();
    clock.advance({ seconds: 20 });
    tells({ fields: [...FRESH, "ETag", '"2"'], body: "v2" });
    expect((await get()).text).toBe("v2");
    expect(requests[1]?.headers["if-none-match"]).toBe('"1"');
    expect(await get()).toMatchObject({ text: "v2", headers: { etag: '"2"' } });
    expect(requests).toHaveLength(2);
  }); // prettier-ignore

  it("a 304 makes it fresh again, for as long as the 304 says (RFC 9111 §4.3.4)", async () => {
    const { get, clock, tells, requests } = await story(profile, { fields: ["Cache-Control", "max-age=10", "ETag", '"1"'], body: "v1" });
    await get();
    clock.advance({ seconds: 20 });
    tells({ status: 304, fields: ["Cache-Control", "max-age=100", "ETag", '"1"', "X-New", "1"] });
    expect(await get()).toMatchObject({ status: 200, text: "v1" });
    clock.advance({ seconds: 90 });
    const hit = await get();
    expect(hit).toMatchObject({ text: "v1", headers: { "x-new": "1", age: "90", "cache-control": "max-age=100" } });
    expect(requests).toHaveLength(2);
    clock.advance({ seconds: 20 });
    await get();
    expect(requests).toHaveLength(3);
  }); // prettier-ignore

  it.each([["ETag", '"2"'], ["Content-Length", "9"], ["Last-Modified", "Fri, 02 Jan 2015 00:00:00 GMT"]])(
    "a HEAD that tells another %s makes what is stored stale (RFC 9111 §4.3.5)",
    async (name, value) => {
      const first = { "ETag": '"1"', "Content-Length": "4", "Last-Modified": OLD };
      const { get, send, tells, requests } = await story(profile, {
        fields: [...FRESH, ...Object.entries(first).flat()],
        body: "body",
      });
      await get();
      tells({ fields: [...FRESH, ...Object.entries({ ...first, [name]: value }).flat()] });
      await send("HEAD", "/", { headers: { "cache-control": "no-cache" } });
      const asked = requests.length;
      tells({ fields: FRESH, body: "new body" });
      expect((await get()).text).toBe("new body");
      expect(requests).toHaveLength(asked + 1);
    },
  ); // prettier-ignore

  it("lines of one field stay lines, in their order (RFC 9110 §5.3)", async () => {
    const { get, clock, requests } = await story(profile, {
      fields: ["Cache-Control", "max-age=600", "Link", "<a>", "Cache-Control", "s-maxage=5", "Link", "<b>", "Link", "<c>", "Vary", "X-A", "Vary", "X-B"],
    });
    await get();
    expect(linesOf(await get(), "link")).toEqual(["<a>", "<b>", "<c>"]);
    await get("/", { "x-b": "1" });
    expect(requests).toHaveLength(2);
    clock.advance({ seconds: 8 });
    await get();
    expect(requests).toHaveLength(3);
  }); // prettier-ignore

  it("names in Vary have no case (RFC 9111 §4.1)", async () => {
    const { get, requests } = await story(profile, (request) => ({
      fields: [...FRESH, "Vary", "X-lAnG"],
      body: String(request.headers["x-lang"]),
    }));
    for (const value of ["de", "fr", "de"]) expect((await get("/", { "X-LANG": value })).text).toBe(value);
    expect(requests).toHaveLength(2);
  });

  it.each([300, 405, 414, 451, 501])("a %i with a lifetime is kept that long", async (status) => {
    const { get, clock, requests } = await story(profile, { status, fields: ["Cache-Control", "max-age=10"] });
    expect([(await get()).status, (await get()).status]).toEqual([status, status]);
    expect(requests).toHaveLength(1);
    clock.advance({ seconds: 20 });
    await get();
    expect(requests).toHaveLength(2);
  });

  it("a 416 is stored for nobody, and a range beyond the end is cut at the end (RFC 9110 §14.1.2)", async () => {
    const { get, tells } = await story(profile, { status: 416, fields: [...FRESH, "Content-Range", "bytes */10"] });
    expect((await get("/", { range: "bytes=50-" })).status).toBe(416);
    tells({ fields: FRESH, body: "0123456789" });
    expect(await get()).toMatchObject({ status: 200, text: "0123456789" });
    const beyond = await get("/", { range: "bytes=8-99" });
    expect(beyond).toMatchObject({ status: 206, text: "89", headers: { "content-range": "bytes 8-9/10" } });
    expect(await get("/", { range: "bytes=-99" })).toMatchObject({ status: 206, text: "0123456789" });
    const refused = await get("/", { range: "bytes=10-" });
    expect(refused).toMatchObject({ status: 416, headers: { "content-range": "bytes */10" } });
    expect(await get("/", { range: "bytes=10-,-2" })).toMatchObject({ status: 206, text: "89" });
  });

  it("CDN-Cache-Control decides, is passed on, and is no Cache-Control for others (RFC 9213 §2.2)", async () => {
    const { get, requests } = await story(profile, {
      fields: ["Cache-Control", "no-store", "CDN-Cache-Control", "max-age=60", "Surrogate-Control", "no-store"],
    });
    await get();
    const hit = await get();
    expect(outcome(hit)).toBe("Hit");
    expect(hit.headers).toMatchObject({ "cdn-cache-control": "max-age=60", "cache-control": "no-store" });
    expect(requests).toHaveLength(1);
  });

  it("a stored 301 still says where to", async () => {
    const { get, requests } = await story(profile, { status: 301, fields: [...FRESH, "Location", "/there?a=1#b"] });
    for (let count = 0; count < 2; count++) {
      expect(await get()).toMatchObject({ status: 301, headers: { location: "/there?a=1#b" } });
    }
    expect(requests).toHaveLength(1);
  });

  it("what is stored is never mixed with a 403 that came for the rest of it", async () => {
    const { get, tells } = await story(profile, {
      status: 206,
      fields: [...FRESH, "ETag", '"v"', "Content-Range", "bytes 0-4/10"],
      body: "01234",
    });
    await get("/", { range: "bytes=0-4" });
    tells({ status: 403, body: "forbidden" });
    expect(await get("/", { range: "bytes=3-9" })).toMatchObject({ status: 403, text: "forbidden" });
    expect(await get()).toMatchObject({ status: 403, text: "forbidden" });
  });

  it.each([500, 502, 503, 504, 599])("a %i to a validation is passed on where nothing allows stale", async (status) => {
    const { get, clock, tells } = await story(profile, {
      fields: ["Cache-Control", "max-age=10, must-revalidate", "ETag", '"v"'],
      body: "v1",
    });
    await get();
    clock.advance({ seconds: 20 });
    tells({ status, body: "error" });
    expect(await get()).toMatchObject({ status, text: "error" });
  });
});

describe("profile rfc9111-shared", () => {
  it("two parts with one strong tag make a whole (RFC 9111 §3.4)", async () => {
    const part = (from: number, to: number) => ({
      status: 206,
      fields: [...FRESH, "ETag", '"v"', "Content-Range", `bytes ${from}-${to}/10`],
      body: "0123456789".slice(from, to + 1),
    });
    const { get, tells, requests } = await story("rfc9111-shared", part(0, 4));
    await get("/", { range: "bytes=0-4" });
    tells(part(5, 9));
    await get("/", { range: "bytes=5-9" });
    expect(await get()).toMatchObject({ status: 200, text: "0123456789" });
    expect(requests).toHaveLength(2);
  });

  it.each([
    ['W/"v"', 'W/"v"', 10],
    ['"v"', '"w"', 10],
    ['"v"', '"v"', 11],
  ])("parts with tags %s and %s, the second of %i bytes, do not", async (first, second, bytes) => {
    const { get, tells } = await story("rfc9111-shared", {
      status: 206,
      fields: [...FRESH, "ETag", first, "Content-Range", "bytes 0-4/10"],
      body: "01234",
    });
    await get("/", { range: "bytes=0-4" });
    tells({ status: 206, fields: [...FRESH, "ETag", second, "Content-Range", `bytes 5-9/${bytes}`], body: "56789" });
    await get("/", { range: "bytes=5-9" });
    tells({ fields: FRESH, body: "asked again" });
    expect((await get()).text).toBe("asked again");
  });

  it.each([300, 301, 308])(
    "a %i that was last modified long ago is fresh for a while (RFC 9110 §15.1)",
    async (status) => {
      const { get, requests } = await story("rfc9111-shared", {
        status,
        fields: ["Last-Modified", OLD, "Location", "/x"],
      });
      await get();
      expect(await get()).toMatchObject({ status });
      expect(requests).toHaveLength(1);
    },
  );

  it("so is a 206 (RFC 9110 §15.3.7)", async () => {
    const { get, requests } = await story("rfc9111-shared", {
      status: 206,
      fields: ["Last-Modified", OLD, "ETag", '"v"', "Content-Range", "bytes 0-4/10"],
      body: "01234",
    });
    await get("/", { range: "bytes=0-4" });
    expect(await get("/", { range: "bytes=0-4" })).toMatchObject({ status: 206, text: "01234" });
    expect(requests).toHaveLength(1);
  });
});

it("nothing is guessed in profile proxy", async () => {
  const { get, requests } = await story("proxy", { fields: ["Last-Modified", OLD] });
  await get();
  await get();
  expect(requests).toHaveLength(2);
});
