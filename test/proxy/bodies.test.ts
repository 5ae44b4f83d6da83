import { createHash, randomBytes } from "node:crypto";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { setTimeout as pause } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { open, read, send } from "../adapters/contract/http-client.ts";
import { answering, client, exchange, head, proxyFor, rawUpstream, until, upstreamOf } from "./world.ts";

const MIB = 1024 * 1024;

function sha(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Bytes of buffers in use: what is free to be collected does not count. */
function heldBytes(): number {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
  return process.memoryUsage().arrayBuffers;
}

describe("request bodies", () => {
  it.each([
    { framing: "with its length", headers: { "content-length": String(10 * MIB) } },
    { framing: "in chunks", headers: { "transfer-encoding": "chunked" } },
  ])("passes 10 MiB on $framing", async ({ headers }) => {
    const upstream = await upstreamOf((request, response) => {
      void read(request).then((body) => response.end(`${request.headers["content-length"] ?? "chunked"} ${sha(body)}`));
    });
    const { url } = await proxyFor(upstream.url);
    const body = randomBytes(10 * MIB);
    const answer = await send(url, { method: "PUT", headers, body });
    expect(answer.text).toBe(`${"content-length" in headers ? 10 * MIB : "chunked"} ${sha(body)}`);
  });

  it("passes each piece on as it comes, and the answer too", async () => {
    const upstream = await upstreamOf((request, response) => {
      request.on("data", (piece: Buffer) => response.write(piece.toString().toUpperCase()));
      request.on("end", () => response.end());
    });
    const { port } = await proxyFor(upstream.url);
    const peer = await client(port);
    peer.write(head("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked"));
    peer.write("2\r\nab\r\n");
    expect(await peer.until("AB\r\n")).toContain("Transfer-Encoding: chunked");
    peer.write("2\r\ncd\r\n");
    await peer.until("CD\r\n");
    peer.write("0\r\n\r\n");
    await peer.until("0\r\n\r\n");
  });

  it.each(["POST", "PUT", "PATCH", "QUERY", "DELETE"])("says that a %s without a body has none", async (method) => {
    const upstream = await upstreamOf((request, response) => {
      const { "content-length": length, "transfer-encoding": coding } = request.headers;
      response.end(`${length ?? "none"} ${coding ?? "none"}`);
    });
    const { port } = await proxyFor(upstream.url);
    const answer = await exchange(port, head(`${method} / HTTP/1.1`, "Host: a", "Connection: close"));
    expect(answer).toMatch(method === "DELETE" ? /none none$/ : /0 none$/);
  });

  it("passes the body of a GET on, in chunks", async () => {
    const upstream = await upstreamOf((request, response) => {
      void read(request).then((body) => response.end(body.toString()));
    });
    const { port } = await proxyFor(upstream.url);
    const lines = ["GET / HTTP/1.1", "Host: a", "Connection: close", "Transfer-Encoding: chunked"];
    expect(await exchange(port, `${head(...lines)}3\r\nabc\r\n0\r\n\r\n`)).toMatch(/abc$/);
  });

  it("passes trailers on, except those that would change the message (RFC 9110 §6.5.1)", async () => {
    let trailers: IncomingMessage["trailers"] = {};
    const upstream = await upstreamOf((request, response) => {
      request.resume().on("end", () => {
        trailers = request.trailers;
        response.end();
      });
    });
    const { port } = await proxyFor(upstream.url);
    const lines = ["POST / HTTP/1.1", "Host: a", "Connection: close", "Transfer-Encoding: chunked", "Trailer: X-Sum"];
    const end = "0\r\nX-Sum: 1\r\nX-Forwarded-For: 6.6.6.6\r\nHost: b\r\nAuthorization: x\r\n\r\n";
    await exchange(port, `${head(...lines)}3\r\nabc\r\n${end}`);
    expect(trailers).toEqual({ "x-sum": "1" });
    expect(upstream.requests[0]?.headers.trailer).toBe("X-Sum");
  });

  it("lets the upstream answer early, and takes no more of the body", async () => {
    const upstream = await upstreamOf((_request, response) => {
      response.writeHead(413, { "content-length": "3" }).end("big");
    });
    const { port } = await proxyFor(upstream.url);
    const peer = await client(port);
    peer.write(head("POST / HTTP/1.1", "Host: a", "Content-Length: 1000000") + "x".repeat(1000));
    const answer = await peer.until("big");
    expect(answer).toMatch(/^HTTP\/1\.1 413 [^]*Connection: close\r\n/);
  });

  it("is not read faster than the upstream takes it", async () => {
    const upstream = await upstreamOf((request) => void request.pause());
    const { port } = await proxyFor(upstream.url);
    const peer = await client(port);
    peer.write(head("POST / HTTP/1.1", "Host: a", `Content-Length: ${50 * MIB}`));
    let accepted = 0;
    const piece = Buffer.alloc(MIB);
    const pump = (): void => {
      while (accepted < 50 * MIB && peer.socket.write(piece)) accepted += MIB;
    };
    peer.socket.on("drain", () => {
      accepted += MIB;
      pump();
    });
    pump();
    await until(() => upstream.requests.length === 1);
    await pause(300);
    expect(accepted).toBeLessThan(25 * MIB);
  });

  it("ends the upstream's request when the client breaks off", async () => {
    let ending = "";
    const upstream = await upstreamOf((request) => {
      request.resume();
      request.on("error", (error) => {
        ending = error.message;
      });
      request.on("end", () => {
        ending = "complete";
      });
    });
    const { port } = await proxyFor(upstream.url);
    const peer = await client(port);
    peer.write(head("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked") + "3\r\nabc\r\n");
    await until(() => upstream.requests.length === 1);
    peer.socket.destroy();
    await until(() => ending !== "");
    expect(ending).toBe("aborted");
  });
});

describe("response bodies", () => {
  it("streams 50 MiB to a slow client in flat memory", async () => {
    let accepted = 0;
    const upstream = await upstreamOf((_request, response) => {
      response.writeHead(200, { "cache-control": "no-store" });
      const piece = Buffer.alloc(MIB);
      const pump = (): void => {
        while (accepted < 50 * MIB) {
          accepted += MIB;
          if (!response.write(piece)) return void response.once("drain", pump);
        }
        response.end();
      };
      pump();
    });
    const { url } = await proxyFor(upstream.url);
    const before = heldBytes();
    const response = await open(url);
    let most = 0;
    let received = 0;
    await pause(300);
    expect(accepted).toBeLessThan(30 * MIB);
    let rests = 20;
    for await (const piece of response) {
      received += (piece as Buffer).byteLength;
      if (rests === 0) continue;
      rests -= 1;
      await pause(5);
      most = Math.max(most, heldBytes() - before);
    }
    expect(received).toBe(50 * MIB);
    expect(most).toBeLessThan(16 * MIB);
  });

  it("sends the head before there is a body, byte for byte", async () => {
    const lines = [
      "HTTP/1.1 200 OK",
      "Content-Type: text/event-stream",
      "Cache-Control: no-store",
      "X-Name: J\xfcrgen",
    ];
    const upstream = await rawUpstream(answering(head(...lines), false));
    const { port } = await proxyFor(upstream.url);
    const peer = await client(port);
    peer.write(head("GET / HTTP/1.1", "Host: a"));
    expect(await peer.until("\r\n\r\n")).toContain("X-Name: J\xfcrgen\r\n");
  });

  it("passes trailers on", async () => {
    const upstream = await upstreamOf((_request, response) => {
      response.writeHead(200, { trailer: "X-Sum" });
      response.write("abc");
      response.addTrailers({ "X-Sum": "1", "Set-Cookie": "a=b" });
      response.end();
    });
    const { port } = await proxyFor(upstream.url);
    const peer = await client(port);
    peer.write(head("GET / HTTP/1.1", "Host: a", "TE: trailers"));
    expect(await peer.until("\r\n\r\n")).toContain("trailer: X-Sum\r\n");
    expect(await peer.until("0\r\n")).toBe("3\r\nabc\r\n0\r\n");
    expect(await peer.until("\r\n\r\n")).toBe("X-Sum: 1\r\n\r\n");
  });

  it("gives an HTTP/1.0 client a body without chunks and without trailers", async () => {
    const upstream = await upstreamOf((_request, response) => {
      response.writeHead(200, { trailer: "X-Sum" });
      response.write("abc");
      response.addTrailers({ "X-Sum": "1" });
      response.end("def");
    });
    const { port } = await proxyFor(upstream.url);
    const answer = await exchange(port, head("GET / HTTP/1.0", "Host: a"));
    expect(answer).toMatch(/\r\n\r\nabcdef$/);
    expect(answer).not.toMatch(/chunked|trailer|x-sum/i);
  });

  it("takes a response that ends with its connection", async () => {
    const upstream = await rawUpstream(answering(head("HTTP/1.1 200 OK", "Transfer-Encoding: odd") + "abc"));
    const { url } = await proxyFor(upstream.url);
    expect(await send(url)).toMatchObject({ status: 200, text: "abc" });
  });

  it("takes no transfer coding for content", async () => {
    const upstream = await rawUpstream(answering(head("HTTP/1.1 200 OK", "Transfer-Encoding: gzip") + "abc"));
    const { url } = await proxyFor(upstream.url);
    expect((await send(url)).status).toBe(502);
  });

  it.each([{ together: true }, { together: false }])(
    "takes a response as complete once its length is there, whatever follows (together: $together)",
    async ({ together }) => {
      const upstream = await rawUpstream(async (peer) => {
        await peer.until("\r\n\r\n");
        peer.write(head("HTTP/1.1 200 OK", "Content-Length: 10", "Cache-Control: max-age=60") + "0123456789");
        if (!together) await pause(20);
        peer.write("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison");
      });
      const { url } = await proxyFor(upstream.url);
      expect(await send(url)).toMatchObject({ status: 200, text: "0123456789" });
      expect((await send(url)).headers["x-reprise-cache"]).toBe("Hit");
      await pause(50);
      expect((await send(`${url}/other`)).text).toBe("0123456789");
    },
  );

  it.each([
    { framing: "length", lines: ["Content-Length: 100"], body: "abc", version: "1.1" },
    { framing: "chunks", lines: ["Transfer-Encoding: chunked"], body: "3\r\nabc\r\n", version: "1.1" },
    { framing: "bad chunks", lines: ["Transfer-Encoding: chunked"], body: "3\r\nabc\r\nzz\r\n", version: "1.1" },
    { framing: "length", lines: ["Content-Length: 100"], body: "abc", version: "1.0" },
    { framing: "chunks", lines: ["Transfer-Encoding: chunked"], body: "3\r\nabc\r\n", version: "1.0" },
  ])("breaks off with the upstream, and stores nothing ($framing, HTTP/$version)", async ({ lines, body, version }) => {
    const upstream = await rawUpstream(async (peer) => {
      await peer.until("\r\n\r\n");
      peer.write(head("HTTP/1.1 200 OK", "Cache-Control: max-age=60", ...lines) + body);
      await pause(50);
      peer.socket.destroy();
    });
    const { port } = await proxyFor(upstream.url);
    for (const count of [1, 2]) {
      const peer = await client(port);
      peer.write(head(`GET / HTTP/${version}`, "Host: a"));
      const how = await peer.closed;
      // Where only the end of the connection tells the length, it must not be an orderly one.
      if (version === "1.0" && lines[0] !== "Content-Length: 100") expect(how).toBe("reset");
      else expect(peer.received).not.toMatch(/\r\n0\r\n\r\n$/);
      expect(upstream.peers).toHaveLength(count);
    }
  });

  it("ends the upstream's response when the client leaves", async () => {
    let isClosed = false;
    const upstream = await upstreamOf((_request, response) => {
      response.writeHead(200, { "cache-control": "no-store" });
      response.write("abc");
      response.on("close", () => {
        isClosed = true;
      });
    });
    const { url } = await proxyFor(upstream.url);
    const response = await open(url);
    response.destroy();
    await until(() => isClosed);
    expect(isClosed).toBe(true);
  });

  it("ends the upstream's request when the client leaves before there is an answer", async () => {
    let isClosed = false;
    const upstream = await upstreamOf((request) => {
      request.on("close", () => {
        isClosed = true;
      });
    });
    const { url } = await proxyFor(upstream.url);
    const request = httpRequest(url).on("error", () => {});
    request.end();
    await until(() => upstream.requests.length === 1);
    request.destroy();
    await until(() => isClosed);
    expect(isClosed).toBe(true);
  });

  it("uses a connection to the upstream again", async () => {
    const upstream = await upstreamOf((_request, response) => void response.end("x"));
    let connections = 0;
    upstream.server.on("connection", () => {
      connections += 1;
    });
    const { url } = await proxyFor(upstream.url);
    for (const path of ["/1", "/2", "/3"]) await send(url + path);
    await send(url, { method: "HEAD" });
    expect(upstream.requests).toHaveLength(4);
    expect(connections).toBe(1);
  });
});
