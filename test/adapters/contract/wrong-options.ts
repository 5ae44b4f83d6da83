import { expect, it } from "vitest";

import { type CacheOptions, createCache } from "../../../src/index.ts";
import type { RouteOptions } from "../../../src/options/route-options.ts";
import type { RouteSpec } from "./driver.ts";
import type { Setup } from "./world.ts";

const FORMS = 'whole seconds > 0 or a duration such as 30, "30s", "5m", "1h", "7d" or { hours: 1 }';

interface Wrong {
  /** What a JavaScript user wrote. */
  readonly options: unknown;
  readonly error: RegExp;
}

const WRONG_ROUTES: readonly Wrong[] = [
  { options: { enabled: 0 }, error: /^cached\(\{ enabled \}\): expected true or false, got 0\.\nFalse switches/ },
  {
    options: { expire: -5 },
    error: /^cached\(\{ expire \}\): expected .*, got -5\.\nThe shortest lifetime is one second/,
  },
  { options: { expire: Number.NaN }, error: /^cached\(\{ expire \}\): expected .*, got NaN\.\nThe shortest/ },
  { options: { expire: Number.POSITIVE_INFINITY }, error: /^cached\(\{ expire \}\): .*got Infinity\./ },
  { options: { expire: 1.5 }, error: /^cached\(\{ expire \}\): .*got 1\.5\./ },
  { options: { expire: "5 parsecs" }, error: /^cached\(\{ expire \}\): expected .*, got "5 parsecs"\.\n\S/ },
  {
    options: { expire: "300" },
    error: /^cached\(\{ expire \}\): .*got "300"\.\nAdd a unit \("300s"\) or pass the number 300\./,
  },
  { options: { expire: "-1s" }, error: /^cached\(\{ expire \}\): .*got "-1s"\./ },
  {
    options: { expire: { fortnights: 1 } },
    error: /^cached\(\{ expire \}\): [^]*"fortnights" is not one of years, months/,
  },
  { options: { expire: null }, error: /^cached\(\{ expire \}\): .*got null\./ },
  ...[[], new Date(), new Map(), Promise.resolve({ expire: "5m" })].map((options) => ({
    options,
    error: /^cached\(\): expected options or a duration such as "5m", got /,
  })),
  { options: "5 parsecs", error: /^cached\(\{ expire \}\): .*got "5 parsecs"\./ },
  {
    options: { staleWhileRevalidate: 0 },
    error: /^cached\(\{ staleWhileRevalidate \}\): .*got 0\.\nThe shortest time is one second\. Only expire may be 0/,
  },
  ...(["when", "storeWhen", "key", "audience", "tags"] as const).map((name) => ({
    options: { [name]: async () => "x" },
    error: new RegExp(
      `^cached\\(\\{ ${name} \\}\\): expected a function that is not async, got .*\\.\\nThe cache does not wait for callbacks`,
    ),
  })),
  { options: { staleIfError: "soon" }, error: /^cached\(\{ staleIfError \}\): .*got "soon"\./ },
  { options: { ttl: 5 }, error: /^cached\(\): there is no option "ttl"\.\nThe options are name, expire, enabled, / },
  { options: { query: 5 }, error: /^cached\(\{ query \}\): expected names, .*got 5\.\nFor example/ },
  {
    options: { vary: "accept" },
    error: /^cached\(\{ vary \}\): expected names of request fields, got "accept"\.\nFor example/,
  },
  { options: { vary: ["a b"] }, error: /^cached\(\{ vary \}\): / },
  {
    options: { audience: "me" },
    error: /^cached\(\{ audience \}\): expected "public" or a function, got "me"\.\nA function/,
  },
  { options: { key: "users" }, error: /^cached\(\{ key \}\): expected a function, got "users"\.\n\S/ },
  { options: { when: true }, error: /^cached\(\{ when \}\): expected a function, got true\.\n\S/ },
  { options: { storeWhen: true }, error: /^cached\(\{ storeWhen \}\): expected a function, got true\.\n\S/ },
  { options: { tags: "user" }, error: /^cached\(\{ tags \}\): expected a list of texts, got "user"\.\n\S/ },
  {
    options: { statuses: [204] },
    error: /^cached\(\{ statuses \}\): .*got 204\.\nA cache cannot answer with a stored 204\./,
  },
  { options: { statuses: { 404: "soon" } }, error: /^cached\(\{ statuses: \{ 404 \} \}\): .*got "soon"\./ },
  {
    options: { requestDirectives: "obey" },
    error: /^cached\(\{ requestDirectives \}\): expected "bypass", "rfc9111" or "ignore", got "obey"\./,
  },
  { options: { maxBodyBytes: 0 }, error: /^cached\(\{ maxBodyBytes \}\): expected a whole number > 0, got 0\./ },
];

const WRONG_CACHES: readonly Wrong[] = [
  {
    options: { store: {} },
    error:
      /^createCache\(\{ store \}\): expected an object with get\(\), put\(\), delete\(\), got an object\.\nPass memoryStore\(\) or redisStore\(/,
  },
  { options: { store: "redis://127.0.0.1" }, error: /^createCache\(\{ store \}\): .*got "redis:\/\/127\.0\.0\.1"\./ },
  {
    options: { prefix: "my api" },
    error: /^createCache\(\{ prefix \}\): expected 1 to 64 letters.*got "my api"\.\nFor example/,
  },
  { options: { prefix: "" }, error: /^createCache\(\{ prefix \}\): / },
  {
    options: { responseHeader: "X Cache" },
    error: /^createCache\(\{ responseHeader \}\): expected a field name, got "X Cache"\.\nFor example/,
  },
  {
    options: { ignoreArgTypes: ["Session"] },
    error: /^createCache\(\{ ignoreArgTypes \}\): expected a list of classes, .*\nFor example/,
  },
  {
    options: { logger: {} },
    error: /^createCache\(\{ logger \}\): expected an object with debug\(\), info\(\), warn\(\), got an object\./,
  },
  { options: { authority: "a b" }, error: /^createCache\(\{ authority \}\): / },
  { options: { enabled: "no" }, error: /^createCache\(\{ enabled \}\): expected true or false, got "no"\./ },
  { options: { now: 5 }, error: /^createCache\(\{ now \}\): expected a function, got 5\./ },
  { options: { fillDeadline: 0 }, error: /^createCache\(\{ fillDeadline \}\): expected .*got 0\./ },
  {
    options: { tll: 1 },
    error: /^createCache\(\): there is no option "tll"\.\nThe options are enabled, store, prefix, /,
  },
];

/** Errors of options are thrown when the route is made, and name option, value and cure. */
export function wrongOptions(setup: Setup): void {
  const handler: RouteSpec["handler"] = () => ({ text: "never" });

  it.each(WRONG_ROUTES)("5.2 T48 wrong options throw when the route is made: $options", ({ options, error }) => {
    const make: RouteSpec["make"] = (cached, rest) => cached(options as RouteOptions, ...rest);
    expect(messageOf(() => void setup.driver.make(createCache(), { path: "/", handler, make }))).toMatch(error);
  });

  it("5.2 wrong defaults throw in with(), not at the first route", () => {
    const make: RouteSpec["make"] = (cached) => cached.with({ expire: "5 parsecs" });
    const message = messageOf(() => void setup.driver.make(createCache(), { path: "/", handler, make }));
    expect(message.startsWith(`cached({ expire }): expected ${FORMS}, got "5 parsecs".`)).toBe(true);
  });

  it("5.2 byHeaders() refuses a lifetime", () => {
    const make: RouteSpec["make"] = (cached, rest) => cached.byHeaders({ expire: 5 }, ...rest);
    const message = messageOf(() => void setup.driver.make(createCache(), { path: "/", handler, make }));
    expect(message).toMatch(/^cached\.byHeaders\(\{ expire \}\): expected no lifetime, got 5\.\n/);
  });

  it.each(WRONG_CACHES)("5.1 wrong options of createCache throw: $options", ({ options, error }) => {
    expect(messageOf(() => void createCache(options as CacheOptions))).toMatch(error);
  });

  it("5.1 something that is no cache is refused where the adapter is made", () => {
    const message = messageOf(() => void setup.driver.make({} as never, { path: "/", handler }));
    expect(message).toMatch(/^cached: expected a cache made by createCache\(\), got an object\.\n\S/);
  });
}

function messageOf(wrong: () => void): string {
  try {
    wrong();
  } catch (error) {
    return (error as Error).message;
  }
  return "nothing was thrown";
}
