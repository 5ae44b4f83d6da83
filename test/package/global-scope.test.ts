import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, it } from "vitest";

const ROOT = new URL("../../dist/", import.meta.url).href;

/** What workerd forbids outside of a request: random values, timers and asking anybody. */
const FORBIDDEN = `
  const forbid = (object, name) => {
    Object.defineProperty(object, name, { value() { throw new Error(name + " at global scope"); }, configurable: true });
  };
  for (const name of ["setTimeout", "setInterval", "setImmediate", "fetch"]) forbid(globalThis, name);
  for (const name of ["randomUUID", "getRandomValues"]) forbid(Object.getPrototypeOf(globalThis.crypto), name);
  forbid(Math, "random");`;

it.each([
  { adapter: "fetch", wrap: 'fetchCache(cache)("5m", () => new Response("x"))' },
  { adapter: "hono", wrap: 'honoCache(cache)("5m")' },
])("a worker makes its cache and its routes of reprise/$adapter in module scope", async ({ adapter, wrap }) => {
  const script = `${FORBIDDEN}
    const { createCache } = await import("${ROOT}index.js");
    const { ${adapter}Cache } = await import("${ROOT}adapters/${adapter}/index.js");
    const cache = createCache();
    ${wrap};
    ${adapter}Cache(cache).purges({ tag: "a" }${adapter === "fetch" ? ', () => new Response("x")' : ""});
    cache.wrap("f", () => 1, { tags: ["a"] });
    console.log("made");`;
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script]);
  expect(stdout.trim()).toBe("made");
});
