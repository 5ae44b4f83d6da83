import { describe, expect, it } from "vitest";
import { linesOf, send } from "../adapters/contract/http-client.ts";
import { answering, client, exchange, head, proxyFor, rawUpstream, upstreamOf, valuesOf } from "./world.ts";

const OK = head("HTTP/1.1 200 OK", "Content-Length: 2", "Date: Thu, 01 Jan 2026 00:00:00 GMT") + "ok";

/** The head the upstream receives for a request of these lines. */
async function headSeenFor(lines: readonly string[], options: Parameters<typeof proxyFor>[1] = {}): Promise<string[]> {
  let seen = "";
  const upstream = await rawUpstream(async (peer) => {
    seen = await peer.until("\r\n\r\n");
    peer.write(OK);
  });
  const { port } = await proxyFor(upstream.url, options);
  await exchange(port, head(...lines, "Connection: close"));
  return seen.trimEnd().split("\r\n");
}

describe("request fields", () => {
  it("drops what ends at this hop, also what Connection names (RFC 9110 §7.6.1)", async () => {
    const seen = await headSeenFor([
      "GET / HTTP/1.1",
      "Host: example.com",
      "Connection: X-Secret, keep-alive",
      "X-Secret: 1",
      "Keep-Alive: timeout=5",
      "Proxy-Connection: keep-alive",
      "Proxy-Authorization: Basic eA==",
      "TE: gzip",
      "Proxy: http://evil.example",
      "X-Kept: yes",
    ]);
    expect(seen).toContain("X-Kept: yes");
    expect(seen.filter((line) => /^(x-secret|keep-alive|proxy|te:)/i.test(line))).toEqual([]);
  });

  it("keeps what Connection may not take away", async () => {
    const seen = await headSeenFor(["GET / HTTP/1.1", "Host: example.com", "Connection: cookie, host", "Cookie: a=b"]);
    expect(seen).toContain("Cookie: a=b");
    expect(seen.some((line) => line.startsWith("Host: 127.0.0.1:"))).toBe(true);
  });

  it("keeps every line, order, spelling and byte", async () => {
    const seen = await headSeenFor([
      "GET /?b=2&a=%c3%a9 HTTP/1.1",
      "Host: a",
      "x-ODD: one",
      "X-odd: \xfctwo",
      "X-Empty:",
    ]);
    expect(seen[0]).toBe("GET /?b=2&a=%c3%a9 HTTP/1.1");
    expect(seen).toEqual(expect.arrayContaining(["x-ODD: one", "X-odd: \xfctwo", "X-Empty: "]));
    expect(seen.indexOf("x-ODD: one")).toBeLessThan(seen.indexOf("X-odd: \xfctwo"));
  });

  it("forwards one line of a field that has one, the line the cache decides by", async () => {
    const seen = await headSeenFor(["GET / HTTP/1.1", "Host: a", "User-Agent: one", "User-Agent: two"]);
    expect(seen.filter((line) => line.startsWith("User-Agent"))).toEqual(["User-Agent: one"]);
  });

  it("drops spellings that CGI and WSGI cannot tell from a field of ours", async () => {
    const seen = await headSeenFor([
      "GET / HTTP/1.1",
      "Host: a",
      "X_Forwarded_For: 6.6.6.6",
      "Content_Length: 5",
      "X_Own: kept",
    ]);
    expect(seen.filter((line) => line.includes("_"))).toEqual(["X_Own: kept"]);
  });

  it("adds to Via", async () => {
    const seen = await headSeenFor(["GET / HTTP/1.1", "Host: a", "Via: 1.0 fred"]);
    expect(seen.filter((line) => line.startsWith("Via"))).toEqual(["Via: 1.0 fred, 1.1 reprise"]);
  });

  it("says TE: trailers only for a client that said so", async () => {
    expect(await headSeenFor(["GET / HTTP/1.1", "Host: a", "TE: trailers, deflate"])).toEqual(
      expect.arrayContaining(["TE: trailers", "Connection: keep-alive, TE"]),
    );
    expect((await headSeenFor(["GET / HTTP/1.1", "Host: a"])).filter((line) => line.startsWith("TE"))).toEqual([]);
  });
});

describe("what the upstream is told of the client", () => {
  const forged = [
    "GET / HTTP/1.1",
    "Host: shop.example:8080",
    "X-Forwarded-For: 6.6.6.6",
    "X-Forwarded-Host: evil.example",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Prefix: /evil",
    "X-Real-IP: 6.6.6.6",
    "Forwarded: for=6.6.6.6;host=evil.example",
  ];
  const forwardingLines = (seen: readonly string[]): string[] =>
    seen.filter((line) => /^(x-forwarded|x-real|forwarded)/i.test(line)).toSorted();

  it("is our own knowledge by default", async () => {
    expect(forwardingLines(await headSeenFor(forged))).toEqual([
      'Forwarded: for=127.0.0.1;host="shop.example:8080";proto=http',
      "X-Forwarded-For: 127.0.0.1",
      "X-Forwarded-Host: shop.example:8080",
      "X-Forwarded-Proto: http",
    ]);
  });

  it("is added to what a trusted client says", async () => {
    expect(forwardingLines(await headSeenFor(forged, { trustForwarded: true }))).toEqual([
      'Forwarded: for=6.6.6.6;host=evil.example, for=127.0.0.1;host="shop.example:8080";proto=http',
      "X-Forwarded-For: 6.6.6.6, 127.0.0.1",
      "X-Forwarded-Host: evil.example",
      "X-Forwarded-Prefix: /evil",
      "X-Forwarded-Proto: https",
      "X-Real-IP: 6.6.6.6",
    ]);
  });

  it("includes the client's Host itself with preserveHost", async () => {
    const seen = await headSeenFor(["GET / HTTP/1.1", "Host: shop.example"], { preserveHost: true });
    expect(seen.filter((line) => line.startsWith("Host"))).toEqual(["Host: shop.example"]);
  });

  it("takes the authority of an absolute target for the Host (RFC 9112 §3.2.2)", async () => {
    const lines = ["GET http://right.example/a?b HTTP/1.1", "Host: wrong.example"];
    const seen = await headSeenFor(lines, { preserveHost: true });
    expect(seen[0]).toBe("GET /a?b HTTP/1.1");
    expect(seen).toEqual(expect.arrayContaining(["Host: right.example", "X-Forwarded-Host: right.example"]));
  });

  it("leaves the host out for an HTTP/1.0 client that names none", async () => {
    const seen = await headSeenFor(["GET / HTTP/1.0"]);
    expect(forwardingLines(seen)).toEqual([
      "Forwarded: for=127.0.0.1;proto=http",
      "X-Forwarded-For: 127.0.0.1",
      "X-Forwarded-Proto: http",
    ]);
    expect(seen).toContain("Via: 1.0 reprise");
  });
});

describe("response fields", () => {
  async function answerTo(bytes: string, request = head("GET / HTTP/1.1", "Host: a", "Connection: close")) {
    const upstream = await rawUpstream(answering(bytes));
    const { port } = await proxyFor(upstream.url);
    return exchange(port, request);
  }

  it("drops what ends at this hop, also what Connection names", async () => {
    const answer = await answerTo(
      head(
        "HTTP/1.1 200 OK",
        "Connection: X-Hop, close, Cache-Control",
        "X-Hop: 1",
        "Keep-Alive: timeout=99",
        "Proxy-Authenticate: Basic",
        "Upgrade: h2c",
        "Cache-Control: private",
        "X-Kept: yes",
        "Content-Length: 2",
      ) + "ok",
    );
    expect(answer).toContain("X-Kept: yes\r\n");
    expect(answer).toContain("Cache-Control: private\r\n");
    expect(answer).not.toMatch(/x-hop|keep-alive|proxy-auth|upgrade/i);
  });

  it("keeps duplicates, bytes, status and reason", async () => {
    const answer = await answerTo(
      head(
        "HTTP/1.1 299 Quite Fine",
        "Set-Cookie: a=1",
        "X-Name: J\xfcrgen",
        "Set-Cookie: b=2; Expires=Thu, 01 Jan 2026 00:00:00 GMT",
        "Content-Length: 2",
      ) + "ok",
    );
    expect(answer).toMatch(/^HTTP\/1\.1 299 Quite Fine\r\n/);
    expect(answer).toContain("Set-Cookie: a=1\r\n");
    expect(answer).toContain("Set-Cookie: b=2; Expires=Thu, 01 Jan 2026 00:00:00 GMT\r\n");
    expect(answer).toContain("X-Name: J\xfcrgen\r\n");
  });

  it("keeps duplicates of a response that bypasses the cache", async () => {
    const answer = await answerTo(
      head("HTTP/1.1 200 OK", "Set-Cookie: a=1", "Set-Cookie: b=2", "Cache-Status: far; hit", "Content-Length: 0"),
      head("GET / HTTP/1.1", "Host: a", "If-Match: *", "Connection: close"),
    );
    expect(answer.match(/Set-Cookie: [ab]/gi)).toHaveLength(2);
    expect(answer).toMatch(/Cache-Status: far; hit\r\n[^]*Cache-Status: reprise/i);
  });

  it.each([["999 Odd"], ["599 Odd"], ["499 Odd"], ["203 Odd"]])("passes on status %s", async (status) => {
    const answer = await answerTo(head(`HTTP/1.1 ${status}`, "Content-Length: 2") + "ok");
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status}\r\n[^]*\r\n\r\nok$`));
  });

  it("passes the upstream's Date on, and dates a response without one (RFC 9110 §6.6.1)", async () => {
    expect(await answerTo(OK)).toContain("Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n");
    expect(await answerTo(head("HTTP/1.1 200 OK", "Content-Length: 0"))).toMatch(/\r\nDate: \w{3}, \d\d \w{3} \d{4} /);
  });

  it("adds to Via, on a hit as on a miss", async () => {
    const upstream = await upstreamOf((_request, response) => {
      response.writeHead(200, { "cache-control": "max-age=60", via: "1.1 origin" }).end("x");
    });
    const { url } = await proxyFor(upstream.url);
    const [miss, hit] = [await send(`${url}/a`), await send(`${url}/a`)];
    expect(hit.headers["x-reprise-cache"]).toBe("Hit");
    for (const received of [miss, hit]) expect(linesOf(received, "via")).toEqual(["1.1 origin, 1.1 reprise"]);
  });

  it("sends no Content-Length with a 204, and passes on a 304 that has one", async () => {
    const answer = await answerTo(head("HTTP/1.1 204 No Content", "Content-Length: 0"));
    expect(answer).not.toMatch(/content-length/i);
    const conditional = head("GET / HTTP/1.1", "Host: a", "If-Match: *", "Connection: close");
    const other = await answerTo(head("HTTP/1.1 304 Not Modified", "Content-Length: 10", 'ETag: "x"'), conditional);
    expect(other).toMatch(/^HTTP\/1\.1 304 Not Modified\r\n/);
    expect(other).toMatch(/\r\n\r\n$/);
  });
});

describe("what a client can do to stored responses", () => {
  it("names a field in Connection: the response belongs to a request without that field", async () => {
    const upstream = await upstreamOf((request, response) => {
      response.writeHead(200, { "cache-control": "max-age=60", vary: "accept-language" });
      response.end(request.headers["accept-language"] ?? "none");
    });
    const { url } = await proxyFor(upstream.url);
    const attack = await send(url, { headers: { "accept-language": "de", connection: "accept-language" } });
    expect(attack.text).toBe("none");
    expect((await send(url, { headers: { "accept-language": "de" } })).text).toBe("de");
  });

  it("sends a forged X-Forwarded-Host: it reaches neither the upstream nor the key", async () => {
    const upstream = await upstreamOf((request, response) => {
      response.writeHead(200, { "cache-control": "max-age=60" });
      response.end(String(request.headers["x-forwarded-host"]));
    });
    const { url, port } = await proxyFor(upstream.url);
    const first = await send(url, { headers: { "x-forwarded-host": "evil.example" } });
    expect(first.text).toBe(`127.0.0.1:${port}`);
    const second = await send(url);
    expect(second.headers["x-reprise-cache"]).toBe("Hit");
    expect(upstream.requests).toHaveLength(1);
  });

  it("sends its own Host: another one's response is stored apart", async () => {
    const upstream = await upstreamOf((request, response) => {
      response.writeHead(200, { "cache-control": "max-age=60" });
      response.end(String(request.headers["x-forwarded-host"]));
    });
    const { url } = await proxyFor(upstream.url);
    expect((await send(url, { headers: { host: "a.example" } })).text).toBe("a.example");
    expect((await send(url, { headers: { host: "b.example" } })).text).toBe("b.example");
  });
});

describe("revalidation", () => {
  it("asks with the stored validators in place of the client's", async () => {
    const upstream = await upstreamOf((request, response) => {
      if (request.headers["if-none-match"] !== undefined) {
        response.writeHead(304, { etag: '"v1"', "cache-control": "max-age=0" }).end();
        return;
      }
      response.writeHead(200, { etag: '"v1"', "cache-control": "max-age=0" }).end("v1");
    });
    const { url } = await proxyFor(upstream.url);
    await send(url);
    const again = await send(url, { headers: { "if-none-match": '"mine"', "if-modified-since": "x", "x-a": "b" } });
    expect(again).toMatchObject({ status: 200, text: "v1" });
    const [, second] = upstream.requests;
    expect(valuesOf(second!, "if-none-match")).toEqual(['"v1"']);
    expect(valuesOf(second!, "if-modified-since")).toEqual([]);
    expect(valuesOf(second!, "x-a")).toEqual(["b"]);
  });

  it("answers many requests of one connection in their order", async () => {
    const upstream = await upstreamOf((request, response) => {
      setTimeout(() => response.end(request.url), request.url === "/1" ? 50 : 0);
    });
    const { port } = await proxyFor(upstream.url);
    const peer = await client(port);
    peer.write(["/1", "/2", "/3"].map((path) => head(`GET ${path} HTTP/1.1`, "Host: a")).join(""));
    peer.write(head("GET /4 HTTP/1.1", "Host: a", "Connection: close"));
    const bodies = [...(await peer.rest()).matchAll(/\r\n\r\n(\/\d)/g)].map(([, body]) => body);
    expect(bodies).toEqual(["/1", "/2", "/3", "/4"]);
  });
});
