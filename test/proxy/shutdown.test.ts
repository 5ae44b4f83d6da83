import { setTimeout as pause } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { watchUnhandled } from "../redis/unhandled.ts";
import { client, head, proxyFor, rawUpstream, until, upstreamOf } from "./world.ts";

describe("close()", () => {
  it("finishes what is in flight, tells each client to close, and takes no more", async () => {
    let finish = (): void => {};
    const upstream = await upstreamOf((request, response) => {
      if (request.url === "/begun") response.write("begun ");
      const before = finish;
      finish = () => {
        before();
        response.end("finished");
      };
    });
    const { proxy, port } = await proxyFor(upstream.url, { shutdownTimeoutMs: 5_000 });
    const [waiting, begun, unused] = [await client(port), await client(port), await client(port)];
    waiting.write(head("GET /waiting HTTP/1.1", "Host: a"));
    begun.write(head("GET /begun HTTP/1.1", "Host: a"));
    await begun.until("begun ");
    await until(() => upstream.requests.length === 2);
    const closed = proxy.close();
    expect(await unused.closed).toBe("end");
    await expect(client(port)).rejects.toThrow("ECONNREFUSED");
    finish();
    expect(await waiting.rest()).toMatch(/Connection: close\r\n[^]*finished$/);
    expect(await begun.rest()).toMatch(/finished\r\n0\r\n\r\n$/);
    await closed;
  });

  it("closes a connection that waits between two requests", async () => {
    const upstream = await upstreamOf((_request, response) => void response.end("x"));
    const { proxy, port } = await proxyFor(upstream.url, { shutdownTimeoutMs: 5_000, keepAliveTimeoutMs: 60_000 });
    const peer = await client(port);
    peer.write(head("GET / HTTP/1.1", "Host: a"));
    await peer.until("\r\n\r\nx");
    await proxy.close();
    expect(await peer.closed).toBe("end");
  });

  it("breaks off what takes longer than it may", async () => {
    const upstream = await upstreamOf(() => {});
    const { proxy, port } = await proxyFor(upstream.url, { shutdownTimeoutMs: 100 });
    const peer = await client(port);
    peer.write(head("GET / HTTP/1.1", "Host: a"));
    await until(() => upstream.requests.length === 1);
    await proxy.close();
    await peer.closed;
    expect(peer.received).toBe("");
  });

  it("closes upgraded connections when the rest is done", async () => {
    let finish = (): void => {};
    const upstream = await rawUpstream(async (peer) => {
      const request = await peer.until("\r\n\r\n");
      if (!request.includes("websocket")) {
        finish = () => peer.write(head("HTTP/1.1 200 OK", "Content-Length: 4") + "done");
        return;
      }
      peer.write(`${head("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket")}hello`);
    });
    const { proxy, port } = await proxyFor(upstream.url, { shutdownTimeoutMs: 5_000 });
    const socket = await client(port);
    socket.write(head("GET / HTTP/1.1", "Host: a", "Connection: Upgrade", "Upgrade: websocket"));
    await socket.until("hello");
    const peer = await client(port);
    peer.write(head("GET / HTTP/1.1", "Host: a"));
    await until(() => upstream.peers.length === 2 && upstream.peers[1]?.received === "");
    await pause(20);
    const closed = proxy.close();
    await pause(20);
    expect(socket.socket.readyState).toBe("open");
    finish();
    expect(await peer.rest()).toMatch(/done$/);
    await closed;
    await socket.closed;
  });

  it("survives a renewal that is under way", async () => {
    const unhandled = watchUnhandled();
    let calls = 0;
    let answer = (): void => {};
    const upstream = await upstreamOf((_request, response) => {
      calls += 1;
      const end = (): void => void response.end(`answer ${calls}`);
      response.setHeader("cache-control", "max-age=1, stale-while-revalidate=60");
      if (calls === 1) end();
      else answer = end;
    });
    const { proxy, port } = await proxyFor(upstream.url, { shutdownTimeoutMs: 5_000 });
    await until(async () => {
      await (await fetch(`http://127.0.0.1:${port}/`)).text();
      return calls === 2;
    });

    const closed = proxy.close();
    answer();
    await closed;

    await unhandled();
  });

  it("may be called twice", async () => {
    const upstream = await upstreamOf((_request, response) => void response.end("x"));
    const { proxy } = await proxyFor(upstream.url);
    await Promise.all([proxy.close(), proxy.close()]);
    expect(proxy.server.listening).toBe(false);
  });
});
