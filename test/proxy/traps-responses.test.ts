import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { linesOf } from "../adapters/contract/http-client.ts";
import { profileRoute } from "../../src/proxy/profile.ts";
import { answering, client, exchange, head, proxyFor, rawUpstream, until } from "./world.ts";
import { BOTH, outcome, story } from "./story.ts";

const FRESH = ["Cache-Control", "max-age=60"];
const GET = head("GET / HTTP/1.1", "Host: a", "Connection: close");

describe.each(BOTH)("what may not be stored, profile %s", (profile) => {
  it.each([
    ["T20", ["Vary", "*"]],
    ["T20", ["Vary", "Accept, *"]],
    ["T20", ["Vary", "Accept", "Vary", " * "]],
    ["T21", ["Cache-Control", "PRIVATE"]],
    ["T21", ["Cache-Control", "No-Store"]],
    ["T21", ["cAcHe-CoNtRoL", "nO-sToRe"]],
    ["T22", ["Vary", "\t*\t"]],
    ["T22", ["Vary", ",,Accept,, ,*,"]],
    ["T23", ["Cache-Control", 'private, private="x"']],
    ["T23", ["Cache-Control", 'private="x", private']],
    ["T23", ["Cache-Control", 'private="']],
    ["T23", ["Cache-Control", "private=x"]],
    ["T23", ["Cache-Control", 'private="a b"']],
    ["T23", ["Cache-Control", 'private=""']],
    ["T23", ["Cache-Control", "private ; x"]],
    ["T23", ["Cache-Control", "no-store=1"]],
    ["T23", ["Cache-Control", 'x="', "Cache-Control", 'no-store, y="']],
    ["T23", ["Cache-Control", 'x="no-store, private']],
  ])("%s: %j", async (_trap, fields) => {
    const { get } = await story(profile, (_request, count) => ({ fields: [...FRESH, ...fields], body: `v${count}` }));
    expect((await get()).text).toBe("v1");
    expect((await get()).text).toBe("v2");
  });

  it.each([
    ["T22", ["Vary", "\tX-A\t,,  x-b ,"]],
    ["T22", ["Vary", "", "Vary", "X-A"]],
  ])("%s: %j is a list of names", async (_trap, fields) => {
    const { get, requests } = await story(profile, (request) => ({
      fields: [...FRESH, ...fields],
      body: String(request.headers["x-a"]),
    }));
    for (const value of ["1", "2", "1", "2"]) expect((await get("/", { "x-a": value })).text).toBe(value);
    expect(requests).toHaveLength(2);
  });

  it.each([302, 303, 307])("a %i without a lifetime of its own is asked for each time", async (status) => {
    const { get, requests } = await story(profile, {
      status,
      fields: ["Location", "/login", "Last-Modified", "Thu, 01 Jan 2015 00:00:00 GMT"],
    });
    await get();
    await get();
    expect(requests).toHaveLength(2);
  });

  it("a 206 that nobody asked for is not stored, and parts are cut from the whole", async () => {
    const { get, tells, requests } = await story(profile, {
      status: 206,
      fields: [...FRESH, "Content-Range", "bytes 0-1/10"],
      body: "01",
    });
    await get();
    tells({ fields: FRESH, body: "0123456789" });
    expect(await get()).toMatchObject({ status: 200, text: "0123456789" });
    expect(await get("/", { range: "bytes=2-4" })).toMatchObject({ status: 206, text: "234" });
    expect(await get("/", { range: "bytes=20-" })).toMatchObject({ status: 416 });
    expect(requests).toHaveLength(2);
  });
});

describe.each(BOTH)("what was cut off, profile %s", (profile) => {
  const settings = { route: profileRoute(profile) };

  it.each([
    ["with Content-Length", head("HTTP/1.1 200 OK", "Cache-Control: max-age=60", "Content-Length: 10") + "01234"],
    ["in chunks", head("HTTP/1.1 200 OK", "Cache-Control: max-age=60", "Transfer-Encoding: chunked") + "5\r\n01234\r\n"],
    ["in chunks, within one", head("HTTP/1.1 200 OK", "Cache-Control: max-age=60", "Transfer-Encoding: chunked") + "a\r\n01234"],
    ["with a coding", head("HTTP/1.1 200 OK", "Cache-Control: max-age=60", "Content-Encoding: gzip", "Content-Length: 20") + "\x1f\x8b\x08"],
  ])("%s is not stored, and its client can tell", async (_how, bytes) => {
    const upstream = await rawUpstream(answering(bytes));
    const { port } = await proxyFor(upstream.url, settings);
    const first = await exchange(port, GET);
    expect(first).not.toMatch(/\r\n0\r\n\r\n$/);
    expect(first).not.toContain("Content-Length: 5\r\n");
    await exchange(port, GET);
    expect(upstream.peers).toHaveLength(2);
  }); // prettier-ignore

  it("is not stored when its connection is reset where only the end of the connection ends it", async () => {
    const upstream = await rawUpstream(async (peer) => {
      await peer.until("\r\n\r\n");
      peer.write(head("HTTP/1.1 200 OK", "Cache-Control: max-age=60") + "01234");
      setTimeout(() => peer.socket.resetAndDestroy(), 50);
    });
    const { port } = await proxyFor(upstream.url, settings);
    for (let count = 0; count < 2; count++) expect(await exchange(port, GET)).not.toMatch(/\r\n0\r\n\r\n$/);
    expect(upstream.peers).toHaveLength(2);
  });

  it("by its client: the next one gets the whole", async () => {
    const { get, port, requests, tells } = await story(profile, { fields: FRESH, body: Buffer.alloc(2_000_000, 0x61) });
    const peer = await client(port);
    peer.write(head("GET / HTTP/1.1", `Host: 127.0.0.1:${port}`));
    await peer.until("aaaa");
    peer.socket.destroy();
    tells({ fields: FRESH, body: "whole" });
    expect((await get("/other")).text).toBe("whole");
    const { body } = await get();
    expect([2_000_000, 5]).toContain(body.byteLength);
    expect(requests.length).toBeGreaterThanOrEqual(2);
  });

  it("before its turn in a pipeline: those who wait for it do not wait on", async () => {
    const upstream = await rawUpstream(async (peer, count) => {
      const asked = await peer.until("\r\n\r\n");
      if (asked.startsWith("GET /slow")) return;
      await until(() => count > 2 || upstream.peers.length > 2);
      const length = count > 2 ? 5 : 9;
      peer.write(head("HTTP/1.1 200 OK", "Cache-Control: max-age=60", `Content-Length: ${length}`) + "whole");
      peer.socket.end();
    });
    const { port } = await proxyFor(upstream.url, settings);
    const peer = await client(port);
    peer.write(head("GET /slow HTTP/1.1", "Host: a") + head("GET /cut HTTP/1.1", "Host: a"));
    await until(() => upstream.peers.length === 2);
    const waiting = exchange(port, head("GET /cut HTTP/1.1", "Host: a", "Connection: close"));
    // It waits for the one who is cut off, until that is let go.
    const other = exchange(port, head("GET /another HTTP/1.1", "Host: a", "Connection: close"));
    expect(await other).toContain("whole");
    expect(await waiting).toMatch(/whole$/);
  });

  it("by the end of a pipeline's connection: those who wait do not wait on", async () => {
    const upstream = await rawUpstream(async (peer, count) => {
      await peer.until("\r\n\r\n");
      if (count <= 2) return;
      peer.write(head("HTTP/1.1 200 OK", "Content-Length: 5") + "whole");
      peer.socket.end();
    });
    const { port } = await proxyFor(upstream.url, settings);
    const peer = await client(port);
    peer.write(head("GET /slow HTTP/1.1", "Host: a") + head("GET /queued HTTP/1.1", "Host: a"));
    await until(() => upstream.peers.length === 2);
    const waiting = exchange(port, head("GET /queued HTTP/1.1", "Host: a", "Connection: close"));
    peer.socket.destroy();
    expect(await waiting).toMatch(/whole$/);
  });
});

describe.each(BOTH)("a hit is what the miss was, profile %s", (profile) => {
  it("HEAD first, then GET has its body", async () => {
    const { get, send } = await story(profile, { fields: [...FRESH, "Content-Length", "4"], body: "body" });
    expect((await send("HEAD", "/")).text).toBe("");
    expect(await get()).toMatchObject({ text: "body" });
    expect(await get()).toMatchObject({ text: "body" });
    const reply = await send("HEAD", "/");
    expect(reply.text).toBe("");
    expect(reply.headers["content-length"]).toBe("4");
  });

  it.each([200, 203, 300, 301, 308, 404, 410])("%i, its fields and lines", async (status) => {
    const { get } = await story(profile, {
      status,
      fields: [...FRESH, "Link", "</a>; rel=x", "Link", "</b>; rel=y", "Location", "/there", "X-Empty", "", "ETag", 'W/"1"', "X-Bytes", "\xe9\xff"],
      body: "the body",
    });
    const [miss, hit] = [await get(), await get()];
    expect([outcome(miss), outcome(hit)]).toEqual(["Miss", "Hit"]);
    expect([hit.status, hit.text]).toEqual([miss.status, miss.text]);
    for (const name of ["link", "location", "x-empty", "etag", "x-bytes", "cache-control", "date", "via"]) {
      expect([name, linesOf(hit, name)]).toEqual([name, linesOf(miss, name)]);
    }
  }); // prettier-ignore

  it("1 MiB of random bytes", async () => {
    const bytes = randomBytes(1 << 20);
    const { get } = await story(profile, { fields: [...FRESH, "Content-Encoding", "gzip"], body: bytes });
    for (const expected of ["Miss", "Hit"]) {
      const answer = await get();
      expect(outcome(answer)).toBe(expected);
      expect(answer.body.equals(bytes)).toBe(true);
    }
  });

  it("fields of a connection are not kept with a response", async () => {
    const upstream = await rawUpstream(
      answering(head("HTTP/1.1 200 OK", "Cache-Control: max-age=60", "Connection: close, X-Hop", "X-Hop: 1", "Keep-Alive: timeout=99", "Proxy-Authenticate: Basic", "Upgrade: h2c", "Transfer-Encoding: chunked") + "2\r\nok\r\n0\r\n\r\n"),
    );
    const { port } = await proxyFor(upstream.url, { route: profileRoute(profile) });
    await exchange(port, GET);
    const hit = await exchange(port, GET);
    expect(hit).toMatch(/x-reprise-cache: Hit\r\n/i);
    expect(hit).toMatch(/\r\ncontent-length: 2\r\n/i);
    expect(hit).not.toMatch(/\r\n(?:x-hop|keep-alive: timeout=99|proxy-authenticate|upgrade|transfer-encoding)/i);
  }); // prettier-ignore
});
