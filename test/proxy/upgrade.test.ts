import { createHash } from "node:crypto";
import type { Socket } from "node:net";
import { describe, expect, it } from "vitest";
import { freePort } from "../redis/server.ts";
import type { Peer } from "./peer.ts";
import { client, exchange, head, proxyFor, rawUpstream, until, upstreamOf } from "./world.ts";

const KEY = "dGhlIHNhbXBsZSBub25jZQ==";
const HANDSHAKE = [
  "GET /chat?room=1 HTTP/1.1",
  "Host: chat.example",
  "Connection: keep-alive, Upgrade",
  "Upgrade: websocket",
  "Sec-WebSocket-Version: 13",
  `Sec-WebSocket-Key: ${KEY}`,
];

function acceptFor(key: string): string {
  return createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
}

/** Agrees to the switch and then sends everything back in capitals. */
async function shouting(peer: Peer): Promise<string> {
  const request = await peer.until("\r\n\r\n");
  const key = /Sec-WebSocket-Key: (\S+)/.exec(request)?.[1] ?? "";
  const lines = ["Connection: Upgrade", "Upgrade: websocket", `Sec-WebSocket-Accept: ${acceptFor(key)}`, "X-Kept: 1"];
  peer.write(`${head("HTTP/1.1 101 Switching Protocols", ...lines)}hello `);
  peer.socket.on("data", (bytes) => peer.write(bytes.toString("latin1").toUpperCase()));
  peer.socket.on("end", () => peer.socket.end());
  if (peer.received !== "") peer.write(peer.received.toUpperCase());
  return request;
}

describe("WebSocket", () => {
  it("is passed through both ways, from the first byte", async () => {
    let request = "";
    const upstream = await rawUpstream(async (peer) => {
      request = await shouting(peer);
    });
    const { port } = await proxyFor(upstream.url);
    const peer = await client(port);
    peer.write(`${head(...HANDSHAKE)}early `);
    const answer = await peer.until("\r\n\r\n");
    expect(answer).toMatch(/^HTTP\/1\.1 101 Switching Protocols\r\n/);
    expect(answer).toContain(`Sec-WebSocket-Accept: ${acceptFor(KEY)}\r\n`);
    expect(answer).toContain("Connection: Upgrade\r\n");
    expect(answer).toContain("Upgrade: websocket\r\n");
    expect(answer).toContain("X-Kept: 1\r\n");
    await peer.until("hello EARLY ");
    peer.write("more\x00\xff");
    await peer.until("MORE");
    expect(request).toMatch(/^GET \/chat\?room=1 HTTP\/1\.1\r\n/);
    expect(request).toContain("X-Forwarded-Host: chat.example\r\n");
    expect(request).toContain("Via: 1.1 reprise\r\n");
    peer.socket.end();
    expect(await peer.closed).toBe("end");
  });

  it("ends for one side when the other breaks off", async () => {
    const upstream = await rawUpstream(async (peer) => void (await shouting(peer)));
    const { port } = await proxyFor(upstream.url);
    const peer = await client(port);
    peer.write(head(...HANDSHAKE));
    await peer.until("hello ");
    upstream.peers[0]?.socket.destroy();
    await peer.closed;
    const second = await client(port);
    second.write(head(...HANDSHAKE));
    await second.until("hello ");
    second.socket.resetAndDestroy();
    await upstream.peers[1]?.closed;
    expect(upstream.peers).toHaveLength(2);
  });

  it("may be refused by the upstream", async () => {
    const upstream = await upstreamOf((_request, response) => {
      response.writeHead(403, { "content-type": "text/plain" }).end("no entry");
    });
    const { port } = await proxyFor(upstream.url);
    const answer = await exchange(port, head(...HANDSHAKE));
    expect(answer).toMatch(/^HTTP\/1\.1 403 Forbidden\r\n[^]*Connection: close\r\n[^]*no entry/);
  });

  it("is a 502 without an upstream, and a 504 when that is silent", async () => {
    const nobody = await proxyFor(`http://127.0.0.1:${await freePort()}`);
    expect(await exchange(nobody.port, head(...HANDSHAKE))).toMatch(/^HTTP\/1\.1 502 [^]*problem\+json/);
    const upstream = await rawUpstream(() => {});
    const silent = await proxyFor(upstream.url, { headTimeoutMs: 50 });
    expect(await exchange(silent.port, head(...HANDSHAKE))).toMatch(/^HTTP\/1\.1 504 /);
  });

  it("is a 502 when the upstream switches to something else", async () => {
    const upstream = await rawUpstream(async (peer) => {
      await peer.until("\r\n\r\n");
      peer.write(head("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: odd"));
    });
    const { port } = await proxyFor(upstream.url);
    expect(await exchange(port, head(...HANDSHAKE))).toMatch(/^HTTP\/1\.1 502 /);
  });

  it("has to be a request like any other", async () => {
    const upstream = await rawUpstream(async (peer) => void (await shouting(peer)));
    const { port } = await proxyFor(upstream.url);
    expect(await exchange(port, head(...HANDSHAKE, "Host: other"))).toMatch(/^HTTP\/1\.1 400 /);
    expect(upstream.peers).toHaveLength(0);
  });

  it("is given up when the client leaves before the answer", async () => {
    const upstream = await rawUpstream(async (peer) => void (await peer.until("\r\n\r\n")));
    const { port } = await proxyFor(upstream.url);
    const peer = await client(port);
    peer.write(head(...HANDSHAKE));
    await until(() => upstream.peers.length === 1);
    peer.socket.destroy();
    await upstream.peers[0]?.closed;
    expect(upstream.peers).toHaveLength(1);
  });
});

describe("another Upgrade is ignored (RFC 9110 §7.8): the request is answered as if it were not there", () => {
  const withH2c = (path: string, ...more: string[]): string =>
    head(
      `GET ${path} HTTP/1.1`,
      "Host: a",
      "Connection: Upgrade, HTTP2-Settings",
      "Upgrade: h2c",
      "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
      ...more,
    );

  it("goes through the cache, and the connection stays", async () => {
    const upstream = await upstreamOf((request, response) => {
      response.writeHead(200, { "cache-control": "max-age=60", "content-length": "20" });
      response.end(`${request.headers.upgrade} ${String(request.headers["http2-settings"])}!`);
    });
    const { port } = await proxyFor(upstream.url);
    const peer = await client(port);
    for (const kind of ["Miss", "Hit"]) {
      peer.write(withH2c("/"));
      const answer = await peer.until("undefined undefined!");
      expect(answer).toMatch(new RegExp(`^HTTP/1.1 200 [^]*x-reprise-cache: ${kind}`));
    }
  });

  it("leaves no listener on the connection", async () => {
    const upstream = await upstreamOf((_request, response) => response.end("answered!"));
    const { port, proxy } = await proxyFor(upstream.url);
    let connection: Socket | undefined;
    proxy.server.once("connection", (socket: Socket) => {
      connection = socket;
    });
    const peer = await client(port);
    const counts: (number | undefined)[] = [];
    for (let round = 0; round < 12; round++) {
      peer.write(withH2c(`/${round}`));
      await peer.until("answered!");
      counts.push(connection?.listenerCount("error"));
    }
    expect(new Set(counts).size).toBe(1);
  });

  it("keeps the body, and what is pipelined behind it", async () => {
    const upstream = await upstreamOf((request, response) => {
      let body = "";
      request.on("data", (piece: Buffer) => {
        body += piece.toString();
      });
      request.on("end", () => response.end(`${request.method} ${request.url} ${body}!`));
    });
    const { port } = await proxyFor(upstream.url);
    const peer = await client(port);
    const post = withH2c("/1", "Content-Length: 3").replace("GET", "POST");
    peer.write(`${post}abc${head("GET /2 HTTP/1.1", "Host: a", "Connection: close")}`);
    await peer.until("POST /1 abc!");
    expect(await peer.rest()).toMatch(/GET \/2 !$/);
  });

  it("is no way around the checks", async () => {
    const upstream = await upstreamOf((_request, response) => void response.end());
    const { port } = await proxyFor(upstream.url);
    expect(await exchange(port, withH2c("/", "Host: b"))).toMatch(/^HTTP\/1\.1 400 /);
    expect(upstream.requests).toHaveLength(0);
  });
});
