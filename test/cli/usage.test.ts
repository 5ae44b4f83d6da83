import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { runLine } from "../../src/cli/commands.ts";
import { PROXY_FLAGS } from "../../src/cli/proxy-settings.ts";
import { reprise, start } from "./cli.ts";

const UP = "http://127.0.0.1:9";
const certificates = join(import.meta.dirname, "../proxy");
let folder = "";

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "reprise-cli-"));
  return () => rmSync(folder, { recursive: true, force: true });
});

/** What a command line that ends at once says, in this process. */
async function said(...args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ["", ""];
  const code = await runLine(args, {
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
  });
  return { code, out, err };
}

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

describe("help and version", () => {
  it("shows every flag of proxy, with its default", async () => {
    const { code, out } = await said("proxy", "--help");
    expect(code).toBe(0);
    for (const { name, value, default: byDefault } of PROXY_FLAGS) {
      const line = out.split("\n").find((text) => text.startsWith(`  --${name} `)) ?? "";
      expect(line).not.toBe("");
      if (value !== undefined) expect(line).toContain(`(default: ${byDefault ?? "none"})`);
      else expect(line).toContain("Default: ");
    }
  });

  it.each([["--help"], ["-h"], ["help"]])("shows every command for %s", async (word) => {
    const { code, out } = await said(word);
    expect(code).toBe(0);
    expect(out).toContain("  proxy  ");
  });

  it("shows the help of a command in both ways", async () => {
    expect((await said("help", "proxy")).out).toBe((await said("proxy", "-h")).out);
  });

  it("shows the version of the package", async () => {
    const manifest = readFileSync(join(import.meta.dirname, "../../package.json"), "utf8");
    const { version } = JSON.parse(manifest) as { version: string };
    expect(await said("--version")).toEqual({ code: 0, out: `${version}\n`, err: "" });
  });
});

describe("a command line that cannot mean anything: one line, exit code 2", () => {
  it.each([
    [[], "which command? See reprise --help"],
    [["prxy"], "there is no command prxy. Did you mean proxy?"],
    [["frobnicate"], "there is no command frobnicate. See reprise --help"],
    [["constructor"], "there is no command constructor. See reprise --help"],
    [["--versoin"], "there is no flag --versoin. Did you mean --version?"],
    [["proxy"], "proxy: which upstream? For example: reprise proxy http://127.0.0.1:8000"],
    [["proxy", UP, UP], "proxy: expected one upstream, got 2"],
    [["proxy", UP, "--lisetn", "80"], "there is no --lisetn. Did you mean --listen?"],
    [["proxy", UP, "-x"], "there is no -x"],
    [["proxy", UP, "--listen"], "--listen needs a value: --listen <host:port>"],
    [["proxy", UP, "--listen", "--cluster"], "--listen needs a value: --listen <host:port>"],
    [["proxy", UP, "--preserve-host=no"], '--preserve-host takes no value, got "no"'],
    [
      ["proxy", "localhost:8000"],
      'the upstream must be a URL such as http://127.0.0.1:8000, and "localhost:8000" is not an http or https URL',
    ],
    [["proxy", "8000"], 'the upstream must be a URL such as http://127.0.0.1:8000, and "8000" is not a URL'],
    [
      ["proxy", "http://127.0.0.1:8000/api"],
      'the upstream must be a URL such as http://127.0.0.1:8000, and "http://127.0.0.1:8000/api" must end after the host and port',
    ],
    [
      ["proxy", "http://me:secret@a"],
      "the upstream must be a URL such as http://127.0.0.1:8000, and it must not hold a user or password",
    ],
    [
      ["proxy", "http://localhost:8080"],
      "the upstream http://localhost:8080 is the address to listen on: the proxy would ask itself",
    ],
    [["proxy", UP, "--listen", "99999"], '--listen: expected host:port or a port, such as 127.0.0.1:8080, got "99999"'],
    [
      ["proxy", UP, "--memory", "12XB"],
      '--memory: expected a size such as 256MiB, 1GiB or a number of bytes, got "12XB"',
    ],
    [
      ["proxy", UP, "--profile", "poxy"],
      '--profile: expected origin, proxy, rfc9111-shared, got "poxy". Did you mean proxy?',
    ],
    [["proxy", UP, "--cluster", "many"], '--cluster: expected a whole number from 0 to 256, got "many"'],
    [["proxy", UP, "--idle-timeout", "soon"], '--idle-timeout: expected a duration such as 30s or 5m, got "soon"'],
    [["proxy", UP, "--redis", "localhost"], '--redis: expected a URL such as redis://127.0.0.1:6379, got "localhost"'],
    [
      ["proxy", UP, "--redis", "http://u:secret@h"],
      "--redis: expected a URL such as redis://127.0.0.1:6379, got another text",
    ],
    [["proxy", UP, "--prefix", "a b"], '--prefix: expected 1 to 64 letters, digits, _ . or -, got "a b"'],
    [["proxy", UP, "--cert", "x.pem"], "a certificate and its key belong together: give both --cert and --key"],
  ])("reprise %j", async (args, line) => {
    expect(await said(...args)).toEqual({ code: 2, out: "", err: `reprise: ${line}\n` });
  });
});

it("ends the process with that line and that code", async () => {
  expect(await start("prxy").ended).toEqual({
    code: 2,
    out: "",
    err: "reprise: there is no command prxy. Did you mean proxy?\n",
  });
});

describe("a configuration file", () => {
  it.each([
    ["{ not json", /not JSON \(.+\)$/],
    ["[1]", /expected an object such as \{ "listen": "127\.0\.0\.1:8080" \}, got an array of 1$/],
    ['{ "lisen": 80 }', /there is no "lisen" in .+\. Did you mean listen\?$/],
    ['{ "listen": true }', /"listen" in .+: expected a text or a number, got true$/],
    ['{ "preserve-host": "yes" }', /"preserve-host" in .+: expected true or false, got "yes"$/],
    ['{ "memory": "lots" }', /"memory" in .+: expected a size such as 256MiB, 1GiB or a number of bytes, got "lots"$/],
    ['{ "config": "other.json" }', /there is no "config" in /],
  ])("%s is refused", async (text, line) => {
    const { code, err } = await said("proxy", UP, "--config", file("bad.json", text));
    expect(code).toBe(2);
    expect(err.trimEnd()).toMatch(line);
    expect(err.trimEnd()).not.toContain("\n");
  });
});

describe("what this machine does not allow: one line, exit code 1", () => {
  it("a port in use", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    for (const more of [[], ["--cluster", "2"]]) {
      const { code, out, err } = await reprise(
        "proxy",
        UP,
        "--listen",
        `127.0.0.1:${port}`,
        "--log",
        "silent",
        ...more,
      );
      expect({ code, out, err }).toEqual({
        code: 1,
        out: "",
        err: `reprise: 127.0.0.1:${port} is in use already; choose another address with --listen\n`,
      });
    }
  });

  it("an address of another machine", async () => {
    const { code, err } = await said("proxy", UP, "--listen", "192.0.2.1:8080", "--log", "silent");
    expect(code).toBe(1);
    expect(err).toBe("reprise: 192.0.2.1:8080 is not an address of this machine (EADDRNOTAVAIL)\n");
  });

  it.each([
    [["--cert", "/none/c.pem", "--key", "/none/k.pem"], "--cert: cannot read /none/c.pem (ENOENT)"],
    [["--config", "/none/c.json"], "--config: cannot read /none/c.json (ENOENT)"],
    [["--upstream-ca", "/none/c.pem"], "--upstream-ca: cannot read /none/c.pem (ENOENT)"],
  ])("%j", async (args, line) => {
    expect(await said("proxy", UP, ...args)).toEqual({ code: 1, out: "", err: `reprise: ${line}\n` });
  });

  it("a certificate that is none, and one with another's key", async () => {
    const text = file("text.pem", "hello");
    const key = join(certificates, "localhost-key.pem");
    const bad = await said("proxy", UP, "--cert", text, "--key", key);
    expect(bad.code).toBe(1);
    expect(bad.err).toMatch(/^reprise: .+text\.pem and .+ are not a certificate in PEM and its key \(\w+\)\n$/);
    const ca = await said("proxy", UP, "--upstream-ca", text);
    expect(ca).toMatchObject({ code: 1, err: `reprise: --upstream-ca: ${text} holds no certificate in PEM\n` });
  });
});
