import { spawn } from "node:child_process";
import { connect, createServer } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import { createCache } from "../../src/cache.ts";
import { send } from "../adapters/contract/http-client.ts";
import { freePort } from "../redis/server.ts";
import { answering, client, exchange, head, proxyFor, rawUpstream, until, upstreamOf } from "./world.ts";

const OK = head("HTTP/1.1 200 OK", "Content-Length: 2") + "ok";
const GET = head("GET / HTTP/1.1", "Host: a", "Connection: close");

describe("an upstream that does not answer", () => {
  it("is a 502 with a problem body when nothing listens, logged and not stored", async () => {
    const lines: string[] = [];
    const logger = { debug() {}, info() {}, warn: (line: string) => void lines.push(line) };
    const { url } = await proxyFor(`http://127.0.0.1:${await freePort()}`, { logger });
    const answer = await send(`${url}/a`);
    expect(answer.status).toBe(502);
    expect(answer.headers["content-type"]).toBe("application/problem+json");
    expect(answer.headers["cache-control"]).toBe("no-store");
    expect(JSON.parse(answer.text)).toEqual({
      type: "about:blank",
      title: "Bad Gateway",
      status: 502,
      detail: "The upstream could not be reached.",
    });
    expect(lines).toEqual(["GET /a: The upstream could not be reached. (ECONNREFUSED)"]);
  });

  it("has no body in the answer to HEAD", async () => {
    const { port } = await proxyFor(`http://127.0.0.1:${await freePort()}`);
    const answer = await exchange(port, head("HEAD / HTTP/1.1", "Host: a", "Connection: close"));
    expect(answer).toMatch(/^HTTP\/1\.1 502 [^]*\r\n\r\n$/);
  });

  it.each([
    { what: "closes at once", bytes: "" },
    { what: "closes within the head", bytes: "HTTP/1.1 200 OK\r\nContent-Le" },
    { what: "speaks something else", bytes: "SSH-2.0-OpenSSH_9.6\r\n" },
    { what: "frames twice", bytes: head("HTTP/1.1 200 OK", "Content-Length: 2", "Transfer-Encoding: chunked") + "ok" },
    { what: "sends two lengths", bytes: head("HTTP/1.1 200 OK", "Content-Length: 2", "Content-Length: 3") + "ok" },
    { what: "sends a space before a colon", bytes: head("HTTP/1.1 200 OK", "Content-Length : 2") + "ok" },
    { what: "sends status 099", bytes: head("HTTP/1.1 099 Odd", "Content-Length: 2") + "ok" },
    { what: "sends a head without end", bytes: `HTTP/1.1 200 OK\r\nX-Long: ${"x".repeat(100_000)}\r\n\r\n` },
  ])("is a 502 when it $what", async ({ bytes }) => {
    const upstream = await rawUpstream(answering(bytes));
    const { url } = await proxyFor(upstream.url);
    const answer = await send(url);
    expect(answer.status).toBe(502);
    expect(JSON.parse(answer.text)).toMatchObject({ status: 502 });
  });

  it("is a 504 when it accepts no connection in time", async () => {
    const program = `const s = require("node:net").createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => {
      process.stdout.write(String(s.address().port)); });`;
    const child = spawn(process.execPath, ["-e", program], { stdio: ["ignore", "pipe", "ignore"] });
    onTestFinished(() => void child.kill("SIGKILL"));
    const port = await new Promise<number>((resolve) => {
      child.stdout.once("data", (text: Buffer) => resolve(Number(text)));
    });
    // A process that stands still accepts nothing; after a few connections the system takes no more for it.
    child.kill("SIGSTOP");
    const waiting = Array.from({ length: 8 }, () => connect({ port, host: "127.0.0.1" }).on("error", () => {}));
    onTestFinished(() => waiting.forEach((socket) => socket.destroy()));
    await pause(50);
    const { url } = await proxyFor(`http://127.0.0.1:${port}`, { connectTimeoutMs: 100, headTimeoutMs: 10_000 });
    const answer = await send(url);
    expect(answer.status).toBe(504);
    expect(JSON.parse(answer.text)).toMatchObject({ detail: "The upstream did not accept a connection in time." });
  });

  it("is a 504 when it sends no head in time", async () => {
    const upstream = await upstreamOf(() => {});
    const { url } = await proxyFor(upstream.url, { headTimeoutMs: 50 });
    const answer = await send(url);
    expect(answer.status).toBe(504);
    expect(JSON.parse(answer.text)).toMatchObject({ title: "Gateway Timeout", status: 504 });
  });

  it("is broken off when it falls silent within a body", async () => {
    const upstream = await rawUpstream(answering(head("HTTP/1.1 200 OK", "Content-Length: 10") + "abc", false));
    const { url } = await proxyFor(upstream.url, { idleTimeoutMs: 50 });
    await expect(send(url)).rejects.toThrow("aborted");
  });

  it("is a 504 when it stops reading, and a 408 when it is the client who stops sending", async () => {
    const upstream = await rawUpstream((peer) => void peer.socket.pause());
    const { port } = await proxyFor(upstream.url, { idleTimeoutMs: 200 });
    const stuck = await client(port);
    stuck.write(head("POST / HTTP/1.1", "Host: a", "Content-Length: 50000000"));
    stuck.socket.write(Buffer.alloc(50_000_000));
    expect(await stuck.until("\r\n")).toBe("HTTP/1.1 504 Gateway Timeout\r\n");
    const silent = await client(port);
    silent.write(head("POST / HTTP/1.1", "Host: a", "Content-Length: 50000000"));
    expect(await silent.until("\r\n")).toBe("HTTP/1.1 408 Request Timeout\r\n");
  });

  it("is stood in for by a stale response where that is allowed (RFC 5861 §4)", async () => {
    let nowMs = Date.now();
    const cache = createCache({ now: () => nowMs });
    const upstream = await upstreamOf((_request, response) => {
      response.writeHead(200, { "cache-control": "max-age=1, stale-if-error=60" }).end("stored");
    });
    const { url } = await proxyFor(upstream.url, { cache });
    await send(url);
    upstream.server.close();
    upstream.server.closeAllConnections();
    nowMs += 5_000;
    expect(await send(url)).toMatchObject({ status: 200, text: "stored" });
    nowMs += 200_000;
    expect((await send(url)).status).toBe(502);
  });

  it("is stood in for by a response that is little stale, without being asked to (RFC 9111 §4.2.4)", async () => {
    let nowMs = Date.now();
    const cache = createCache({ now: () => nowMs });
    const upstream = await upstreamOf((request, response) => {
      const forbidden = request.url === "/forbidden" ? ", must-revalidate" : "";
      response.writeHead(200, { "cache-control": `max-age=1${forbidden}` }).end("stored");
    });
    const { url } = await proxyFor(upstream.url, { cache });
    for (const path of ["/", "/forbidden"]) await send(url + path);
    upstream.server.close();
    upstream.server.closeAllConnections();
    nowMs += 5_000;
    expect(await send(url)).toMatchObject({ status: 200, text: "stored" });
    expect((await send(`${url}/forbidden`)).status).toBe(502);
  });

  it("costs nothing while a stale response is served and renewed in the background (RFC 5861 §3)", async () => {
    let nowMs = Date.now();
    let version = 1;
    const cache = createCache({ now: () => nowMs });
    const upstream = await upstreamOf((request, response) => {
      response.writeHead(200, { "cache-control": "max-age=1, stale-while-revalidate=60" });
      response.end(`${version} ${String(request.headers["x-forwarded-for"])}`);
    });
    const { url } = await proxyFor(upstream.url, { cache });
    await send(url);
    version = 2;
    nowMs += 5_000;
    expect((await send(url)).text).toBe("1 127.0.0.1");
    await until(async () => (await send(url)).text === "2 127.0.0.1");
    expect(upstream.requests).toHaveLength(2);
  });
});

describe("a kept connection that the upstream closes as it is used again", () => {
  /** Answers once on each connection, then closes it at the next request without a byte. */
  async function racingUpstream(afterwards = ""): Promise<Awaited<ReturnType<typeof rawUpstream>>> {
    return rawUpstream(async (peer) => {
      await peer.until("\r\n\r\n");
      peer.write(OK);
      await peer.until("\r\n\r\n");
      if (afterwards !== "") peer.write(afterwards);
      peer.socket.resetAndDestroy();
    });
  }

  it.each(["GET", "HEAD", "OPTIONS", "DELETE"])("costs a %s nothing: it is sent once more", async (method) => {
    const upstream = await racingUpstream();
    const { port } = await proxyFor(upstream.url);
    await exchange(port, GET);
    expect(await exchange(port, head(`${method} /2 HTTP/1.1`, "Host: a", "Connection: close"))).toMatch(/ 200 OK/);
    expect(upstream.peers).toHaveLength(2);
  });

  it.each([
    { what: "a POST", request: head("POST /2 HTTP/1.1", "Host: a", "Connection: close") },
    {
      what: "a PUT with a body",
      request: head("PUT /2 HTTP/1.1", "Host: a", "Connection: close", "Content-Length: 1") + "x",
    },
  ])("is a 502 for $what: it may have been done", async ({ request }) => {
    const upstream = await racingUpstream();
    const { port } = await proxyFor(upstream.url);
    await exchange(port, GET);
    expect(await exchange(port, request)).toMatch(/^HTTP\/1\.1 502 /);
    expect(upstream.peers).toHaveLength(1);
  });

  it("is a 502 when part of an answer has come", async () => {
    const upstream = await racingUpstream("HTTP/1.1 200 O");
    const { port } = await proxyFor(upstream.url);
    await exchange(port, GET);
    expect(await exchange(port, head("GET /2 HTTP/1.1", "Host: a", "Connection: close"))).toMatch(/^HTTP\/1\.1 502 /);
    expect(upstream.peers).toHaveLength(1);
  });

  it("is tried once more and no more often; a fresh connection not at all", async () => {
    const upstream = await rawUpstream(async (peer, count) => {
      await peer.until("\r\n\r\n");
      if (count === 1) {
        peer.write(OK);
        await peer.until("\r\n\r\n");
      }
      peer.socket.resetAndDestroy();
    });
    const { port } = await proxyFor(upstream.url);
    await exchange(port, GET);
    expect(await exchange(port, head("GET /2 HTTP/1.1", "Host: a", "Connection: close"))).toMatch(/^HTTP\/1\.1 502 /);
    expect(upstream.peers).toHaveLength(2);
    expect(await exchange(port, head("GET /3 HTTP/1.1", "Host: a", "Connection: close"))).toMatch(/^HTTP\/1\.1 502 /);
    expect(upstream.peers).toHaveLength(3);
  });

  it("is left alone before the time its Keep-Alive names", async () => {
    const upstream = await rawUpstream(async (peer) => {
      for (;;) {
        await peer.until("\r\n\r\n");
        peer.write(head("HTTP/1.1 200 OK", "Content-Length: 2", "Keep-Alive: timeout=1") + "ok");
      }
    });
    const { port } = await proxyFor(upstream.url);
    await exchange(port, GET);
    await until(() => upstream.peers[0]?.socket.destroyed === true || upstream.peers[0]?.socket.readableEnded === true);
    await pause(10);
    expect(await exchange(port, GET)).toMatch(/ 200 OK/);
    expect(upstream.peers).toHaveLength(2);
  });
});

describe("a circle of proxies", () => {
  it("is broken with 508", async () => {
    const port = await freePort();
    const { proxy } = await proxyFor(`http://127.0.0.1:${port}`);
    await proxy.close();
    const looping = await proxyFor(`http://127.0.0.1:${port}`);
    // Its upstream is a relay to itself.
    const relay = createServer((socket) => {
      const peer = client(looping.port);
      void peer.then(({ socket: other }) => {
        socket.pipe(other).pipe(socket);
        for (const end of [socket, other]) end.on("error", () => {});
      });
    });
    await new Promise<void>((resolve) => {
      relay.listen(port, "127.0.0.1", resolve);
    });
    const answer = await send(`${looping.url}/a`, { method: "POST" });
    relay.close();
    expect(answer.status).toBe(508);
  });
});
