/** A proxy in front of a server, both on free ports and closed after the test. */

import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

import { onTestFinished } from "vitest";

import { createProxy, type Proxy, type ProxyOptions } from "../../src/proxy/server.ts";
import { Peer, rawServer, type RawServer } from "./peer.ts";

export interface StartedProxy {
  readonly proxy: Proxy;
  readonly port: number;
  readonly url: string;
}

/** Starts a proxy in front of `upstream`. */
export async function proxyFor(upstream: string, options: Omit<ProxyOptions, "upstream"> = {}): Promise<StartedProxy> {
  const proxy = createProxy({ upstream, shutdownTimeoutMs: 100, ...options });
  const { port } = await proxy.listen({ host: "127.0.0.1", port: 0 });
  onTestFinished(() => proxy.close());
  return { proxy, port, url: `${options.tls === undefined ? "http" : "https"}://127.0.0.1:${port}` };
}

export interface StartedUpstream {
  readonly server: Server;
  readonly url: string;
  readonly port: number;
  /** Every request that arrived, in order. */
  readonly requests: IncomingMessage[];
}

/** Starts an upstream of `node:http`. */
export async function upstreamOf(listener: RequestListener): Promise<StartedUpstream> {
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    listener(request, response);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  onTestFinished(
    () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  );
  const { port } = server.address() as AddressInfo;
  return { server, url: `http://127.0.0.1:${port}`, port, requests };
}

/** Starts an upstream of bare connections. */
export async function rawUpstream(serve: (peer: Peer, count: number) => Promise<void> | void): Promise<RawServer> {
  const server = await rawServer(serve);
  onTestFinished(() => server.close());
  return server;
}

/** Answers the one request of each connection with `bytes` and, unless told otherwise, closes. */
export function answering(bytes: string, close = true): (peer: Peer) => Promise<void> {
  return async (peer) => {
    await peer.until("\r\n\r\n");
    peer.write(bytes);
    if (close) peer.socket.end();
  };
}

/** Connects to `port`; the connection ends with the test. */
export async function client(port: number): Promise<Peer> {
  const peer = await Peer.connect(port);
  onTestFinished(() => void peer.socket.destroy());
  return peer;
}

/** Sends `bytes` on a connection of its own and gives everything that comes back before it is closed. */
export async function exchange(port: number, bytes: string): Promise<string> {
  const peer = await client(port);
  peer.write(bytes);
  return peer.rest();
}

/** Lines of a request as it is sent: `GET / HTTP/1.1`, `Host: a`, … */
export function head(...lines: readonly string[]): string {
  return `${lines.join("\r\n")}\r\n\r\n`;
}

/** The values of one field of a message that arrived, in order. */
export function valuesOf({ rawHeaders }: Pick<IncomingMessage, "rawHeaders">, field: string): string[] {
  return rawHeaders.filter((_, at) => at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase() === field);
}

/** Waits until `condition` holds. */
export async function until(condition: () => unknown, withinMs = 10_000): Promise<void> {
  const giveUpAtMs = Date.now() + withinMs;
  while (!(await condition())) {
    if (Date.now() > giveUpAtMs) throw new Error(`Not within ${withinMs} ms: ${condition.toString()}`);
    await pause(5);
  }
}
