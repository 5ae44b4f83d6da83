import { readFileSync } from "node:fs";
import { createServer as createSecureServer, request as httpsRequest } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { connect } from "node:tls";
import { describe, expect, it, onTestFinished } from "vitest";
import { send } from "../adapters/contract/http-client.ts";
import { head, proxyFor, rawUpstream, upstreamOf } from "./world.ts";

/** Made for localhost and 127.0.0.1, signed by itself, valid for a hundred years. */
const cert = readFileSync(join(import.meta.dirname, "localhost.pem"));
const key = readFileSync(join(import.meta.dirname, "localhost-key.pem"));

function getSecurely(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = httpsRequest(url, { ca: cert, agent: false }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (piece: string) => {
        body += piece;
      });
      response.on("end", () => resolve(body));
    });
    request.on("error", reject);
    request.end();
  });
}

async function secureUpstream(): Promise<string> {
  const server = createSecureServer({ cert, key }, (request, response) => void response.end(`secure ${request.url}`));
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return `https://localhost:${(server.address() as AddressInfo).port}`;
}

describe("HTTPS", () => {
  it("is spoken to clients, and the upstream is told so", async () => {
    const upstream = await upstreamOf((request, response) => {
      response.end(`${String(request.headers["x-forwarded-proto"])} ${request.headers.forwarded?.split(";").at(-1)}`);
    });
    const { url } = await proxyFor(upstream.url, { tls: { cert, key } });
    expect(await getSecurely(url)).toBe("https proto=https");
  });

  it("is spoken to an upstream whose certificate is trusted", async () => {
    const { url } = await proxyFor(await secureUpstream(), { upstreamCa: cert });
    expect((await send(`${url}/a`)).text).toBe("secure /a");
    expect((await send(`${url}/b`)).text).toBe("secure /b");
  });

  it("is a 502 when it is not", async () => {
    const { url } = await proxyFor(await secureUpstream());
    const answer = await send(url);
    expect(answer.status).toBe(502);
    expect(JSON.parse(answer.text)).toMatchObject({ detail: "No secure connection to the upstream could be made." });
  });

  it("carries WebSocket and ignores another Upgrade", async () => {
    const upstream = await rawUpstream(async (peer) => {
      const request = await peer.until("\r\n\r\n");
      if (!request.includes("websocket")) {
        peer.write(head("HTTP/1.1 200 OK", "Content-Length: 5") + "plain");
        return;
      }
      peer.write(`${head("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket")}hello`);
    });
    const { port } = await proxyFor(upstream.url, { tls: { cert, key } });
    for (const [protocol, end] of [
      ["h2c", "plain"],
      ["websocket", "hello"],
    ] as const) {
      const socket = connect({ port, host: "127.0.0.1", ca: cert });
      onTestFinished(() => void socket.destroy());
      let received = "";
      const answer = new Promise<string>((resolve) => {
        socket.on("data", (bytes) => {
          received += bytes.toString();
          if (received.endsWith(end)) resolve(received);
        });
      });
      socket.write(head("GET / HTTP/1.1", "Host: a", "Connection: Upgrade", `Upgrade: ${protocol}`));
      expect(await answer).toMatch(protocol === "h2c" ? /^HTTP\/1\.1 200 / : /^HTTP\/1\.1 101 /);
    }
  });
});
