import { setTimeout as pause } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { read } from "../adapters/contract/http-client.ts";
import { client, exchange, head, proxyFor, rawUpstream, upstreamOf } from "./world.ts";

const OK = head("HTTP/1.1 200 OK", "Content-Length: 2", "Cache-Control: max-age=60") + "ok";

describe("interim responses (RFC 9110 §15.2)", () => {
  it("are passed on as they are, before the final one, and not stored", async () => {
    const upstream = await rawUpstream(async (peer) => {
      await peer.until("\r\n\r\n");
      peer.write(head("HTTP/1.1 102 Processing", "X-Step: J\xfcrgen"));
      peer.write(head("HTTP/1.1 103 Early Hints", "Link: </a.css>; rel=preload", "Connection: X-Hop", "X-Hop: 1"));
      peer.write(head("HTTP/1.1 103 Early Hints", "X-Other: no link"));
      peer.write(OK);
    });
    const { port } = await proxyFor(upstream.url);
    const request = head("GET / HTTP/1.1", "Host: a", "Connection: close");
    const first = await exchange(port, request);
    expect(first.startsWith("HTTP/1.1 102 Processing\r\nX-Step: J\xfcrgen\r\n\r\nHTTP/1.1 103 Early Hints\r\n")).toBe(
      true,
    );
    expect(first).toContain("Link: </a.css>; rel=preload\r\n\r\nHTTP/1.1 103 Early Hints\r\nX-Other: no link\r\n\r\n");
    expect(first).not.toContain("X-Hop");
    expect(first).toMatch(/HTTP\/1\.1 200 OK[^]*ok$/);
    const second = await exchange(port, request);
    expect(second).toMatch(/^HTTP\/1\.1 200 OK[^]*Hit[^]*ok$/);
    expect(second).not.toContain("X-Step");
  });

  it("are there before the upstream goes on", async () => {
    let proceed = (): void => {};
    const upstream = await rawUpstream(async (peer) => {
      await peer.until("\r\n\r\n");
      peer.write(head("HTTP/1.1 103 Early Hints", "Link: </a.css>; rel=preload"));
      await new Promise<void>((resolve) => {
        proceed = resolve;
      });
      peer.write(OK);
    });
    const { port } = await proxyFor(upstream.url);
    const peer = await client(port);
    peer.write(head("GET / HTTP/1.1", "Host: a"));
    expect(await peer.until("\r\n\r\n")).toMatch(/^HTTP\/1\.1 103 /);
    proceed();
    await peer.until("ok");
  });

  it("are kept from an HTTP/1.0 client", async () => {
    const upstream = await rawUpstream(async (peer) => {
      await peer.until("\r\n\r\n");
      peer.write(head("HTTP/1.1 103 Early Hints", "Link: </a.css>; rel=preload") + OK);
    });
    const { port } = await proxyFor(upstream.url);
    expect(await exchange(port, head("GET / HTTP/1.0", "Host: a"))).toMatch(/^HTTP\/1\.1 200 /);
  });

  it("stay with the response of their own request, also in a pipeline", async () => {
    const upstream = await rawUpstream(async (peer) => {
      const request = await peer.until("\r\n\r\n");
      const isFirst = request.startsWith("GET /1");
      if (isFirst) await pause(50);
      peer.write(head("HTTP/1.1 103 Early Hints", `X-For: ${isFirst ? "/1" : "/2"}`));
      peer.write(head("HTTP/1.1 200 OK", "Content-Length: 2", "Connection: close") + (isFirst ? "/1" : "/2"));
      peer.socket.end();
    });
    const { port } = await proxyFor(upstream.url);
    const requests = head("GET /1 HTTP/1.1", "Host: a") + head("GET /2 HTTP/1.1", "Host: a", "Connection: close");
    const answer = await exchange(port, requests);
    expect(answer).toMatch(
      /^HTTP\/1\.1 103 [^]*X-For: \/1\r\n\r\nHTTP\/1\.1 200 [^]*\r\n\r\n\/1HTTP\/1\.1 200 [^]*\/2$/,
    );
  });

  it("includes no switch of protocols that nobody asked for", async () => {
    const upstream = await rawUpstream(async (peer) => {
      await peer.until("\r\n\r\n");
      peer.write(head("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: odd"));
    });
    const { port } = await proxyFor(upstream.url);
    const answer = await exchange(port, head("GET / HTTP/1.1", "Host: a", "Connection: close"));
    expect(answer).toMatch(/^HTTP\/1\.1 502 /);
  });
});

describe("Expect: 100-continue (RFC 9110 §10.1.1)", () => {
  const expecting = head("PUT / HTTP/1.1", "Host: a", "Connection: close", "Content-Length: 3", "Expect: 100-continue");

  it("is passed on, and so is the upstream's consent", async () => {
    let expectation: string | undefined;
    const upstream = await upstreamOf((request, response) => {
      void read(request).then((body) => response.end(`got ${body.toString()}`));
    });
    upstream.server.on("checkContinue", (request, response) => {
      expectation = request.headers.expect;
      response.writeContinue();
      upstream.server.emit("request", request, response);
    });
    const { port } = await proxyFor(upstream.url);
    const peer = await client(port);
    peer.write(expecting);
    expect(await peer.until("\r\n\r\n")).toBe("HTTP/1.1 100 Continue\r\n\r\n");
    peer.write("abc");
    expect(await peer.rest()).toMatch(/^HTTP\/1\.1 200 [^]*got abc$/);
    expect(expectation).toBe("100-continue");
  });

  it("is passed on, and so is the upstream's refusal: the body is never asked for", async () => {
    const upstream = await upstreamOf(() => {});
    upstream.server.on("checkContinue", (_request, response) => {
      response.writeHead(413, { "content-length": "2" }).end("no");
    });
    const { port } = await proxyFor(upstream.url);
    const peer = await client(port);
    peer.write(expecting);
    expect(await peer.rest()).toMatch(/^HTTP\/1\.1 413 [^]*Connection: close\r\n[^]*no$/);
  });

  it("does not wait for ever for an upstream that knows no expectations", async () => {
    const upstream = await rawUpstream(async (peer) => {
      await peer.until("\r\n\r\n");
      await peer.until("abc");
      peer.write(OK);
    });
    const { port } = await proxyFor(upstream.url);
    const peer = await client(port);
    peer.write(expecting);
    expect(await peer.until("\r\n\r\n")).toBe("HTTP/1.1 100 Continue\r\n\r\n");
    peer.write("abc");
    expect(await peer.rest()).toMatch(/^HTTP\/1\.1 200 [^]*ok$/);
  });

  it("keeps the bytes of the other fields", async () => {
    let seen = "";
    const upstream = await rawUpstream(async (peer) => {
      seen = await peer.until("\r\n\r\n");
      await peer.until("abc");
      peer.write(OK);
    });
    const { port } = await proxyFor(upstream.url);
    const peer = await client(port);
    peer.write(expecting.replace("Expect:", "X-Name: J\xfcrgen\r\nExpect:"));
    await peer.until("100 Continue\r\n\r\n");
    peer.write("abc");
    expect(await peer.rest()).toMatch(/ok$/);
    expect(seen).toContain("X-Name: J\xfcrgen\r\n");
  });

  it("is refused with 417 when it is another expectation", async () => {
    const upstream = await upstreamOf((_request, response) => void response.end());
    const { port } = await proxyFor(upstream.url);
    const answer = await exchange(port, head("GET / HTTP/1.1", "Host: a", "Expect: miracles"));
    expect(answer).toMatch(/^HTTP\/1\.1 417 /);
    expect(upstream.requests).toHaveLength(0);
  });
});
