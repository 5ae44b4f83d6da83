/** In front of servers that are not Node: those that are installed, and one that behaves as an old one would. */

import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { send } from "../adapters/contract/http-client.ts";
import { freePort } from "../redis/server.ts";
import { proxyFor, rawUpstream } from "./world.ts";

const PAGE = "<h1>Grüße</h1>\n".repeat(10_000);
const LAST_MODIFIED = "Last-Modified: Thu, 01 Jan 2015 00:00:00 GMT\r\n";

let folder = "";

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "reprise-www-"));
  writeFileSync(join(folder, "page.html"), PAGE);
  return () => rmSync(folder, { recursive: true, force: true });
});

interface ForeignServer {
  readonly name: string;
  /** Starts it in `folder`; the result ends it. Undefined where it is not installed. */
  start(port: number): (() => void) | undefined;
}

function program(name: string, command: string, args: (port: number) => string[], test: string[]): ForeignServer {
  return {
    name,
    start(port) {
      if (spawnSync(command, test, { stdio: "ignore" }).status !== 0) return undefined;
      const child = spawn(command, args(port), { cwd: folder, stdio: "ignore" });
      return () => void child.kill("SIGKILL");
    },
  };
}

const INSTALLED: readonly ForeignServer[] = [
  program("python3 -m http.server", "python3", (port) => ["-m", "http.server", String(port), "--bind", "127.0.0.1"], [
    "-c",
    "import http.server",
  ]),
  program("busybox httpd", "busybox", (port) => ["httpd", "-f", "-p", `127.0.0.1:${port}`, "-h", "."], [
    "httpd",
    "--help",
  ]),
];

/** An HTTP/1.0 server: no length, no Date, and the end of the connection is the end of the page. */
async function oldServer(): Promise<string> {
  const server = await rawUpstream(async (peer) => {
    const request = await peer.until("\r\n\r\n");
    const isPage = /^(GET|HEAD) \/page\.html[ ?]/.test(request);
    peer.write(
      `HTTP/1.0 ${isPage ? "200 OK" : "404 File not found"}\r\nContent-type: text/html\r\n${LAST_MODIFIED}\r\n`,
    );
    if (isPage && request.startsWith("GET")) peer.socket.write(PAGE);
    peer.socket.end();
  });
  return server.url;
}

const stops: (() => void)[] = [];

afterAll(() => {
  for (const stop of stops) stop();
});

describe("in front of a foreign server", () => {
  async function check(upstream: string): Promise<void> {
    const { url } = await proxyFor(upstream);
    const page = await send(`${url}/page.html`);
    expect(page).toMatchObject({ status: 200, text: PAGE });
    expect(page.headers["content-type"]).toBe("text/html");
    expect(page.headers.via).toMatch(/^1\.[01] reprise$/);
    const head = await send(`${url}/page.html`, { method: "HEAD" });
    expect(head).toMatchObject({ status: 200, text: "" });
    expect((await send(`${url}/none.html`)).status).toBe(404);
    const many = await Promise.all(Array.from({ length: 20 }, (_, at) => send(`${url}/page.html?${at}`)));
    expect(many.map(({ text }) => text === PAGE)).toEqual(many.map(() => true));
  }

  it("that is as old as HTTP/1.0", async () => {
    await check(await oldServer());
  });

  it("that is installed here", async () => {
    let checked = 0;
    for (const server of INSTALLED) {
      const port = await freePort();
      const stop = server.start(port);
      if (stop === undefined) continue;
      stops.push(stop);
      await listening(port);
      await check(`http://127.0.0.1:${port}`);
      checked += 1;
    }
    // Where nothing is installed, the server above has been all.
    if (checked === 0) await check(await oldServer());
  });
});

async function listening(port: number): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    try {
      await send(`http://127.0.0.1:${port}/`);
      return;
    } catch (error) {
      if (tries === 200) throw error;
      await pause(50);
    }
  }
}
