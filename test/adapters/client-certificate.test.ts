import { readFileSync } from "node:fs";
import { createServer, request as httpsRequest } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { getRequestListener } from "@hono/node-server";
import express from "express";
import { Hono } from "hono";
import { describe, expect, it, onTestFinished } from "vitest";
import { expressCache } from "../../src/adapters/express/index.ts";
import { fetchCache } from "../../src/adapters/fetch/index.ts";
import { honoCache } from "../../src/adapters/hono/index.ts";
import { type NodeHandler, nodeCache } from "../../src/adapters/node/index.ts";
import { createCache } from "../../src/cache.ts";

const cert = readFileSync(join(import.meta.dirname, "../proxy/localhost.pem"));
const key = readFileSync(join(import.meta.dirname, "../proxy/localhost-key.pem"));
/** Signed by itself, for the client ann. */
const clientCert = readFileSync(join(import.meta.dirname, "client.pem"));
const clientKey = readFileSync(join(import.meta.dirname, "client-key.pem"));

interface Answer {
  readonly text: string;
  readonly cacheStatus: string | undefined;
}

function get(port: number, isAnn: boolean): Promise<Answer> {
  const certificate = isAnn ? { cert: clientCert, key: clientKey } : {};
  return new Promise((resolve, reject) => {
    const options = {
      host: "127.0.0.1",
      port,
      servername: "localhost",
      ca: cert,
      agent: false,
      ...certificate,
    } as const;
    const request = httpsRequest(options, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (piece: string) => (text += piece));
      response.on("end", () => resolve({ text, cacheStatus: response.headers["cache-status"] as string | undefined }));
    });
    request.on("error", reject).end();
  });
}

const ADAPTERS: readonly { readonly name: string; readonly make: () => NodeHandler }[] = [
  { name: "node:http", make: () => nodeCache(createCache())("5m", (_request, response) => void response.end("page")) },
  {
    name: "Express",
    make: () =>
      express().get("/", expressCache(createCache())("5m"), (_request, response) => void response.send("page")),
  },
  {
    name: "Hono",
    make: () =>
      getRequestListener(new Hono().get("/", honoCache(createCache())("5m"), (context) => context.text("page")).fetch),
  },
  {
    name: "fetch",
    make: () => getRequestListener(fetchCache(createCache())("5m", () => new Response("page"))),
  },
];

describe.each(ADAPTERS)("a client certificate with $name", ({ make }) => {
  it.each([
    { because: "is trusted", ca: [clientCert], rejectUnauthorized: true },
    { because: "is not trusted, and let in all the same", ca: [], rejectUnauthorized: false },
  ])("is an identity that $because", async ({ ca, rejectUnauthorized }) => {
    const server = createServer({ cert, key, ca, requestCert: true, rejectUnauthorized }, make());
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;

    const bypass = { text: "page", cacheStatus: "reprise; fwd=bypass; detail=client-certificate" };
    for (let time = 0; time < 2; time++) expect(await get(port, true)).toEqual(bypass);
    if (rejectUnauthorized) return;
    expect((await get(port, false)).cacheStatus).toContain("stored");
    expect((await get(port, false)).cacheStatus).toContain("hit");
    expect(await get(port, true)).toEqual(bypass);
  });

  it("makes no difference to a server that asks for none", async () => {
    const server = createServer({ cert, key }, make());
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;

    expect((await get(port, true)).cacheStatus).toContain("stored");
    expect((await get(port, true)).cacheStatus).toContain("hit");
  });
});

describe("a client certificate on a worker", () => {
  it("is what the platform says of it", async () => {
    const handler = fetchCache(createCache())("5m", () => new Response("page"));
    const ask = async (certPresented: string): Promise<string | null> => {
      const request = Object.assign(new Request("https://a.test/"), { cf: { tlsClientAuth: { certPresented } } });
      return (await handler(request)).headers.get("cache-status");
    };
    expect(await ask("0")).toContain("stored");
    expect(await ask("1")).toBe("reprise; fwd=bypass; detail=client-certificate");
  });
});
