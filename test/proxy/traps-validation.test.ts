import { describe, expect, it } from "vitest";
import { BOTH, outcome, story } from "./story.ts";

const FRESH = ["Cache-Control", "max-age=60"];
const MODIFIED = "Thu, 01 Jan 2015 00:00:00 GMT";

describe.each(BOTH)("validators and ages, profile %s", (profile) => {
  it.each([undefined, '"v"', 'W/"v"', "v", "-123456789", '"v', '""'])("the tag of a hit is the upstream's, %s", async (tag) => {
    const { get } = await story(profile, { fields: [...FRESH, ...(tag === undefined ? [] : ["ETag", tag])] });
    for (const expected of ["Miss", "Hit"]) {
      const answer = await get();
      expect(outcome(answer)).toBe(expected);
      expect(answer.headers.etag).toBe(tag);
    }
    const isTag = tag !== undefined && /^(?:W\/)?"[^"]*"$/.test(tag);
    expect((await get("/", { "if-none-match": tag ?? '"v"' })).status).toBe(isTag ? 304 : 200);
  }); // prettier-ignore

  it("the tag of one coding is none of another", async () => {
    const { get, requests } = await story(profile, (request) => {
      const isGzip = request.headers["accept-encoding"] === "gzip";
      return {
        fields: [...FRESH, "Vary", "Accept-Encoding", "ETag", isGzip ? '"v-gzip"' : '"v"'],
        body: isGzip ? "zipped" : "plain",
      };
    });
    for (const coding of ["gzip", "identity"]) await get("/", { "accept-encoding": coding });
    const ask = (coding: string, tag: string) => get("/", { "accept-encoding": coding, "if-none-match": tag });
    expect((await ask("gzip", '"v-gzip"')).status).toBe(304);
    expect((await ask("identity", '"v"')).status).toBe(304);
    expect(await ask("identity", '"v-gzip"')).toMatchObject({ status: 200, text: "plain" });
    expect(await ask("gzip", '"v"')).toMatchObject({ status: 200, text: "zipped" });
    expect(requests).toHaveLength(2);
  });

  it.each([
    ['"v"', 304],
    ['W/"v"', 304],
    ['"a", W/"v" ,"b"', 304],
    ["*", 304],
    ['"a,b", "v"', 304],
    ["v", 200],
    ['"V"', 200],
    ['w/"v"', 200],
    ['"v', 200],
    ["", 200],
    ['"x"', 200],
  ])("If-None-Match: %s is a %i", async (tags, status) => {
    const { get, requests } = await story(profile, { fields: [...FRESH, "ETag", '"v"', "Last-Modified", MODIFIED] });
    await get();
    expect((await get("/", { "if-none-match": tags })).status).toBe(status);
    expect(requests).toHaveLength(1);
  });

  it("a tag that differs counts, whatever the date says", async () => {
    const { get } = await story(profile, { fields: [...FRESH, "ETag", '"v"', "Last-Modified", MODIFIED] });
    await get();
    expect((await get("/", { "if-modified-since": MODIFIED })).status).toBe(304);
    expect((await get("/", { "if-none-match": '"x"', "if-modified-since": MODIFIED })).status).toBe(200);
    expect((await get("/", { "if-modified-since": "2099" })).status).toBe(200);
  });

  it("a 304 says all that a 200 would have said of itself", async () => {
    const { get } = await story(profile, {
      fields: [
        ...FRESH,
        "Vary",
        "X-A",
        "ETag",
        '"v"',
        "Content-Location",
        "/v",
        "Expires",
        "Thu, 01 Jan 2099 00:00:00 GMT",
      ],
    });
    const whole = await get();
    const { status, headers, text } = await get("/", { "if-none-match": '"v"' });
    expect([status, text]).toEqual([304, ""]);
    for (const name of ["cache-control", "vary", "etag", "date", "expires", "content-location"]) {
      expect([name, headers[name]]).toEqual([name, whole.headers[name]]);
    }
    expect(headers["content-type"]).toBeUndefined();
    expect(headers["age"]).toBe("0");
  });

  it("age and what is left never exceed the promise", async () => {
    const { get, clock, requests } = await story(profile, { fields: ["Cache-Control", "max-age=60", "Age", "20"] });
    await get();
    for (let seconds = 0; seconds < 40; seconds += 9) {
      const { headers } = await get();
      expect(headers["cache-control"]).toBe("max-age=60");
      expect(Number(headers.age)).toBe(20 + seconds);
      const ttl = Number(/ttl=(-?\d+)/.exec(String(headers["cache-status"]))?.[1]);
      expect(Number(headers.age) + ttl).toBe(60);
      clock.advance({ seconds: 9 });
    }
    expect(requests).toHaveLength(1);
    await get();
    expect(requests).toHaveLength(2);
  });

  it.each([[500, 200], [502, 200], [503, 200], [504, 200], [403, 403], [404, 404], [410, 410], [501, 501], [429, 429]])(
    "after a %i within stale-if-error the client gets %i",
    async (status, expected) => {
      const { get, clock, tells } = await story(profile, { fields: ["Cache-Control", "max-age=1, stale-if-error=600"] });
      await get();
      clock.advance({ seconds: 10 });
      tells({ status, body: "error" });
      expect((await get()).status).toBe(expected);
    },
  ); // prettier-ignore

  it.each(["must-revalidate", "proxy-revalidate", "no-cache"])("%s beats stale-while-revalidate", async (directive) => {
    const { get, clock } = await story(profile, (_request, count) => ({
      fields: ["Cache-Control", `max-age=1, stale-while-revalidate=600, stale-if-error=600, ${directive}`],
      body: `v${count}`,
    }));
    await get();
    clock.advance({ seconds: 10 });
    expect((await get()).text).toBe("v2");
  });

  it("without it the stale one is served at once", async () => {
    const { get, clock } = await story(profile, (_request, count) => ({
      fields: ["Cache-Control", "max-age=1, stale-while-revalidate=600"],
      body: `v${count}`,
    }));
    await get();
    clock.advance({ seconds: 10 });
    expect((await get()).text).toBe("v1");
  });

  it("Last-Modified is nobody's invention", async () => {
    const { get } = await story(profile, { fields: FRESH });
    for (const expected of ["Miss", "Hit"]) {
      const answer = await get();
      expect(outcome(answer)).toBe(expected);
      expect(answer.headers["last-modified"]).toBeUndefined();
    }
  });
});
