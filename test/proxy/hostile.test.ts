import { describe, expect, it } from "vitest";
import { formatHttpDate, parseHttpDate, parseNoVarySearch, varyNames } from "../../src/rfc9111/index.ts";
import { cacheGroups, effectiveDirectives, evaluatePreconditions } from "../../src/rfc9111/index.ts";
import {
  invalidatedUris,
  normaliseAcceptLanguage,
  normaliseQuery,
  parseEntityTagList,
} from "../../src/rfc9111/index.ts";
import { presentedFields, rangeReply, requestDirectives, responseDirectives } from "../../src/rfc9111/index.ts";
import { profileRoute } from "../../src/proxy/profile.ts";
import { answering, client, exchange, head, proxyFor, rawUpstream } from "./world.ts";
import { BOTH, outcome, story } from "./story.ts";

const FRESH = ["Cache-Control", "max-age=60"];
const LATER = formatHttpDate(Date.now() + 3_600_000);

describe.each(BOTH)("fields that are not what they should be, profile %s", (profile) => {
  it.each([
    { fields: ["Cache-Control", "max-age=60", "Age", "x"], reused: true, because: "an Age that is no number is none" },
    { fields: ["Cache-Control", "max-age=60", "Age", "-5"], reused: true, because: "nor is a negative one" },
    { fields: ["Cache-Control", "max-age=60", "Age", "61, 0"], reused: false, because: "the first member counts" },
    { fields: ["Cache-Control", "max-age=60", "Age", "61", "Age", "0"], reused: false, because: "the first line counts" },
    { fields: ["Cache-Control", "max-age=60", "Age", "9".repeat(5_000)], reused: false, because: "too large is very old" },
    { fields: ["Cache-Control", "max-age=1e9"], reused: false, because: "a lifetime that is no number is 0" },
    { fields: ["Cache-Control", "max-age"], reused: false, because: "and so is none" },
    { fields: ["Cache-Control", "max-age=-60"], reused: false, because: "and a negative one" },
    { fields: ["Cache-Control", "max-age=0, max-age=60"], reused: false, because: "the first of two counts" },
    { fields: ["Cache-Control", "max-age=60", "Cache-Control", "max-age=0"], reused: true, because: "on two lines as well" },
    { fields: ["Cache-Control", `max-age=${"9".repeat(5_000)}`], reused: true, because: "a huge lifetime is a long one" },
    { fields: ["Cache-Control", 'max-age="60"'], reused: true, because: "quotes are let pass" },
    { fields: ["Cache-Control", "x=y;;;, =,,\t, max-age=60"], reused: true, because: "what is not understood is ignored" },
    { fields: ["Expires", LATER], reused: true, because: "a date is a lifetime" },
    { fields: ["Expires", "0"], reused: false, because: "what is no date is the past" },
    { fields: ["Expires", "Thu, 99 Jan 2099 00:00:00 GMT"], reused: false, because: "no day is the 99th" },
    { fields: ["Expires", LATER.replace("GMT", "UTC")], reused: false, because: "no other zone is known" },
    { fields: ["Expires", "", "Expires", LATER], reused: false, because: "the first line counts" },
    { fields: ["Cache-Control", "max-age=60", "Expires", "0"], reused: true, because: "max-age goes before Expires" },
    { fields: ["Cache-Control", "max-age=60", "Date", "yesterday"], reused: true, because: "no date is today" },
    { fields: ["Cache-Control", "max-age=60", "Vary", '"', "Vary", "a b"], reused: false, because: "names that are none may mean anything" },
    { fields: ["Cache-Control", "max-age=60", "CDN-Cache-Control", "max-age=0, MAX-AGE=9"], reused: true, because: "a bad targeted field is none" },
    { fields: ["Cache-Control", "max-age=0", "CDN-Cache-Control", ""], reused: false, because: "nor is an empty one" },
  ])("$fields: reused $reused, for $because", async ({ fields, reused }) => {
    const { get, requests } = await story(profile, { fields });
    await get();
    await get();
    expect(requests).toHaveLength(reused ? 1 : 2);
  }); // prettier-ignore

  it.each(["bytes", "bytes=", "bytes=a-b", "bytes=5-2", "bytes=--1", "items=0-1", "bytes=0-1-2", "bytes=1e1-", "bytes=\xff-", "bytes=0-0,x"])(
    "Range: %s is no range (RFC 9110 §14.2)",
    async (range) => {
      const { get } = await story(profile, { fields: FRESH, body: "0123456789" });
      await get();
      expect(await get("/", { range })).toMatchObject({ status: 200, text: "0123456789" });
    },
  ); // prettier-ignore

  it("a thousand overlapping ranges cost no more than the body", async () => {
    const { get } = await story(profile, { fields: FRESH, body: "0123456789" });
    await get();
    const answer = await get("/", { range: `bytes=${"0-,".repeat(1_000)}0-` });
    expect(answer.body.byteLength).toBeLessThanOrEqual(200);
  });

  it("invalid bytes in a response are a 502, and nothing of it is stored", async () => {
    for (const bytes of [
      "X: a\0b",
      "X: a\x01",
      "X: a\x7f",
      "X : a",
      ": a",
      "X",
      "X: a\r\n folded",
      "X: a\nY: b",
      "X\xff: a",
    ]) {
      const upstream = await rawUpstream(
        answering(head("HTTP/1.1 200 OK", "Cache-Control: max-age=60", bytes, "Content-Length: 2") + "ok"),
      );
      const { port } = await proxyFor(upstream.url, { route: profileRoute(profile) });
      for (let count = 0; count < 2; count++) {
        const answer = await exchange(port, head("GET / HTTP/1.1", "Host: a", "Connection: close"));
        expect([bytes, answer.slice(0, 13)]).toEqual([bytes, "HTTP/1.1 502 "]);
      }
      expect(upstream.peers).toHaveLength(2);
    }
  });

  it("a value of 1 MB is refused with 431 or 502, and the next request is answered", async () => {
    const huge = "a".repeat(1 << 20);
    const { get, port, tells } = await story(profile, { fields: FRESH });
    for (const name of ["Cache-Control", "If-None-Match", "Range", "Cookie", "X-A"]) {
      const peer = await client(port);
      peer.write(head("GET / HTTP/1.1", "Host: a", `${name}: ${huge}`));
      expect(await peer.until("\r\n")).toMatch(/ 431 /);
      peer.socket.destroy();
    }
    tells({ fields: ["Cache-Control", huge] });
    expect((await get("/huge")).status).toBe(502);
    tells({ fields: FRESH });
    expect((await get("/huge")).status).toBe(200);
    expect(outcome(await get("/huge"))).toBe("Hit");
  });

  it("values as long as a head may be are read like short ones", async () => {
    const long = `${"x,".repeat(5_000)}max-age=60`;
    const { get } = await story(profile, { fields: ["Cache-Control", long, "ETag", '"v"'] });
    const tags = `${'"x",'.repeat(3_000)}"v"`;
    await get();
    expect((await get("/", { "if-none-match": tags })).status).toBe(304);
  });
});

describe("a value of 1 MB takes no longer than its length warrants", () => {
  const units = [",", '"', '",', "\\", '"\\', " ", "\t", "a", "a,", "a=", 'a="', "0", "0-,", "*,", "(", '("', ";", "%", "%00", "&", "a=1&", "-", "W/", 'W/"', 'W/"a",', "a b", ", ,", "/../", "\xff"]; // prettier-ignore

  // A quadratic reading of one of these takes hours, so it ends with this time limit.
  it.each(units.map((unit) => ({ unit })))("made of $unit", ({ unit }) => {
    const text = unit.repeat(Math.ceil((1 << 20) / unit.length));
    for (const value of [text, `max-age=60, "${text}`, `bytes=${text}`]) {
      const names = ["cache-control", "cdn-cache-control", "vary", "etag", "age", "date", "expires", "no-vary-search", "cache-groups", "pragma"];
      const fields = Object.fromEntries([...names, "if-none-match", "range", "if-range", "accept-language", "accept-encoding"].map((name) => [name, value]));
      const stored = { status: 200, fields: { etag: '"v"' }, body: new Uint8Array(10), receivedAtMs: 0 };
      responseDirectives(fields);
      requestDirectives(fields);
      effectiveDirectives(fields, ["cdn-cache-control"]);
      evaluatePreconditions(fields, stored, 0);
      rangeReply(fields, stored, 0, "b");
      presentedFields(fields, ["accept-encoding", "accept-language"]);
      normaliseAcceptLanguage(value, ["de", "en"]);
      normaliseQuery(value, "all");
      normaliseQuery(value, { except: new Set(["a"]) });
      parseNoVarySearch(fields);
      cacheGroups(fields);
      parseHttpDate(value, 0);
      invalidatedUris({ method: "POST", scheme: "http", authority: "a", path: "/", fields: {} }, { status: 200, fields: { location: value } });
      const tags = parseEntityTagList([value]);
      expect(tags.length + varyNames(fields).length).toBeLessThanOrEqual(value.length);
    }
  }, 120_000); // prettier-ignore
});
