import { setTimeout as pause } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { client, exchange, head, proxyFor, until, upstreamOf } from "./world.ts";

async function answerTo(bytes: string, options: Parameters<typeof proxyFor>[1] = {}) {
  const upstream = await upstreamOf((request, response) => {
    request.resume().on("end", () => response.end(`${request.method} ${request.url}`));
  });
  const { port } = await proxyFor(upstream.url, { keepAliveTimeoutMs: 200, ...options });
  const answer = await exchange(port, bytes);
  return { answer, forwarded: upstream.requests.length };
}

const NEXT = head("GET /smuggled HTTP/1.1", "Host: a");

describe("requests with more than one reading are refused, and so is what follows them", () => {
  it.each([
    ["both lengths", ["POST / HTTP/1.1", "Host: a", "Content-Length: 5", "Transfer-Encoding: chunked"], 400],
    ["both lengths, reversed", ["POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", "Content-Length: 5"], 400],
    ["two equal lengths", ["POST / HTTP/1.1", "Host: a", "Content-Length: 3", "Content-Length: 3"], 400],
    ["two lengths", ["POST / HTTP/1.1", "Host: a", "Content-Length: 3", "Content-Length: 4"], 400],
    ["a list of lengths", ["POST / HTTP/1.1", "Host: a", "Content-Length: 3, 3"], 400],
    ["a signed length", ["POST / HTTP/1.1", "Host: a", "Content-Length: +3"], 400],
    ["a hexadecimal length", ["POST / HTTP/1.1", "Host: a", "Content-Length: 0x3"], 400],
    ["a huge length", ["POST / HTTP/1.1", "Host: a", "Content-Length: 99999999999999999999"], 400],
    ["an empty length", ["POST / HTTP/1.1", "Host: a", "Content-Length:"], 400],
    ["a space before the colon", ["POST / HTTP/1.1", "Host: a", "Content-Length : 3"], 400],
    ["chunked twice", ["POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked, chunked"], 400],
    ["chunked on two lines", ["POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", "Transfer-Encoding: x"], 400],
    ["chunked not last", ["POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked, gzip"], 400],
    ["a coding in front of chunked", ["POST / HTTP/1.1", "Host: a", "Transfer-Encoding: gzip, chunked"], 501],
    ["a misspelt coding", ["POST / HTTP/1.1", "Host: a", "Transfer-Encoding: xchunked"], 501],
    ["a quoted coding", ["POST / HTTP/1.1", "Host: a", 'Transfer-Encoding: "chunked"'], 501],
    ["chunked in HTTP/1.0", ["POST / HTTP/1.0", "Host: a", "Transfer-Encoding: chunked"], 400],
    ["no Host", ["GET / HTTP/1.1"], 400],
    ["an empty Host", ["GET / HTTP/1.1", "Host:"], 400],
    ["two Hosts", ["GET / HTTP/1.1", "Host: a", "Host: b"], 400],
    ["two equal Hosts", ["GET / HTTP/1.1", "Host: a", "Host: a"], 400],
    ["two Hosts in HTTP/1.0", ["GET / HTTP/1.0", "Host: a", "host: b"], 400],
    ["a Host with a path", ["GET / HTTP/1.1", "Host: a/b"], 400],
    ["a Host with a user", ["GET / HTTP/1.1", "Host: u@a"], 400],
    ["a list of Hosts", ["GET / HTTP/1.1", "Host: a, b"], 400],
    ["a folded line", ["GET / HTTP/1.1", "Host: a", "X: a\r\n b"], 400],
    ["a folded Host", ["GET / HTTP/1.1", "Host: a\r\n b"], 400],
    ["a bare line feed", ["GET / HTTP/1.1", "Host: a\nX: b"], 400],
    ["a control byte", ["GET / HTTP/1.1", "Host: a", "X: a\x01b"], 400],
    ["a zero byte", ["GET / HTTP/1.1", "Host: a", "X: a\0b"], 400],
    ["a line without a colon", ["GET / HTTP/1.1", "Host: a", "X"], 400],
    ["an unknown method", ["FOO / HTTP/1.1", "Host: a"], 400],
    ["HTTP/2.0", ["GET / HTTP/2.0", "Host: a"], 505],
    ["HTTP/0.9", ["GET /"], 505],
    ["a version unknown to anybody", ["GET / HTTP/1.7", "Host: a"], 400],
    ["a fragment", ["GET /a#b HTTP/1.1", "Host: a"], 400],
    ["a target without a slash", ["GET a HTTP/1.1", "Host: a"], 400],
    ["* for GET", ["GET * HTTP/1.1", "Host: a"], 400],
    ["another scheme", ["GET ftp://a/ HTTP/1.1", "Host: a"], 400],
    ["a user in the target", ["GET http://u:p@a/ HTTP/1.1", "Host: a"], 400],
    ["no host in the target", ["GET http:///x HTTP/1.1", "Host: a"], 400],
    ["a space in the target", ["GET /a b HTTP/1.1", "Host: a"], 400],
  ])("%s", async (_name, lines, status) => {
    const { answer, forwarded } = await answerTo(head(...lines) + NEXT);
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(answer).toMatch(/\r\nConnection: close\r\n/);
    expect(answer).toContain("application/problem+json");
    expect(answer.match(/HTTP\/1\.1 \d/g)).toHaveLength(1);
    expect(forwarded).toBe(0);
  });

  it("a broken chunk: the upstream never sees the end of the request", async () => {
    let ending = "";
    const upstream = await upstreamOf((request) => {
      request.resume();
      request.on("end", () => {
        ending = "complete";
      });
      request.on("error", () => {
        ending = "broken";
      });
    });
    const { port } = await proxyFor(upstream.url);
    const peer = await client(port);
    peer.write(head("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked") + "3\r\nabc\r\n");
    await until(() => upstream.requests.length === 1);
    peer.write(`zz\r\n0\r\n\r\n${NEXT}`);
    const answer = await peer.rest();
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer.match(/HTTP\/1\.1 \d/g)).toHaveLength(1);
    await until(() => ending !== "");
    expect(ending).toBe("broken");
    expect(upstream.requests).toHaveLength(1);
  });

  it("rubbish behind a good request: that one is answered first", async () => {
    const upstream = await upstreamOf((_request, response) => {
      setTimeout(() => response.end("good"), 50);
    });
    const { port } = await proxyFor(upstream.url);
    const answer = await exchange(port, `${head("GET / HTTP/1.1", "Host: a")}rubbish\r\n\r\n${NEXT}`);
    expect(answer).toMatch(/^HTTP\/1\.1 200 [^]*good$/);
    expect(answer.match(/HTTP\/1\.1 \d/g)).toHaveLength(1);
    expect(upstream.requests).toHaveLength(1);
  });

  it("a good request behind a refused one: it does not reach even an upstream that is connected", async () => {
    const upstream = await upstreamOf((_request, response) => void response.end("x"));
    const { port } = await proxyFor(upstream.url);
    await exchange(port, head("GET /first HTTP/1.1", "Host: a", "Connection: close"));
    const bad = head("GET / HTTP/1.1", "Host: a", "Host: b");
    await exchange(port, bad + head("DELETE /smuggled HTTP/1.1", "Host: a"));
    await exchange(port, head("GET /last HTTP/1.1", "Host: a", "Connection: close"));
    expect(upstream.requests.map(({ url }) => url)).toEqual(["/first", "/last"]);
  });

  it("a body that looks like a request stays a body", async () => {
    const { answer, forwarded } = await answerTo(
      head("POST / HTTP/1.1", "Host: a", "Connection: close", `Content-Length: ${NEXT.length}`) + NEXT,
    );
    expect(answer).toMatch(/POST \/$/);
    expect(forwarded).toBe(1);
  });

  it("chunk extensions go no further", async () => {
    const { answer } = await answerTo(
      `${head("POST / HTTP/1.1", "Host: a", "Connection: close", "Transfer-Encoding: chunked")}3;a=b\r\nabc\r\n0\r\n\r\n`,
    );
    expect(answer).toMatch(/ 200 OK/);
  });
});

describe("targets", () => {
  it.each([
    ["OPTIONS * HTTP/1.1", "OPTIONS *"],
    ["OPTIONS http://b HTTP/1.1", "OPTIONS *"],
    ["GET http://b HTTP/1.1", "GET /"],
    ["GET http://b?x=1 HTTP/1.1", "GET /?x=1"],
    ["GET HTTPS://b:443/x HTTP/1.1", "GET /x"],
    ["GET //b/x HTTP/1.1", "GET //b/x"],
    ["GET /a/../b?c=/../d HTTP/1.1", "GET /a/../b?c=/../d"],
    ["GET /%00%0d%0a HTTP/1.1", "GET /%00%0d%0a"],
    ["QUERY /q HTTP/1.1", "QUERY /q"],
    ["M-SEARCH /q HTTP/1.1", "M-SEARCH /q"],
  ])("%s is sent on as %s", async (line, target) => {
    const { answer } = await answerTo(head(line, "Host: a", "Connection: close"));
    expect(answer.endsWith(target)).toBe(true);
  });

  it("CONNECT is refused", async () => {
    const { answer, forwarded } = await answerTo(head("CONNECT a:80 HTTP/1.1", "Host: a:80"));
    expect(answer).toMatch(/^HTTP\/1\.1 501 /);
    expect(forwarded).toBe(0);
  });

  it("TRACE is refused", async () => {
    const { answer, forwarded } = await answerTo(
      head("TRACE / HTTP/1.1", "Host: a", "Connection: close", "Cookie: a=b"),
    );
    expect(answer).toMatch(/^HTTP\/1\.1 405 [^]*Allow: GET, HEAD/);
    expect(answer).not.toContain("a=b");
    expect(forwarded).toBe(0);
  });

  it("OPTIONS goes as far as Max-Forwards says (RFC 9110 §7.6.2)", async () => {
    const last = await answerTo(head("OPTIONS / HTTP/1.1", "Host: a", "Connection: close", "Max-Forwards: 0"));
    expect(last.answer).toMatch(/^HTTP\/1\.1 204 [^]*Allow: GET/);
    expect(last.forwarded).toBe(0);
    let hops: unknown;
    const upstream = await upstreamOf((request, response) => {
      hops = request.headers["max-forwards"];
      response.end();
    });
    const { port } = await proxyFor(upstream.url);
    await exchange(port, head("OPTIONS / HTTP/1.1", "Host: a", "Connection: close", "Max-Forwards: 7"));
    expect(hops).toBe("6");
  });
});

describe("limits", () => {
  it("refuses a head that is too large with 431", async () => {
    const { answer, forwarded } = await answerTo(head("GET / HTTP/1.1", "Host: a", `X: ${"x".repeat(20_000)}`));
    expect(answer).toMatch(/^HTTP\/1\.1 431 /);
    expect(forwarded).toBe(0);
  });

  it("refuses too many fields with 431, and forwards as many as may be", async () => {
    const fields = (count: number): string[] => Array.from({ length: count }, (_, at) => `X-${at}: y`);
    const many = await answerTo(head("GET / HTTP/1.1", "Host: a", ...fields(200)));
    expect(many.answer).toMatch(/^HTTP\/1\.1 431 /);
    expect(many.forwarded).toBe(0);
    const enough = await answerTo(head("GET / HTTP/1.1", "Host: a", "Connection: close", ...fields(198)));
    expect(enough.answer).toMatch(/ 200 OK/);
  });

  it("answers 408 to a client that takes too long for its head", async () => {
    const upstream = await upstreamOf((_request, response) => void response.end());
    const { port } = await proxyFor(upstream.url, { clientHeadTimeoutMs: 200 });
    const peer = await client(port);
    const drip = setInterval(() => peer.write("X: y\r\n"), 20);
    peer.write("GET / HTTP/1.1\r\nHost: a\r\n");
    const answer = await peer.rest();
    clearInterval(drip);
    expect(answer).toMatch(/^HTTP\/1\.1 408 /);
    expect(upstream.requests).toHaveLength(0);
  });

  it("ends a request whose body drips for too long", async () => {
    const upstream = await upstreamOf((request) => void request.resume());
    const { port } = await proxyFor(upstream.url, { clientHeadTimeoutMs: 200, clientRequestTimeoutMs: 300 });
    const peer = await client(port);
    peer.write(head("POST / HTTP/1.1", "Host: a", "Content-Length: 100000"));
    const drip = setInterval(() => peer.write("x"), 20);
    expect(await peer.rest()).toMatch(/^HTTP\/1\.1 408 /);
    clearInterval(drip);
  });

  it("closes an unused connection", async () => {
    const upstream = await upstreamOf((_request, response) => void response.end("x"));
    const { port } = await proxyFor(upstream.url, { keepAliveTimeoutMs: 100 });
    const peer = await client(port);
    peer.write(head("GET / HTTP/1.1", "Host: a"));
    await peer.until("\r\n\r\nx");
    await pause(10);
    expect(await peer.closed).toBe("end");
  });
});
