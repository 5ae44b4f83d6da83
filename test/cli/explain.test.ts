import { createServer, type Server, type ServerResponse, type IncomingMessage } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { createServer as createRawServer, type AddressInfo, type Socket } from "node:net";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { runLine } from "../../src/cli/commands.ts";
import { EXPLAIN_FLAGS } from "../../src/cli/explain.ts";
import { send } from "../adapters/contract/http-client.ts";
import { freePort } from "../redis/server.ts";
import { reprise, startProxy } from "./cli.ts";

/** What `reprise explain` says, in this process. */
async function explain(...args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ["", ""];
  const code = await runLine(["explain", ...args], {
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
  });
  return { code, out, err };
}

async function explainJson(...args: readonly string[]): Promise<Record<string, unknown>> {
  const { code, out, err } = await explain(...args, "--json");
  expect({ code, err }).toEqual({ code: 0, err: "" });
  return JSON.parse(out) as Record<string, unknown>;
}

async function listening(server: Server | ReturnType<typeof createRawServer>): Promise<number> {
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  onTestFinished(
    () =>
      new Promise((resolve) => {
        if ("closeAllConnections" in server) server.closeAllConnections();
        server.close(() => resolve());
      }),
  );
  return (server.address() as AddressInfo).port;
}

interface Origin {
  readonly url: string;
  readonly port: number;
  readonly requests: IncomingMessage[];
}

async function originOf(answer: (response: ServerResponse) => void): Promise<Origin> {
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    answer(response);
  });
  const port = await listening(server);
  return { url: `http://127.0.0.1:${port}`, port, requests };
}

async function rawOrigin(answer: (socket: Socket) => void): Promise<string> {
  const port = await listening(
    createRawServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", () => answer(socket));
    }),
  );
  return `http://127.0.0.1:${port}`;
}

describe("reprise explain", () => {
  it("says what becomes of a response, each with its rule", async () => {
    const { url, port } = await originOf((response) => {
      response.writeHead(200, {
        "cache-control": "max-age=10, s-maxage=60, stale-while-revalidate=5",
        vary: "Accept-Language, Accept-Encoding",
        etag: '"1"',
        // Whole seconds: the next one, so that the response has no age should a second end while it is on its way.
        date: new Date(Date.now() + 1000).toUTCString(),
      });
      response.end("body");
    });
    const { code, out, err } = await explain(`${url}/users?b=2&a=1`, "-H", "Accept-Language: de");
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toBe(`GET ${url}/users?b=2&a=1 → 200 OK
Profile proxy

Request      takes part
Key          ${JSON.stringify(`reprise GET http://127.0.0.1:${port} /users b=2&a=1`)}
             Method, host, path and query; Vary adds the fields it names. [RFC 9111 §2]
Stored       yes
             Nothing forbids to store it. [RFC 9111 §3]
Lifetime     60 s, from s-maxage in cache-control
             For shared caches s-maxage comes before all other lifetimes. [RFC 9111 §5.2.2.10]
Age          0 s on arrival
             By its Age and Date, and by the time it took to arrive. [RFC 9111 §4.2.3]
Vary         accept-encoding: (absent); accept-language: de
             It answers requests with this key that present the same in these fields. [RFC 9111 §4.1]
Validators   ETag "1"
             Once it is stale, the origin is asked with If-None-Match, and a 304 renews it. [RFC 9111 §4.3.1]
Once stale   stale-while-revalidate 5 s, stale-if-error 0 s
             For 5 s more while one request renews it. [RFC 5861 §3]
Second time  answered from the cache; 60 s left
             It is fresh: its lifetime is above its age. [RFC 9111 §4.2]
`);
  });

  it("says why a response is not stored, and ends with 0: that is an answer too", async () => {
    const { url } = await originOf((response) => response.writeHead(404, { "cache-control": "no-store" }).end());
    const { code, out } = await explain(url);
    expect(code).toBe(0);
    expect(out).toContain(`GET ${url}/ → 404 Not Found\n`);
    expect(out).toContain(
      "Stored       no (no-store)\n             no-store: no cache may keep it. [RFC 9111 §5.2.2.5]\n",
    );
    expect(out).toContain("Second time  the origin answers again\n");
    expect(out).not.toContain("Once stale");
  });

  it("says why a request takes no part", async () => {
    const { url } = await originOf((response) => response.writeHead(200, { "cache-control": "max-age=60" }).end());
    const { out } = await explain(url, "-H", "Cookie: sid=1");
    expect(out).toContain("Request      bypasses the cache (cookie)\n");
    expect(out).toContain("Stored       no (bypass)\n");
  });

  it("sends the fields it was given, joined where one comes twice", async () => {
    const { url, requests } = await originOf((response) => response.end());
    await explain(url, "-H", "X-A: 1", "--header", "x-a: 2", "-H", "Cookie: a=1", "-HCookie:b=2", "-H", "Host: a.test");
    expect(requests[0]?.headers).toMatchObject({ "x-a": "1, 2", cookie: "a=1; b=2", host: "a.test", accept: "*/*" });
    const { key } = await explainJson(url, "-H", "Host: A.test");
    expect(key).toBe("reprise GET http://a.test / ");
  });

  it("asks over HTTPS and says so when the certificate is not trusted", async () => {
    const folder = join(import.meta.dirname, "../proxy");
    const server = createSecureServer(
      { cert: readFileSync(join(folder, "localhost.pem")), key: readFileSync(join(folder, "localhost-key.pem")) },
      (_request, response) => response.writeHead(200, { "cache-control": "max-age=9" }).end(),
    );
    const url = `https://127.0.0.1:${await listening(server)}`;
    const { code, out, err } = await explain(url);
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(err).toMatch(/^reprise: no secure connection to https:\/\/127\.0\.0\.1:\d+ could be made \([A-Z_]+\)\n$/);

    process.env["NODE_EXTRA_CA_CERTS"] = join(folder, "localhost.pem");
    const trusting = reprise("explain", url);
    delete process.env["NODE_EXTRA_CA_CERTS"];
    expect((await trusting).out).toContain(`"reprise GET ${url} / "`);
  });

  it("reads the head only: it does not wait for a body without an end", async () => {
    const { url } = await originOf((response) => {
      response.writeHead(200, { "cache-control": "max-age=60" });
      response.write("first");
    });
    expect(await explainJson(url)).toMatchObject({ response: { stored: true } });
  });

  it("follows no redirect", async () => {
    const { url, requests } = await originOf((response) =>
      response.writeHead(301, { location: "/there", "cache-control": "max-age=60" }).end(),
    );
    expect(await explainJson(url)).toMatchObject({ response: { status: 301, stored: true } });
    expect(requests).toHaveLength(1);
  });

  it.each([
    ["rfc9111-shared", "heuristic"],
    ["proxy", "nothing"],
  ])("decides as profile %s does", async (profile, from) => {
    const { url } = await originOf((response) =>
      response.writeHead(200, { "last-modified": "Sun, 01 Mar 2020 12:00:00 GMT" }).end(),
    );
    const explanation = await explainJson(url, "--profile", profile);
    expect(explanation).toMatchObject({ profile, response: { lifetime: { from } } });
  });

  it("prints the data with --json", async () => {
    const { url } = await originOf((response) => response.writeHead(200, { "cache-control": "max-age=60" }).end());
    expect(await explainJson(url)).toMatchObject({
      method: "GET",
      url: `${url}/`,
      profile: "proxy",
      action: "forward",
      response: { stored: true, lifetime: { seconds: 60, from: "max-age", field: "cache-control" } },
    });
  });

  it("sends HEAD, and nothing of another method", async () => {
    const { url, requests } = await originOf((response) => response.end());
    expect(await explainJson(url, "--method", "HEAD")).toMatchObject({ response: { detail: "method" } });
    expect(await explainJson(url, "--method", "delete")).toMatchObject({ method: "DELETE", action: "pass" });
    expect((await explain(url, "--method", "DELETE")).out).toContain(`DELETE ${url}/ (not sent)\n`);
    expect(requests.map(({ method }) => method)).toEqual(["HEAD"]);
  });

  it.each([
    { says: "max-age=60", status: 200 },
    { says: "max-age=60, no-cache", status: 200 },
    { says: "private", status: 200 },
    { says: "max-age=60", status: 404 },
    { says: "s-maxage=60, max-age=0", status: 203 },
    { says: "max-age=60, must-understand, no-store", status: 200 },
  ])("says of $status with $says what the proxy does", async ({ says, status }) => {
    const origin = await originOf((response) =>
      response.writeHead(status, { "cache-control": says, etag: '"1"' }).end("body"),
    );
    const { response } = (await explainJson(origin.url)) as {
      response: { stored: boolean; next?: { decision: { action: string } } };
    };
    const { url } = await startProxy(origin.url);
    await send(url);
    const second = await send(url);
    const isHit = second.headers["x-reprise-cache"] === "Hit";
    expect(isHit).toBe(response.next?.decision.action === "reuse");
    if (!response.stored) expect(second.headers["cache-status"]).toContain("fwd=uri-miss");
  });
});

describe("a URL that gives no answer: one line, exit code 1", () => {
  it("nobody listens, told by the process too", async () => {
    const url = `http://127.0.0.1:${await freePort()}`;
    expect(await reprise("explain", `${url}/a`)).toEqual({
      code: 1,
      out: "",
      err: `reprise: ${url} cannot be reached (ECONNREFUSED)\n`,
    });
  });

  it("a name that does not exist", async () => {
    const { code, err } = await explain("http://name.invalid/");
    expect(code).toBe(1);
    expect(err).toMatch(/^reprise: http:\/\/name\.invalid cannot be reached \(E[A-Z_]+\)\n$/);
  });

  it.each([
    ["closes", (socket: Socket) => socket.destroy(), / closed the connection without an answer\n$/],
    ["does not speak HTTP", (socket: Socket) => socket.end("hello\r\n\r\n"), / is not valid HTTP \(HPE_[A-Z_]+\)\n$/],
    ["says nothing", () => {}, / did not answer within 1s\n$/],
  ] as const)("a server that %s", async (_what, answer, line) => {
    const { code, out, err } = await explain(await rawOrigin(answer), "--timeout", "1s");
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(err).toMatch(line);
    expect(err.trimEnd()).not.toContain("\n");
  });
});

describe("a command line that cannot mean anything: one line, exit code 2", () => {
  const example = "explain: expected a URL such as http://127.0.0.1:8000/users";
  it.each([
    [[], "explain: which URL? For example: reprise explain http://127.0.0.1:8000/"],
    [["http://a", "http://b"], "explain: expected one URL, got 2"],
    [["users"], `${example}, got "users"`],
    [["localhost:8000"], `${example}, got "localhost:8000"`],
    [["ftp://me:secret@a"], `${example}, got another text`],
    [["http://me:secret@a"], `${example}, without a user or password; send them with -H "Authorization: …"`],
    [["http://a", "-H", "secret"], '-H: expected a field such as "Accept: text/html"'],
    [["http://a", "--header", "a b: c"], '--header: expected a field such as "Accept: text/html"'],
    [["http://a", "-H", "a: b\r\nc: d"], '-H: expected a field such as "Accept: text/html"'],
    [["http://a", "-H", "Host: a/b"], '-H: expected a host with an optional port as Host, got "a/b"'],
    [["http://a", "-H"], '-H needs a value: -H "<name>: <value>"'],
    [["http://a", "--method", "G T"], '--method: expected a method such as GET, got "G T"'],
    [
      ["http://a", "--profile", "poxy"],
      '--profile: expected origin, proxy, rfc9111-shared, got "poxy". Did you mean proxy?',
    ],
    [["http://a", "--timeout", "soon"], '--timeout: expected a duration such as 30s or 5m, got "soon"'],
    [["http://a", "--jsn"], "there is no --jsn. Did you mean --json?"],
  ])("reprise explain %j", async (args, line) => {
    expect(await explain(...args)).toEqual({ code: 2, out: "", err: `reprise: ${line}\n` });
  });
});

it("shows every flag in its help, and itself among the commands", async () => {
  const { code, out } = await explain("--help");
  expect(code).toBe(0);
  for (const { name } of EXPLAIN_FLAGS) expect(out).toMatch(new RegExp(`^ {2}--${name} `, "m"));
  expect((await reprise("--help")).out).toContain("\n  explain  ");
});
