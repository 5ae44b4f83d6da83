/** What surrounds a cached fetch handler: code that changes its response, other cached handlers, odd responses. */

import { AsyncLocalStorage } from "node:async_hooks";
import { setTimeout as pause } from "node:timers/promises";
import { runInNewContext } from "node:vm";
import { getRequestListener } from "@hono/node-server";
import { describe, expect, it, onTestFinished, vi } from "vitest";

import { fetchCache } from "../../src/adapters/fetch/index.ts";
import { createCache, type CacheEvent, type CacheOptions, isRenewal } from "../../src/index.ts";
import type { CacheStore, StoreEntry } from "../../src/http.ts";
import { send } from "./contract/http-client.ts";
import { listen } from "./contract/listen.ts";
import { gate, until } from "./contract/world.ts";

const URL_X = "http://api.example/x";

function request(headers: Record<string, string> = {}): Request {
  return new Request(URL_X, { headers });
}

function setup(options: CacheOptions = {}) {
  let nowMs = Date.UTC(2026, 2, 1, 12);
  const cache = createCache({ ...options, now: () => nowMs });
  const events: CacheEvent[] = [];
  cache.events.on("*", (event) => events.push(event));
  onTestFinished(() => cache.close());
  return { cached: fetchCache(cache), events, advance: (seconds: number) => void (nowMs += seconds * 1000) };
}

const status = (response: Response): string => response.headers.get("cache-status") ?? "";
const hitOrMiss = (response: Response): string => response.headers.get("x-reprise-cache") ?? "";

describe("code around a cached handler that sets a cookie late", () => {
  it.each([
    ["append", (response: Response) => response.headers.append("Set-Cookie", "sid=a")],
    ["set", (response: Response) => response.headers.set("Set-Cookie", "sid=a")],
  ])("on the same Response, by %s: not stored, not shared, no freshness", async (_, set) => {
    let runs = 0;
    const { cached } = setup();
    const inner = cached({ expire: "1h", cdn: "1d" }, async () => {
      await pause(5);
      return new Response(`run ${++runs}`);
    });
    const handler = async (): Promise<Response> => {
      const response = await inner(request());
      await pause(10);
      set(response);
      return response;
    };

    const answers = await Promise.all([handler(), handler(), handler()]);
    const texts = await Promise.all(answers.map((response) => response.text()));
    expect(texts.toSorted()).toEqual(["run 1", "run 2", "run 3"]);
    expect(status(answers[0])).toContain("detail=set-cookie");
    for (const name of ["cache-control", "expires", "cdn-cache-control"]) {
      expect(answers[0].headers.get(name)).toBe(null);
    }
  });

  it("on a Response made of the same body", async () => {
    let runs = 0;
    const { cached } = setup();
    const inner = cached("1h", async () => new Response(`run ${++runs}`));
    const { url, ...served } = await listen(
      getRequestListener(async (given, env) => {
        const response = await inner(given, env);
        await pause(10);
        return new Response(response.body, { headers: [...response.headers, ["Set-Cookie", "sid=a"]] });
      }),
    );
    onTestFinished(() => served.close());

    for (const run of [1, 2]) {
      const received = await send(url, {});
      expect([received.text, received.headers["cache-control"]]).toEqual([`run ${run}`, undefined]);
      expect(received.headers["cache-status"]).toContain("detail=set-cookie");
    }
  });

  it.each(["private", "no-store, max-age=0"])("Cache-Control: %s that is set late counts", async (value) => {
    let runs = 0;
    const { cached } = setup();
    const inner = cached("1h", async () => new Response(`run ${++runs}`));
    for (const run of [1, 2]) {
      const response = await inner(request());
      response.headers.set("Cache-Control", value);
      expect(await response.text()).toBe(`run ${run}`);
      expect([response.headers.get("cache-control"), response.headers.get("expires")]).toEqual([value, null]);
    }
  });

  it.each([
    ["later", async () => new Response("page"), "Hit"],
    ["at once", () => new Response("page"), "Miss"],
  ])("a response that is never read is stored after a moment: answered %s", async (_, answer, outcome) => {
    let runs = 0;
    const { cached } = setup();
    const handler = cached("1h", () => {
      runs++;
      return answer();
    });
    const first = await handler(request());

    const second = await handler(request());
    expect([hitOrMiss(first), hitOrMiss(second), await second.text(), runs]).toEqual(["Miss", outcome, "page", 1]);
    expect(hitOrMiss(await handler(request()))).toBe("Hit");
    expect(await first.text()).toBe("page");
  });

  it("a stream that is neither read nor at hand keeps nobody waiting for long", async () => {
    let runs = 0;
    const { cached } = setup();
    const handler = cached("1h", () => {
      const run = ++runs;
      return new Response(run === 1 ? new ReadableStream({ pull: () => new Promise(() => {}) }) : "page");
    });
    await handler(request());

    expect(await (await handler(request())).text()).toBe("page");
  });

  it.each([204, 301, 308, 410])("a %d without a body is stored without being read", async (code) => {
    const { cached } = setup();
    const handler = cached.byHeaders({ profile: "rfc9111-shared" }, async () => {
      return new Response(null, { status: code, headers: { Location: "/y", "Cache-Control": "max-age=60" } });
    });
    await handler(request());
    await pause(10);

    const hit = await handler(request());
    expect([hit.status, hitOrMiss(hit)]).toEqual([code, "Hit"]);
    if (code === 204) expect(hit.headers.get("content-length")).toBe(null);
  });

  it("a conditional request that misses fills the cache", async () => {
    const { cached } = setup();
    const handler = cached("1h", async () => new Response("page", { headers: { ETag: '"v1"' } }));

    expect((await handler(request({ "If-None-Match": '"v1"' }))).status).toBe(304);
    await pause(10);
    const hit = await handler(request());
    expect([await hit.text(), hitOrMiss(hit)]).toEqual(["page", "Hit"]);
  });
});

describe("answers at once", () => {
  it("a handler that answers at once is answered at once, on misses and on hits", async () => {
    let runs = 0;
    const { cached } = setup();
    const handler = cached("1h", () => new Response(`run ${++runs}`, { headers: { "X-Own": "1" } }));

    const miss = handler(request()) as Response;
    expect(miss).toBeInstanceOf(Response);
    expect([await miss.text(), hitOrMiss(miss), miss.headers.get("x-own")]).toEqual(["run 1", "Miss", "1"]);
    const hit = handler(request()) as Response;
    expect(hit).toBeInstanceOf(Response);
    expect([await hit.text(), hitOrMiss(hit)]).toEqual(["run 1", "Hit"]);
    expect(hit.headers.get("etag")).not.toBe(null);
  });

  it("with a condition of the client it waits for the body, and answers 304", async () => {
    const { cached } = setup();
    const handler = cached("1h", () => new Response("page", { headers: { ETag: '"v1"' } }));

    expect((await handler(request({ "If-None-Match": '"v1"' }))).status).toBe(304);
  });

  it("a handler that throws at once does so behind the cache, with the very same error", () => {
    const { cached } = setup();
    const thrown = { any: "thing" };
    const handler = cached("1h", () => {
      throw thrown;
    });
    for (let round = 0; round < 2; round++) {
      let caught: unknown;
      try {
        void handler(request());
      } catch (error) {
        caught = error;
      }
      expect(caught).toBe(thrown);
    }
  });

  it("so it does on requests that bypass the cache", () => {
    const { cached } = setup();
    const handler = cached("1h", () => {
      throw new Error("at once");
    });

    expect(() => handler(request({ Authorization: "Basic a" }))).toThrow("at once");
  });

  it("a handler that rejects does so with the very same reason", async () => {
    const { cached } = setup();
    const handler = cached("1h", () => Promise.reject("a text"));

    await expect(handler(request())).rejects.toBe("a text");
  });

  it("an error that a stored response stands in for throws nothing", async () => {
    const { cached, advance } = setup();
    let isBroken = false;
    const handler = cached({ expire: 10, staleIfError: "1h" }, () => {
      if (isBroken) throw new Error("broken");
      return new Response("page");
    });
    await (await handler(request())).text();
    isBroken = true;
    advance(11);

    expect(await (await handler(request())).text()).toBe("page");
  });
});

describe("requests that take no part", () => {
  it.each([
    ["an upgrade", { Upgrade: "websocket", Connection: "Upgrade" }],
    ["an upgrade that the handler ignores", { Upgrade: "h2c" }],
  ])("%s: the handler gets the very same request, and its response is handed through", async (_, headers) => {
    const { cached } = setup();
    const sent = request(headers);
    const response = new Response("switched");
    let given: Request | undefined;
    const handler = cached("1h", (shown: Request) => {
      given = shown;
      return response;
    });

    expect(handler(sent)).toBe(response);
    expect(given).toBe(sent);
    expect(response.headers.get("cache-status")).toBe(null);
  });

  it("nothing at all, as after server.upgrade() of Bun, is handed through", async () => {
    const { cached } = setup();
    const handler = cached("1h", (() => undefined) as unknown as () => Response);

    expect(await handler(request({ Upgrade: "websocket" }))).toBe(undefined);
    expect(await handler(request())).toBe(undefined);
  });
});

describe("odd responses are as without the cache", () => {
  it.each([
    ["Response.error()", () => Response.error()],
    [
      "a body that is read already",
      () => {
        const response = new Response("used");
        void response.text();
        return response;
      },
    ],
    [
      "a body that is locked",
      () => {
        const response = new Response("locked");
        response.body?.getReader();
        return response;
      },
    ],
  ])("%s is handed through", async (_, make) => {
    const { cached } = setup();
    const response = make();
    expect(cached("1h", () => response)(request())).toBe(response);
  });

  it("Response.redirect(), whose headers cannot be changed", async () => {
    const { cached } = setup();
    const handler = cached("1h", async () => Response.redirect("http://api.example/y", 301));

    for (const outcome of ["Miss", "Hit"]) {
      const response = await handler(request());
      expect([response.status, response.headers.get("location"), hitOrMiss(response)]).toEqual([
        301,
        "http://api.example/y",
        outcome,
      ]);
      await pause(10);
    }
  });

  it("the reason phrase is kept", async () => {
    const { cached } = setup();
    const handler = cached("1h", async () => new Response("x", { status: 200, statusText: "Fine" }));

    for (let round = 0; round < 2; round++) {
      const response = await handler(request());
      expect([response.statusText, await response.text()]).toEqual(["Fine", "x"]);
    }
  });

  it("a subclass of Response, and a response of another realm", async () => {
    class Page extends Response {
      constructor(text: string) {
        super(text, { headers: { "Content-Type": "text/html" } });
      }
    }
    const foreign = (): Response => {
      const real = new Response("foreign", { headers: { "X-A": "1" } });
      const make = "({ status: 200, statusText: '', headers, body, bodyUsed: false })";
      return runInNewContext(make, { headers: new Map(real.headers), body: real.body }) as Response;
    };
    const { cached } = setup();
    const page = cached({ expire: "1h", key: () => "page" }, async () => new Page("page"));
    const other = cached({ expire: "1h", key: () => "foreign" }, async () => foreign());

    for (const outcome of ["Miss", "Hit"]) {
      const response = await page(request());
      expect([response.headers.get("content-type"), await response.text(), hitOrMiss(response)]).toEqual([
        "text/html",
        "page",
        outcome,
      ]);
      const second = await other(request());
      expect([second.headers.get("x-a"), await second.text(), hitOrMiss(second)]).toEqual(["1", "foreign", outcome]);
    }
  });

  it("a response that a handler keeps is not changed", async () => {
    const { cached } = setup();
    const kept = new Response(null, { status: 404 });
    const handler = cached("1h", async () => kept);
    await handler(request());

    expect([...kept.headers]).toEqual([]);
  });
});

describe("cached handlers inside each other", () => {
  it("the options of the inner one hold, on misses and on hits", async () => {
    let runs = 0;
    const { cached, advance } = setup();
    const handler = cached(
      { expire: "1h" },
      cached({ expire: 10, browser: 3 }, async () => new Response(`run ${++runs}`)),
    );

    for (const outcome of ["Miss", "Hit", "Hit"]) {
      const response = await handler(request());
      expect([await response.text(), hitOrMiss(response)]).toEqual(["run 1", outcome]);
      expect(response.headers.get("cache-control")).toBe("max-age=3");
    }
    advance(11);
    expect(await (await handler(request())).text()).toBe("run 2");
  });

  it("the outer one leaves what the inner one says, where it takes no part itself", async () => {
    const { cached } = setup();
    const inner = cached("1m", async () => new Response("x"));
    const handler = cached({ expire: "1h", when: () => false }, inner);

    for (const said of ["reprise; fwd=uri-miss; fwd-status=200; stored", "reprise; hit; ttl=60"]) {
      const response = await handler(request());
      await response.text();
      expect(status(response)).toBe(said);
    }
  });

  it("the inner one sees the client's own conditions", async () => {
    const { cached } = setup();
    const inner = cached("1m", async () => new Response("x", { headers: { ETag: '"v1"' } }));
    const handler = cached("1h", inner);

    for (let round = 0; round < 3; round++)
      expect((await handler(request({ "If-None-Match": '"v1"' }))).status).toBe(304);
  });

  it("one Request object used for many requests is not taken for one inside another", async () => {
    let runs = 0;
    const { cached } = setup();
    const handler = cached("1h", async () => {
      await pause(10);
      return new Response(`run ${++runs}`);
    });
    const same = request();
    const read = async (): Promise<string> => (await handler(same)).text();

    expect(await Promise.all([read(), read()])).toEqual(["run 1", "run 1"]);
    expect(hitOrMiss(await handler(same))).toBe("Hit");
  });
});

describe("renewals", () => {
  it("run the handler with the same further arguments, in the context of the request", async () => {
    const user = new AsyncLocalStorage<string>();
    const seen: unknown[] = [];
    const { cached, advance, events } = setup();
    const handler = cached({ expire: 10, staleWhileRevalidate: "1h" }, async (given: Request, env: unknown) => {
      await pause(1);
      seen.push([isRenewal(given), env, user.getStore()]);
      return new Response(`run ${seen.length}`);
    });
    const ask = (name: string): Promise<string> => user.run(name, async () => (await handler(request(), "env")).text());

    await ask("ann");
    advance(11);
    expect(await ask("bob")).toBe("run 1");
    await until(() => events.filter(({ type }) => type === "stored").length === 2);
    expect(await ask("eve")).toBe("run 2");
    expect(seen).toEqual([
      [false, "env", "ann"],
      [true, "env", "bob"],
    ]);
  });

  it.each([
    [
      "throws at once",
      () => {
        throw new Error("renewal broke");
      },
    ],
    ["rejects", () => Promise.reject(new Error("renewal broke"))],
  ])("that %s are reported, and end no process", async (_, fail) => {
    let isBroken = false;
    const { cached, advance, events } = setup();
    const handler = cached({ expire: 10, staleWhileRevalidate: "1h" }, () =>
      isBroken ? fail() : new Response("page"),
    );
    await (await handler(request())).text();
    isBroken = true;
    advance(11);
    expect(await (await handler(request())).text()).toBe("page");

    await until(() => events.some(({ type }) => type === "revalidation-failed"));
    const failed = events.find((event) => event.type === "revalidation-failed");
    expect(failed?.type === "revalidation-failed" && failed.error.message).toBe("renewal broke");
  });

  it("and writes to a store that takes its time are handed to waitUntil", async () => {
    const kept = new Map<string, StoreEntry>();
    const writing = gate();
    const store: CacheStore = {
      name: "slow",
      get: (key) => Promise.resolve(kept.get(key)),
      async put(key, entry) {
        await writing.opened;
        kept.set(key, entry);
        return "stored" as const;
      },
      delete: (key) => void kept.delete(key),
    };
    const { cached, advance } = setup({ store });
    const work: Promise<unknown>[] = [];
    const context = { waitUntil: vi.fn((promise: Promise<unknown>) => void work.push(promise)) };
    let runs = 0;
    const handler = cached({ expire: 10, staleWhileRevalidate: "1h" }, async () => new Response(`run ${++runs}`));
    const ask = async (): Promise<string> => (await handler(request(), {}, context)).text();

    expect(await ask()).toBe("run 1");
    expect(work).toHaveLength(1);
    expect(kept.size).toBe(0);
    writing.open();
    await Promise.all(work);
    expect(kept.size).toBe(1);
    advance(11);
    expect(await ask()).toBe("run 1");
    expect(work.length).toBeGreaterThan(1);
    await Promise.all(work.splice(0));
    await Promise.all(work);
    expect(await ask()).toBe("run 2");
  });
});
