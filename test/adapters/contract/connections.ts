import { Agent } from "node:http";
import { connect } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

import { expect, it, onTestFinished } from "vitest";

import { hitOrMiss, type Setup } from "./world.ts";

/** Connections that are used again. */
export function connections(setup: Setup): void {
  it("fifty mixed requests on one connection stay in step", async () => {
    const { get, send } = await setup.start(mixedRoutes());
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    onTestFinished(() => agent.destroy());
    const etag = (await get("/text")).headers.etag ?? "none";

    const ports = new Set<number | undefined>();
    let closed = 0;
    for (let round = 0; round < 5; round++) {
      for (const { path, method = "GET", headers = {}, status, body } of mixedRequests(etag)) {
        const received = await send(path, { method, headers, agent, ...(method === "POST" ? { body: "posted" } : {}) });
        const name = `${round} ${method} ${path}`;
        expect([received.status, received.text], name).toEqual([status, body]);
        ports.add(received.localPort);
        // Node's client ends a connection after a HEAD without a length, and Hono tells none.
        if (method === "HEAD" && setup.driver.name === "Hono") closed++;
      }
    }
    expect(ports.size).toBe(1 + closed);
  });

  it("requests that a client sends without waiting are answered in their order", async () => {
    const { url } = await setup.start(mixedRoutes());
    const order = ["text", "empty", "json", "streamed", "text", "missing", "json", "streamed", "text"];

    const whole = await pipelined(
      url,
      order.map((name) => `/${name}`),
    );

    const answers = whole.split(/(?=HTTP\/1\.1 )/);
    expect(answers.map((answer) => /^x-name: (.*)$/im.exec(answer)?.[1])).toEqual(order);
  });

  it("a response that was stored from HTTP/1.1 is sent to HTTP/1.0", async () => {
    const { url, get } = await setup.start(mixedRoutes());
    await get("/streamed");

    const whole = await raw(url, "GET /streamed HTTP/1.0\r\nHost: " + new URL(url).host + "\r\n\r\n");

    expect(whole).toMatch(/^HTTP\/1\.1 200 /);
    expect(whole.toLowerCase()).not.toContain("transfer-encoding");
    expect(whole.endsWith("\r\n\r\none,two")).toBe(true);
    expect(hitOrMiss(await get("/streamed"))).toBe("Hit");
  });
}

async function* twoPieces(): AsyncGenerator<Uint8Array> {
  yield Buffer.from("one,");
  await pause(2);
  yield Buffer.from("two");
}

function mixedRoutes() {
  return [
    { path: "/text", handler: () => ({ text: "the text", headers: { "X-Name": "text" } }) },
    { path: "/json", handler: () => ({ json: { a: 1 }, headers: { "X-Name": "json" } }) },
    { path: "/empty", handler: () => ({ empty: true as const, headers: { "X-Name": "empty" } }) },
    { path: "/streamed", handler: () => ({ stream: twoPieces, headers: { "X-Name": "streamed" } }) },
    { path: "/missing", handler: () => ({ status: 404, text: "none", headers: { "X-Name": "missing" } }) },
    { path: "/cookie", handler: () => ({ text: "c", headers: { "Set-Cookie": "a=1" } }) },
  ];
}

interface Mixed {
  readonly path: string;
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly status: number;
  readonly body: string;
}

function mixedRequests(etag: string): readonly Mixed[] {
  return [
    { path: "/text", status: 200, body: "the text" },
    { path: "/text", method: "HEAD", status: 200, body: "" },
    { path: "/text", headers: { "If-None-Match": etag }, status: 304, body: "" },
    { path: "/text", headers: { "Cache-Control": "no-store" }, status: 200, body: "the text" },
    { path: "/json", method: "POST", status: 200, body: '{"a":1}' },
    { path: "/streamed", status: 200, body: "one,two" },
    { path: "/streamed", method: "HEAD", status: 200, body: "" },
    { path: "/empty", status: 200, body: "" },
    { path: "/missing", status: 404, body: "none" },
    { path: "/cookie", headers: { Authorization: "Bearer a" }, status: 200, body: "c" },
  ];
}

/** Sends all requests in one write, the last one closing the connection, and reads until its end. */
function pipelined(url: string, paths: readonly string[]): Promise<string> {
  const { host } = new URL(url);
  const requests = paths.map((path, at) => {
    const close = at === paths.length - 1 ? "Connection: close\r\n" : "";
    return `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${close}\r\n`;
  });
  return raw(url, requests.join(""));
}

function raw(url: string, text: string): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    const socket = connect({ host: hostname, port: Number(port) }, () => socket.write(text));
    socket.on("data", (piece) => pieces.push(piece));
    socket.once("error", reject);
    socket.once("end", () => resolve(Buffer.concat(pieces).toString()));
  });
}
