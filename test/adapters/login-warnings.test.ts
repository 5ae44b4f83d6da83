/** What a developer is told of the cookies of a login, and that the cure named first gives nobody the page of another. */

import express5, { type Request } from "express";
import express4 from "express4";
import session from "express-session";
import { describe, expect, it, vi } from "vitest";

import { expressCache } from "../../src/adapters/express/index.ts";
import { createCache, type CacheOptions } from "../../src/index.ts";
import type { RouteOptions } from "../../src/options/route-options.ts";
import { linesOf } from "./contract/http-client.ts";
import { listen } from "./contract/listen.ts";
import { memoryKind } from "./contract/stores.ts";
import { hitOrMiss, startWorld } from "./contract/world.ts";

type WithUser = Request & { session: { user?: string }; user?: { id: string } };

function collected() {
  const warnings: string[] = [];
  return { warnings, logger: { debug() {}, info() {}, warn: (line: string) => void warnings.push(line) } };
}

/** A page whose handler reads no cookie, and that greets whom middleware in front has found in the session. */
async function greeting(express: typeof express5, options: RouteOptions, identity: CacheOptions["identity"] = {}) {
  const { warnings, logger } = collected();
  const world = await startWorld(memoryKind, { logger, identity }, (cache) => {
    const app = express();
    app.use(session({ secret: "s", resave: false, saveUninitialized: false }), (request, _response, next) => {
      const { user } = (request as WithUser).session;
      if (user !== undefined) (request as WithUser).user = { id: user };
      next();
    });
    app.get("/login/:user", (request, response) => {
      (request as unknown as WithUser).session.user = request.params.user;
      response.send("welcome");
    });
    app.get("/", expressCache(cache)(options as object), (request, response) => {
      response.send(`hello ${(request as WithUser).user?.id ?? "stranger"}`);
    });
    return listen(app);
  });
  const cookieOf = async (user: string): Promise<string> =>
    linesOf(await world.get(`/login/${user}`), "set-cookie")[0]!.split(";", 1)[0]!;
  return { ...world, warnings, cookieOf };
}

const idOfUser = { audience: (request: unknown) => (request as WithUser).user?.id } satisfies RouteOptions;

describe.each([
  { name: "Express 5", express: express5 },
  { name: "Express 4", express: express4 },
])("$name", ({ express }) => {
  it("names one response per user first for the cookie of a session, and no harmless cookie", async () => {
    const { get, warnings, cookieOf } = await greeting(express, {});
    await get("/", { Cookie: await cookieOf("ann") });

    expect(warnings).toHaveLength(1);
    const [warning = ""] = warnings;
    expect(warning).toContain('the cookie "connect.sid" on GET / is not cached');
    expect(warning).not.toContain("harmlessCookies");
    const perUser = warning.indexOf("cached({ audience: (req) => req.user?.id })");
    expect(perUser).toBeGreaterThan(0);
    expect(warning.indexOf('audience: "public"')).toBeGreaterThan(perUser);
    expect(warning).toContain("Only if the page shows nothing of a user");
    expect(warning).toContain("req.session, req.user, res.locals");
  });

  it("gives each user a page of their own by the cure that is named first", async () => {
    const { get, warnings, cookieOf } = await greeting(express, idOfUser);
    const [ann, bob] = [await cookieOf("ann"), await cookieOf("bob")];

    for (const outcome of ["Miss", "Hit"]) {
      for (const [cookie, who] of [
        [ann, "ann"],
        [bob, "bob"],
        [undefined, "stranger"],
      ] as const) {
        const received = await get("/", cookie === undefined ? {} : { Cookie: cookie });
        expect([received.text, hitOrMiss(received)]).toEqual([`hello ${who}`, outcome]);
      }
    }
    expect(warnings).toEqual([]);
  });

  it("says that a session without a user is all right, where audience gives no id", async () => {
    const { get, warnings } = await greeting(express, idOfUser);
    await get("/", { Cookie: "connect.sid=expired" });
    expect(warnings).toEqual([
      'audience gave no id for a request with the cookie "connect.sid" on GET /; it is not cached. That is right where ' +
        "nobody is logged in. If this user is: does cached() stand before your login middleware?",
    ]);
  });

  it("does not call a new token harmless: the page stays uncached, or is kept for each user", async () => {
    const { warnings, logger } = collected();
    const { get } = await startWorld(memoryKind, { logger }, (cache) => {
      const app = express();
      app.get(
        "/",
        (_request, response, next) => {
          response.cookie("_csrf", "secret");
          next();
        },
        expressCache(cache)("1m"),
        (_request, response) => void response.send("form"),
      );
      return listen(app);
    });
    await get("/");

    expect(warnings).toHaveLength(1);
    const [warning = ""] = warnings;
    expect(warning).toContain('the cookie "_csrf"');
    expect(warning).not.toContain("harmlessCookies");
    const uncached = warning.indexOf("Leave such a page uncached");
    expect(uncached).toBeGreaterThan(0);
    expect(warning.indexOf("cached({ audience: (req) => req.user?.id })")).toBeGreaterThan(uncached);
    expect(warning.indexOf('audience: "public"')).toBeGreaterThan(warning.indexOf("Only if it shows nothing"));
  });

  it("goes on to name harmlessCookies for another cookie, and says that middleware in front counts", async () => {
    const { get, warnings } = await greeting(express, {});
    await get("/", { Cookie: "theme=dark" });
    expect(warnings).toEqual([
      'a request with the cookie "theme" on GET / is not cached: its response may be for one user. ' +
        'If its handlers do not read it: createCache({ identity: { harmlessCookies: ["theme"] } }). ' +
        "What middleware in front read of it counts as well. " +
        'If all users share the response: cached({ audience: "public" }), and the handler sees no cookie.',
    ]);
  });
});

describe("a harmless cookie that speaks of a login", () => {
  const told = (harmlessCookies: readonly (string | RegExp)[], more: CacheOptions = {}): string[] => {
    const { warnings, logger } = collected();
    void createCache({ logger, identity: { harmlessCookies }, ...more }).close();
    return warnings;
  };

  it.each<{ cookie: string | RegExp; text: string }>([
    { cookie: "connect.sid", text: '"connect.sid"' },
    { cookie: "auth_token", text: '"auth_token"' },
    { cookie: "PHPSESSID", text: '"PHPSESSID"' },
    { cookie: /sid$/, text: "/sid$/" },
    { cookie: /^(?!theme)/, text: "/^(?!theme)/" },
    { cookie: /TOKEN/gi, text: "/TOKEN/i" },
  ])("$text is warned of when the cache is made", ({ cookie, text }) => {
    const warnings = told(["theme", cookie]);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain(`harmlessCookies: [${text}]`);
    expect(warnings[0]).toContain("goes to everyone");
    expect(warnings[0]).toContain("cached({ audience: (req) => req.user?.id })");
  });

  it("is told once for each such cookie", () => {
    expect(told(["connect.sid", "token", "connect.sid"])).toHaveLength(2);
  });

  it("is not told of other names, patterns and names of the list", () => {
    expect(told(["theme", /^exp_/, "lang", "didomi_token"])).toEqual([]);
  });

  it("is not told in production, nor where nothing is cached", () => {
    expect(told(["connect.sid"], { enabled: false })).toEqual([]);
    vi.stubEnv("NODE_ENV", "production");
    expect(told(["connect.sid"])).toEqual([]);
    vi.unstubAllEnvs();
  });
});
