import * as fc from "fast-check";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";

import { fuzz, fuzzPlan } from "./fuzz/plan.ts";
import { brokenRequest, requestBytes, requestCase } from "./fuzz/requests.ts";
import { converse } from "./fuzz/wire.ts";
import { proxyFor } from "./world.ts";

/** Each connection carries these, at once, and then bytes that may mean anything. */
const STEADY = 9;
const CONNECTIONS = 40;

const connection = fc.record({
  steady: fc.array(requestCase, { minLength: STEADY, maxLength: STEADY }),
  broken: brokenRequest,
});

/** What decides the answer besides the path: an answer that was made for somebody else shows in it. */
function reflected(request: IncomingMessage, bodyBytes: number): string {
  const { method, headers } = request;
  const named = [
    "authorization",
    "range",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
    "x-host",
  ];
  const told = named.map((name) => String(headers[name] ?? "-"));
  return JSON.stringify([method, request.url, bodyBytes, headers["x-vary"] ?? null, ...told]);
}

async function reflectingUpstream() {
  const faults: string[] = [];
  const targets = new Set<string>();
  const server = createServer({ maxHeaderSize: 64 * 1024 }, (request: IncomingMessage, response: ServerResponse) => {
    let bodyBytes = 0;
    request.on("data", (chunk: Buffer) => (bodyBytes += chunk.byteLength));
    request.on("end", () => {
      const body = Buffer.from(reflected(request, bodyBytes), "latin1");
      response.writeHead(200, {
        "Cache-Control": "max-age=60",
        Vary: "x-vary",
        ETag: '"v"',
        "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT",
        "Content-Length": body.byteLength,
      });
      response.end(body);
    });
    targets.add(request.url ?? "");
    if (/smuggled/.test(request.url ?? "")) faults.push(`smuggled: ${request.url}`);
  });
  server.keepAliveTimeout = 60_000;
  // What the proxy lets through, a parser must understand. A request it breaks off is no fault.
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    if (error.code?.startsWith("HPE_") === true && error.code !== "HPE_INVALID_EOF_STATE") faults.push(error.code);
    socket.destroy();
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { faults, targets, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

/** The connection ends with this refusal: what else came on it has no meaning that anybody could be sure of. */
function isFarewell(rest: string): boolean {
  const [first = ""] = rest.split("\r\n\r\n");
  return /^HTTP\/1\.1 [45]/.test(first) && /\r\nconnection: close(?:\r\n|$)/i.test(first);
}

describe("requests that mean no good", () => {
  it(
    "are answered or refused within a bound, and nobody else gets what was made for them",
    { timeout: 600_000 },
    async () => {
      const plan = fuzzPlan(50_000);
      const upstream = await reflectingUpstream();
      const { port } = await proxyFor(upstream.url, { clientHeadTimeoutMs: 3_000, clientRequestTimeoutMs: 3_000 });
      const seen = { answered: 0, hits: 0, refused: 0, silent: 0 };
      let requests = 0;
      await fuzz(
        { ...plan, cases: Math.ceil(plan.cases / (STEADY + 1)) },
        connection,
        CONNECTIONS,
        async (batch, number) => {
          await Promise.all(
            batch.map(async ({ steady, broken }, at) => {
              const path = (place: number): string => `/${number}-${at}-${place}`;
              const sent = steady.map((request, place) => ({
                bytes: requestBytes(request, path(place)),
                isHead: request.method === "HEAD",
              }));
              const after = `/after/${number}-${at}`;
              const { answers, rest } = await converse(port, sent, `${broken}GET ${after} HTTP/1.1\r\nHost: a\r\n\r\n`);
              if (answers.length < sent.length)
                throw new Error(`no answer to ${JSON.stringify(sent[answers.length]?.bytes)}`);
              if (rest !== "" && !/^HTTP\/1\.1 \d{3} /.test(rest))
                throw new Error(`${JSON.stringify(rest)} to ${JSON.stringify(broken)}`);
              if (isFarewell(rest) && upstream.targets.has(after))
                throw new Error(`read on after ${JSON.stringify(broken)}`);
              seen.answered += answers.length;
              if (rest === "") seen.silent += 1;
              else if (/^HTTP\/1\.1 (?:4|5)/.test(rest)) seen.refused += 1;

              // Every second one is asked for again, by a client without any fields of its own.
              const clean = steady
                .map(({ suffix }, place) => `${path(place)}${suffix}`)
                .filter((_, place) => place % 2 === 0);
              const plain = await converse(
                port,
                clean.map((target) => ({ bytes: `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n` })),
              );
              clean.forEach((target, place) => {
                const expected = JSON.stringify(["GET", target, 0, null, ...Array.from({ length: 7 }, () => "-")]);
                const { body = "nothing", head = "" } = plain.answers[place] ?? {};
                if (body !== expected)
                  throw new Error(`${body} for ${target} after ${JSON.stringify(sent[2 * place]?.bytes)}`);
                if (/\r\nx-reprise-cache: hit/i.test(head)) seen.hits += 1;
              });
              requests += sent.length + 1;
            }),
          );
          if (upstream.faults.length > 0) throw new Error(`the upstream was sent ${upstream.faults.join(", ")}`);
        },
      );
      console.log(`${requests} requests from seed ${plan.seed}:`, seen);
      expect(requests).toBeGreaterThanOrEqual(plan.cases);
      expect(Math.min(...Object.values(seen))).toBeGreaterThan(requests / 500);
    },
  );
});
