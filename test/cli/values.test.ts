import { describe, expect, it } from "vitest";
import { nearest } from "../../src/options/nearest.ts";
import { readBytes, readDurationMs, readListenAddress } from "../../src/cli/values.ts";

describe("sizes", () => {
  it.each([
    ["1", 1],
    ["500KB", 500_000],
    ["1.5KiB", 1536],
    ["256MiB", 256 * 1024 * 1024],
    ["256mib", 256 * 1024 * 1024],
    ["1 GiB", 1024 ** 3],
  ])("%s is %d bytes", (text, bytes) => {
    expect(readBytes(text, "--memory")).toBe(bytes);
  });

  it.each(["", "0", "-1", "MiB", "1TiBs", "1e3", "0.1", "999999999GiB", "0x10"])("%j is none", (text) => {
    expect(() => readBytes(text, "--memory")).toThrow("--memory: expected a size");
  });
});

describe("durations", () => {
  it.each([
    ["30", 30_000],
    ["30s", 30_000],
    ["1m30s", 90_000],
    ["1000ms", 1_000],
    ["24d", 24 * 86_400_000],
  ])("%s is %d ms", (text, ms) => {
    expect(readDurationMs(text, "--idle-timeout")).toBe(ms);
  });

  it.each(["", "0", "1.5", "-1s", "5 parsecs", "10ms", "25d", "365d"])("%j is none", (text) => {
    expect(() => readDurationMs(text, "--idle-timeout")).toThrow("--idle-timeout: expected a duration");
  });
});

describe("addresses to listen on", () => {
  it.each([
    ["8080", { host: "127.0.0.1", port: 8080 }],
    [":8080", { port: 8080 }],
    ["0.0.0.0:80", { host: "0.0.0.0", port: 80 }],
    ["my-host.example:0", { host: "my-host.example", port: 0 }],
    ["[::1]:8080", { host: "::1", port: 8080 }],
  ])("%s", (text, address) => {
    expect(readListenAddress(text, "--listen")).toEqual(address);
  });

  it.each(["", "localhost", "::1:8080", "a:b", "1:65536", "http://a:80", "a/b:80", "-1"])("%j is none", (text) => {
    expect(() => readListenAddress(text, "--listen")).toThrow("--listen: expected host:port");
  });
});

describe("suggestions", () => {
  it.each([
    ["lisen", "listen"],
    ["lsiten", "listen"],
    ["clutser", "cluster"],
    ["mem", "memory"],
    ["zzzzzz", undefined],
    ["x", undefined],
  ])("%s → %s", (word, suggestion) => {
    expect(nearest(word, ["listen", "cluster", "memory"])).toBe(suggestion);
  });
});
