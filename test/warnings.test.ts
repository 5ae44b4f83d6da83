import { afterEach, describe, expect, it, vi } from "vitest";
import { createWarnings, isDevelopment } from "../src/warnings.ts";

const silent = { debug() {}, info() {} };

describe("warnings", () => {
  afterEach(() => {
    vi.unstubAllEnvs();
    vi.restoreAllMocks();
    vi.unstubAllGlobals();
  });

  it("go to the logger of the cache, once for each key", () => {
    const lines: string[] = [];
    const warnOnce = createWarnings({ ...silent, warn: (line) => lines.push(line) });
    warnOnce("a", "first");
    warnOnce("a", "again");
    warnOnce("b", "second");
    expect(lines).toEqual(["first", "second"]);
  });

  it("are told once by each cache", () => {
    const lines: string[] = [];
    const logger = { ...silent, warn: (line: string) => void lines.push(line) };
    createWarnings(logger)("a", "one");
    createWarnings(logger)("a", "two");
    expect(lines).toEqual(["one", "two"]);
  });

  it("go to process.emitWarning without a logger", () => {
    const emitWarning = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    createWarnings(undefined)("a", "careful");
    expect(emitWarning.mock.calls).toEqual([["careful", { type: "RepriseWarning" }]]);
  });

  it("go to the console of a runtime without process", () => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
    vi.stubGlobal("process", undefined);
    createWarnings(undefined)("a", "careful");
    vi.unstubAllGlobals();
    expect(warn.mock.calls).toEqual([["careful"]]);
  });

  it("do not throw where the logger does", () => {
    const warnOnce = createWarnings({
      ...silent,
      warn() {
        throw new Error("disk full");
      },
    });
    expect(() => warnOnce("a", "careful")).not.toThrow();
  });

  it("remember a bounded number of keys, and those told last", () => {
    const lines: string[] = [];
    const warnOnce = createWarnings({ ...silent, warn: (line) => lines.push(line) });
    for (let at = 0; at < 1500; at += 1) warnOnce(`key ${at}`, `${at}`);
    warnOnce("key 1499", "told");
    warnOnce("key 0", "forgotten");
    expect(lines.slice(1500)).toEqual(["forgotten"]);
  });

  it.each([
    { value: "production", development: false },
    { value: "development", development: true },
    { value: undefined, development: true },
  ])("read NODE_ENV at each call: $value", ({ value, development }) => {
    vi.stubEnv("NODE_ENV", value);
    expect(isDevelopment()).toBe(development);
  });
});
