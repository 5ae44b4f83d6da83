import { randomBytes } from "node:crypto";
import { gunzipSync, gzipSync } from "node:zlib";
import { setTimeout as pause } from "node:timers/promises";

import { expect, it } from "vitest";

import type { Given } from "./driver.ts";
import { firstPiece, linesOf, open, read, type Received } from "./http-client.ts";
import { gate, hitOrMiss, type Setup } from "./world.ts";

const BINARY = randomBytes(1024 * 1024);
const GZIPPED = gzipSync("compressed by the handler ".repeat(100));

const BODIES: readonly { name: string; given: Given; bytes: Uint8Array; type?: RegExp }[] = [
  {
    name: "JSON",
    given: { json: { a: [1, "ü", null], b: { c: true } } },
    bytes: Buffer.from('{"a":[1,"ü",null],"b":{"c":true}}'),
    type: /^application\/json/,
  },
  { name: "text", given: { text: "grüße" }, bytes: Buffer.from("grüße"), type: /^text\/plain/ },
  {
    name: "HTML",
    given: { html: "<!doctype html><p>hi" },
    bytes: Buffer.from("<!doctype html><p>hi"),
    type: /^text\/html/,
  },
  {
    name: "binary, 1 MiB of random bytes",
    given: { bytes: BINARY, headers: { "Content-Type": "application/octet-stream" } },
    bytes: BINARY,
    type: /^application\/octet-stream/,
  },
  { name: "an empty body", given: { empty: true }, bytes: Buffer.alloc(0) },
  { name: "an empty text", given: { text: "" }, bytes: Buffer.alloc(0) },
  {
    name: "a streamed body",
    given: { stream: () => pieces("one,", "two,", "three"), headers: { "Content-Type": "text/csv" } },
    bytes: Buffer.from("one,two,three"),
    type: /^text\/csv/,
  },
  {
    name: "a body the handler compressed",
    given: { bytes: GZIPPED, headers: { "Content-Encoding": "gzip", "Content-Type": "text/plain" } },
    bytes: GZIPPED,
    type: /^text\/plain/,
  },
];

async function* pieces(...texts: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) {
    await pause(2);
    yield Buffer.from(text);
  }
}

/** Bodies, status and fields come back as they were. */
export function bodies(setup: Setup): void {
  for (const { name, given, bytes, type } of BODIES) {
    it.each([
      { style: "sync", handler: () => given },
      { style: "async", handler: async () => given },
    ])(`5.4 ${name}, from a $style handler`, async ({ handler }) => {
      let runs = 0;
      const { get } = await setup.serve(() => {
        runs++;
        return handler();
      });

      const [miss, hit, again] = [await get("/"), await get("/"), await get("/")];

      for (const received of [miss, hit, again]) {
        expect(received.status).toBe(200);
        expect(received.body.equals(bytes)).toBe(true);
        if (type !== undefined) expect(received.headers["content-type"]).toMatch(type);
      }
      // Servers of the web family say no length where there is no body.
      expect(Number(hit.headers["content-length"] ?? 0)).toBe(bytes.byteLength);
      expect([miss, hit, again].map(hitOrMiss)).toEqual(["Miss", "Hit", "Hit"]);
      expect(runs).toBe(1);
      expectSameHeads(miss, hit);
    });
  }

  it("5.4 T39 a stored compressed body keeps its coding, and its tag is not that of the plain one", async () => {
    const plain = gunzipSync(GZIPPED);
    const { get } = await setup.start([
      {
        path: "/",
        options: { vary: ["accept-encoding"] },
        handler: (seen) =>
          seen.header("accept-encoding") === "gzip"
            ? { bytes: GZIPPED, headers: { "Content-Encoding": "gzip", Vary: "Accept-Encoding" } }
            : { bytes: plain, headers: { Vary: "Accept-Encoding" } },
      },
    ]);

    for (let round = 0; round < 2; round++) {
      const gzip = await get("/", { "Accept-Encoding": "gzip" });
      const identity = await get("/");
      expect(gzip.headers["content-encoding"]).toBe("gzip");
      expect(gunzipSync(gzip.body).equals(identity.body)).toBe(true);
      expect(identity.headers["content-encoding"]).toBeUndefined();
      expect(gzip.headers.etag).not.toBe(identity.headers.etag);
      expect([gzip, identity].map(hitOrMiss)).toEqual(round === 0 ? ["Miss", "Miss"] : ["Hit", "Hit"]);
    }
  });

  it("5.4 a miss streams: the client has the first piece before the handler writes the second", async () => {
    const second = gate();
    async function* source(): AsyncGenerator<Uint8Array> {
      yield Buffer.from("first ");
      await second.opened;
      yield Buffer.from("second");
    }
    const { url, get } = await setup.serve(() => ({ stream: source, headers: { "Content-Type": "text/plain" } }));

    const response = await open(`${url}/`);
    const first = await firstPiece(response);
    second.open();
    const rest = await read(response);

    expect(first).toBe("first ");
    expect(rest.toString()).toBe("second");
    const hit = await get("/");
    expect(hitOrMiss(hit)).toBe("Hit");
    expect(hit.text).toBe("first second");
  });

  it("status and fields are the same on a miss and on a hit", async () => {
    const { get } = await setup.start([
      {
        path: "/",
        handler: () => ({
          status: 203,
          json: { ok: true },
          headers: {
            "Content-Language": "de, en",
            Link: ["</a>; rel=next", "</b>; rel=prev"],
            "X-Custom": "a, b",
            "X-Number": "7",
            "Content-Location": "/canonical",
          },
        }),
      },
    ]);

    const [miss, hit] = [await get("/"), await get("/")];

    expect([miss.status, hit.status]).toEqual([203, 203]);
    expect(hitOrMiss(hit)).toBe("Hit");
    expect(linesOf(hit, "link").join(", ")).toBe("</a>; rel=next, </b>; rel=prev");
    expect(hit.headers["x-custom"]).toBe("a, b");
    expectSameHeads(miss, hit);
  });

  it("fields of the connection are not replayed", async () => {
    const { get } = await setup.serve(() => ({
      stream: () => pieces("a", "b"),
      headers: { "Content-Type": "text/plain", Connection: "x-hop", "X-Hop": "1", "Keep-Alive": "timeout=99" },
    }));

    await get("/");
    const hit = await get("/");

    expect(hitOrMiss(hit)).toBe("Hit");
    expect(hit.headers["transfer-encoding"]).toBeUndefined();
    expect(hit.headers["x-hop"]).toBeUndefined();
    expect(hit.headers["keep-alive"]).not.toBe("timeout=99");
    expect(hit.headers.connection).not.toContain("x-hop");
    expect(hit.text).toBe("ab");
  });
}

/** What a hit may have of its own: the outcome, the moment, and the framing of a body whose length is known by then. */
const OWN = new Set([
  "x-reprise-cache",
  "cache-status",
  "date",
  "connection",
  "keep-alive",
  "transfer-encoding",
  "content-length",
  "etag",
]);

function expectSameHeads(miss: Received, hit: Received): void {
  const own = ({ headers }: Received): [string, unknown][] =>
    Object.entries(headers)
      .filter(([name]) => !OWN.has(name))
      .toSorted(([a], [b]) => a.localeCompare(b));
  expect(own(hit)).toEqual(own(miss));
  expect(hit.statusMessage).toBe(miss.statusMessage);
  // A tag that is made of the body cannot be on a response that streams.
  if (miss.headers["transfer-encoding"] === undefined) expect(hit.headers.etag).toBe(miss.headers.etag);
}
