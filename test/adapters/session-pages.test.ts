/** Pages that show what belongs to a session, cached as README.md and docs/middleware.md say, on real middleware. */

import flash from "connect-flash";
import cookieSession from "cookie-session";
import csurf from "csurf";
import express5, { type Express, type Request, type RequestHandler } from "express";
import express4 from "express4";
import session from "express-session";
import { describe, expect, it } from "vitest";

import { expressCache } from "../../src/adapters/express/index.ts";
import type { RouteOptions } from "../../src/options/route-options.ts";
import { linesOf } from "./contract/http-client.ts";
import { listen } from "./contract/listen.ts";
import { memoryKind } from "./contract/stores.ts";
import { cacheStatusOf, hitOrMiss, startWorld, type World } from "./contract/world.ts";

type Visit = Request & {
  session: session.Session & { user?: { id: string }; cart?: number[]; flash?: Record<string, string[]> };
  sessionID: string;
  user?: { id: string } | undefined;
  flash(kind: string, text?: string): string[];
  csrfToken(): string;
};
type Build = (app: Express, cached: ReturnType<typeof expressCache>) => void;

const visitOf = (request: unknown): Visit => request as Visit;
const audience = (request: unknown): string | undefined => visitOf(request).user?.id;
const route = (options: RouteOptions): object => ({ expire: "5m", audience, ...options });

describe.each([
  { name: "Express 5", express: express5 },
  { name: "Express 4", express: express4 },
])("$name", ({ express }) => {
  /** With the login of README.md. */
  const start = (build: Build, more: Partial<session.SessionOptions> = {}): Promise<World> =>
    startWorld(memoryKind, {}, (cache) => {
      const app = express();
      app.use(session({ secret: "s", resave: false, saveUninitialized: false, ...more }));
      app.use((request, _response, next) => {
        visitOf(request).user = visitOf(request).session.user;
        next();
      });
      app.post("/login", express.urlencoded({ extended: false }), (request, response, next) => {
        visitOf(request).session.regenerate((error: unknown) => {
          if (error !== undefined && error !== null) return next(error);
          visitOf(request).session.user = { id: (request.body as { name: string }).name };
          response.redirect(303, "/");
        });
      });
      build(app, expressCache(cache));
      return listen(app);
    });

  const FORM = { "Content-Type": "application/x-www-form-urlencoded" };
  const login = async ({ send }: World, name: string): Promise<string> => {
    const received = await send("/login", { method: "POST", headers: FORM, body: `name=${name}` });
    return linesOf(received, "set-cookie")[0]!.split(";", 1)[0]!;
  };

  it("keeps one page for each user, and one for all who are not logged in", async () => {
    const world = await start((app, cached) => {
      app.get("/", cached(route({})), (request, response) => {
        response.send(`hello ${visitOf(request).user?.id ?? "stranger"}`);
      });
    });
    const [ann, laterAnn, bob] = [await login(world, "ann"), await login(world, "ann"), await login(world, "bob")];

    for (const [cookie, who, outcome] of [
      [ann, "ann", "Miss"],
      [bob, "bob", "Miss"],
      [undefined, "stranger", "Miss"],
      [laterAnn, "ann", "Hit"],
      [bob, "bob", "Hit"],
      [undefined, "stranger", "Hit"],
    ] as const) {
      const received = await world.get("/", cookie === undefined ? {} : { Cookie: cookie });
      expect([received.text, hitOrMiss(received)]).toEqual([`hello ${who}`, outcome]);
    }
  });

  it("stores nothing while a session is rolling", async () => {
    const world = await start((app, cached) => void app.get("/", cached(route({})), (_q, r) => void r.send("page")), {
      rolling: true,
    });
    const ann = await login(world, "ann");
    for (let visit = 0; visit < 3; visit++) {
      expect(cacheStatusOf(await world.get("/", { Cookie: ann }))).toContain("detail=set-cookie");
    }
  });

  it("keeps no page whose handler asks for a form token, and every token works", async () => {
    const world = await start((app, cached) => {
      const protect = csurf() as RequestHandler;
      app.get("/", protect, cached(route({})), (request, response) => {
        response.send(visitOf(request).csrfToken());
      });
      app.post("/", express.urlencoded({ extended: false }), protect, (_request, response) => {
        response.send("taken");
      });
    });
    for (const device of [await login(world, "ann"), await login(world, "ann")]) {
      for (let visit = 0; visit < 2; visit++) {
        const form = await world.get("/", { Cookie: device });
        expect(cacheStatusOf(form)).toContain("detail=csrf-token");
        const body = `_csrf=${encodeURIComponent(form.text)}`;
        const posted = await world.send("/", { method: "POST", headers: { ...FORM, Cookie: device }, body });
        expect([posted.status, posted.text]).toEqual([200, "taken"]);
      }
    }
  });

  it("shows a cart as it is now, with the cart in the key", async () => {
    const world = await start((app, cached) => {
      app.get("/", cached(route({ key: (request) => visitOf(request).session.cart ?? null })), (request, response) => {
        response.json(visitOf(request).session.cart ?? []);
      });
      app.post("/cart/:id", (request, response) => {
        const visit = visitOf(request);
        visit.session.cart = [...(visit.session.cart ?? []), Number(request.params.id)];
        response.send("added");
      });
    });
    const Cookie = await login(world, "ann");
    const shown = async (): Promise<unknown> => JSON.parse((await world.get("/", { Cookie })).text);
    expect(await shown()).toEqual([]);
    await world.send("/cart/7", { method: "POST", headers: { Cookie } });
    expect([await shown(), await shown()]).toEqual([[7], [7]]);
    await world.send("/cart/8", { method: "POST", headers: { Cookie } });
    expect(await shown()).toEqual([7, 8]);
  });

  it("shows a flash message once, where a page with one takes no part", async () => {
    const world = await start((app, cached) => {
      app.use(flash());
      const when = (request: unknown): boolean => Object.keys(visitOf(request).session.flash ?? {}).length === 0;
      app.get("/", cached(route({ when })), (request, response) => {
        response.send(`[${visitOf(request).flash("info").join()}]`);
      });
      app.post("/", (request, response) => {
        visitOf(request).flash("info", "saved");
        response.send("saved");
      });
    });
    const Cookie = await login(world, "ann");
    const shown = async (): Promise<string> => (await world.get("/", { Cookie })).text;
    expect([await shown(), await shown()]).toEqual(["[]", "[]"]);
    await world.send("/", { method: "POST", headers: { Cookie } });
    expect([await shown(), await shown(), await shown()]).toEqual(["[saved]", "[]", "[]"]);
  });

  it("purges the page behind a form with a _method, where cached.purges() leaves that out of its own URL", async () => {
    let version = 1;
    const world = await start((app, cached) => {
      app.get("/users/:id", cached("1h"), (_request, response) => void response.send(`v${version}`));
      app.post("/users/:id", cached.purges({ query: { except: ["_method"] } }), (_request, response) => {
        version += 1;
        response.redirect(303, "/users/7");
      });
    });
    await world.get("/users/7");
    await world.send("/users/7?_method=PUT", { method: "POST" });
    expect((await world.get("/users/7")).text).toBe("v2");
  });

  it("purges a URL as its route has it in the key", async () => {
    let version = 1;
    const world = await start((app, cached) => {
      app.get("/report", cached({ query: ["lang"] }), (_request, response) => void response.send(`v${version}`));
    });
    await world.get("/report?lang=en&utm=1");
    version = 2;
    await world.cache.purge({ url: "/report?lang=en" });
    expect((await world.get("/report?lang=en&utm=1")).text).toBe("v2");
  });

  it("a page with the token of a second csurf behind cached() is not kept", async () => {
    let pages = 0;
    const world = await start((app, cached) => {
      app.use(csurf());
      app.get("/form", cached({ expire: "5m", audience: () => "all" }), csurf(), (request, response) => {
        response.send(`${visitOf(request).csrfToken()} ${++pages}`);
      });
    });
    for (const page of ["1", "2"]) {
      const received = await world.get("/form");
      expect([received.text.split(" ")[1], cacheStatusOf(received)]).toEqual([
        page,
        expect.stringContaining("detail=csrf-token"),
      ]);
    }
  });

  it.each([
    { handler: "reads and changes it", page: (request: Visit) => `visit ${++visitsOf(request).count}` },
    { handler: "reads it", page: (request: Visit) => `hello ${visitsOf(request).name}` },
  ])(
    "a cookie-session on a public route whose handler $handler is not lost, and not shown to others",
    async ({ page }) => {
      const { send } = await startWorld(memoryKind, {}, (cache) => {
        const app = express();
        app.use(cookieSession({ keys: ["k"] }));
        app.post("/login", (request, response) => {
          Object.assign(request, { session: { name: "ann", count: 0 } });
          response.end();
        });
        const cached = expressCache(cache);
        app.get("/", cached({ expire: "5m", audience: "public" }), (request, response) => {
          response.send(page(visitOf(request)));
        });
        app.get("/me", (request, response) => void response.send(visitsOf(visitOf(request)).name));
        return listen(app);
      });
      const jar = new Map<string, string>();
      const ask = async (path: string, method = "GET") => {
        const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join("; ");
        const received = await send(path, { method, headers: cookie === "" ? {} : { Cookie: cookie } });
        for (const line of linesOf(received, "set-cookie")) {
          const [name = "", value = ""] = (line.split(";", 1)[0] ?? "").split(/=(.*)/s);
          jar.set(name, value);
        }
        return received;
      };
      await ask("/login", "POST");
      const first = await ask("/");
      expect(first.text).toMatch(/visit 1|hello ann/);
      expect(cacheStatusOf(first)).toContain("detail=session");
      expect((await ask("/me")).text).toBe("ann");
      expect((await send("/", {})).text).not.toContain("ann");
    },
  );
});

interface Visits {
  name?: string;
  count: number;
}

function visitsOf(request: Visit): Visits {
  return request.session as unknown as Visits;
}
